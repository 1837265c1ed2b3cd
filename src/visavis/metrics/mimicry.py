"""Mimicry: does the listener follow the same movements of this speaker, more than by chance?

FRSyn says at which lag a mean correlation peaks, not how strong it is, and slow signals correlate
with anything. Here the strength is taken at the best lag at which the listener follows, channel by
channel, less the same at lags so far away that no answer is possible: those have the same rhythm
and the same freedom to choose a lag, and no relation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.errors import InputError
from visavis.metrics._inputs import agree, numbers
from visavis.metrics._means import MeanOverClips

Array = NDArray[np.float64]
REACH = 50
"""Longest lag of following, in frames: 2 s."""


@dataclass(frozen=True)
class Mimicry:
    """Means over channels that move in both; NaN where there is none."""

    following: float
    """Greatest correlation at a lag of 0 to `reach` frames, in [-1, 1]."""
    chance: float
    """The same over windows of lags far away."""
    channels: int
    """Channels that move in both."""

    @property
    def excess(self) -> float:
        """following - chance: 0 where the listener does not follow, 2 at most."""
        return self.following - self.chance


def mimicry(listener: Any, speaker: Any, *, reach: int = REACH) -> Mimicry:
    """How far a listener follows the same channels of a speaker.

    Correlations are circular over the clip, r(L) = mean_t z_listener(t) z_speaker(t - L); chance is
    the mean of the maxima over the disjoint windows of reach + 1 lags that fit between 2 reach and
    T - 2 reach.

    Args:
        listener: [T, D].
        speaker: [T, D], the same channels.
        reach: longest lag in frames.

    Raises:
        InputError: shapes that differ, NaN, or a clip shorter than 6 reach + 2 frames.
    """
    mine, theirs = numbers("listener", listener, "T D"), numbers("speaker", speaker, "T D")
    agree("T", listener=len(mine), speaker=len(theirs))
    agree("D", listener=mine.shape[1], speaker=theirs.shape[1])
    if reach < 0 or len(mine) < 6 * reach + 2:
        raise InputError(
            f"a clip of {len(mine)} frames is too short for a reach of {reach}; "
            f"wanted at least {6 * max(reach, 0) + 2} frames (axis T) and a reach of 0 or more."
        )
    moving = _moves(mine) & _moves(theirs)
    if not moving.any():
        return Mimicry(math.nan, math.nan, 0)
    curve = _circular_correlation(mine[:, moving], theirs[:, moving])
    width = reach + 1
    starts = range(2 * reach + 1, len(mine) - 2 * reach - width + 1, width)
    far = [curve[start : start + width].max(0) for start in starts]
    return Mimicry(
        following=float(curve[:width].max(0).mean()),
        chance=float(np.mean(far)),
        channels=int(moving.sum()),
    )


def _moves(signal: Array) -> NDArray[np.bool_]:
    return np.asarray(np.ptp(signal, axis=0) > 1e-9 * np.maximum(1.0, np.abs(signal).max(0)))


def _circular_correlation(mine: Array, theirs: Array) -> Array:
    """r(L) of each channel for L = 0 .. T - 1, [T, D]."""
    both = [(x - x.mean(0)) / x.std(0) for x in (mine, theirs)]
    first, second = (np.fft.rfft(x, axis=0) for x in both)
    return np.asarray(np.fft.irfft(first * second.conj(), n=len(mine), axis=0)) / len(mine)


class MimicryScore(MeanOverClips):
    """Streaming means over clips of `excess`, `following` and `chance`.

    The samples of a clip are averaged. To be held against the value of the real listeners:
    more is not better.
    """

    higher_is_better = None

    def __init__(self, *, reach: int = REACH, **options: Any) -> None:
        super().__init__(("excess", "following", "chance"), **options)
        self.reach = reach

    def update(self, pred: Any, speaker: Any) -> None:
        """Count one clip: pred [M, T, D], speaker [T, D]."""
        samples = numbers("pred", pred, "M T D")
        found = [mimicry(sample, speaker, reach=self.reach) for sample in samples]
        known = [x for x in found if x.channels] or found[:1]
        self.add({name: float(np.mean([getattr(x, name) for x in known])) for name in self.names})
