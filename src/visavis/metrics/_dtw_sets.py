"""Predictions and targets as the DTW kernels want them: end to end, padding off, oddities apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from visavis.errors import InputError
from visavis.metrics.dtw import filled_frames

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Flags = NDArray[np.bool_]
Real: TypeAlias = NDArray[Any]
Groups: TypeAlias = Sequence[tuple[slice, float]]
"""Channel groups that are warped apart, each with its weight in the sum."""


@dataclass(frozen=True)
class SequenceSet:
    """Many sequences [T, D] of one width, end to end."""

    values: Real
    """[frames of all, D] float32 or float64, C order"""
    starts: I64
    lengths: I64
    """[groups, sequences] frames less those at the end that are NaN throughout the group"""
    odd: Flags
    """[sequences] whether a NaN or an infinity is left within the lengths of any group"""

    centre: F64
    """[D] mean of the finite values; what the kernels subtract from both sides"""

    def part(self, index: int, group: int, columns: slice) -> F64:
        """One group of one sequence, [T, d] float64."""
        start = self.starts[index]
        frames = self.values[start : start + self.lengths[group, index], columns]
        return np.ascontiguousarray(frames, dtype=np.float64)


def sequence_set(
    sequences: Real | Sequence[Real], groups: Groups, *, name: str, width: int | None = None
) -> SequenceSet:
    """Check and lay out `sequences`, [P, T, D] or a list of [T, D]; errors name `name`."""
    items = [np.asarray(sequence) for sequence in sequences]
    if not items:
        raise InputError(f"{name} is empty: give at least one sequence [T, D].")
    width = items[0].shape[-1] if width is None and items[0].ndim == 2 else width
    for at, item in enumerate(items):
        if item.ndim != 2 or item.shape[1] != width:
            raise InputError(
                f"{name}[{at}] has shape {list(item.shape)}, wanted [T, {width or 'D'}]: "
                "frames first, then the same channels (axis 1) in all predictions and targets."
            )
    if max(_last(columns) for columns, _ in groups) >= (width or 0):
        raise InputError(f"{name} has {width} channels, too few for the groups {list(groups)}.")
    small = all(item.dtype in (np.float32, np.float16) for item in items)
    kind: Any = np.float32 if small else np.float64
    whole = isinstance(sequences, np.ndarray) and sequences.ndim == 3
    stacked = (
        np.asarray(sequences).reshape(-1, items[0].shape[1]) if whole else np.concatenate(items)
    )
    values = np.ascontiguousarray(stacked, dtype=kind)
    frames = np.array([len(item) for item in items], np.int64)
    starts = np.concatenate([[0], np.cumsum(frames)[:-1]]).astype(np.int64)
    lengths = np.tile(frames, (len(groups), 1))
    odd = np.zeros(len(items), np.bool_)
    finite = np.isfinite(values)
    if finite.all():
        centre = values.mean(0, dtype=np.float64)
    else:
        sums = np.where(finite, values, 0).sum(0, dtype=np.float64)
        centre = sums / np.maximum(finite.sum(0), 1)
        for at, (start, count) in enumerate(zip(starts, frames, strict=True)):
            for number, (columns, _) in enumerate(groups):
                part = values[start : start + count, columns]
                lengths[number, at] = filled_frames(part)
                odd[at] |= not np.isfinite(part[: lengths[number, at]]).all()
    if not lengths.all():
        group, at = np.argwhere(lengths == 0)[0]
        raise InputError(
            f"{name}[{at}] has no frame with a value in channels {groups[group][0]}: leave it out."
        )
    return SequenceSet(values, starts, lengths, odd, centre)


def comparable(x: SequenceSet, y: SequenceSet) -> tuple[SequenceSet, SequenceSet, float]:
    """Both sets, by one power of two nearer to 1 where squares would leave float64.

    The last is what distances between them are to be multiplied by.
    """
    if x.values.dtype != np.float64 and y.values.dtype != np.float64:
        return x, y, 1.0
    size = max(
        float(np.abs(side.values).max(where=np.isfinite(side.values), initial=0.0))
        for side in (x, y)
    )
    if size == 0 or 1e-70 < size < 1e70:
        return x, y, 1.0
    exponent = int(np.frexp(size)[1])
    exponent = max(-1000, min(1000, exponent))  # 2^1074 is no float64
    x, y = (
        replace(
            side,
            values=np.ldexp(side.values.astype(np.float64), -exponent),
            centre=np.ldexp(side.centre, -exponent),
        )
        for side in (x, y)
    )
    return x, y, 2.0**exponent


def contiguous(columns: slice, width: int) -> tuple[int, int]:
    """First column and number of columns of a group; `InputError` where it steps or is empty."""
    first, last, step = columns.indices(width)
    if step != 1 or last <= first:
        raise InputError(f"the channel group {columns} is not a run of columns within {width}.")
    return first, last - first


def _last(columns: slice) -> int:
    return -1 if columns.stop is None else columns.stop - 1
