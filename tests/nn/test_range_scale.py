"""The range's scale is exactly undone, and survives columns that do not vary."""

from __future__ import annotations

import torch

from visavis.nn.range_scale import RangeScale


def test_it_is_the_identity_until_fitted() -> None:
    x = torch.randn(4, 3)
    scale = RangeScale(3)
    torch.testing.assert_close(scale(x), x)
    scale.fit([x[:0]])
    torch.testing.assert_close(scale.back(x), x)


def test_training_rows_lie_in_its_range_and_come_back() -> None:
    x = torch.tensor([[-2.0, 5.0], [0.0, 5.0], [3.0, 5.0]])
    scale = RangeScale(2)
    scale.fit([x[:1], x[1:]])
    torch.testing.assert_close(scale(x)[:, 0], torch.tensor([-1.0, -0.2, 1.0]))
    assert torch.equal(scale(x)[:, 1], torch.zeros(3))  # only centred
    torch.testing.assert_close(scale.back(scale(x)), x)
    beyond = torch.tensor([[9.0, 6.0]])
    torch.testing.assert_close(scale.back(scale(beyond)), beyond)
