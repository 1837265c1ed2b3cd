"""CCC with the roundings of the published code: Pearson's r in float64, the rest in float32.

NumPy takes the mean and variance of float32 arrays in float32, summing pairwise. The number moves
by 1e-7 of its parts, which is more than 1e-6 of a score that is nearly nothing, or of channels that
move little about a large mean (the translations of 58 coefficients). So that sum is repeated here
in its own order: up to 128 values in eight interleaved sums, longer runs by halves.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from visavis._jit import compiled
from visavis.metrics._device import Where
from visavis.metrics.ccc import Moments, covariances, moments

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

_RUN = 128


def published_ccc(pred: F32, targets: F32, *, epsilon: float, where: Where = None) -> F64:
    """CCC of `pred` [M, T, D] with `targets` [G, T, D], channel-mean: [M, G].

    Equal to the published function but for the last bit of a square (its `** 2` is a power,
    which may round the other way): 1e-8 of a score. A channel constant in either scores 0, and
    NaN where float32 leaves nothing below the fraction bar (`epsilon` 1e-50 is 0 there).
    """
    ours, theirs = moments(pred, where), moments(targets, where)
    covariance = covariances(ours, theirs)
    found = np.empty(covariance.shape[:2])
    _join(covariance, *_parts(ours, pred), *_parts(theirs, targets), np.float32(epsilon), found)
    return found


def single(sequences: NDArray[np.floating]) -> F32:
    """In float32, as the published code has them."""
    return sequences.astype(np.float32, copy=False)


def _parts(held: Moments, sequences: F32) -> tuple[F64, F32, F32]:
    """Population standard deviation in float64; mean and variance in float32; [S, D] each."""
    mean = np.empty((sequences.shape[0], sequences.shape[2]), np.float32)
    variance = np.empty_like(mean)
    count, frames, width = sequences.shape
    flat = np.ascontiguousarray(sequences).reshape(count, frames * width)
    _float32_moments(flat, width, *_plan(frames), mean, variance)
    return np.sqrt(held.variance), mean, variance


@compiled
def _join(
    covariance: F64,
    x_spread: F64,
    x_mean: F32,
    x_variance: F32,
    y_spread: F64,
    y_mean: F32,
    y_variance: F32,
    epsilon: np.float32,
    found: F64,
) -> None:
    samples, targets, width = covariance.shape
    x_root = np.sqrt(x_variance).astype(np.float64)
    y_root = np.sqrt(y_variance).astype(np.float64)
    for m in range(samples):
        for g in range(targets):
            total = 0.0
            for d in range(width):
                r = 0.0
                if x_spread[m, d] > 0.0 and y_spread[g, d] > 0.0:  # NaN is not
                    r = covariance[m, g, d] / x_spread[m, d] / y_spread[g, d]
                    r = min(1.0, max(-1.0, r))
                above = 2.0 * r * x_root[m, d] * y_root[g, d]
                apart = np.float32(y_mean[g, d] - x_mean[m, d])
                below = np.float32(y_variance[g, d] + x_variance[m, d])
                below = np.float32(below + np.float32(apart * apart))
                below = np.float32(below + epsilon)
                total += above / np.float64(below) if below != 0 else np.nan
            found[m, g] = total / width


@cache
def _plan(frames: int) -> tuple[I64, I64]:
    """NumPy's pairwise sum of `frames` values: ends of its runs, and which runs are then joined."""
    ends: list[int] = []
    joins: list[tuple[int, int]] = []

    def visit(start: int, stop: int) -> int:
        size = stop - start
        if size <= _RUN:
            ends.append(stop)
            return len(ends) - 1
        half = size // 2
        half -= half % 8
        left, right = visit(start, start + half), visit(start + half, stop)
        joins.append((left, right))
        return left

    visit(0, frames)
    return np.array(ends, np.int64), np.array(joins, np.int64).reshape(-1, 2)


@compiled
def _float32_moments(x: F32, width: int, ends: I64, joins: I64, mean: F32, variance: F32) -> None:
    """Of x [S, T D], D = `width`, as `numpy.mean` and `numpy.var` of each column round them."""
    frames = np.float32(x.shape[1] // width)
    sums = np.empty((len(ends), width), np.float32)
    lanes, level = np.empty(8 * width, np.float32), np.empty(8 * width, np.float32)
    for s in range(len(x)):
        for squared in (False, True):
            start = 0
            for i in range(len(ends)):
                _sum_run(x[s, start * width : ends[i] * width], squared, level, lanes, sums[i])
                start = ends[i]
            for i in range(len(joins)):
                for d in range(width):
                    sums[joins[i, 0], d] += sums[joins[i, 1], d]
            found = variance if squared else mean
            for d in range(width):
                found[s, d] = sums[0, d] / frames
                for j in range(8):
                    level[j * width + d] = found[s, d]


@compiled
def _sum_run(x: F32, squared: bool, level: F32, lanes: F32, found: F32) -> None:
    """Sum of at most `_RUN` rows [rows D], or of their squared distances from `level`.

    In eight interleaved sums side by side, so that a vector takes several channels at once.
    """
    width = len(found)
    rows = len(x) // width
    whole = (rows - rows % 8) * width
    step = 8 * width
    if whole:
        # the first block apart, then three at a time: nothing in the loops but sums, in their order
        if squared:
            for i in range(step):
                off = x[i] - level[i]
                lanes[i] = off * off
        else:
            for i in range(step):
                lanes[i] = x[i]
        start = step
        while start + 3 * step <= whole:
            a, b, c = x[start:], x[start + step :], x[start + 2 * step :]
            if squared:
                for i in range(step):
                    one, two, three = a[i] - level[i], b[i] - level[i], c[i] - level[i]
                    lanes[i] = ((lanes[i] + one * one) + two * two) + three * three
            else:
                for i in range(step):
                    lanes[i] = ((lanes[i] + a[i]) + b[i]) + c[i]
            start += 3 * step
        while start < whole:
            a = x[start:]
            for i in range(step):
                off = a[i] - level[i] if squared else a[i]
                lanes[i] += off * off if squared else off
            start += step
        for d in range(width):
            low = (lanes[d] + lanes[d + width]) + (lanes[d + 2 * width] + lanes[d + 3 * width])
            high = lanes[d + 4 * width] + lanes[d + 5 * width]
            found[d] = low + (high + (lanes[d + 6 * width] + lanes[d + 7 * width]))
    else:
        found[:] = 0.0
    for start in range(whole, len(x), width):
        for d in range(width):
            value = x[start + d]
            if squared:
                value = (value - level[d]) * (value - level[d])
            found[d] += value
