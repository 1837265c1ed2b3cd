"""Dynamic time warping in NumPy, for a machine without numba: anti-diagonals of one pair."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]


def numpy_cost(a: F64, b: F64) -> float:
    """Least sum of squared Euclidean distances over all warping paths of [Ta, D] and [Tb, D].

    Cells of one anti-diagonal depend only on the two before it. The three predecessors are
    compared in the order of the compiled kernel, so that NaN and infinities travel alike.
    """
    rows, columns = len(a), len(b)
    backwards = b[::-1]
    before = np.full(rows + 1, np.inf)  # entry i + 1 belongs to row i, entry 0 to the border
    last = np.full(rows + 1, np.inf)
    before[0] = 0.0  # the corner, from which the first cell is reached diagonally
    for step in range(rows + columns - 1):
        low, high = max(0, step - columns + 1), min(rows, step + 1)
        with np.errstate(invalid="ignore"):
            difference = (
                a[low:high] - backwards[columns - 1 - step + low : columns - 1 - step + high]
            )
            cost = np.einsum("td,td->t", difference, difference)
            best, left, diagonal = last[low:high], last[low + 1 : high + 1], before[low:high]
            best = np.where(left < best, left, best)
            best = np.where(diagonal < best, diagonal, best)
            now = np.full(rows + 1, np.inf)
            now[low + 1 : high + 1] = cost + best
        before, last = last, now
    return float(last[rows])
