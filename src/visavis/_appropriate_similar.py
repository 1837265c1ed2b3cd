"""Speakers who behave alike: which of all pairs lie within a quantile of the distances, exactly.

Most pairs are never compared in full. Bounds of a pair's distance are sharpened best first, one
channel group at a time, as in FRDist's search for the nearest target (`metrics/_dtw_search`), until
every pair that is left lies beyond the k-th smallest distance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.errors import InputError, nearest
from visavis.metrics._dtw_sets import Real, sequence_set
from visavis.metrics.ccc import Moments, ccc_matrix, moments
from visavis.metrics.frdist import ATTRIBUTE_GROUPS, group_distances

try:
    from visavis.metrics import _dtw_search as search
except ImportError:  # no numba: every distance is computed, in NumPy
    search = None  # type: ignore[assignment]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Flags = NDArray[np.bool_]
Progress = Callable[[int, int | None], None]

WIDTH = 25
REACTIONS = 30
"""Besides its own, what an average clip has where no quantile is given. Few clips have very many,
so that the median clip has some 10 to 30."""
MEASURES = ("dtw", "ccc")
WAVE = 1 << 15
"""Most pairs sharpened between two looks at the k-th smallest distance."""
SHARE = 1 << 11
"""Pairs a thread takes at a time."""


@dataclass(frozen=True)
class Alike:
    """Rows of a map, and how they were found."""

    rows: tuple[I64, ...]
    recipe: dict[str, Any]


def alike(
    ids: Sequence[str],
    speakers: Sequence[Real],
    *,
    measure: str,
    quantile: float | None,
    threshold: float | None,
    stride: int,
    threads: int,
    progress: Progress | None,
) -> Alike:
    """See `AppropriateMap.similar`."""
    if measure not in MEASURES:
        raise InputError(f"unknown measure {measure!r}. {nearest(measure, MEASURES)}")
    if quantile is not None and (threshold is not None or not 0.0 < quantile <= 1.0):
        raise InputError(
            f"give a quantile of (0, 1] or a threshold, not quantile {quantile} and threshold "
            f"{threshold}."
        )
    if threshold is not None and not np.isfinite(threshold):
        raise InputError(f"the threshold must be a number, not {threshold}.")
    if stride < 1 or threads < 1:
        raise InputError(f"stride and threads must be at least 1, not {stride} and {threads}.")
    values = _checked(ids, speakers, stride)
    there = np.array([place for place, value in enumerate(values) if len(value)], np.int64)
    first, second = (there[side] for side in np.triu_indices(len(there), 1))
    count = len(first)
    if quantile is None and threshold is None:
        quantile = min(0.5, REACTIONS / max(1, len(there) - 1))
    wanted = None if quantile is None else max(1, int(np.ceil(quantile * count)))
    recipe: dict[str, Any] = {"rule": "similar", "measure": measure, "quantile": quantile}
    if stride > 1:
        recipe["stride"] = stride
    if not count:
        close, cut = np.zeros(0, bool), threshold
    elif measure == "dtw":
        close, cut = _by_dtw(values, first, second, wanted, threshold, threads, progress)
    else:
        close, cut = _by_ccc(values, there, wanted, threshold, progress)
    recipe |= {"threshold": cut, "pairs": int(close.sum()), "of_pairs": count}
    return Alike(_rows(len(ids), first[close], second[close]), recipe)


def _checked(ids: Sequence[str], speakers: Sequence[Real], stride: int) -> list[Real]:
    if len(speakers) != len(ids):
        raise InputError(f"{len(speakers)} speakers came for {len(ids)} ids.")
    values = []
    for id, speaker in zip(ids, speakers, strict=True):
        array = np.asarray(speaker)
        if array.ndim != 2 or array.shape[1] != WIDTH or array.dtype.kind not in "fiub":
            raise InputError(
                f"the speaker of {id} is {array.dtype} {list(array.shape)}; wanted [T, {WIDTH}] "
                "facial attributes (au, va, expression)."
            )
        if not np.isfinite(array).all():
            raise InputError(
                f"the speaker of {id} has frames that are not finite: leave unobserved frames out."
            )
        values.append(np.ascontiguousarray(array[::stride], np.float32))
    return values


def _rows(count: int, first: I64, second: I64) -> tuple[I64, ...]:
    every = np.arange(count)
    speaker = np.concatenate([every, first, second])
    listener = np.concatenate([every, second, first])
    order = np.lexsort((listener, speaker))
    cuts = np.searchsorted(speaker[order], np.arange(1, count))
    return tuple(np.split(listener[order].astype(np.int64), cuts)) if count else ()


# ---------------------------------------------------------------------- correlation


def _by_ccc(
    values: list[Real], there: I64, wanted: int | None, threshold: float | None,
    progress: Progress | None,
) -> tuple[Flags, float]:  # fmt: skip
    lengths = {len(values[place]) for place in there}
    if len(lengths) > 1:
        raise InputError(
            f"CCC compares frame with frame, but the speakers have {min(lengths)} to "
            f"{max(lengths)} frames; use the measure 'dtw', or bring clips to one length."
        )
    whole = moments(np.stack([values[place] for place in there]).astype(np.float64))
    found = np.empty((len(there), len(there)))
    step = 64  # [step, N, 25] doubles at a time
    for start in range(0, len(there), step):
        stop = min(start + step, len(there))
        found[start:stop] = ccc_matrix(_part(whole, start, stop), whole).mean(-1)
        if progress is not None:
            progress(stop, len(there))
    pairs = found[np.triu_indices(len(there), 1)]
    if wanted is not None:
        threshold = float(np.partition(pairs, len(pairs) - wanted)[len(pairs) - wanted])
    assert threshold is not None
    return pairs >= threshold, threshold


def _part(whole: Moments, start: int, stop: int) -> Moments:
    rows = slice(start, stop)
    return Moments(
        whole.centred[:, rows], whole.mean[rows], whole.variance[rows], whole.constant[rows]
    )


# ---------------------------------------------------------------------- warping


def _by_dtw(
    values: list[Real], first: I64, second: I64, wanted: int | None, threshold: float | None,
    threads: int, progress: Progress | None,
) -> tuple[Flags, float]:  # fmt: skip
    if search is None:
        return _plainly(values, first, second, wanted, threshold, progress)
    there = np.unique(np.concatenate([first, second]))
    place = np.zeros(len(values), np.int64)
    place[there] = np.arange(len(there))
    bounds = _Bounds([values[i] for i in there], place[first], place[second], threads)
    limit = bounds.sharpen(wanted, threshold, progress)
    if wanted is None:
        assert threshold is not None
        close = bounds.high <= threshold
        unsure = np.flatnonzero(~close & (bounds.low <= threshold))
        close[unsure] = bounds.distances(unsure) <= threshold
        return close, threshold
    # the k-th smallest distance lies between the k-th smallest bounds
    least = float(np.partition(bounds.low, wanted - 1)[wanted - 1])
    close = bounds.high < least
    unsure = np.flatnonzero(~close & (bounds.low <= limit))
    exact = bounds.distances(unsure)
    cut = float(np.sort(exact)[wanted - 1 - int(close.sum())])
    close[unsure] = exact <= cut
    return close, cut


def _plainly(
    values: list[Real], first: I64, second: I64, wanted: int | None, threshold: float | None,
    progress: Progress | None,
) -> tuple[Flags, float]:  # fmt: skip
    """Every distance, one row of pairs after the other."""
    distances = np.empty(len(first))
    for start in np.unique(first, return_index=True)[1]:
        stop = int(np.searchsorted(first, first[start], side="right"))
        others = [values[j] for j in second[start:stop]]
        distances[start:stop] = group_distances([values[first[start]]], others)[0]
        if progress is not None:
            progress(stop, len(first))
    cut = threshold if wanted is None else float(np.partition(distances, wanted - 1)[wanted - 1])
    assert cut is not None
    return distances <= cut, cut


class _Bounds:
    """What is known of the distance of each pair: not below `low`, not above `high`, [P] each."""

    def __init__(self, values: list[Real], first: I64, second: I64, threads: int) -> None:
        held = sequence_set(values, ATTRIBUTE_GROUPS, name="speakers")
        groups = [
            search.group_of(held, held, number, columns, weight)
            for number, (columns, weight) in enumerate(ATTRIBUTE_GROUPS)
        ]
        self.groups = sorted(groups, key=lambda group: group.x.depth)  # the cheapest first
        self.first, self.second, self.threads = first, second, threads
        self.done = np.zeros(len(first), np.int8)  # groups compared so far
        self.part = np.zeros((len(groups), len(first)), np.float32)  # their lower bounds
        self.low = np.zeros(len(first))
        self.high = np.full(len(first), np.inf)
        self._above = np.zeros(len(first))  # sum of the upper bounds so far

    def sharpen(
        self, wanted: int | None, threshold: float | None, progress: Progress | None
    ) -> float:
        """Compare until every pair is surely out, or compared in full; returns the limit: nothing
        above it can be among the `wanted` smallest (or within the threshold)."""
        limit = np.inf if threshold is None else threshold
        pairs = len(self.first)
        if progress is not None:
            progress(0, pairs)
        wave = WAVE if wanted is None else int(np.clip(wanted // 2, 256, WAVE))
        for number, group in enumerate(self.groups):
            at = np.flatnonzero(self.low <= limit)
            floors = self._spread(group.floors, at)
            # rounded down, so that the sum stays a bound
            self.part[number, at] = np.nextafter(floors[0].astype(np.float32), np.float32(-np.inf))
            self.low[at] += self.part[number, at]
        while True:
            open_ = np.flatnonzero((self.low <= limit) & (self.done < len(self.groups)))
            if progress is not None:
                progress(pairs - len(open_), pairs)
            if not len(open_):
                return float(limit)
            if len(open_) > wave:
                open_ = open_[np.argpartition(self.low[open_], wave - 1)[:wave]]
            stage = self.done[open_]
            for number, group in enumerate(self.groups):
                at = open_[stage == number]
                if len(at):
                    self._compare(number, group, at)
            if wanted is not None:
                limit = float(np.partition(self.high, wanted - 1)[wanted - 1])

    def _compare(self, number: int, group: Any, at: I64) -> None:
        low, high = self._spread(group.bounds, at)
        self.low[at] += np.maximum(low - self.part[number, at], 0.0)
        self._above[at] += high
        self.done[at] += 1
        if number == len(self.groups) - 1:
            self.high[at] = self._above[at]

    def distances(self, at: I64) -> F64:
        """Distances of some pairs to 1e-7."""
        total = np.zeros(len(at))
        for group in self.groups:
            total += self._spread(group.distances, at)[0]
        return total

    def _spread(self, work: Callable[[I64, I64], Any], at: I64) -> tuple[F64, ...]:
        """`work` on the pairs `at`, shared out over the threads; its results end to end."""
        if not len(at):
            return np.zeros(0), np.zeros(0)
        shares = [at[start : start + SHARE] for start in range(0, len(at), SHARE)]

        def one(share: I64) -> Any:
            return work(self.first[share], self.second[share])

        with ThreadPoolExecutor(self.threads) as pool:
            parts = [part if isinstance(part, tuple) else (part,) for part in pool.map(one, shares)]
        return tuple(np.concatenate(column) for column in zip(*parts, strict=True))
