"""The textbook recurrence of dynamic time warping, one pair at a time, compiled by numba.

It is the reference of the faster kernels and the one that meets NaN, infinities and copies.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from visavis._jit import compiled

F64 = NDArray[np.float64]


@compiled
def plain_cost(a: F64, b: F64) -> float:
    """Least sum of squared Euclidean distances over all warping paths of [Ta, D] and [Tb, D]."""
    row = np.full(b.shape[0] + 1, np.inf)
    row[0] = 0.0
    for i in range(a.shape[0]):
        diagonal = row[0]
        row[0] = np.inf
        left = np.inf
        for j in range(b.shape[0]):
            cost = 0.0
            for d in range(a.shape[1]):
                difference = a[i, d] - b[j, d]
                cost += difference * difference
            # above, left, diagonal, each kept unless the next is smaller: NaN then travels as in
            # the published scores (down the rows, and not along them)
            best = row[j + 1]
            if left < best:
                best = left
            if diagonal < best:
                best = diagonal
            diagonal = row[j + 1]
            left = cost + best
            row[j + 1] = left
    return float(row[b.shape[0]])
