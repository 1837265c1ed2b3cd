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


def nearest(
    groups: Sequence[Group], x_of: I64, candidates: I64, *, each_group: bool = False
) -> F64:
    """Least summed distance of the predictions `x_of` [P] to `candidates` [P, G] (-1: none).

    [1, P], or with `each_group` [1 + groups, P]: then also the least of each group alone. A group
    of a pair is computed at most once, whichever of the minima needs it.
    """
    bounds = _Bounds(groups, x_of, candidates)
    alone = [(number,) for number in range(len(groups))] if each_group else []
    whole = tuple(range(len(groups)))
    for goal in (*alone, whole):  # what the parts need is needed anyway, and bounds the whole
        bounds.narrow(goal)
    return bounds.least([whole, *alone])


class _Bounds:
    """What is known of the distance of every prediction, candidate and group."""

    def __init__(self, groups: Sequence[Group], x_of: I64, candidates: I64) -> None:
        self.groups, self.x_of, self.candidates = groups, x_of, candidates
        self.absent = candidates < 0
        self.lower = np.zeros((len(groups), *candidates.shape))
        self.upper = np.full_like(self.lower, np.inf)
        self.done = np.zeros(self.lower.shape, np.bool_)
        here = np.nonzero(~self.absent)
        for number, group in enumerate(groups):
            self.lower[number][here] = group.floors(x_of[here[0]], candidates[here])

    def narrow(self, goal: tuple[int, ...]) -> None:
        """Compute groups until no candidate may win the sum over `goal` on a guess."""
        order = np.array(sorted(goal, key=lambda number: self.groups[number].x.depth))
        while True:
            low, open_ = self._open(goal)
            rows, columns = _next(low, open_ & ~self.done[order].all(0))
            if not len(rows):
                return
            cheapest = order[self.done[order][:, rows, columns].argmin(0)]
            for number in goal:
                r, c = rows[cheapest == number], columns[cheapest == number]
                if not len(r):
                    continue
                found = self.groups[number].bounds(self.x_of[r], self.candidates[r, c])
                self.lower[number, r, c] = np.maximum(self.lower[number, r, c], found[0])
                self.upper[number, r, c] = found[1]
                self.done[number, r, c] = True

    def _open(self, goal: tuple[int, ...]) -> tuple[F64, Flags]:
        """Lower bounds of the sum over `goal`, and which candidates may still have the least."""
        low = np.where(self.absent, np.inf, sum(self.lower[n] for n in goal))
        reach = sum(self.upper[n] for n in goal).min(1)
        return low, (low <= reach[:, None]) & ~self.absent

    def least(self, goals: Sequence[tuple[int, ...]]) -> F64:
        """The least sum over each goal, from distances to `TOLERANCE`: [goals, P]."""
        winners = [self._open(goal)[1] for goal in goals]
        exact = np.full(self.lower.shape, np.inf)
        for number, group in enumerate(self.groups):
            of_interest = [won for won, goal in zip(winners, goals, strict=True) if number in goal]
            r, c = np.nonzero(np.logical_or.reduce(of_interest))
            exact[number, r, c] = group.distances(self.x_of[r], self.candidates[r, c])
        return np.stack(
            [
                np.where(won, sum(exact[n] for n in goal), np.inf).min(1)
                for won, goal in zip(winners, goals, strict=True)
            ]
        )


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
