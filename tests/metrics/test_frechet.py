"""The Fréchet distance of two Gaussians: exact, stable, and right where rank is lacking."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
from hypothesis import example, given, settings
from hypothesis import strategies as st

from visavis.errors import InputError
from visavis.metrics.frechet import frechet, frechet_distance

seeds = st.integers(0, 2**32 - 1)


def by_square_root(mean_a, cov_a, mean_b, cov_b) -> float:  # type: ignore[no-untyped-def]
    """The textbook formula with a matrix square root, as published FID scripts have it."""
    root = scipy.linalg.sqrtm(cov_a @ cov_b)
    return float(np.sum((mean_a - mean_b) ** 2) + np.trace(cov_a + cov_b - 2 * root.real))


def gaussian(rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
    factor = rng.normal(size=(size + 3, size))
    return rng.normal(size=size), factor.T @ factor / size


@given(seeds, st.integers(1, 12))
@settings(max_examples=40, deadline=None)
def test_it_equals_the_textbook_formula_at_full_rank(seed: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = gaussian(rng, size), gaussian(rng, size)
    found = frechet_distance(*a, *b)
    assert found.distance == pytest.approx(by_square_root(*a, *b), rel=1e-7, abs=1e-9)
    assert found.distance == pytest.approx(frechet_distance(*b, *a).distance, rel=1e-10)
    assert found.ranks == (size, size)


def test_a_worked_example_in_one_dimension() -> None:
    # N(0, 4) and N(3, 1): 9 + (2 - 1)²
    found = frechet_distance([0.0], [[4.0]], [3.0], [[1.0]])
    assert (found.of_means, found.of_covariances) == pytest.approx((9.0, 1.0), rel=1e-14)


def test_commuting_covariances_give_the_distance_of_their_roots() -> None:
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.normal(size=(30, 30)))[0]
    a, b = rng.uniform(0, 2, 30), rng.uniform(0, 2, 30)
    a[:12] = b[6:20] = 0.0  # ranks 18 and 16, empty directions of both
    found = frechet_distance(np.zeros(30), turn * a @ turn.T, np.zeros(30), turn * b @ turn.T)
    assert found.distance == pytest.approx(np.sum((np.sqrt(a) - np.sqrt(b)) ** 2), rel=1e-12)
    assert found.ranks == (18, 16)


def test_a_set_against_itself_is_zero_to_rounding_also_without_full_rank() -> None:
    rows = np.random.default_rng(0).normal(size=(40, 200))
    cov = np.cov(rows, rowvar=False)
    assert frechet(rows, rows).distance < 1e-10
    assert frechet_distance(rows.mean(0), cov, rows.mean(0), cov).distance < 1e-10
    assert frechet(rows, rows).ranks == (39, 39)


@given(seeds, st.integers(2, 30), st.integers(2, 30), st.integers(1, 12))
@example(3350332, 2, 2, 2)
@settings(max_examples=40, deadline=None)
def test_features_and_their_moments_give_the_same(seed: int, n: int, m: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(n, size)), rng.normal(1.0, 2.0, size=(m, size))
    cov = [np.cov(x, rowvar=False).reshape(size, size) for x in (a, b)]
    moments = frechet_distance(a.mean(0), cov[0], b.mean(0), cov[1])
    found = frechet(a, b)
    assert found.distance == pytest.approx(moments.distance, rel=1e-9)
    assert found.ranks == (min(n - 1, size), min(m - 1, size))


@given(seeds, st.floats(0.1, 100))
@settings(max_examples=25, deadline=None)
def test_order_rotation_and_scale(seed: int, factor: float) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(20, 5)), rng.normal(size=(9, 5))
    turn = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    plain = frechet(a, b).distance
    assert frechet(rng.permutation(a), rng.permutation(b)).distance == pytest.approx(plain)
    assert frechet(a @ turn + 7, b @ turn + 7).distance == pytest.approx(plain)
    assert frechet(a * factor, b * factor).distance == pytest.approx(plain * factor**2)


def test_constant_features_have_rank_zero_and_the_distance_of_means() -> None:
    found = frechet(np.zeros((4, 3)), np.ones((5, 3)))
    assert found.distance == found.of_means == 3.0
    assert found.ranks == (0, 0)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (([0.0], [[1.0]], [0.0, 1.0], np.eye(2)), "axis F must agree"),
        (([0.0, 0.0], np.eye(3), [0.0, 0.0], np.eye(2)), r"wanted|\[2, 2\]"),
        (([0.0, 0.0], [[1, 2], [0, 1]], [0.0, 0.0], np.eye(2)), "not symmetric"),
        (([0.0, 0.0], [[1, 2], [2, 1]], [0.0, 0.0], np.eye(2)), "eigenvalue"),
        (([np.nan], [[1.0]], [0.0], [[1.0]]), "mean_a holds nan at F=0"),
    ],
)
def test_what_is_no_gaussian_is_refused(arguments: tuple[object, ...], text: str) -> None:
    with pytest.raises(InputError, match=text):
        frechet_distance(*arguments)


def test_one_row_is_refused() -> None:
    with pytest.raises(InputError, match="features_b has one row"):
        frechet(np.zeros((3, 2)), np.zeros((1, 2)))
