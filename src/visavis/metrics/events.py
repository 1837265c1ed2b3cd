"""Blinks and nods: how often, how long, how large.

Listeners are recognised by a few discrete acts. A face can have the right variances and
correlations and never blink, or blink forty times a minute; no score of the field would tell.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import Metric

from visavis.errors import InputError
from visavis.metrics._excursions import excursions
from visavis.metrics._inputs import agree, numbers

Array = NDArray[np.float64]
FPS = 25.0
CLOSED, OPEN = 0.5, 0.3
"""A blink reaches CLOSED and lies between two frames below OPEN."""
LONGEST_BLINK = 12
"""Frames (0.48 s); longer is a closing of the eyes."""
NOD = 0.035
"""Least swing of the pitch, in radians (2 degrees)."""
LONGEST_SWING = 13
"""Frames for the middle 80 % of a swing, and for a pause between two: nods of 1 Hz or faster."""
POSTURE = 25
"""Frames of the running median (1 s) that is taken off: sway goes, a lasting turn is no swing."""


@dataclass(frozen=True)
class Events:
    """Events of one or many clips; means are NaN where there was none."""

    count: int
    per_minute: float
    duration_s: float
    size: float
    """Largest closure of a blink, or mean peak-to-peak pitch of a nod in radians."""


def blinks(closure: Any) -> Array:
    """Blinks in one clip: [n, 3] of first frame, frame after the last, largest closure.

    Args:
        closure: [T], or [T, 2] for both eyes (eyeBlinkLeft, eyeBlinkRight), whose mean is taken, so
            that a wink of one eye is none; 0 open to 1 closed.

    Raises:
        InputError: another shape, or NaN.
    """
    values = numbers("closure", closure, "T E" if np.ndim(closure) == 2 else "T")
    values = values.reshape(len(values), -1).mean(1)
    found = excursions(values, high=CLOSED, low=OPEN)
    start, stop = found[:, 0], found[:, 1]
    whole = (start > 0) & (stop < len(values)) & (stop - start <= LONGEST_BLINK)
    rows = [(a, b, values[a:b].max()) for a, b in zip(start[whole], stop[whole], strict=True)]
    return np.array(rows, dtype=np.float64).reshape(-1, 3)


def nods(pitch: Any) -> Array:
    """Nods in one clip: [n, 3] of first frame, last frame, mean swing in radians.

    A nod is two or more swings of the pitch less its running median of 1 s, up and down in turn, of
    at least 0.035 rad each, the middle 80 % of each within 13 frames, with pauses of at most 13
    frames between.

    Args:
        pitch: [T] radians, the first column of `rotation`.

    Raises:
        InputError: another shape, or NaN.
    """
    from scipy.ndimage import median_filter

    values = numbers("pitch", pitch, "T")
    swings = _swings(values - median_filter(values, POSTURE, mode="nearest"))
    found: list[tuple[float, float, float]] = []
    chain: list[tuple[int, int, float]] = []
    for swing in (*swings, (math.inf, math.inf, 0.0)):
        start, end, size = swing
        if chain and (start - chain[-1][1] > LONGEST_SWING or end - start > LONGEST_SWING):
            if len(chain) > 1:
                mean = sum(s for _, _, s in chain) / len(chain)
                found.append((chain[0][0], chain[-1][1], mean))
            chain = []
        if end - start <= LONGEST_SWING:
            chain.append((int(start), int(end), size))
    return np.array(found, dtype=np.float64).reshape(-1, 3)


def _swings(values: Array) -> list[tuple[int, int, float]]:
    """(start, end, size) of the steep part of every movement between two turning points."""
    turns = _turning_points(values.tolist(), NOD)
    found = []
    for a, b in pairwise(turns):
        share = np.abs(values[a : b + 1] - values[a]) / abs(values[b] - values[a])
        start = a + int(np.flatnonzero(share <= 0.1)[-1])
        end = a + int(np.flatnonzero(share >= 0.9)[0])
        found.append((min(start, end), max(start, end), float(abs(values[b] - values[a]))))
    return found


def _turning_points(values: list[float], least: float) -> list[int]:
    """Alternating highest and lowest frames, each at least `least` from the next."""
    turns: list[int] = []
    top = bottom = 0
    rising: bool | None = None
    for t, value in enumerate(values):
        if value > values[top]:
            top = t
        if value < values[bottom]:
            bottom = t
        if rising is not False and value <= values[top] - least:
            turns.append(top)
            rising, bottom = False, t
        elif rising is not True and value >= values[bottom] + least:
            turns.append(bottom)
            rising, top = True, t
        if rising is True:
            bottom = top
        elif rising is False:
            top = bottom
    if rising is not None:
        turns.append(top if rising else bottom)
    return turns


def summary(events: Any, frames: int) -> Events:
    """Rate and means of `events` [n, 3] found in `frames` frames.

    Raises:
        InputError: another shape, or no frames.
    """
    rows = np.asarray(events, dtype=np.float64)
    if rows.ndim != 2 or rows.shape[1] != 3:
        raise InputError(f"events have shape {list(rows.shape)}; wanted [n, 3].")
    if frames < 1:
        raise InputError(f"frames must be at least 1, not {frames}.")
    return _from_sums(len(rows), frames, float((rows[:, 1] - rows[:, 0]).sum()), rows[:, 2].sum())


def _from_sums(count: int, frames: float, duration: float, size: float) -> Events:
    return Events(
        count=count,
        per_minute=count / (frames / FPS / 60) if frames else math.nan,
        duration_s=duration / count / FPS if count else math.nan,
        size=float(size) / count if count else math.nan,
    )


class EventStatistics(Metric):
    """Streaming statistics of generated and real blinks or nods.

    Args:
        kind: "blinks" takes eye closures [..., T] or [..., T, 2], "nods" takes pitch [..., T].
    """

    full_state_update = False
    pred_sums: Tensor
    real_sums: Tensor

    def __init__(self, kind: Literal["blinks", "nods"], **options: Any) -> None:
        super().__init__(**options)
        if kind not in ("blinks", "nods"):
            raise InputError(f"kind must be 'blinks' or 'nods', not {kind!r}.")
        self.kind = kind
        for side in ("pred", "real"):
            zeros = torch.zeros(4, dtype=torch.float64)  # count, frames, frames in events, size
            self.add_state(f"{side}_sums", zeros, dist_reduce_fx="sum")

    def update(self, pred: Any, real: Any) -> None:
        """Count one clip: pred [M, T] (or [M, T, 2] closures), real [T] (or [T, 2])."""
        eyes = " E" if self.kind == "blinks" and np.ndim(real) == 2 else ""
        sides = {
            "pred": numbers("pred", pred, "M T" + eyes),
            "real": numbers("real", real, "T" + eyes)[None],
        }
        if eyes:
            agree("E", pred=sides["pred"].shape[2], real=sides["real"].shape[2])
        find = blinks if self.kind == "blinks" else nods
        for side, clips in sides.items():
            state = getattr(self, f"{side}_sums")
            for clip in clips:
                rows = find(clip)
                length, size = float((rows[:, 1] - rows[:, 0]).sum()), float(rows[:, 2].sum())
                row = [float(len(rows)), float(len(clip)), length, size]
                state += torch.tensor(row, dtype=torch.float64, device=state.device)

    def report(self, side: str) -> Events:
        """Statistics of "pred" or "real" counted so far in this process."""
        count, frames, duration, size = getattr(self, f"{side}_sums").tolist()
        return _from_sums(int(count), frames, duration, size)

    def compute(self) -> dict[str, Tensor]:
        """count, per_minute, duration_s and size of pred and real."""
        return {
            f"{side}_{name}": torch.tensor(float(value), dtype=torch.float64)
            for side in ("pred", "real")
            for name, value in vars(self.report(side)).items()
        }
