"""Alignment biases against the specification's tables, computed there by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from visavis.nn.alignment import interaction_bias, point_bias, slopes

X = float("-inf")


def bias(frames: int, ticks: int, **more: int) -> Tensor:
    return interaction_bias(torch.arange(frames), torch.arange(ticks), **more)


def test_the_visual_bias_is_the_paper_s_table() -> None:
    wanted = [[0, X, X, X], [0, 0, X, X], [-1, 0, 0, X], [-1, -1, 0, 0]]
    assert torch.equal(bias(4, 4, period=2), torch.tensor(wanted))


def test_the_modality_bias_is_the_paper_s_table() -> None:
    wanted = [[0, 0, X, X, X, X], [0, 0, 0, 0, X, X], [-1, -1, 0, 0, 0, 0]]
    assert torch.equal(bias(3, 6, period=2, rate=2), torch.tensor(wanted, dtype=torch.float32))


@pytest.mark.parametrize("period", [1, 3, 8])
@pytest.mark.parametrize("rate", [1, 2, 3])
def test_it_is_eq_17_for_any_period_and_rate(period: int, rate: int) -> None:
    made = bias(20, 20 * rate, period=period, rate=rate)
    for i in range(1, 21):  # the paper counts from 1
        for j in range(1, 20 * rate + 1):
            wanted = -((rate * i - j) // (rate * period)) if j <= rate * i else X
            assert float(made[i - 1, j - 1]) == wanted


def test_a_long_period_leaves_only_causality() -> None:
    made = bias(9, 9, period=9)
    assert torch.equal(made == 0, torch.ones(9, 9, dtype=torch.bool).tril())


def test_a_part_of_a_sequence_has_its_part_of_the_table() -> None:
    whole = bias(30, 60, period=4, rate=2)
    part = interaction_bias(torch.arange(20, 25), torch.arange(30, 50), period=4, rate=2)
    assert torch.equal(part, whole[20:25, 30:50])


def test_a_horizon_and_slots_that_were_never_written_are_not_seen() -> None:
    made = interaction_bias(torch.tensor([9]), torch.arange(-2, 10), period=2, horizon=4)
    assert made.isfinite()[0].tolist() == [False] * 8 + [True] * 4
    early = interaction_bias(torch.tensor([1]), torch.arange(-2, 2), period=2, horizon=4)
    assert early.isfinite()[0].tolist() == [False, False, True, True]
    ticks = interaction_bias(torch.tensor([9]), torch.arange(20), period=2, rate=2, horizon=4)
    assert ticks.isfinite()[0].tolist() == [False] * 12 + [True] * 8


def test_point_to_point_sees_a_frame_s_own_ticks() -> None:
    made = point_bias(torch.arange(3), torch.arange(6), rate=2)
    wanted = [[0, 0, X, X, X, X], [X, X, 0, 0, X, X], [X, X, X, X, 0, 0]]
    assert torch.equal(made, torch.tensor(wanted))


def test_slopes_are_those_of_the_released_code() -> None:
    assert slopes(2).tolist() == [1 / 16, 1 / 256]
    assert slopes(4).tolist() == [1 / 4, 1 / 16, 1 / 64, 1 / 256]
    assert slopes(8)[[0, -1]].tolist() == [1 / 2, 1 / 256]
