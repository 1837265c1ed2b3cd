"""Live Link Face CSV: `Timecode`, `BlendShapeCount`, 52 shapes, head and eye angles.

The columns were found alike in several importers and in three public recordings of the app.
`Timecode` is hours:minutes:seconds:frames with a fraction of a frame, frames counted in the
recording's own rate, which the file does not state: it is told from where the frames begin again.
The recordings' angles are in radians; their heads' rotation was switched off, so its signs, read as
`visavis.export` writes them, are unverified. A row with
`BlendShapeCount` 0 is a frame without a face.
"""

from __future__ import annotations

import logging
import re

import numpy as np

from visavis.errors import InputError
from visavis.features.trackers._reading import Reading
from visavis.features.trackers._shapes import shape_columns, shapes
from visavis.features.trackers._table import Table

logger = logging.getLogger("visavis")

RATES = (24.0, 25.0, 30.0, 50.0, 60.0)
_CODE = re.compile(r"(\d+):(\d+):(\d+)[:;](\d+(?:[.,]\d+)?)")
_ANGLES = ("HeadPitch", "HeadYaw", "HeadRoll")


def recognises(table: Table) -> bool:
    """Whether the header is Live Link Face's, in either order and any capitals."""
    return table.has("Timecode") and (table.has("JawOpen") or table.has("EyeBlinkLeft"))


def read(table: Table, fps: float | None) -> Reading:
    """The shapes and the head's angles of the table.

    Raises:
        InputError: a timecode that is none, no row with a face, or angles that are none.
    """
    asked = shape_columns(table)
    read = table.columns(("BlendShapeCount", *_ANGLES, *asked), ("Timecode",))
    numbers = read.numbers
    known = shapes(table, numbers[:, 4:], asked)
    found = np.isfinite(known).any(axis=1) & (np.nan_to_num(numbers[:, 0], nan=1.0) > 0)
    if not found.any():
        raise InputError(f"{table.path}: no row of {len(numbers)} holds a face's shapes.")
    times = _times(table, read.texts[0], fps)
    face = np.where(found[:, None], numbers[:, 1:4], np.nan)
    return Reading(
        times,
        {
            "blendshapes": np.where(found[:, None], known, np.nan),
            "rotation": _radians(table, face),
        },
    )


def _times(table: Table, codes: tuple[str, ...], fps: float | None) -> np.ndarray:
    """Seconds from the first row."""
    parts = np.zeros((len(codes), 2))
    for row, code in enumerate(codes):
        match = _CODE.fullmatch(code)
        if match is None:
            raise InputError(
                f"{table.path}, row {row + 1}: {code!r} is no timecode (HH:MM:SS:FF.sss)."
            )
        hours, minutes, seconds, frames = (float(part.replace(",", ".")) for part in match.groups())
        parts[row] = 3600 * hours + 60 * minutes + seconds, frames
    parts[:, 0] += 86400.0 * np.cumsum(np.diff(parts[:, 0], prepend=parts[0, 0]) < -43200.0)
    rate = fps if fps is not None else _rate(table, parts[:, 0], parts[:, 1])
    if parts[:, 1].max() >= rate:
        raise InputError(
            f"{table.path} counts up to {parts[:, 1].max():g} frames in a second, more than the "
            f"{rate:g} given."
        )
    times = parts[:, 0] + parts[:, 1] / rate
    # a phone that drops behind stamps two frames alike; the later one is kept in place
    same = np.flatnonzero(np.diff(times) == 0)
    times[same] -= 0.25 / rate
    return np.asarray(times - times[0])


def _rate(table: Table, seconds: np.ndarray, frames: np.ndarray) -> float:
    """Frames a second: the lowest common rate in which the largest count of frames has room."""
    room = next((rate for rate in RATES if frames.max() < rate), None)
    if room is None:
        raise InputError(
            f"{table.path} counts up to {frames.max():g} frames in a second; give the recording's "
            "rate as fps= (--fps)."
        )
    if len(np.unique(seconds)) < 2 and room < RATES[-1]:
        logger.warning(
            "%s is too short to tell its rate; the app's usual 60 frames a second is taken. "
            "Give fps= (--fps) if it was another.",
            table.path,
        )
        return RATES[-1]
    return room


def _radians(table: Table, angles: np.ndarray) -> np.ndarray:
    """Angles as radians; sizes that only degrees can have are turned into them."""
    largest = float(np.nanmax(np.abs(angles))) if np.isfinite(angles).any() else 0.0
    if largest > 360.0:
        raise InputError(
            f"{table.path}: a head turned by {largest:g} is neither radians nor degrees."
        )
    if largest <= np.pi:
        return angles
    logger.warning("%s: head angles up to %.0f are read as degrees.", table.path, largest)
    return np.asarray(np.radians(angles))
