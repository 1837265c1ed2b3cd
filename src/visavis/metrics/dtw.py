"""Dynamic time warping as the field's scores use it: exact, unconstrained, squared Euclid inside.

DTW(a, b) = sqrt(min over warping paths of the sum over the path of |a_i - b_j|^2), with steps
(1, 0), (0, 1), (1, 1): Sakoe and Chiba (1978) without a window or slope weights, the definition of
`tslearn.metrics.dtw`. Other libraries sum |a_i - b_j|, or leave out the root: not this number.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from visavis.errors import InputError

F64 = NDArray[np.float64]

try:
    from visavis.metrics._dtw_plain import plain_cost as _cost
except ImportError:  # numba is missing or does not support this Python: slower, equal numbers
    from visavis.metrics._dtw_numpy import numpy_cost as _cost


def dtw(a: ArrayLike, b: ArrayLike) -> float:
    """Distance of two sequences [Ta, D] and [Tb, D]; lengths may differ, sums are float64.

    Frames at the end that are NaN in every column are padding and are dropped. Other NaN gives
    NaN in `a`, and in `b` NaN (last frame) or infinity, as in the published scores.
    Raises `InputError` for other shapes and for a sequence without frames.
    """
    left, right = stripped(a, name="a"), stripped(b, name="b")
    if left.shape[1] != right.shape[1]:
        raise InputError(
            f"dtw of {left.shape[1]} and {right.shape[1]} columns: "
            "give both sequences the same channels (axis 1)."
        )
    return math.sqrt(_cost(left, right))


def stripped(sequence: ArrayLike, *, name: str) -> F64:
    """`sequence` [T, D] as float64, without the frames at its end that are NaN throughout."""
    values = np.ascontiguousarray(sequence, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] == 0:
        raise InputError(
            f"dtw: {name} has shape {list(values.shape)}, wanted [T, D] with D of 1 or more."
        )
    frames = filled_frames(values)
    if frames == 0:
        raise InputError(f"dtw: {name} has no frame with a value; leave such a sequence out.")
    return values[:frames]


def filled_frames(values: NDArray[np.floating]) -> int:
    """Frames of [T, D] up to the last one that is not NaN throughout."""
    frames = len(values)
    while frames and np.isnan(values[frames - 1]).all():
        frames -= 1
    return frames
