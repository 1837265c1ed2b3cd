"""One pass over the clips: every score of a clip while it is at hand, clips shared out to threads.

Kernels and matrix products run without the interpreter's lock. Memory is a few clips a thread,
whatever the corpus.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from visavis.errors import InputError
from visavis.metrics._clip import means, stacked, with_group_means
from visavis.metrics._device import Where
from visavis.metrics._sources import Clip, Source
from visavis.metrics.ccc import constant_channels
from visavis.metrics.diversity import (
    ONE_FRAME,
    ONE_SAMPLE,
    BetweenClips,
    by_group,
    within,
)
from visavis.metrics.frcorr import frcorr
from visavis.metrics.frdist import distances_of_clips, score_names
from visavis.metrics.mae import mae
from visavis.metrics.protocol import Protocol
from visavis.metrics.scores import Counts, Scores
from visavis.metrics.synchrony import frsyn, rounded, too_short

F64 = NDArray[np.float64]
Progress = Callable[[int, int | None], None]
Row = dict[str, float]

_CHUNK = 16
"""Clips a task: a fixed number, so that sums do not depend on how many threads there are."""
_FAR_CHUNK = 64
"""The same on another device, which needs many pairs at once; its memory is bounded further in."""


def score_clip(clip: Clip, protocol: Protocol, metrics: Sequence[str], where: Where = None) -> Row:
    """Every score of one clip but FRDist and FRDvs, which take many clips at once."""
    row: Row = {}
    _, frames, width = clip.pred.shape
    if {"FRDiv", "FRVar"} & set(metrics):
        diversity, variance = within(clip.pred, where)
    for name in metrics:
        if name in ("FRCorr", "MAE"):
            targets = stacked(clip.targets, frames, width)
            row |= (frcorr if name == "FRCorr" else mae)(clip.pred, targets, protocol, where)
        elif name == "FRSyn":
            row |= frsyn(clip.pred, clip.speaker, protocol, where)
        elif name == "FRDiv":
            row |= by_group("FRDiv", diversity, protocol)
        elif name == "FRVar":
            row |= by_group("FRVar", variance, protocol)
    return row


def frdist_rows(clips: Sequence[Clip], protocol: Protocol, where: Where = None) -> list[Row]:
    """FRDist of some clips at once, which fills the vectors of the search; NaN where undefined."""
    samples, _, width = clips[0].pred.shape
    warps, names = protocol.warps(width), score_names(protocol, width)
    if warps is None:
        return [{"FRDist": float("nan")} for _ in clips]
    # a sequence without a single value has no path: NaN for its clip, not an end to all scores
    empty = [_has_empty(clip, [group for group, _ in warps]) for clip in clips]
    if any(empty):
        kept = iter(
            frdist_rows([c for c, e in zip(clips, empty, strict=True) if not e], protocol, where)
            if not all(empty)
            else []
        )
        return [dict.fromkeys(names, float("nan")) if e else next(kept) for e in empty]
    ends = np.cumsum([0, *(len(clip.targets) for clip in clips)])
    suits = [np.arange(start, stop) for start, stop in pairwise(ends)]
    targets = [target for clip in clips for target in clip.targets]
    pred = [list(clip.pred) for clip in clips]
    found = distances_of_clips(
        pred, targets, suits, warps, where=where, each_group=protocol.strict
    ).sum(axis=1)
    return [
        {n: protocol.join(float(v), samples) for n, v in zip(names, row, strict=True)}
        for row in found
    ]


def _has_empty(clip: Clip, columns: Sequence[slice]) -> bool:
    """Whether some sample or target has only NaN in some group of channels."""
    return any(
        np.isnan(np.asarray(part)[:, group]).all()
        for part in (*clip.pred, *clip.targets)
        for group in columns
    )


def count(clip: Clip, protocol: Protocol) -> Counts:
    """What makes the scores of this clip fragile."""
    targets = [np.asarray(target) for target in clip.targets]
    still = constant_channels(clip.pred)
    dead = [constant_channels(target[None]) for target in targets]
    finite = all(np.isfinite(part).all() for part in (clip.pred, clip.speaker, *targets))
    return Counts(
        dead_channels=sum(int(d.sum()) for d in dead),
        target_channels=sum(d.size for d in dead),
        still_channels=int(still.sum()),
        predicted_channels=still.size,
        still_speaker_channels=int(constant_channels(clip.speaker[None]).sum()),
        unfinite_clips=int(not finite),
        short_clips=int(clip.pred.shape[1] < protocol.lags + 2),
        clips=1,
    )


def undefined(source: Source) -> dict[str, str]:
    """Scores that `corrected` refuses for these clips -> why; {} for the published protocols."""
    if not source.protocol.strict:
        return {}
    found = {}
    if source.samples < 2:
        found["FRDiv"] = ONE_SAMPLE
    if min(source.lengths) < 2:
        found["FRVar"] = ONE_FRAME
    if len(source) < 2:
        found["FRDvs"] = "FRDvs compares clips with one another, but there is 1 clip (axis N)."
    if min(source.lengths) < source.protocol.lags + 2:
        found["FRSyn"] = too_short(min(source.lengths), source.protocol)
    if source.width != 25:
        found["MAE"] = "MAE is defined on the 25 facial attributes."
    return found


def cores() -> int:
    """Processor cores this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run(
    source: Source,
    metrics: Sequence[str],
    *,
    per_clip: bool,
    workers: int | None,
    progress: Progress | None,
    where: Where = None,
) -> Scores:
    """Score all clips of `source`; on a device other than the processor (`where`) in one thread."""
    protocol, clips = source.protocol, len(source)
    step = _CHUNK if where is None else _FAR_CHUNK
    reference = source.clip(0).pred

    def work(start: int) -> tuple[list[Row], BetweenClips, Counts]:
        rows, between, counts = [], BetweenClips(reference, where), Counts()
        some = [source.clip(index) for index in range(start, min(start + step, clips))]
        for index, clip in enumerate(some, start):
            try:
                rows.append(score_clip(clip, protocol, metrics, where))
            except InputError as error:
                raise InputError(f"clip {index}: {error}") from error
            counts += count(clip, protocol)
            if "FRDvs" in metrics:
                between.add(clip.pred)
        if "FRDist" in metrics:
            distances = frdist_rows(some, protocol, where)
            rows = [row | more for row, more in zip(rows, distances, strict=True)]
        return rows, between, counts

    rows: list[Row] = []
    between, counts = BetweenClips(reference), Counts()
    threads = (workers or cores()) if where is None else 1
    with ThreadPoolExecutor(threads) as pool:
        for some_rows, some_between, some_counts in pool.map(work, range(0, clips, step)):
            rows += some_rows
            between.merge(some_between)
            counts += some_counts
            if progress:
                progress(len(rows), clips)
    values = rounded(means(rows, strict=protocol.strict), protocol, only="FRSyn") if rows[0] else {}
    table = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    if "FRDvs" in metrics:
        found = by_group("FRDvs", between.channels(), protocol)
        values |= with_group_means(found) if protocol.strict else found
        if per_clip:
            table["FRDvs"] = np.array([between.share(source.clip(i).pred) for i in range(clips)])
    # in the order of the tables, groups behind their score
    ordered = {n: values[n] for m in metrics for n in values if n.partition("/")[0] == m}
    if protocol.strict:
        targets = counts.target_channels / source.width
        ordered["dead_channels"] = counts.dead_channels / targets
    return Scores(ordered, protocol=protocol.name, per_clip=table, counts=counts)
