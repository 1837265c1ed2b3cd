"""DTW against tslearn, its symmetries, and the rules for NaN."""

from __future__ import annotations

import math

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tslearn.metrics import dtw as oracle

from visavis.errors import InputError
from visavis.metrics._dtw_numpy import numpy_cost
from visavis.metrics._dtw_plain import plain_cost
from visavis.metrics.dtw import dtw, stripped

F64 = NDArray[np.float64]

COSTS = (plain_cost, numpy_cost)
values = st.floats(-100, 100, width=32)


@st.composite
def two(draw: st.DrawFn) -> tuple[F64, F64]:
    """Two sequences of unequal length and the same width."""
    width = draw(st.integers(1, 3))
    shapes = [(draw(st.integers(1, 12)), width) for _ in range(2)]
    first, second = (draw(arrays.arrays(np.float64, shape, elements=values)) for shape in shapes)
    return first, second


@pytest.mark.parametrize("cost", COSTS)
@settings(deadline=None, max_examples=60)
@given(pair=two())
def test_every_kernel_gives_the_distance_of_tslearn(cost: object, pair: tuple[F64, F64]) -> None:
    a, b = pair
    assert math.sqrt(cost(a, b)) == pytest.approx(oracle(a, b), rel=1e-12, abs=1e-12)


@settings(deadline=None, max_examples=60)
@given(pair=two())
def test_dtw_is_symmetric_and_zero_for_copies(pair: tuple[F64, F64]) -> None:
    a, b = pair
    assert dtw(a, b) == pytest.approx(dtw(b, a), rel=1e-12)
    assert dtw(a, a.copy()) == 0.0


@settings(deadline=None, max_examples=40)
@given(pair=two())
def test_time_reversal_of_both_and_repeated_frames_change_nothing(pair: tuple[F64, F64]) -> None:
    a, b = pair
    assert dtw(a[::-1], b[::-1]) == pytest.approx(dtw(a, b), rel=1e-9, abs=1e-9)
    assert dtw(a, np.repeat(a, 2, axis=0)) == 0.0


def test_the_recurrence_is_the_one_written_by_hand() -> None:
    assert dtw([[0.0], [1.0], [3.0]], [[0.0], [3.0]]) == 1.0
    assert dtw([[1.0]], [[3.0], [4.0]]) == math.sqrt(4 + 9)


def test_scaling_both_sides_scales_the_distance() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(30, 4)), rng.normal(size=(25, 4))
    assert dtw(8 * a, 8 * b) == pytest.approx(8 * dtw(a, b), rel=1e-12)


@pytest.mark.parametrize("cost", COSTS)
def test_nan_and_infinity_travel_as_in_tslearn(cost: object) -> None:
    rng = np.random.default_rng(1)
    seen = set()
    for _ in range(300):
        pair = [rng.normal(size=(rng.integers(1, 9), 2)) for _ in range(2)]
        for side in pair:
            for _ in range(rng.integers(0, 3)):
                place = rng.integers(len(side)), rng.integers(2)
                side[place] = rng.choice([np.nan, np.inf, -np.inf])
        if any(np.isnan(side).all() for side in pair):
            continue
        with np.errstate(invalid="ignore"):
            wanted = oracle(*pair)
        got = math.sqrt(cost(*(stripped(side, name="side") for side in pair)))
        np.testing.assert_allclose(got, wanted, rtol=1e-12)
        seen.add("nan" if math.isnan(got) else "inf" if math.isinf(got) else "number")
    assert seen == {"nan", "inf", "number"}


def test_frames_of_nan_at_the_end_are_padding() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(9, 3)), rng.normal(size=(7, 3))
    padded = np.concatenate([a, np.full((4, 3), np.nan)])
    assert dtw(padded, b) == dtw(a, b)
    padded[-1, 1] = 0.0
    assert math.isnan(dtw(padded, b))


@pytest.mark.parametrize(
    ("a", "text"),
    [
        (np.zeros((4, 3)), "same channels"),
        (np.zeros(4), r"shape \[4\]"),
        (np.zeros((0, 2)), "no frame"),
        (np.full((3, 2), np.nan), "no frame"),
    ],
)
def test_a_sequence_of_another_shape_or_without_frames_is_refused(a: F64, text: str) -> None:
    with pytest.raises(InputError, match=text):
        dtw(a, np.zeros((5, 2)))
