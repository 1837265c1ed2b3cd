"""OpenFace 2 (`FeatureExtraction`) CSV.

Columns and units as its wiki page "Output Format" and its source state them: `pose_T*` in
millimetres and `pose_R*` in radians about the camera's axes (X to the picture's right, Y down, Z
away), R = Rx Ry Rz; `gaze_angle_*` in radians in the same axes, positive to the picture's right and
down; `AUxx_r` 0 to 5, `AUxx_c` 0 or 1; a row with `success` 0 is no face. AU24 has no column.
"""

from __future__ import annotations

import logging

import numpy as np

from visavis.channels import AU_LABELS
from visavis.errors import InputError
from visavis.features.trackers._reading import Reading
from visavis.features.trackers._table import Table
from visavis.features.trackers._units import look, shapes_of_units, turned_from_camera

logger = logging.getLogger("visavis")

UNITS = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 28, 45)
STRONGEST = 5.0
"""The end of the intensity scale (FACS E)."""
_HEAD = ("frame", "timestamp", "confidence", "success", "face_id")
_POSE = ("pose_Rx", "pose_Ry", "pose_Rz", "pose_Tx", "pose_Ty", "pose_Tz")
_GAZE = ("gaze_angle_x", "gaze_angle_y")
_RAYS = ("gaze_0_x", "gaze_0_y", "gaze_0_z", "gaze_1_x", "gaze_1_y", "gaze_1_z")


def recognises(table: Table) -> bool:
    """Whether the header is OpenFace's."""
    return table.has("confidence") and (
        table.has("AU01_r") or table.has("AU01_c", "success") or table.has("pose_Rx", "success")
    )


def read(table: Table, fps: float | None) -> Reading:
    """One face of the table in our units.

    `au` is the presence `AUxx_c`, or a fifth of `AUxx_r` where there is none; `blendshapes` come
    from intensities and gaze.

    Raises:
        InputError: no row with a face, or no times and no `fps`.
    """
    intensities = [f"AU{n:02d}_r" for n in UNITS]
    presences = [f"AU{n:02d}_c" for n in UNITS]
    asked = (*_HEAD, *_POSE, *_GAZE, *_RAYS, *intensities, *presences)
    numbers = table.columns(asked).numbers
    at = {name: column for column, name in enumerate(asked)}
    numbers = _one_face(table, numbers, at["face_id"])
    times = _times(table, numbers[:, at["frame"]], numbers[:, at["timestamp"]], fps)
    success, confidence = numbers[:, at["success"]], numbers[:, at["confidence"]]
    found = np.where(np.isfinite(success), success > 0.5, np.nan_to_num(confidence, nan=1.0) > 0.0)
    if not found.any():
        raise InputError(
            f"{table.path}: no row of {len(numbers)} has success 1; no face was found."
        )
    face = np.where(found[:, None], numbers, np.nan)
    pose = face[:, [at[name] for name in _POSE]]
    rotation = turned_from_camera(pose[:, :3])
    strength = {n: np.clip(face[:, at[f"AU{n:02d}_r"]] / STRONGEST, 0.0, 1.0) for n in UNITS}
    there = {n: face[:, at[f"AU{n:02d}_c"]] for n in UNITS}
    # a shape needs a size; in a file that has only presence, that is the size
    size = {n: _either(strength[n], there[n]) for n in UNITS}
    blendshapes = shapes_of_units(size)
    pitch, yaw = _gaze(face[:, [at[n] for n in _GAZE]], face[:, [at[n] for n in _RAYS]])
    level = np.nan_to_num(rotation)  # gaze is told against the camera, ours is in the head
    look(blendshapes, pitch - level[:, 0], yaw - level[:, 1])
    au = np.full((len(face), len(AU_LABELS)), np.nan)
    for column, label in enumerate(AU_LABELS):
        unit = int(label[2:])
        if unit in UNITS:
            au[:, column] = _either(there[unit], strength[unit])
    return Reading(
        times,
        {
            "au": au,
            "blendshapes": blendshapes,
            "rotation": rotation,
            "translation": pose[:, 3:] * np.array([1e-3, -1e-3, -1e-3]),
            "confidence": np.where(found, np.clip(confidence, 0.0, 1.0), 0.0)[:, None],
        },
        frozenset({"blendshapes"}),
    )


def _either(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """A column, or the other where the file has nothing in it. A cell that is missing stays
    missing: presence is no stand-in for a moment's intensity, nor the other way round."""
    return first if np.isfinite(first).any() else second


def _one_face(table: Table, numbers: np.ndarray, column: int) -> np.ndarray:
    """The rows of the face that is there most often."""
    faces = numbers[:, column]
    which, counts = np.unique(faces[np.isfinite(faces)], return_counts=True)
    if len(which) < 2:
        return numbers
    kept = which[int(np.argmax(counts))]
    logger.warning(
        "%s holds %d faces; face_id %d is read (%d of %d rows).",
        *(table.path, len(which), int(kept), int(counts.max()), len(numbers)),
    )
    return np.asarray(numbers[faces == kept])


def _times(table: Table, frame: np.ndarray, stamp: np.ndarray, fps: float | None) -> np.ndarray:
    if fps is not None:
        counted = frame - 1 if np.isfinite(frame).all() else np.arange(len(frame), dtype=float)
        return np.asarray(counted / fps)
    if not np.isfinite(stamp).any():
        raise InputError(
            f"{table.path} has no timestamps; give its frames a second as fps= (--fps)."
        )
    return stamp


def _gaze(angles: np.ndarray, rays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(pitch, yaw) [N] of the gaze against the camera, from the angles or else from both rays."""
    mean = (rays[:, :3] + rays[:, 3:]) / 2
    yaw = np.where(np.isfinite(angles[:, 0]), angles[:, 0], np.arctan2(mean[:, 0], -mean[:, 2]))
    pitch = np.where(np.isfinite(angles[:, 1]), angles[:, 1], np.arctan2(mean[:, 1], -mean[:, 2]))
    return pitch, yaw
