"""The 1-D U-Net: its published count, its start at zero, and what reaches its output."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from visavis.nn.unet1d import (
    Convolution,
    GroupNorm,
    ResidualBlock,
    SelfAttention,
    UNet1d,
    Up,
    groups_of,
)


def small(**changes: object) -> UNet1d:
    settings = {"width": 16, "multipliers": (1, 2, 2), "blocks": 1, "condition": 8, **changes}
    torch.manual_seed(0)
    return UNet1d(6, 5, **settings)  # type: ignore[arg-type]


def given(length: int, rows: int = 3) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(rows, length, 6, generator=generator)
    return x, torch.arange(rows), torch.randn(rows, 8, generator=generator)


def test_at_the_released_sizes_it_has_the_published_parameters() -> None:
    with torch.device("meta"):
        published = UNet1d(50, 50)
        halved = UNet1d(50, 50, width=128)
    assert sum(p.numel() for p in published.parameters()) == 404_312_626
    assert sum(isinstance(m, ResidualBlock) for m in published.modules()) == 22
    assert sum(isinstance(m, SelfAttention) for m in published.modules()) == 16
    assert sum(p.numel() for p in halved.parameters()) < 404_312_626


def test_it_answers_zero_before_it_has_learnt() -> None:
    assert torch.equal(small()(*given(16)), torch.zeros(3, 16, 5))
    assert small(zero_start=False)(*given(16)).abs().max() > 0.01


@pytest.mark.parametrize("length", [1, 2, 7, 16, 50])
def test_any_length_comes_back(length: int) -> None:
    assert small()(*given(length)).shape == (3, length, 5)


def test_the_condition_and_the_step_reach_the_output_after_one_step() -> None:
    network = small()
    x, steps, condition = given(16)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.5)
    for _ in range(2):  # the head learns first, then what stands before it
        optimizer.zero_grad()
        (network(x, steps, condition) - 1.0).pow(2).mean().backward()
        optimizer.step()
    with torch.no_grad():
        made = network(x, steps, condition)
        assert not torch.allclose(made, network(x, steps, condition + 1), atol=1e-4)
        assert not torch.allclose(made, network(x, steps + 5, condition), atol=1e-4)


def test_rows_do_not_touch_each_other() -> None:
    network = small(zero_start=False).eval()
    x, steps, condition = given(16)
    with torch.no_grad():
        together = network(x, steps, condition)
        alone = torch.cat(
            [network(x[i : i + 1], steps[i : i + 1], condition[i : i + 1]) for i in range(3)]
        )
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("stride", "length"), [(1, 9), (2, 9), (2, 8)])
def test_three_taps_are_a_convolution(stride: int, length: int) -> None:
    ours, x = Convolution(4, 5, stride=stride), torch.randn(2, length, 4)
    weight = ours.weight.unflatten(1, (3, 4)).transpose(1, 2)
    stock = nn.functional.conv1d(x.transpose(1, 2), weight, ours.bias, stride, padding=1)
    torch.testing.assert_close(ours(x), stock.transpose(1, 2), atol=1e-6, rtol=0)


def test_norms_and_doubling_are_the_stock_ones() -> None:
    norm, x = GroupNorm(24), torch.randn(2, 7, 24)
    nn.init.normal_(norm.weight)
    stock = nn.functional.group_norm(x.transpose(1, 2), 3, norm.weight, norm.bias)
    torch.testing.assert_close(norm(x), stock.transpose(1, 2), atol=1e-6, rtol=0)
    up = Up(24)
    for length in (7, 13, 14):
        wide = nn.functional.interpolate(x.transpose(1, 2), size=length).transpose(1, 2)
        torch.testing.assert_close(up(x, length), up.convolution(wide), atol=1e-6, rtol=0)


def test_no_group_is_so_small_that_it_takes_the_embedding_away() -> None:
    for channels in (8, 16, 24, 48, 256, 2048):
        assert channels // groups_of(channels) >= 8
    assert groups_of(256) == 32
