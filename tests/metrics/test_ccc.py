"""Concordance matrices against the pair-by-pair reference, and as laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.peers import correlation
from visavis.errors import InputError
from visavis.metrics.ccc import ccc_matrix, constant_channels, moments

SIZES = st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(2, 60), st.integers(1, 6))


def clips(seed: int, count: int, frames: int, width: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, frames, width)).astype(np.float32)


@settings(max_examples=40, deadline=None)
@given(SIZES, st.integers(0, 10**6))
def test_every_pair_equals_the_reference(size: tuple[int, int, int, int], seed: int) -> None:
    m, g, frames, width = size
    pred, targets = clips(seed, m, frames, width), clips(seed + 1, g, frames, width)
    found = ccc_matrix(pred, targets).mean(axis=2)
    wanted = [[correlation.ccc(target, sample) for target in targets] for sample in pred]
    assert found == pytest.approx(np.array(wanted), rel=1e-5, abs=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.01, 100), st.floats(-5, 5))
def test_a_common_scale_and_shift_change_nothing_without_epsilon(
    seed: int, scale: float, shift: float
) -> None:
    pred, targets = clips(seed, 2, 40, 3).astype(float), clips(seed + 1, 3, 40, 3).astype(float)
    moved = ccc_matrix(scale * pred + shift, scale * targets + shift, epsilon=0.0)
    assert moved == pytest.approx(ccc_matrix(pred, targets, epsilon=0.0), rel=1e-9, abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_concordance_is_symmetric_bounded_and_blind_to_the_direction_of_time(seed: int) -> None:
    pred, targets = clips(seed, 3, 30, 4), clips(seed + 1, 2, 30, 4)
    found = ccc_matrix(pred, targets)
    assert (np.abs(found) <= 1).all()
    assert ccc_matrix(targets, pred).transpose(1, 0, 2) == pytest.approx(found, abs=1e-12)
    assert ccc_matrix(pred[:, ::-1], targets[:, ::-1]) == pytest.approx(found, abs=1e-12)


def test_float32_and_its_float64_copy_give_the_same_numbers() -> None:
    pred, targets = clips(0, 3, 100, 5), clips(1, 2, 100, 5)
    copies = ccc_matrix(pred.astype(np.float64), targets.astype(np.float64))
    assert (copies == ccc_matrix(pred, targets)).all()


def test_a_copy_scores_one_a_mirror_image_minus_one_and_a_far_copy_little() -> None:
    x = clips(0, 1, 500, 2).astype(np.float64)
    x -= x.mean(axis=1, keepdims=True)
    assert ccc_matrix(x, x) == pytest.approx(1, abs=1e-7)
    assert ccc_matrix(x, -x) == pytest.approx(-1, abs=1e-7)
    assert (ccc_matrix(x, x + 10) < 0.03).all()


def test_offset_channels_keep_their_digits() -> None:
    """Rotations near pi with small motion: moments about the mean, not sums of squares."""
    pred, targets = (3.19 + 1e-3 * clips(seed, 2, 750, 3).astype(np.float64) for seed in (0, 1))
    wanted = ccc_matrix(pred - 3.19, targets - 3.19, epsilon=0.0)
    assert ccc_matrix(pred, targets, epsilon=0.0) == pytest.approx(wanted, abs=1e-11)


def test_moments_are_taken_once_and_used_again() -> None:
    pred, targets = clips(0, 3, 50, 4), clips(1, 2, 50, 4)
    held = moments(targets)
    assert held.variance == pytest.approx(targets.var(axis=1, dtype=np.float64))
    assert (ccc_matrix(pred, held) == ccc_matrix(pred, targets)).all()


def test_constancy_is_exact_equality() -> None:
    x = np.full((2, 30, 3), 0.1)
    x[1, 29, 2] += 1e-16 + np.spacing(0.1)
    x[0, 3, 1] = np.nan
    assert constant_channels(x).tolist() == [[True, False, True], [True, True, False]]
    assert (moments(x).constant == constant_channels(x)).all()
    assert (moments(x).variance[0, [0, 2]] == 0).all()


@pytest.mark.parametrize(
    ("shape", "message"),
    [((2, 9, 3), "axis T"), ((2, 10, 4), "axis D"), ((10, 3), r"wanted \[S, T, D\]")],
)
def test_shapes_that_do_not_fit_are_refused(shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ccc_matrix(clips(0, 2, 10, 3), np.zeros(shape, dtype=np.float32))
