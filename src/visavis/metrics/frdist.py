"""FRDist: how far generated reactions are from the nearest appropriate real one, by grouped DTW.

    FRDist = 1/N sum_clips join_samples min_targets sum_groups weight_g DTW(pred_g, target_g)

with groups AU (1/15), valence and arousal (1), expressions (1/8), each on a path of its own; `join`
as in FRCorr. Song et al., REACT 2023 and 2024; weights and the root of DTW after their code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.errors import InputError
from visavis.metrics._clip import PerClip, real_array, target_arrays
from visavis.metrics._device import Where, device_named, device_of
from visavis.metrics._dtw_sets import Groups, Real, SequenceSet, comparable, sequence_set
from visavis.metrics.dtw import dtw
from visavis.metrics.protocol import ATTRIBUTES, Protocol

try:
    from visavis.metrics import _dtw_search as search
except ImportError:  # no numba: every distance is computed, in NumPy
    search = None  # type: ignore[assignment]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

ATTRIBUTE_GROUPS: Groups = tuple((group.columns, group.weight) for group in ATTRIBUTES)
"""AUs, valence and arousal, expressions with the weights of the REACT scores."""

CHUNK = 1024
"""Predictions searched together: enough to fill vectors, few enough to bound memory."""


def group_distances(
    pred: Real | Sequence[Real],
    targets: Real | Sequence[Real],
    groups: Groups = ATTRIBUTE_GROUPS,
    *,
    device: str = "cpu",
) -> F64:
    """Weighted sum of the DTW of each channel group, float64 [M, G].

    `pred` [M, T, D] or a list of [T, D], `targets` [G, T', D] or a list of [T', D]; `groups` are
    (columns, weight). Frames at the end that are NaN throughout a group are padding; other NaN
    gives NaN, or infinity where only the target has it before its last frame, as published.
    On another `device` than the processor ("cuda"), torch computes, in float64 too.
    Raises `InputError` for shapes that do not match and for a sequence without frames.
    """
    x, y = _sets(pred, targets, groups)
    x, y, unit = comparable(x, y)
    i, j = np.indices((len(x.starts), len(y.starts))).reshape(2, -1).astype(np.int64)
    total = _sum(_distances(x, y, groups, i, j, device_named(device)))
    return unit * total.reshape(len(x.starts), -1)


def nearest_distances(
    pred: Real | Sequence[Real],
    targets: Real | Sequence[Real],
    groups: Groups = ATTRIBUTE_GROUPS,
    *,
    device: str = "cpu",
) -> F64:
    """Least of `group_distances` over the targets, float64 [M], without computing them all."""
    found: F64 = _of_one_clip(pred, targets, groups, device_named(device))[0]
    return found


def _of_one_clip(
    pred: Real | Sequence[Real],
    targets: Real | Sequence[Real],
    groups: Groups,
    where: Where,
    each_group: bool = False,
) -> F64:
    x, y, unit = comparable(*_sets(pred, targets, groups))
    every = np.tile(np.arange(len(y.starts)), (len(x.starts), 1))
    return unit * _nearest(x, y, groups, every, where, each_group)


def appropriate_distances(
    pred: Real | Sequence[Sequence[Real]],
    targets: Real | Sequence[Real],
    appropriate: Sequence[Sequence[int] | I64],
    groups: Groups = ATTRIBUTE_GROUPS,
    *,
    threads: int = 1,
    device: str = "cpu",
    each_group: bool = False,
    progress: Callable[[int, int | None], None] | None = None,
) -> F64:
    """Distance of each sample of each clip to its nearest appropriate reaction, float64 [N, M].

    `pred` [N, M, T, D] or, for each clip, M sequences [T, D]; `targets` [G, T', D] or a list;
    `appropriate[n]` the indices of the targets of clip n. Many clips in one call are faster than
    `nearest_distances` clip by clip, and equal. Numbers do not depend on `threads`.
    With `each_group` the answer is [N, M, 1 + groups]: behind the distance the least of each
    group alone, whose nearest target may be another; it costs less than a call for each.
    """
    found = distances_of_clips(
        pred, targets, appropriate, groups, threads, device_named(device), each_group, progress
    )
    return found if each_group else found[:, :, 0]


def distances_of_clips(
    pred: Real | Sequence[Sequence[Real]],
    targets: Real | Sequence[Real],
    appropriate: Sequence[Sequence[int] | I64],
    groups: Groups,
    threads: int = 1,
    where: Where = None,
    each_group: bool = False,
    progress: Callable[[int, int | None], None] | None = None,
) -> F64:
    """`appropriate_distances`, always with the last axis: [N, M, 1] or [N, M, 1 + groups]."""
    clips, samples = len(pred), len(pred[0]) if len(pred) else 0
    if clips == 0 or samples == 0 or any(len(clip) != samples for clip in pred):
        raise InputError("pred wants [N, M, T, D]: one clip or more, as many samples in each.")
    if len(appropriate) != clips:
        raise InputError(f"appropriate has {len(appropriate)} rows for {clips} clips.")
    y = sequence_set(targets, groups, name="targets")
    table = _table(appropriate, len(y.starts))
    step = max(1, CHUNK // samples)

    def search_from(start: int) -> F64:
        chunk = pred[start : start + step]
        flat = [sample for clip in chunk for sample in clip]
        if isinstance(chunk, np.ndarray):
            flat = chunk.reshape(-1, *chunk.shape[2:])  # type: ignore[assignment]
        x = sequence_set(flat, groups, name="pred", width=y.values.shape[1])
        rows = np.repeat(table[start : start + step], samples, axis=0)
        x, scaled, unit = comparable(x, y)
        return unit * _nearest(x, scaled, groups, rows, where, each_group)

    found: list[F64] = []
    with ThreadPoolExecutor(max(1, threads)) as pool:
        for part in pool.map(search_from, range(0, clips, step)):
            found.append(part.T.reshape(-1, samples, len(part)))
            if progress is not None:
                progress(sum(map(len, found)), clips)
    return np.concatenate(found)


def frdist(
    pred: Real, targets: Sequence[Real], protocol: Protocol, where: Where = None
) -> dict[str, float]:
    """FRDist of one clip: `pred` [K, T, D], G `targets` [T', D]; {"FRDist": ...} and groups.

    A group's own score takes the target nearest in that group. NaN where the protocol does not
    define the score for this width.
    """
    samples, _, width = pred.shape
    warps = protocol.warps(width)
    if warps is None:
        return {"FRDist": float("nan")}
    least = _of_one_clip(pred, targets, warps, where, protocol.strict)
    return {
        name: protocol.join(float(values.sum()), samples)
        for name, values in zip(score_names(protocol, width), least, strict=True)
    }


def score_names(protocol: Protocol, width: int) -> tuple[str, ...]:
    """FRDist and, under `corrected`, its groups."""
    groups = protocol.groups(width) if protocol.strict else ()
    return ("FRDist", *(f"FRDist/{group.name}" for group in groups))


class FRDist(PerClip):
    """FRDist, one clip an update.

    >>> metric = FRDist(protocol="react2024")
    >>> metric.update(pred, targets)      # [K, T, D] and [G, T', D] (or G of [T', D])
    >>> metric.compute()["FRDist"]
    """

    head = "FRDist"
    higher_is_better = False

    def update(self, pred: Any, targets: Any) -> None:
        """Count one clip: `pred` [K, T, D], `targets` the G appropriate real reactions [T', D].

        Raises:
            InputError: widths do not agree, there is no target, or one holds only NaN.
        """
        ours = real_array("pred", pred, "KTD", self.protocol)
        theirs = target_arrays(targets, self.protocol)
        where = device_of(self.device, pred, targets)
        self.add(frdist(ours, theirs, self.protocol, where), ours.shape[2])


def _sets(
    pred: Real | Sequence[Real], targets: Real | Sequence[Real], groups: Groups
) -> tuple[SequenceSet, SequenceSet]:
    y = sequence_set(targets, groups, name="targets")
    return sequence_set(pred, groups, name="pred", width=y.values.shape[1]), y


def _table(appropriate: Sequence[Sequence[int] | I64], targets: int) -> I64:
    """[N, most] target indices, filled up with -1."""
    rows = [np.asarray(row, dtype=np.int64).reshape(-1) for row in appropriate]
    for clip, row in enumerate(rows):
        if not len(row):
            raise InputError(f"clip {clip} has no appropriate reaction: at least one is needed.")
        if row.min() < 0 or row.max() >= targets:
            raise InputError(f"clip {clip} names target {row.max()} of {targets} targets.")
    table = np.full((len(rows), max(map(len, rows))), -1, np.int64)
    for clip, row in enumerate(rows):
        table[clip, : len(row)] = row
    return table


def _nearest(
    x: SequenceSet,
    y: SequenceSet,
    groups: Groups,
    candidates: I64,
    where: Where,
    each_group: bool = False,
) -> F64:
    """Least distance of each prediction over `candidates` [P, G] (-1: none), [1, P].

    With `each_group` [1 + groups, P]: the least of each group alone behind it.
    """
    least = np.empty((1 + len(groups) if each_group else 1, len(candidates)))
    whole = np.arange(len(candidates))
    if search is not None and where is None:
        odd = x.odd | ((candidates >= 0) & y.odd[candidates]).any(1)
        even = np.flatnonzero(~odd)
        if len(even):
            compiled = _compiled(x, y, groups)
            found = search.nearest(compiled, even, candidates[even], each_group=each_group)
            least[:, even] = found
        whole = np.flatnonzero(odd)
    rows, columns = np.nonzero(candidates[whole] >= 0)
    rows = whole[rows]
    parts = _distances(x, y, groups, rows, candidates[rows, columns], where)
    for goal, values in enumerate([_sum(parts), *parts][: len(least)]):
        for row in whole:
            best, *others = values[rows == row]
            for value in others:  # a value replaces NaN nowhere and NaN no value, as published
                best = value if value < best else best
            least[goal, row] = best
    return least


def _distances(
    x: SequenceSet, y: SequenceSet, groups: Groups, x_of: I64, y_of: I64, where: Where
) -> F64:
    """Weighted distance of each group of each pair, [groups, n]; NaN or infinities one by one."""
    found = np.zeros((len(groups), len(x_of)))
    odd = x.odd[x_of] | y.odd[y_of]
    if search is None and where is None:
        odd[:] = True
    even = np.flatnonzero(~odd)
    if len(even) and where is not None:
        from visavis.metrics._dtw_torch import torch_distances

        found[:, even] = torch_distances(x, y, groups, x_of[even], y_of[even], where)
    elif len(even):
        for number, group in enumerate(_compiled(x, y, groups)):
            found[number, even] = group.distances(x_of[even], y_of[even])
    for n in np.flatnonzero(odd):
        for number, (columns, weight) in enumerate(groups):
            a, b = x.part(x_of[n], number, columns), y.part(y_of[n], number, columns)
            found[number, n] = weight * dtw(a, b)
    return found


def _sum(parts: F64) -> F64:
    """Sum over groups, in their order."""
    total = np.zeros(parts.shape[1])
    for part in parts:
        total += part
    return total


def _compiled(x: SequenceSet, y: SequenceSet, groups: Groups) -> list[search.Group]:
    return [search.group_of(x, y, number, columns, w) for number, (columns, w) in enumerate(groups)]
