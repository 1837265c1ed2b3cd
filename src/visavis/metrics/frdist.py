"""FRDist: how far generated reactions are from the nearest appropriate real one, by grouped DTW."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from visavis.metrics.dtw import dtw

F64 = NDArray[np.float64]
Real = NDArray[np.floating]
Groups: TypeAlias = Sequence[tuple[slice, float]]
"""Channel groups that are warped apart, each with its weight in the sum."""

ATTRIBUTE_GROUPS: Groups = ((slice(0, 15), 1 / 15), (slice(15, 17), 1.0), (slice(17, 25), 1 / 8))
"""AUs, valence and arousal, expressions with the weights of the REACT scores."""


def group_distances(pred: Real, targets: Real | Sequence[Real], groups: Groups) -> F64:
    """Weighted sum of the DTW of each group, [M, G], for `pred` [M, T, D], `targets` [G, T', D]."""
    return np.array(
        [[sum(w * dtw(p[:, s], g[:, s]) for s, w in groups) for g in targets] for p in pred]
    )


def nearest_distances(pred: Real, targets: Real | Sequence[Real], groups: Groups) -> F64:
    """Least of `group_distances` over the targets, [M]."""
    least = []
    for row in group_distances(pred, targets, groups):
        best = row[0]
        for value in row[1:]:  # the order of comparison decides where NaN stands, as published
            best = value if value < best else best
        least.append(best)
    return np.array(least)
