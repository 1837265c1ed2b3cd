"""Critics and generators against numbers worked by hand."""

from __future__ import annotations

import math

import pytest
import torch

from visavis.nn import adversarial
from visavis.nn.adversarial import Adversarial

PAIRS = [getattr(adversarial, n) for n in vars(adversarial) if n.isupper()]
REAL, MADE = torch.tensor([[2.0, -0.5]]), torch.tensor([[0.0, 1.0]])


def log1p_exp(x: float) -> float:
    return math.log1p(math.exp(x))


@pytest.mark.parametrize(
    ("pair", "critic", "generator"),
    [
        (
            adversarial.CROSS_ENTROPY,
            (log1p_exp(-2) + log1p_exp(0.5)) / 2 + (log1p_exp(0) + log1p_exp(1)) / 2,
            (log1p_exp(0) + log1p_exp(-1)) / 2,
        ),
        (adversarial.LEAST_SQUARES, 0.5 * (1 + 2.25) / 2 + 0.5 * 0.5, 0.5 * 0.5),
        (adversarial.HINGE, (0 + 1.5) / 2 + (1 + 2) / 2, -0.5),
        (
            adversarial.RELATIVISTIC,
            sum(log1p_exp(m - r) for r in (2, -0.5) for m in (0, 1)) / 4,
            sum(log1p_exp(r - m) for r in (2, -0.5) for m in (0, 1)) / 4,
        ),
    ],
)
def test_each_pair_is_its_formula(pair: Adversarial, critic: float, generator: float) -> None:
    assert float(pair.critic(REAL, MADE)) == pytest.approx(critic, rel=1e-5)
    assert float(pair.generator(REAL, MADE)) == pytest.approx(generator, rel=1e-5)


@pytest.mark.parametrize("pair", PAIRS)
def test_both_pull_made_scores_apart_ways(pair: Adversarial) -> None:
    made = MADE.clone().requires_grad_(True)
    (down,) = torch.autograd.grad(pair.critic(REAL, made), made)
    (up,) = torch.autograd.grad(pair.generator(REAL, made), made)
    assert float(down.sum()) > 0 > float(up.sum())


def test_the_gradient_penalty_of_a_linear_critic_is_half_its_squared_slope() -> None:
    slope = torch.tensor([1.0, -2.0, 0.5])
    found = adversarial.gradient_penalty(lambda x: x @ slope, torch.randn(4, 3))
    assert float(found) == pytest.approx(0.5 * float((slope**2).sum()))
