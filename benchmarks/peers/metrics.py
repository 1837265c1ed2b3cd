"""FRDist the official way: tslearn's DTW, one call a channel group, one triple after the other."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tslearn.metrics import dtw

F64 = NDArray[np.float64]
Real = NDArray[Any]


def triple(pred: Real, target: Real) -> float:
    """Distance of one sample [T, 25] to one appropriate reaction [T, 25]."""
    actions = dtw(pred[:, 0:15], target[:, 0:15])
    affect = dtw(pred[:, 15:17], target[:, 15:17])
    expressions = dtw(pred[:, 17:25], target[:, 17:25])
    return float(actions / 15 + affect + expressions / 8)


def nearest(pred: Real, gt: Real, row: Iterable[int]) -> float:
    """Distance of one sample to the nearest of its appropriate reactions."""
    return min(triple(pred, gt[j]) for j in row)
