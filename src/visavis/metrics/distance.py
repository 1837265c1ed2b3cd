"""Distance between the distribution of samples and the set of appropriate reactions.

Both scores are proper: in expectation nothing beats drawing samples from the distribution that
the real reactions come from, so neither a safe mean nor needless variety pays. The energy distance
looks at whole reactions (channels and frames together), the CRPS at each value by itself, in the
unit of its channel.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.errors import InputError
from visavis.metrics._inputs import agree, numbers
from visavis.metrics._means import MeanOverClips
from visavis.metrics.coverage import rms_distances

Array = NDArray[np.float64]


def energy_distance(pred: Any, targets: Any, *, scale: Any = None) -> float:
    """2 E|X - Y| - E|X - X'| - E|Y - Y'| of samples X and appropriate reactions Y of one clip.

    Székely and Rizzo (2013), with the distance of `rms_distances`. Expectations are over pairs of
    *different* reactions, so the mean over clips has no bias from M or N; one clip may therefore
    be slightly below 0. 0 in expectation exactly when both come from one distribution.

    Args:
        pred: [M, T, D], M at least 2.
        targets: [N, T, D].
        scale: [D] units of the channels.

    Returns:
        The distance; NaN for a single target, whose variety is unknown.

    Raises:
        InputError: one sample only, axes that do not agree, NaN.
    """
    across = rms_distances(pred, targets, scale=scale)
    if len(across) < 2:
        raise InputError("pred has one sample; the energy distance needs at least two (axis M).")
    if across.shape[1] < 2:
        return math.nan
    spread = [_mean_of_pairs(rms_distances(x, x, scale=scale)) for x in (pred, targets)]
    return float(2 * across.mean() - spread[0] - spread[1])


def _mean_of_pairs(distances: Array) -> float:
    """Mean over ordered pairs of different rows; the diagonal is 0."""
    n = len(distances)
    return float(distances.sum() / (n * (n - 1)))


def crps(pred: Any, targets: Any) -> Array:
    """Continuous ranked probability score of each channel of one clip, [D], in its unit.

    E|X - y| - E|X - X'| / 2 at every frame, averaged over frames and appropriate reactions y, with
    different samples X, X' (the fair form of Ferro 2014, unbiased in M). Lower is better; the mean
    absolute error where all samples agree or M is 1.

    Args:
        pred: [M, T, D].
        targets: [N, T, D].

    Raises:
        InputError: axes that do not agree, NaN.
    """
    samples, real = numbers("pred", pred, "M T D"), numbers("targets", targets, "N T D")
    agree("T", pred=samples.shape[1], targets=real.shape[1])
    agree("D", pred=samples.shape[2], targets=real.shape[2])
    m = len(samples)
    ordered = np.sort(samples, axis=0)
    error = np.zeros(samples.shape[2])
    for y in real:
        error += np.abs(ordered - y).mean((0, 1))
    error /= len(real)
    if m == 1:
        return error
    # sum over pairs of |x - x'| = 2 sum_i (2 i - m + 1) x_(i), i from 0
    weights = 2 * np.arange(m) - m + 1.0
    spread = 2 * np.tensordot(weights, ordered, axes=1).mean(0) / (m * (m - 1))
    return np.asarray(error - spread / 2)


class EnergyDistance(MeanOverClips):
    """Streaming mean of `energy_distance`; clips with a single target are counted apart."""

    higher_is_better = False

    def __init__(self, *, scale: Any = None, **options: Any) -> None:
        super().__init__(("energy_distance",), **options)
        self.scale = None if scale is None else numbers("scale", scale, "D")

    def update(self, pred: Any, targets: Any) -> None:
        """Count one clip: pred [M, T, D], targets [N, T, D]."""
        self.add({"energy_distance": energy_distance(pred, targets, scale=self.scale)})


class CRPS(MeanOverClips):
    """Streaming mean of `crps` over clips and channels."""

    higher_is_better = False

    def __init__(self, **options: Any) -> None:
        super().__init__(("crps",), **options)

    def update(self, pred: Any, targets: Any) -> None:
        """Count one clip: pred [M, T, D], targets [N, T, D]."""
        self.add({"crps": float(crps(pred, targets).mean())})
