"""Shifts of linear maps, each sample its own, against matrices written out."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from visavis.nn.low_rank import LowRank, Shifts, mean_square, shifted

TARGETS = {"a": (6, 4), "b": (3, 5)}


def drawn(rank: int | None) -> Shifts:
    torch.manual_seed(0)
    shifts = Shifts(7, TARGETS, rank=rank, hidden=(8,), scale=0.5)
    for parameter in shifts.parameters():
        nn.init.normal_(parameter)
    return shifts


@pytest.mark.parametrize("rank", [2, None])
def test_a_shifted_layer_is_the_layer_with_that_sample_s_own_weight(rank: int | None) -> None:
    made = drawn(rank)(torch.randn(3, 7))
    layer, x = nn.Linear(4, 6), torch.randn(3, 2, 9, 4)
    ours = shifted(layer, x, made["a"])
    for row in range(3):
        weight = layer.weight + made["a"].dense()[row]
        theirs = nn.functional.linear(x[row], weight, layer.bias)
        torch.testing.assert_close(ours[row], theirs, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("rank", [2, None])
def test_fresh_shifts_are_zero_bit_for_bit_and_can_be_learned(rank: int | None) -> None:
    shifts = Shifts(7, TARGETS, rank=rank)
    layer, x = nn.Linear(4, 6), torch.randn(3, 9, 4)
    made = shifts(torch.randn(3, 7))
    out = shifted(layer, x, made["a"])
    assert torch.equal(out, layer(x))
    out.sum().backward()
    grad = shifts.ups[0].weight.grad
    assert grad is not None
    assert float(grad.abs().sum()) > 0


def test_another_sample_s_condition_changes_nothing() -> None:
    shifts, condition, x = drawn(2), torch.randn(3, 7), torch.randn(3, 9, 4)
    changed = condition.clone()
    changed[1:] += 1.0
    one, two = shifts(condition)["a"].of(x), shifts(changed)["a"].of(x)
    torch.testing.assert_close(one[0], two[0])
    assert not torch.allclose(one[1], two[1])


@pytest.mark.parametrize("rank", [2, None])
def test_norms_are_those_of_the_matrices_written_out(rank: int | None) -> None:
    made = drawn(rank)(torch.randn(3, 7))
    squares = [(s.dense() ** 2).sum((1, 2)) for s in made.values()]
    for shift, square in zip(made.values(), squares, strict=True):
        torch.testing.assert_close(shift.squared(), square, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(mean_square(made), torch.stack(squares).mean())


def test_each_repeats_a_sample_s_shift() -> None:
    made = drawn(2)(torch.randn(2, 7))["a"]
    assert isinstance(made, LowRank)
    assert torch.equal(made.each(3).dense(), made.dense().repeat_interleave(3, 0))


def test_low_rank_heads_are_as_small_as_the_specification_says() -> None:
    """Three tensors of PerFRDiff at rank 8: 37,064 outputs instead of 1,585,664."""
    targets = {"4": (1536, 512), "6": (1536, 512), "out": (25, 512)}
    with torch.device("meta"):
        low, whole = (Shifts(512, targets, rank=r) for r in (8, None))
    counts = [sum(h.out_features for h in (*s.ups, *s.downs)) for s in (low, whole)]
    assert counts == [37_064, 1_585_664]
