"""The 52 ARKit shapes of a table, by name and whatever their capitals."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from visavis.channels import BLENDSHAPES
from visavis.errors import InputError
from visavis.features.trackers._table import Table

logger = logging.getLogger("visavis")

FULL_SCALE = 1.5
"""Weights beyond this can only be per cent."""


def shape_columns(table: Table, prefix: str = "") -> list[str]:
    """Column names to ask a table for, in our order; `EyeBlink_L` is taken for `eyeBlinkLeft`."""
    lower = {name.lower() for name in table.names}
    asked = []
    for name in BLENDSHAPES:
        short = name.replace("Left", "_L").replace("Right", "_R")
        plain, brief = (prefix + name).lower(), (prefix + short).lower()
        asked.append(prefix + (short if plain not in lower and brief in lower else name))
    return asked


def shapes(table: Table, values: np.ndarray, asked: Sequence[str]) -> np.ndarray:
    """Weights [N, 52] as they came -> in [0, 1], NaN where not told.

    Raises:
        InputError: weights that are neither 0 to 1 nor 0 to 100.
    """
    largest = np.nanmax(values) if np.isfinite(values).any() else 0.0
    if largest > 100.0 + 1e-6 or (np.isfinite(values).any() and np.nanmin(values) < -FULL_SCALE):
        place = np.unravel_index(np.nanargmax(np.abs(values)), values.shape)
        raise InputError(
            f"{table.path}, row {place[0] + 1}, column {asked[int(place[1])]!r}: "
            f"{values[place]:g} is no shape's weight (0 to 1, or 0 to 100)."
        )
    if largest > FULL_SCALE:
        logger.warning("%s: weights up to %.0f are read as per cent.", table.path, largest)
        values = values / 100.0
    clipped: np.ndarray = np.clip(values, 0.0, 1.0)
    return clipped
