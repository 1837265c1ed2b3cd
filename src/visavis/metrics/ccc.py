"""Concordance correlation (Lin, 1989) of every prediction with every target, channel by channel.

    CCC = 2 cov(x, y) / (var x + var y + (mean x - mean y)^2 + epsilon)

with population moments. Moments are taken once a sequence and covariances are one matrix product
a channel, so a pair costs T multiplications a channel instead of two passes over the frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from visavis._jit import compiled
from visavis.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from visavis.metrics._device import Where

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Real = NDArray[np.floating]
Flags = NDArray[np.bool_]


_BLOCK = 32


@dataclass(frozen=True)
class Moments:
    """S sequences of D channels, centred once for any number of comparisons."""

    centred: F64 | Tensor
    """[D, S, T], each sequence less its mean; a tensor where torch computes."""
    mean: F64
    """[S, D]"""
    variance: F64
    """[S, D], population (over T); NaN where a value is not finite."""
    constant: Flags
    """[S, D]: every frame equals the first, exactly."""

    @property
    def frames(self) -> int:
        return int(self.centred.shape[2])


def moments(sequences: Real, where: Where = None) -> Moments:
    """Moments of `sequences` [S, T, D], T of at least 1; `where` is None for the processor."""
    if sequences.ndim != 3 or 0 in sequences.shape:
        raise InputError(
            f"sequences of shape {list(sequences.shape)}: wanted [S, T, D], none of them 0."
        )
    if where is not None:
        from visavis.metrics._torch_moments import torch_moments

        return Moments(*torch_moments(sequences, where))
    count, frames, width = sequences.shape
    centred = np.empty((width, count, frames))
    mean, variance = np.empty((count, width)), np.empty((count, width))
    constant = np.empty((count, width), dtype=np.bool_)
    _moments(np.ascontiguousarray(sequences), centred, mean, variance, constant)
    return Moments(centred, mean, variance, constant)


@compiled
def _moments(x: Real, centred: F64, mean: F64, variance: F64, constant: Flags) -> None:
    count, frames, width = x.shape
    sums, squares = np.empty(width), np.empty(width)
    block = np.empty((_BLOCK, width))
    for s in range(count):
        sums[:] = 0.0
        squares[:] = 0.0
        for t in range(frames):
            for d in range(width):
                sums[d] += x[s, t, d]
        for d in range(width):
            sums[d] /= frames
            mean[s, d] = sums[d]
            t = 0
            while t < frames and x[s, t, d] == x[s, 0, d]:
                t += 1
            constant[s, d] = t == frames
        # transposed through a block that stays in the nearest cache
        for start in range(0, frames, _BLOCK):
            rows = min(_BLOCK, frames - start)
            for t in range(rows):
                for d in range(width):
                    off = x[s, start + t, d] - sums[d]
                    block[t, d] = off
                    squares[d] += off * off
            for d in range(width):
                for t in range(rows):
                    centred[d, s, start + t] = block[t, d]
        for d in range(width):
            variance[s, d] = squares[d] / frames
            if constant[s, d]:
                # exact zero also where the mean of equal float64 values is not that value
                variance[s, d] *= 0.0
                for t in range(frames):
                    centred[d, s, t] *= 0.0


def ccc_matrix(
    pred: Real | Moments,
    targets: Real | Moments,
    *,
    epsilon: float = 1e-8,
    device: str = "cpu",
) -> F64:
    """CCC of `pred` [M, T, D] with `targets` [G, T, D]: [M, G, D], float64.

    A channel that is constant in either scores 0; a value that is not finite makes NaN.

    Args:
        epsilon: added to the denominator.
        device: "cpu" or a GPU such as "cuda"; both compute in float64. Moments stay where they
            were made.

    Raises:
        InputError: T or D differ, or the device is not there.
    """
    where = None
    if device != "cpu":
        from visavis.metrics._device import device_named

        where = device_named(device)
    x = pred if isinstance(pred, Moments) else moments(pred, where)
    y = targets if isinstance(targets, Moments) else moments(targets, where)
    covariance = covariances(x, y)
    apart = x.mean[:, None] - y.mean
    below = x.variance[:, None] + y.variance + apart * apart
    with np.errstate(divide="ignore", invalid="ignore"):
        found: F64 = 2.0 * covariance / (below + epsilon)
    both = x.constant[:, None] & y.constant
    found[both & np.isfinite(below)] = 0.0
    return found


def covariances(x: Moments, y: Moments) -> F64:
    """Population covariance of each pair, [M, G, D].

    Raises:
        InputError: T or D differ.
    """
    if x.frames != y.frames:
        raise InputError(
            f"axis T must agree: predictions have {x.frames} frames, targets {y.frames}. "
            "Cut both to the same length, or align the targets first."
        )
    if x.centred.shape[0] != y.centred.shape[0]:
        raise InputError(
            f"axis D must agree: predictions have {x.centred.shape[0]} channels, "
            f"targets {y.centred.shape[0]}."
        )
    return _products(x, y).transpose(1, 2, 0) / x.frames


def _products(x: Moments, y: Moments) -> F64:
    """Sum over time of every pair of centred sequences, [D, M, G]."""
    ours, theirs = x.centred, y.centred
    if isinstance(ours, np.ndarray) and isinstance(theirs, np.ndarray):
        found: F64 = np.matmul(ours, theirs.transpose(0, 2, 1))
        return found
    if isinstance(ours, np.ndarray) or isinstance(theirs, np.ndarray):
        raise InputError("moments of predictions and targets lie on different devices.")
    from visavis.metrics._torch_moments import torch_products

    return torch_products(ours, theirs)


def constant_channels(sequences: Real) -> Flags:
    """Which channels of `sequences` [S, T, D] never change, exactly: [S, D]; NaN is a change."""
    found = np.empty((sequences.shape[0], sequences.shape[2]), dtype=np.bool_)
    _still(np.ascontiguousarray(sequences), found)
    return found


@compiled
def _still(x: Real, found: Flags) -> None:
    for s in range(x.shape[0]):
        for d in range(x.shape[2]):
            t = 0
            while t < x.shape[1] and x[s, t, d] == x[s, 0, d]:
                t += 1
            found[s, d] = t == x.shape[1]
