"""How sure a mean over clips is: bootstrap intervals and paired comparison of two systems.

What is resampled must be independent. Clips of one script, session or person are not, so where
there are such groups whole groups are drawn (a cluster bootstrap); an interval over clips would be
too narrow. Everything is drawn from a seed, and always the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.errors import InputError
from visavis.metrics._inputs import agree, numbers

Array = NDArray[np.float64]
RESAMPLES = 10_000
CHUNK = 1 << 20
"""Counts held in memory at a time, about."""
FEW = 20
"""Below this many groups an interval is too narrow (10 groups: 95 % holds 89 %)."""


@dataclass(frozen=True)
class Interval:
    """A mean with its confidence interval."""

    mean: float
    low: float
    high: float
    n: int
    """Clips."""
    groups: int
    """Independent units drawn: the clips, or the groups given."""
    level: float

    @property
    def few(self) -> bool:
        """So few groups that the interval is known to be too narrow."""
        return self.groups < FEW

    def __str__(self) -> str:
        units = "" if self.groups == self.n else f" in {self.groups} groups"
        return f"{self.mean:.4g} [{self.low:.4g}, {self.high:.4g}] (n = {self.n}{units})"


@dataclass(frozen=True)
class Comparison:
    """System a against system b on the same clips."""

    a: float
    b: float
    """Means."""
    difference: Interval
    """Of a - b, clip by clip."""
    p: float
    """Two-sided, by flipping the sign of whole groups: how often equal systems differ as much."""


def bootstrap(
    values: Any,
    groups: Sequence[Any] | None = None,
    *,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Mean over clips with its bias-corrected, accelerated (BCa) interval (Efron 1987).

    Args:
        values: [N] one value a clip.
        groups: [N] names of what belongs together, such as the script of each clip; default every
            clip by itself. The mean of a resample is over its clips, so groups may differ in size.
        level: of confidence, between 0 and 1.
        resamples: drawn means, at least 100.
        seed: of the draws.

    Raises:
        InputError: a NaN (leave those clips out), fewer than two clips or groups, a level or a
            number of resamples out of range.
    """
    clips = numbers("values", values, "N")
    sums, sizes = _by_group(clips, groups)
    _check(level, resamples)
    means = np.concatenate([(w @ sums) / (w @ sizes) for w in _draws(len(sums), resamples, seed)])
    without = (sums.sum() - sums) / (sizes.sum() - sizes)
    low, high = _bca(means, float(sums.sum() / sizes.sum()), without, level)
    return Interval(float(clips.mean()), low, high, len(clips), len(sums), level)


def bootstrap_statistic(
    statistic: Callable[[NDArray[np.int64]], float],
    n: int,
    groups: Sequence[Any] | None = None,
    *,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> Interval:
    """Interval of what is no mean over clips, such as FRRea or FRDvs: the same draws, one by one.

    Args:
        statistic: called with the indices [*] of the clips of a resample, each as often as it was
            drawn; once for all clips, once a group, once a resample.
        n: clips.
        groups, level, resamples, seed: as in `bootstrap`.

    Returns:
        The interval; its `mean` is the statistic of all clips.

    Raises:
        InputError: as `bootstrap`, or a statistic that is not finite.
    """
    _check(level, resamples)
    index, count = _units(n, groups)
    clips = np.arange(n)

    def value(chosen: NDArray[np.int64]) -> float:
        found = float(statistic(chosen))
        if not math.isfinite(found):
            raise InputError(f"the statistic of {len(chosen)} drawn clips is {found}.")
        return found

    point = value(clips)
    without = np.array([value(clips[index != g]) for g in range(count)])
    drawn = [
        value(np.repeat(clips, row[index].astype(np.int64)))
        for chunk in _draws(count, resamples, seed)
        for row in chunk
    ]
    low, high = _bca(np.array(drawn), point, without, level)
    return Interval(point, low, high, n, count, level)


def compare(
    a: Any,
    b: Any,
    groups: Sequence[Any] | None = None,
    *,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Comparison:
    """Two systems on the same clips: the difference with its interval, and a p value.

    Pairing removes what clips have in common (some are hard for every system), so a difference is
    seen that two overlapping intervals would hide.

    Args:
        a, b: [N] values of the two systems, in the same order of clips.
        groups, level, resamples, seed: as in `bootstrap`.

    Raises:
        InputError: as `bootstrap`, or different lengths.
    """
    first, second = numbers("a", a, "N"), numbers("b", b, "N")
    agree("N", a=len(first), b=len(second))
    difference = bootstrap(first - second, groups, level=level, resamples=resamples, seed=seed)
    sums, _ = _by_group(first - second, groups)
    p = _sign_flips(sums, resamples, seed)
    return Comparison(float(first.mean()), float(second.mean()), difference, p)


def _by_group(clips: Array, groups: Sequence[Any] | None) -> tuple[Array, Array]:
    """Sum and number of the clips of each group, [G] each, in sorted order of the names."""
    index, count = _units(len(clips), groups)
    sizes = np.bincount(index, minlength=count).astype(np.float64)
    return np.bincount(index, weights=clips, minlength=count).astype(np.float64), sizes


def _units(n: int, groups: Sequence[Any] | None) -> tuple[NDArray[np.int64], int]:
    """The group of each clip, [N], and how many there are."""
    if groups is None:
        index = np.arange(n)
    else:
        agree("N", values=n, groups=len(groups))
        index = np.unique([str(g) for g in groups], return_inverse=True)[1].astype(np.int64)
    count = int(index.max(initial=-1)) + 1
    if count < 2:
        what = "clip" if groups is None else "group"
        raise InputError(f"there is at most one {what}; an interval needs two.")
    return index, count


def _check(level: float, resamples: int) -> None:
    if not 0 < level < 1:
        raise InputError(f"level must lie between 0 and 1, not {level}.")
    if resamples < 100:
        raise InputError(f"resamples must be at least 100, not {resamples}.")


def _draws(groups: int, resamples: int, seed: int) -> Iterator[Array]:
    """How often each group is drawn, chunks of [R, G]; the chunk size changes nothing."""
    generator = np.random.default_rng(seed)
    step = max(1, CHUNK // groups)
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        drawn = generator.integers(groups, size=(rows, groups), dtype=np.int64)
        drawn += groups * np.arange(rows)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=rows * groups)
        yield counts.reshape(rows, groups).astype(np.float64)


def _bca(means: Array, point: float, without: Array, level: float) -> tuple[float, float]:
    """Ends of the interval from resampled values [R], the value of all clips, and the values
    with one group left out [G]."""
    from scipy.special import ndtr, ndtri

    away = without.mean() - without
    spread = float(np.sum(away**2))
    if spread <= (1e-14 * max(abs(point), 1e-300)) ** 2:
        return point, point  # every group says the same
    # rounding must not decide on which side of the mean a tie falls
    near = 1e-12 * float(means.max() - means.min())
    below = np.mean(means < point - near) + np.mean(np.abs(means - point) <= near) / 2
    bias = float(ndtri(np.clip(below, 1 / len(means), 1 - 1 / len(means))))
    acceleration = float(np.sum(away**3)) / (6 * spread**1.5)
    tails = ndtri(np.array([(1 - level) / 2, (1 + level) / 2]))
    shifted = bias + (bias + tails) / (1 - acceleration * (bias + tails))
    low, high = np.quantile(means, ndtr(shifted))
    return float(low), float(high)


def _sign_flips(sums: Array, resamples: int, seed: int) -> float:
    """Share of sign patterns over groups whose total is as far from 0; all of them where few."""
    total = abs(float(sums.sum()))
    least = total - 1e-12 * float(np.abs(sums).sum())
    groups = len(sums)
    if 2**groups <= resamples:
        patterns = (np.arange(2**groups)[:, None] >> np.arange(groups)) & 1
        return float(np.mean(np.abs((2.0 * patterns - 1) @ sums) >= least))
    generator = np.random.default_rng([seed, 1])
    step = max(1, CHUNK // groups)
    hits = 0
    for start in range(0, resamples, step):
        shape = (min(step, resamples - start), groups)
        signs = 2.0 * generator.integers(2, size=shape, dtype=np.int64) - 1
        hits += int(np.sum(np.abs(signs @ sums) >= least))
    return (hits + 1) / (resamples + 1)  # the pattern seen is one of them


def standard_error(values: Any, groups: Sequence[Any] | None = None) -> float:
    """Standard error of the mean over clips, by leaving out one clip or group at a time."""
    clips = numbers("values", values, "N")
    sums, sizes = _by_group(clips, groups)
    without = (sums.sum() - sums) / (sizes.sum() - sizes)
    return math.sqrt((len(sums) - 1) * float(without.var()))
