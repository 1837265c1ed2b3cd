"""Where a signal is up: hysteresis without a loop, the same forwards and backwards."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from visavis.errors import InputError


def excursions(signal: NDArray[np.float64], *, high: float, low: float) -> NDArray[np.int64]:
    """Longest runs of `signal` [T] at or above `low` that reach `high`: [n, 3].

    Columns: first frame, frame after the last, first frame at or above `high`. A run that touches
    an end of the clip is there too; whether it counts is the caller's question.

    Raises:
        InputError: `low` above `high`.
    """
    if low > high:
        raise InputError(f"low must not be above high, but {low} > {high}.")
    up = np.concatenate([[False], signal >= low, [False]])
    edges = np.flatnonzero(up[1:] != up[:-1])
    starts, stops = edges[::2], edges[1::2]
    reached = np.flatnonzero(signal >= high)
    place = np.searchsorted(reached, starts)
    first = np.append(reached, len(signal))[place]
    kept = first < stops
    return np.stack([starts[kept], stops[kept], first[kept]], axis=1).astype(np.int64)
