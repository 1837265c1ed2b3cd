"""Rows at a tracker's own times -> the 25 fps clock.

A row is a picture that is on screen from its time until the next row's, so it stands for the middle
of that stretch, as our frame t stands for (t + 1/2) / 25 s. Between two rows values are
interpolated; across a gap, nothing is said. At 25 rows a second this changes nothing.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from visavis.channels import FPS
from visavis.errors import InputError

Doubles = NDArray[np.float64]

GAP = 2.5
"""Rows further apart than this many usual steps (and than `GAP_S`) leave a hole between them."""
GAP_S = 0.1
FASTEST, SLOWEST = 500.0, 1.0
"""Rows a second that a tracker of films can have."""
LONGEST_S = 6 * 3600.0


def step_of(times: Doubles, path: Path) -> float:
    """Seconds between rows, the median; 1/25 for a single row.

    Raises:
        InputError: times that are missing, go back, stand still, or are no film's.
    """
    if not np.isfinite(times).all():
        row = int(np.flatnonzero(~np.isfinite(times))[0])
        raise InputError(f"{path}, row {row + 1}: the time is missing. Give fps= (--fps) instead.")
    if len(times) == 1:
        return 1.0 / FPS
    steps = np.diff(times)
    if (steps <= 0).any():
        row = int(np.flatnonzero(steps <= 0)[0]) + 2
        raise InputError(
            f"{path}, row {row}: the time {times[row - 1]:g} s does not come after "
            f"{times[row - 2]:g} s. Sort the rows, or give fps= (--fps) if the times mean nothing."
        )
    step = float(np.median(steps))
    if not 1.0 / FASTEST <= step <= 1.0 / SLOWEST:
        raise InputError(
            f"{path}: its rows are {step:g} s apart, {1 / step:g} a second, which is no film's "
            f"rate ({SLOWEST:g} to {FASTEST:g}). Give the true rate as fps= (--fps)."
        )
    if times[-1] - times[0] > LONGEST_S:
        raise InputError(
            f"{path}: its times span {(times[-1] - times[0]) / 3600:.1f} hours; at most "
            f"{LONGEST_S / 3600:g} are read. Are they in seconds?"
        )
    return step


def frames_of(times: Doubles, step: float) -> int:
    """How many frames of ours last until the end of the last row."""
    return max(1, round(float(times[-1] + step) * FPS))


def onto_clock(times: Doubles, values: Doubles, step: float, frames: int) -> Doubles:
    """Values [N, C] at `times` [N] s (NaN: not told) -> [frames, C], NaN where nothing is known."""
    middles = times + step / 2
    clock = (np.arange(frames) + 0.5) / FPS
    out = np.full((frames, values.shape[1]), np.nan)
    gap = max(GAP * step, GAP_S)
    # a row also covers what lies within its own stretch, however lonely it is
    reach = 0.5 * max(step, 1.0 / FPS) + 1e-6
    known = np.isfinite(values)
    patterns, which = np.unique(known, axis=1, return_inverse=True)
    for number, pattern in enumerate(patterns.T):
        if not pattern.any():
            continue
        columns = np.flatnonzero(which.ravel() == number)
        at = middles[pattern]
        after = np.clip(np.searchsorted(at, clock), 0, len(at) - 1)
        before = np.clip(after - (at[after] > clock), 0, len(at) - 1)
        exact = np.abs(at[after] - clock) < 1e-9
        before = np.where(exact, after, before)
        inside = (at[before] <= clock) & (clock <= at[after]) & (at[after] - at[before] <= gap)
        near = np.minimum(np.abs(at[after] - clock), np.abs(at[before] - clock)) <= reach
        told = inside | near
        for column in columns:
            out[told, column] = np.interp(clock[told], at, values[pattern, column])
        lonely = told & ~inside
        closer = np.where(np.abs(at[before] - clock) <= np.abs(at[after] - clock), before, after)
        out[np.ix_(lonely, columns)] = values[pattern][closer[lonely]][:, columns]
    return out
