"""The nearest target by grouped DTW, exact, without computing most of the distances.

Best first: of every prediction the target with the least lower bound is looked at, and only one
more channel group of it is computed, cheapest first; what cannot win any more is never computed.
The search runs on float32 sums with their proven error; who may have won is computed in float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from visavis.metrics._dtw_boxes import box_bounds
from visavis.metrics._dtw_lanes import Sequences, lane_costs
from visavis.metrics._dtw_plain import plain_cost
from visavis.metrics._dtw_sets import SequenceSet, contiguous
from visavis.metrics._vector import VECTOR_BYTES

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Flags = NDArray[np.bool_]

TOLERANCE = 2e-7
"""Largest proven relative error of a cost; a distance, its root, then has half of that."""

ROUNDING = 1e-14
"""Above that of a root, a product and a sum of groups in float64."""


@dataclass(frozen=True)
class Group:
    """One channel group of all predictions `x` and targets `y`, and its weight in the sum."""

    x: Sequences
    y: Sequences
    weight: float
    centre: F64

    def bounds(self, x_of: I64, y_of: I64) -> tuple[F64, F64]:
        """Weighted distances no greater, and no less, than the true ones."""
        cost, slack = lane_costs(self.x, self.y, x_of, y_of, centre=self.centre, precise=False)
        with np.errstate(invalid="ignore"):
            known = np.isfinite(cost + slack)
            low = np.sqrt(np.where(known, np.maximum(cost - slack, 0.0), 0.0))
            high = np.sqrt(np.where(known, cost + slack, np.inf))
        return low * self.weight * (1 - ROUNDING), high * self.weight * (1 + ROUNDING)

    def floors(self, x_of: I64, y_of: I64) -> F64:
        """Weighted distances no greater than the true ones, for little work."""
        cost = box_bounds(self.x.boxes, self.y.boxes, x_of, y_of)
        return np.sqrt(cost) * self.weight * (1 - ROUNDING)

    def distances(self, x_of: I64, y_of: I64) -> F64:
        """Weighted distances to `TOLERANCE`; copies, which rounding would blur, one by one."""
        cost, slack = lane_costs(self.x, self.y, x_of, y_of, centre=self.centre, precise=True)
        for n in np.flatnonzero(~(slack <= TOLERANCE * cost)):
            a, b = part(self.x, x_of[n]), part(self.y, y_of[n])
            cost[n] = 0.0 if np.array_equal(a, b) else plain_cost(a, b)
        return np.sqrt(cost) * self.weight


def part(sequences: Sequences, index: int) -> F64:
    """One sequence, [T, depth] float64, contiguous."""
    start, length = sequences.starts[index], sequences.lengths[index]
    columns = slice(sequences.first, sequences.first + sequences.depth)
    return np.ascontiguousarray(sequences.values[start : start + length, columns], np.float64)


def group_of(x: SequenceSet, y: SequenceSet, number: int, columns: slice, weight: float) -> Group:
    """The group `number` of two sets."""
    first, depth = contiguous(columns, y.values.shape[1])
    return Group(
        Sequences(x.values, x.starts, x.lengths[number], first, depth),
        Sequences(y.values, y.starts, y.lengths[number], first, depth),
        weight,
        y.centre[first : first + depth],
    )


def nearest(groups: Sequence[Group], x_of: I64, candidates: I64) -> F64:
    """Least summed distance of the predictions `x_of` [P] to `candidates` [P, G] (-1: none)."""
    order = sorted(groups, key=lambda group: group.x.depth)
    absent = candidates < 0
    lower = np.zeros((len(order), *candidates.shape))
    upper = np.full_like(lower, np.inf)
    here = np.nonzero(~absent)
    for number, group in enumerate(order):
        lower[number][here] = group.floors(x_of[here[0]], candidates[here])
    done = np.zeros(candidates.shape, np.int64)  # groups computed so far
    while True:
        low = np.where(absent, np.inf, lower.sum(0))
        reach = upper.sum(0).min(1)
        rows, columns = _next(low, (low <= reach[:, None]) & ~absent & (done < len(order)))
        if not len(rows):
            break
        stage = done[rows, columns]
        for number, group in enumerate(order):
            r, c = rows[stage == number], columns[stage == number]
            if len(r):
                low, high = group.bounds(x_of[r], candidates[r, c])
                lower[number, r, c] = np.maximum(lower[number, r, c], low)
                upper[number, r, c] = high
        done[rows, columns] += 1
    rows, columns = np.nonzero((low <= reach[:, None]) & ~absent)
    total = np.zeros(len(rows))
    for group in groups:
        total += group.distances(x_of[rows], candidates[rows, columns])
    least = np.full(len(candidates), np.inf)
    np.minimum.at(least, rows, total)
    return least


def _next(low: F64, open_: Flags) -> tuple[I64, I64]:
    """The most promising open pair of every row; more of them where vectors would stay unfilled."""
    active = np.flatnonzero(open_.any(1))
    if not len(active):
        return active, active
    each = max(1, VECTOR_BYTES // 4 // len(active))
    order = np.argsort(np.where(open_[active], low[active], np.inf), axis=1)[:, :each]
    rows = np.repeat(active, order.shape[1])
    columns = order.ravel()
    keep = open_[rows, columns]
    return rows[keep], columns[keep]
