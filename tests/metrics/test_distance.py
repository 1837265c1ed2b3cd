"""Energy distance and CRPS: proper scores of a set of samples against a set of reactions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visavis.errors import InputError
from visavis.metrics.distance import CRPS, EnergyDistance, crps, energy_distance

seeds = st.integers(0, 2**32 - 1)


def draw(count: int, seed: int, spread: float = 1.0, shift: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.asarray(shift + spread * rng.normal(size=(count, 6, 2)))


def slow_energy(x: np.ndarray, y: np.ndarray) -> float:
    def far(a: np.ndarray, b: np.ndarray) -> float:
        return math.sqrt(float(np.mean((a - b) ** 2)))

    def among(z: np.ndarray) -> float:
        return float(
            np.mean([far(a, b) for i, a in enumerate(z) for j, b in enumerate(z) if i != j])
        )

    return 2 * float(np.mean([far(a, b) for a in x for b in y])) - among(x) - among(y)


def slow_crps(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """By pairs; one sample scores its absolute error."""
    m = len(x)
    error = np.mean([[np.abs(a - b).mean(0) for a in x] for b in y], axis=(0, 1))
    pairs = [np.abs(a - b).mean(0) for i, a in enumerate(x) for j, b in enumerate(x) if i != j]
    return np.asarray(error - (np.sum(pairs, axis=0) / (m * (m - 1)) / 2 if m > 1 else 0.0))


@given(seeds, st.integers(2, 6), st.integers(2, 6))
@settings(max_examples=30, deadline=None)
def test_the_energy_distance_equals_a_slow_reference(seed: int, m: int, n: int) -> None:
    x, y = draw(m, seed), draw(n, seed + 1, 2.0)
    assert energy_distance(x, y) == pytest.approx(slow_energy(x, y), rel=1e-10, abs=1e-12)


@given(seeds, st.integers(1, 6), st.integers(1, 6))
@settings(max_examples=30, deadline=None)
def test_the_crps_equals_a_slow_reference(seed: int, m: int, n: int) -> None:
    x, y = draw(m, seed), draw(n, seed + 1, 2.0)
    np.testing.assert_allclose(crps(x, y), slow_crps(x, y), rtol=1e-10, atol=1e-12)


def test_worked_examples_on_a_line() -> None:
    x, y = np.array([0.0, 2.0])[:, None, None], np.array([1.0, 4.0])[:, None, None]
    # E|X - Y| = (1 + 4 + 1 + 2) / 4 = 2, E|X - X'| = 2, E|Y - Y'| = 3
    assert energy_distance(x, y) == pytest.approx(4 - 2 - 3)
    assert crps(x, y) == pytest.approx([2 - 1])
    assert crps(x[:1], y) == pytest.approx([2.5])


def test_nothing_beats_the_true_distribution() -> None:
    names = {"honest": 1.0, "safe": 0.01, "wild": 2.0}
    scores = {
        name: [
            (energy_distance(x, y), crps(x, y).mean())
            for k in range(300)
            for x, y in [(draw(10, k, spread), draw(5, 10_000 + k))]
        ]
        for name, spread in names.items()
    }
    mean = {name: np.mean(rows, axis=0) for name, rows in scores.items()}
    assert mean["honest"][0] == pytest.approx(0.0, abs=0.02)
    for other in ("safe", "wild"):
        assert (mean["honest"] < mean[other] - 0.05).all()


@pytest.mark.parametrize("m", [2, 20])
def test_the_number_of_samples_brings_no_bias(m: int) -> None:
    rows = [
        (energy_distance(x, y), crps(x, y).mean())
        for k in range(400)
        for x, y in [(draw(m, k), draw(4, 10_000 + k))]
    ]
    # E|X - y| - E|X - X'| / 2 of a normal with sd 1 is 1 / sqrt(pi)
    assert np.mean(rows, axis=0) == pytest.approx([0.0, 1 / math.sqrt(math.pi)], abs=0.03)


@given(seeds, st.floats(0.1, 50))
@settings(max_examples=25, deadline=None)
def test_order_time_shift_and_scale(seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    x, y = draw(5, seed), draw(4, seed + 1)
    for score in (energy_distance, crps):
        plain = score(x, y)
        assert score(rng.permutation(x), rng.permutation(y)) == pytest.approx(plain)
        assert score(x[:, ::-1], y[:, ::-1]) == pytest.approx(plain)
        assert score(x + 3, y + 3) == pytest.approx(plain)
        assert score(x * scale, y * scale) == pytest.approx(plain * scale)
        assert score(x.astype(np.float32), y) == pytest.approx(plain, rel=1e-4, abs=1e-5)
    units = np.array([1.0, scale])
    assert energy_distance(x * units, y * units, scale=units) == pytest.approx(
        energy_distance(x, y)
    )


def test_clips_with_one_reaction_are_counted_apart_in_the_energy_distance() -> None:
    x, y = draw(5, 0), draw(4, 1)
    metric = EnergyDistance()
    metric.update(x, y)
    metric.update(x, y[:1])
    found = metric.compute()
    assert float(found["energy_distance"]) == pytest.approx(energy_distance(x, y))
    assert (found["clips"], found["undefined"]) == (2.0, 1.0)
    single = CRPS()
    single.update(x, y[:1])
    assert float(single.compute()["crps"]) == pytest.approx(crps(x, y[:1]).mean())


def test_bad_input_is_refused() -> None:
    with pytest.raises(InputError, match=r"pred has one sample; .* \(axis M\)"):
        energy_distance(draw(1, 0), draw(3, 1))
    with pytest.raises(InputError, match="axis T must agree"):
        crps(draw(2, 0), draw(2, 0)[:, :3])
    with pytest.raises(InputError, match="axis D must agree"):
        crps(draw(2, 0), draw(2, 0)[..., :1])
