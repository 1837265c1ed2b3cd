"""Costs of many pairs of sequences, one pair a vector lane, with a proven bound of their error."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from visavis._jit import compiled
from visavis.metrics._dtw_boxes import boxes_of
from visavis.metrics._dtw_pack import mark_padding, pack
from visavis.metrics._dtw_sweep import COLUMNS, ROWS, sweep
from visavis.metrics._vector import VECTOR_BYTES, aligned

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Real: TypeAlias = NDArray[Any]
"""float32 or float64"""


@dataclass(frozen=True)
class Sequences:
    """One channel group of many sequences, end to end."""

    values: Real
    """[frames of all, D], C order; finite within the lengths"""
    starts: I64
    lengths: I64
    """where each sequence begins in `values`, and its frames"""
    first: int
    depth: int
    """the group is columns first .. first + depth"""

    @cached_property
    def boxes(self) -> F32:
        """See `boxes_of`."""
        return boxes_of(self.values, self.starts, self.lengths, self.first, self.depth)


def lane_costs(
    x: Sequences, y: Sequences, x_of: I64, y_of: I64, *, centre: F64, precise: bool
) -> tuple[F64, F64]:
    """Costs (squared DTW) of the pairs (x_of[n], y_of[n]), and how far each may be off, [n] each.

    Sums are float32, or float64 if `precise`; `centre` [D] is taken from both sides first, which
    changes no distance and makes the rounding small. The second array bounds |cost - true cost|;
    it is infinite or NaN where the numbers left the range of the type.
    """
    kind: Any = np.float64 if precise else np.float32
    lanes = VECTOR_BYTES // np.dtype(kind).itemsize
    depth = x.depth + 2  # the channels, one that tells padding apart, the squared length
    x_longest, y_longest = int(x.lengths.max()), int(y.lengths.max())
    x_pack = aligned((x_longest + 1 + ROWS) * depth * lanes, kind)
    y_pack = aligned((y_longest + 1 + COLUMNS) * depth * lanes, kind)
    row = aligned((y_longest + 1 + COLUMNS) * lanes, kind)
    cost, norm = np.empty(len(x_of)), np.empty(len(x_of))
    _batches(
        (x.values, x.starts, x.lengths), (y.values, y.starts, y.lengths), x_of, y_of,
        (x.first, y.first), centre, x_pack, y_pack, row, cost, norm,
    )  # fmt: skip
    steps = (x.lengths[x_of] + y.lengths[y_of]).astype(np.float64)
    unit = float(np.finfo(kind).eps) / 2
    # a cell, in units of |x|^2 + |y|^2: the inputs 4, the lengths depth + 3, a multiply-add 3
    cell = (4 * (x.depth + 1) + 8) * unit * norm + float(np.finfo(kind).tiny) * depth
    return cost, 1.1 * steps * unit * np.abs(cost) + 2 * steps * cell


@compiled
def _batches(
    x: tuple[Real, I64, I64], y: tuple[Real, I64, I64], x_of: I64, y_of: I64,
    first: tuple[int, int], centre: F64, x_pack: Real, y_pack: Real, row: Real,
    cost: F64, norm: F64,
) -> None:  # fmt: skip
    """Pack, sweep and read off one vector of pairs after the other; the last is filled up."""
    lanes = VECTOR_BYTES // row.itemsize
    x_starts, x_lengths = np.empty(lanes, np.int64), np.empty(lanes, np.int64)
    y_starts, y_lengths = np.empty(lanes, np.int64), np.empty(lanes, np.int64)
    x_norms, y_norms = np.empty(lanes, row.dtype), np.empty(lanes, row.dtype)
    for batch in range(0, len(x_of), lanes):
        for lane in range(lanes):
            pair = min(batch + lane, len(x_of) - 1)
            x_starts[lane], x_lengths[lane] = x[1][x_of[pair]], x[2][x_of[pair]]
            y_starts[lane], y_lengths[lane] = y[1][y_of[pair]], y[2][y_of[pair]]
        rows, columns = x_lengths.max(), y_lengths.max()
        even = rows == x_lengths.min() and columns == y_lengths.min()
        padded = not (even and rows % ROWS == 0 and columns % COLUMNS == 0)
        if padded:  # at least one padding frame on each side, so that padding is entered diagonally
            rows, columns = (rows // ROWS + 1) * ROWS, (columns // COLUMNS + 1) * COLUMNS
        depth = len(centre) + (1 if padded else 0)
        pack(x[0], x_starts, x_lengths, first[0], centre, -2.0, ROWS, rows, depth, x_pack, x_norms)
        pack(
            y[0],
            y_starts,
            y_lengths,
            first[1],
            centre,
            1.0,
            COLUMNS,
            columns,
            depth,
            y_pack,
            y_norms,
        )
        if padded:
            # far above any path, a power of two, so that padding against padding is exactly zero
            total = x_norms.max() + y_norms.max()
            wall = 2.0 ** (np.ceil(np.log2(np.sqrt(total) + 1e-18)) + 13.0)
            mark_padding(x_lengths, -2.0, wall, ROWS, rows, depth, x_pack)
            mark_padding(y_lengths, 1.0, wall, COLUMNS, columns, depth, y_pack)
        row[: columns * lanes] = np.inf
        corner = row.dtype.type(0.0)
        step = (depth + 1) * ROWS * lanes
        for block in range(rows // ROWS):
            sweep(x_pack, block * step, y_pack, row, columns // COLUMNS, depth, corner)
            corner = row.dtype.type(np.inf)
        for lane in range(min(lanes, len(x_of) - batch)):
            cost[batch + lane] = max(0.0, row[(columns - 1) * lanes + lane])
            norm[batch + lane] = x_norms[lane] + y_norms[lane]
