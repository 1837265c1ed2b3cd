"""Positions against the formula."""

from __future__ import annotations

import math

import pytest
import torch

from visavis.nn.positions import periodic, sinusoid


@pytest.mark.parametrize("width", [6, 7, 128])
def test_sinusoid_is_the_published_formula(width: int) -> None:
    positions = torch.tensor([0, 1, 5, 749])
    table = sinusoid(positions, width)
    assert table.shape == (4, width)
    for row, position in enumerate(positions.tolist()):
        for column in range(width):
            angle = position / 10000 ** ((column - column % 2) / width)
            expected = math.cos(angle) if column % 2 else math.sin(angle)
            assert float(table[row, column]) == pytest.approx(expected, abs=2e-4)


def test_periodic_positions_begin_again() -> None:
    table = periodic(torch.arange(20), 6, 8)
    assert torch.equal(table[:8], sinusoid(torch.arange(8), 6))
    assert torch.equal(table[8:16], table[:8])
    assert torch.equal(periodic(torch.tensor([[3, 11], [4, 5]]), 6, 8)[0, 0], table[3])
