"""NVIDIA Audio2Face-3D's `animation_frames.csv`: `timeCode` in seconds and `blendShapes.<Name>`.

The names were read in importers and exporters that others wrote, not in NVIDIA's own pages; a
leading column of row numbers is let pass. There is no head pose, and often no tongue or gaze.
"""

from __future__ import annotations

import numpy as np

from visavis.errors import InputError
from visavis.features.trackers._reading import Reading
from visavis.features.trackers._shapes import shape_columns, shapes
from visavis.features.trackers._table import Table

PREFIX = "blendShapes."


def recognises(table: Table) -> bool:
    """Whether the header is Audio2Face's; its file of emotions is told apart with an error."""
    names = [name.lower() for name in table.names]
    if any(name.startswith("emotion_values.") for name in names):
        raise InputError(
            f"{table.path} holds Audio2Face's emotions, not a face; give animation_frames.csv."
        )
    return any(name.startswith(PREFIX.lower()) for name in names)


def read(table: Table, fps: float | None) -> Reading:
    """The shapes of the table.

    Raises:
        InputError: no shape that we know, no times and no `fps`.
    """
    asked = shape_columns(table, PREFIX)
    if not table.has("timeCode") and fps is None:
        raise InputError(
            f"{table.path} has no column timeCode; give its frames a second as fps= (--fps)."
        )
    numbers = table.columns(("timeCode", *asked)).numbers
    known = shapes(table, numbers[:, 1:], asked)
    if not np.isfinite(known).any():
        raise InputError(
            f"{table.path}: none of its blendShapes columns is an ARKit shape with a number in it "
            "(blendShapes.JawOpen, ...)."
        )
    times = numbers[:, 0] - numbers[0, 0] if fps is None else np.arange(len(known)) / fps
    return Reading(times, {"blendshapes": known})
