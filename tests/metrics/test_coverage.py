"""Coverage of the appropriate set beside precision."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from visavis.errors import InputError
from visavis.metrics.coverage import (
    AppropriateCoverage,
    coverage,
    coverage_from_distances,
    rms_distances,
)

seeds = st.integers(0, 2**32 - 1)


def reactions(count: int, seed: int, frames: int = 20, width: int = 3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.asarray(rng.normal(size=(count, 1, width)) + rng.normal(size=(count, frames, width)))


def slow(pred: np.ndarray, targets: np.ndarray) -> tuple[float, float]:
    """Precision and coverage by the rules, one pair at a time; no equal targets."""

    def far(a: np.ndarray, b: np.ndarray) -> float:
        return math.sqrt(sum((x - y) ** 2 for x, y in zip(a.flat, b.flat, strict=True)) / a.size)

    pairs = [far(a, b) for i, a in enumerate(targets) for b in targets[:i]]
    radius = sorted(pairs)[len(pairs) // 2]
    if len(pairs) % 2 == 0:
        radius = (radius + sorted(pairs)[len(pairs) // 2 - 1]) / 2
    inside, spoken = 0, set()
    for sample in pred:
        distances = [far(sample, target) for target in targets]
        nearest = min(range(len(targets)), key=distances.__getitem__)
        if distances[nearest] <= radius:
            inside += 1
            spoken.add(nearest)
    return inside / len(pred), len(spoken) / len(targets)


@given(seeds, st.integers(1, 8), st.integers(2, 7))
@settings(max_examples=40, deadline=None)
def test_it_equals_a_slow_reference(seed: int, m: int, n: int) -> None:
    pred, targets = reactions(m, seed), reactions(n, seed + 1)
    found = coverage(pred, targets)
    assert (found.precision, found.coverage) == pytest.approx(slow(pred, targets))
    assert found.ceiling == min(m, n) / n


def test_a_worked_example() -> None:
    # targets at 0, 1, 3 on a line: distances 1, 2, 3, radius 2; samples at 0.4, 0.2, 9
    at = [np.array(x)[:, None, None] for x in ([0.4, 0.2, 9.0], [0.0, 1.0, 3.0])]
    found = coverage(*at)
    assert found.radius == 2.0
    assert found.precision == pytest.approx(2 / 3)
    assert found.coverage == pytest.approx(1 / 3)
    assert found.ceiling == 1.0


def test_copies_of_the_mean_are_precise_and_cover_one() -> None:
    targets = reactions(10, 0)
    copies = np.repeat(targets.mean(0, keepdims=True), 10, axis=0)
    found = coverage(copies, targets)
    assert (found.precision, found.coverage) == (1.0, 0.1)
    assert coverage(targets, targets).coverage == 1.0


@given(seeds)
@settings(max_examples=25, deadline=None)
def test_order_copies_scale_and_time_do_not_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pred, targets = reactions(5, seed), reactions(4, seed + 1)
    plain = coverage(pred, targets)
    shuffled = coverage(rng.permutation(pred), rng.permutation(targets))
    assert vars(shuffled) == pytest.approx(vars(plain))
    assert coverage(np.repeat(pred, 3, 0), targets).coverage == plain.coverage
    assert coverage(pred, np.repeat(targets, 2, 0)).coverage == plain.coverage
    assert coverage(pred * 8, targets * 8).coverage == plain.coverage
    assert coverage(pred[:, ::-1], targets[:, ::-1]).coverage == plain.coverage
    units = np.array([1.0, 2.0, 4.0])
    assert coverage(pred * units, targets * units, scale=units).coverage == plain.coverage


def test_any_distance_and_any_radius_can_be_used() -> None:
    across, within = [[1.0, 5.0], [4.0, 2.0]], [[0.0, 3.0], [3.0, 0.0]]
    assert coverage_from_distances(across, within).coverage == 1.0
    assert coverage_from_distances(across, within, radius=1.0).coverage == 0.5
    assert coverage_from_distances(across, within, radius=0.5).precision == 0.0


def test_one_appropriate_reaction_has_no_radius_and_is_counted_apart() -> None:
    pred = reactions(3, 0)
    assert math.isnan(coverage(pred, pred[:1]).coverage)
    assert math.isnan(coverage(pred, np.repeat(pred[:1], 4, 0)).coverage)
    metric = AppropriateCoverage()
    metric.update(pred, pred)
    metric.update(pred, pred[:1])
    found = metric.compute()
    assert (found["coverage"], found["clips"], found["undefined"]) == (1.0, 2.0, 1.0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64, torch.int64])
def test_tensors_of_any_kind_are_taken(dtype: torch.dtype) -> None:
    values = torch.arange(24).reshape(2, 4, 3).to(dtype).requires_grad_(dtype.is_floating_point)
    assert coverage(values, values) == coverage(values.tolist(), values.tolist())


def test_distances_are_root_mean_squares() -> None:
    assert rms_distances(np.zeros((1, 4, 2)), np.full((1, 4, 2), 3.0)) == pytest.approx(3.0)


@pytest.mark.parametrize(
    ("pred", "targets", "text"),
    [
        (np.zeros((2, 5, 3)), np.zeros((2, 6, 3)), "axis T must agree: pred has 5, targets has 6"),
        (np.zeros((2, 5, 3)), np.zeros((2, 5, 4)), "axis D must agree"),
        (np.zeros((5, 3)), np.zeros((2, 5, 3)), r"pred has shape \[5, 3\]; wanted \[M, T, D\]"),
        (np.zeros((2, 5, 3)), np.zeros((0, 5, 3)), "its axis N is empty"),
        (np.full((2, 5, 3), np.inf), np.zeros((2, 5, 3)), "pred holds inf at M=0, T=0, D=0"),
        ("abc", np.zeros((2, 5, 3)), "pred must be numbers"),
    ],
)
def test_bad_input_is_refused(pred: object, targets: object, text: str) -> None:
    with pytest.raises(InputError, match=text):
        coverage(pred, targets)


def test_bad_scales_distances_and_radii_are_refused() -> None:
    one = np.zeros((2, 5, 3))
    with pytest.raises(InputError, match="every scale must be at least"):
        coverage(one, one, scale=[1.0, 0.0, 1.0])
    with pytest.raises(InputError, match="axis D must agree: scale has 2"):
        coverage(one, one, scale=[1.0, 1.0])
    with pytest.raises(InputError, match="axis N must agree"):
        coverage_from_distances([[1.0, 2.0]], [[0.0]])
    with pytest.raises(InputError, match="a distance must be at least"):
        coverage_from_distances([[-1.0]], [[0.0]])
    with pytest.raises(InputError, match="radius must be at least"):
        coverage_from_distances([[1.0]], [[0.0]], radius=-1.0)
