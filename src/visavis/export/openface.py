"""OpenFace 2 style CSV, for the analysis scripts that psychologists already have.

OpenFace's axes are a camera's: X to the picture's right (the subject's left), Y down, Z away from
the camera; its angles compose as R = Rx Ry Rz. Ours turn into them by half a turn about X.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from visavis.behaviour import Behaviour
from visavis.channels import AU_LABELS, STANDARD
from visavis.errors import MissingChannel
from visavis.export._clock import F64, one_person
from visavis.export._gaze import eye_angles
from visavis.export._turn import matrices
from visavis.files import atomic_path

INTENSITIES = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 45)
PRESENCES = (*INTENSITIES[:14], 25, 26, 28, 45)
COLUMNS = (
    *("frame", "face_id", "timestamp", "confidence", "success"),
    *("gaze_angle_x", "gaze_angle_y"),
    *("pose_Tx", "pose_Ty", "pose_Tz", "pose_Rx", "pose_Ry", "pose_Rz"),
    *(f"AU{n:02d}_r" for n in INTENSITIES),
    *(f"AU{n:02d}_c" for n in PRESENCES),
)
FROM_SHAPES = {
    5: ("eyeWideLeft", "eyeWideRight"),
    20: ("mouthStretchLeft", "mouthStretchRight"),
    28: ("mouthRollLower", "mouthRollUpper"),
    45: ("eyeBlinkLeft", "eyeBlinkRight"),
}
"""AUs that the 15 of `au` lack, as the mean of two shapes times `GAIN` (a blink: times 1)."""
GAIN = 1.5
ENOUGH = ("au", "blendshapes", "rotation")
"""Channels of which one is enough."""
REST_MM = (0.0, 0.0, 600.0)
"""Where the head at rest is said to be: 60 cm before the camera."""
_FLIP = np.array([1.0, -1.0, -1.0])


def write_openface(behaviour: Behaviour, path: str | Path) -> Path:
    """Write one person as a CSV with OpenFace 2's columns, as far as they are known.

    Landmarks are not written. `AUxx_r` is 5 times our value, `AUxx_c` is 1 from half of it; AU24
    has no column there and is left out; AU05, AU20, AU28, AU45 come from blendshapes. Cells of what
    the behaviour lacks are empty. A frame that was not observed has success 0 and zeros.

    Args:
        behaviour: [T] with `au`, `blendshapes` or `rotation`, 25 frames a second.

    Raises:
        MissingChannel: none of them.
        InputError: several persons, no frames, or `path` cannot be written.
    """
    one_person(behaviour)
    if not any(behaviour.has(n) for n in ENOUGH):
        raise MissingChannel("an OpenFace file needs au, blendshapes or rotation.")
    blocks = [_gaze(behaviour), _pose(behaviour), *_actions(behaviour)]
    names = [n for n in ENOUGH if behaviour.has(n)]
    seen = np.logical_and.reduce([behaviour.mask(n).cpu().numpy() for n in names])
    with (
        atomic_path(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for t in range(behaviour.frames):
            found = int(seen[t])
            row = [str(t + 1), "0", f"{t / behaviour.fps:.3f}", f"{found:.2f}", str(found)]
            for values in blocks:
                row += [_cell(x if found or np.isnan(x) else 0.0) for x in values[t]]
            writer.writerow(row)
    return Path(path)


def _cell(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.5f}"


def _values(behaviour: Behaviour, name: str) -> F64:
    return behaviour.filled(name, 0.0).detach().cpu().double().numpy()


def _absent(behaviour: Behaviour, columns: int) -> F64:
    return np.full((behaviour.frames, columns), np.nan)


def _gaze(behaviour: Behaviour) -> F64:
    """Both eyes' mean in the world, [T, 2] radians: to the subject's left, down."""
    if not behaviour.has("blendshapes"):
        return _absent(behaviour, 2)
    eyes = eye_angles(_values(behaviour, "blendshapes")).mean(1)
    head = _values(behaviour, "rotation") if behaviour.has("rotation") else np.zeros((len(eyes), 3))
    return np.stack([head[:, 1] + eyes[:, 1], head[:, 0] + eyes[:, 0]], axis=1)


def _pose(behaviour: Behaviour) -> F64:
    """Millimetres and radians in the camera's axes, [T, 6]."""
    if not behaviour.has("rotation"):
        return _absent(behaviour, 6)
    shift = np.zeros((behaviour.frames, 3))
    if behaviour.has("translation"):
        shift = _values(behaviour, "translation")
    place = 1000.0 * shift * _FLIP + np.array(REST_MM)
    turned = matrices(_values(behaviour, "rotation")) * np.outer(_FLIP, _FLIP)
    return np.concatenate([place, camera_angles(turned)], axis=1)


def camera_angles(turned: F64) -> F64:
    """Rotation matrices [N, 3, 3] to (Rx, Ry, Rz) with R = Rx Ry Rz, [N, 3] radians."""
    y = np.arcsin(np.clip(turned[:, 0, 2], -1.0, 1.0))
    x = np.arctan2(-turned[:, 1, 2], turned[:, 2, 2])
    z = np.arctan2(-turned[:, 0, 1], turned[:, 0, 0])
    return np.stack([x, y, z], axis=1)


def _actions(behaviour: Behaviour) -> tuple[F64, F64]:
    """Intensities 0 to 5 [T, 17] and presences 0/1 [T, 18]."""
    known: dict[int, F64] = {}
    if behaviour.has("au"):
        au = _values(behaviour, "au")
        known |= {int(name[2:]): au[:, column] for column, name in enumerate(AU_LABELS)}
    if behaviour.has("blendshapes"):
        shapes, place = _values(behaviour, "blendshapes"), STANDARD["blendshapes"].index
        for number, pair in FROM_SHAPES.items():
            mean = shapes[:, [place(n) for n in pair]].mean(1)
            known[number] = np.clip(mean * (1.0 if number == 45 else GAIN), 0.0, 1.0)
    nothing = _absent(behaviour, 1)[:, 0]
    strength = np.stack([5.0 * known.get(n, nothing) for n in INTENSITIES], axis=1)
    chance = np.stack([known.get(n, nothing) for n in PRESENCES], axis=1)
    return strength, np.where(np.isnan(chance), np.nan, chance >= 0.5)
