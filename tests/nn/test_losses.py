"""Shared losses against plain numpy and numbers worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from visavis.nn.losses import (
    concordance,
    energy_diversity,
    least_error,
    masked_mean,
    motion_smoothness,
    nearest,
    pairwise_diversity,
    spread_hinge,
    squared_error,
)

NAN = float("nan")


def plain_ccc(x: np.ndarray, y: np.ndarray) -> float:
    """Lin (1989), with population moments."""
    covariance = ((x - x.mean()) * (y - y.mean())).mean()
    return float(2 * covariance / (x.var() + y.var() + (x.mean() - y.mean()) ** 2))


# ---------------------------------------------------------------------- concordance


def test_concordance_is_lin_s_over_the_observed_frames() -> None:
    x, y = torch.randn(2, 40, 3), torch.randn(2, 40, 3) * 0.5 + 0.2
    y = y + 0.5 * x
    mask = torch.rand(2, 40) > 0.3
    plain, masked = concordance(x, y), concordance(x, y, mask)
    for b in range(2):
        for c in range(3):
            a, r = x[b, :, c].numpy(), y[b, :, c].numpy()
            assert float(plain[b, c]) == pytest.approx(plain_ccc(a, r), abs=1e-5)
            seen = mask[b].numpy()
            assert float(masked[b, c]) == pytest.approx(plain_ccc(a[seen], r[seen]), abs=1e-5)


def test_concordance_is_one_for_equals_and_minus_one_for_opposites() -> None:
    x = torch.randn(30, 2)
    x = x - x.mean(0)
    torch.testing.assert_close(concordance(x, x), torch.ones(2))
    torch.testing.assert_close(concordance(-x, x), -torch.ones(2))


def test_concordance_with_a_constant_target_is_nan_and_of_a_constant_guess_zero() -> None:
    x = torch.randn(30, 1)
    assert concordance(x, torch.full((30, 1), 0.4)).isnan().all()
    assert float(concordance(torch.full((30, 1), 0.4), x)) == pytest.approx(0, abs=1e-6)


def test_concordance_reads_nothing_outside_the_mask() -> None:
    x, y, mask = torch.randn(10, 2), torch.randn(10, 2), torch.arange(10) < 6
    dirty = torch.where(mask[:, None], y, NAN)
    guess = torch.where(mask[:, None], x, 1e9).requires_grad_()
    got = concordance(guess, dirty, mask)
    torch.testing.assert_close(got, concordance(x[:6], y[:6]))
    got.sum().backward()
    assert guess.grad is not None
    assert guess.grad.isfinite().all() and bool((guess.grad[6:] == 0).all())


def test_with_no_frame_to_read_concordance_is_nan() -> None:
    nothing = torch.zeros(4, dtype=torch.bool)
    assert concordance(torch.randn(4, 2), torch.randn(4, 2), nothing).isnan().all()


# ---------------------------------------------------------------------- means and errors


def test_a_masked_mean_does_not_read_outside_its_mask() -> None:
    values = torch.tensor([[[1.0, 3.0], [NAN, NAN], [5.0, 7.0]]])
    mask = torch.tensor([[True, False, True]])
    assert float(masked_mean(values, mask)) == 4.0
    assert float(masked_mean(values[:, ::2])) == 4.0
    assert float(masked_mean(values, torch.zeros_like(mask))) == 0.0


def test_squared_error_and_its_gradient_do_not_meet_unobserved_nan() -> None:
    guess = torch.tensor([[[1.0], [2.0], [4.0]]], requires_grad=True)
    real = torch.tensor([[[0.0], [NAN], [1.0]]])
    error = squared_error(guess, real, torch.tensor([[True, False, True]]))
    assert float(error.detach()) == 5.0  # (1 + 9) / 2
    error.backward()
    torch.testing.assert_close(guess.grad, torch.tensor([[[1.0], [0.0], [3.0]]]))
    assert float(squared_error(torch.zeros(1, 2, 1), torch.ones(1, 2, 1))) == 1.0


# ---------------------------------------------------------------------- variety


def test_energy_diversity_is_one_for_equal_draws_and_falls_as_they_part() -> None:
    a = torch.randn(2, 5, 3)
    assert float(energy_diversity(a, a)) == 1.0
    assert float(energy_diversity(a, a + 100)) == pytest.approx(0, abs=1e-12)


def test_energy_diversity_does_not_read_masked_frames() -> None:
    first, second = torch.zeros(2, 5, 3), torch.full((2, 5, 3), 2.0)
    mask = torch.arange(5)[None] < torch.tensor([[5], [3]])
    clips = [
        energy_diversity(a[m][None], b[m][None])
        for a, b, m in zip(first, second, mask, strict=True)
    ]
    second[1, 3:] = float("nan")
    assert float(energy_diversity(first, second, mask)) == pytest.approx(float(sum(clips)) / 2)


def test_energy_diversity_takes_each_clip_as_one_vector() -> None:
    first = torch.zeros(2, 4, 2)
    second = torch.zeros(2, 4, 2)
    second[1] = 5.0  # squared distances 0 and 4 * 2 * 25 = 200
    assert float(energy_diversity(first, second)) == pytest.approx((1 + math.exp(-2)) / 2)
    wider = energy_diversity(first, second, scale=200.0)
    assert float(wider) == pytest.approx((1 + math.exp(-1)) / 2)


def test_nearest_takes_the_least_cost_of_the_targets_that_are_there() -> None:
    costs = torch.tensor([[3.0, 1.0, 2.0], [5.0, 4.0, 0.0]])
    mask = torch.tensor([[True, False, True], [True, True, True]])
    least, index = nearest(costs, mask)
    assert least.tolist() == [2.0, 0.0]
    assert index.tolist() == [2, 2]


def test_spread_hinge_worked_by_hand() -> None:
    first = torch.zeros(1, 2, 2)
    second = torch.tensor([[[1.0, 0.0], [1.0, 0.0]]])  # mean squares 1 and 0
    hinge = spread_hinge(first, second, torch.tensor([2.0, 4.0]))
    assert float(hinge) == pytest.approx((0.5 + 1.0) / 2)


def test_enough_variety_costs_nothing_and_more_earns_nothing() -> None:
    first, wanted = torch.zeros(1, 4, 2), torch.tensor([1.0, 1.0])
    assert float(spread_hinge(first, first + 1, wanted)) == 0.0
    assert float(spread_hinge(first, first + 9, wanted)) == 0.0


def test_a_varied_channel_cannot_pay_for_another() -> None:
    first = torch.zeros(1, 4, 2)
    second = first.clone()
    second[..., 0] = 1000.0
    assert float(spread_hinge(first, second, torch.tensor([1.0, 1.0]))) == 0.5


def test_a_channel_that_wants_no_variety_costs_nothing() -> None:
    first = torch.zeros(1, 4, 1)
    assert float(spread_hinge(first, first, torch.zeros(1))) == 0.0


# ---------------------------------------------------------------------- shared by several papers


def test_the_least_error_is_brute_force_over_the_targets_that_are_there() -> None:
    predicted, targets = torch.randn(3, 7, 2), torch.randn(3, 4, 7, 2)
    there = torch.tensor([[True] * 4, [True, False, False, True], [False, True, False, False]])
    mask = torch.rand(3, 4, 7) > 0.4
    mask[..., 0] = True
    dirty = torch.where(mask[..., None], targets, NAN)
    for seen, values in ((None, targets), (mask, dirty)):
        error, chosen = least_error(predicted, values, there, seen)
        for b in range(3):
            costs = {}
            for n in range(4):
                if there[b, n]:
                    keep = slice(None) if seen is None else mask[b, n]
                    costs[n] = float(((predicted[b] - targets[b, n])[keep] ** 2).mean())
            assert int(chosen[b]) == min(costs, key=costs.__getitem__)
            assert float(error[b]) == pytest.approx(min(costs.values()), rel=1e-5)


def test_motion_is_the_squared_step_and_its_second_order_spares_a_steady_movement() -> None:
    steady = torch.arange(5.0)[:, None] * torch.tensor([1.0, 2.0])
    assert float(motion_smoothness(steady)) == pytest.approx(1 + 4)
    assert float(motion_smoothness(steady, order=2)) == 0
    assert float(motion_smoothness(steady[:1])) == 0
    mask = torch.tensor([True, True, False, True, True])
    dirty = torch.where(mask[:, None], steady, NAN)
    dirty[4] = dirty[3]
    assert float(motion_smoothness(dirty, mask)) == pytest.approx(5 / 2)


def test_diversity_of_several_draws_is_the_mean_over_their_pairs() -> None:
    draws = torch.randn(2, 3, 6, 4)
    pairs = [(0, 1), (0, 2), (1, 2)]
    wanted = sum(float(energy_diversity(draws[:, i], draws[:, j])) for i, j in pairs) / 3
    assert float(pairwise_diversity(draws)) == pytest.approx(wanted, rel=1e-5)
    assert float(pairwise_diversity(draws[:, :1].expand(-1, 3, -1, -1))) == 1
