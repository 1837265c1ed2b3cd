"""Means over a few frames: ends, padding, and no change at one frame."""

from __future__ import annotations

import torch

from visavis.models._steady import steadied, trailing


def test_each_frame_is_the_mean_of_those_around_it_as_far_as_there_are() -> None:
    x = torch.randn(2, 3, 9, 4)
    got = steadied(x, 5)
    for t in range(9):
        around = x[:, :, max(t - 2, 0) : t + 3].mean(2)
        torch.testing.assert_close(got[:, :, t], around)
    assert torch.equal(steadied(x, 1), x)


def test_padding_is_not_read() -> None:
    x = torch.randn(2, 3, 9, 4)
    inside = torch.arange(9)[None] < torch.tensor([[6], [9]])
    spoilt = torch.where(inside[:, None, :, None], x, float("nan"))
    got = steadied(spoilt, 5, inside)
    torch.testing.assert_close(got[0, :, :6], steadied(x[:1, :, :6], 5)[0])
    torch.testing.assert_close(got[1], steadied(x[1:], 5)[0])


def test_trailing_means_are_of_what_was_before_and_go_on_piece_by_piece() -> None:
    x = torch.randn(2, 3, 9, 4)
    nothing = torch.zeros(2, 3, 4, 4)
    whole = trailing(x, 5, nothing, 0)
    for t in range(9):
        torch.testing.assert_close(whole[:, :, t], x[:, :, max(t - 4, 0) : t + 1].mean(2))
    first = trailing(x[:, :, :3], 5, nothing, torch.tensor([0, 0]))
    held = torch.cat([nothing, x[:, :, :3]], 2)[:, :, -4:]
    rest = trailing(x[:, :, 3:], 5, held, torch.tensor([3, 3]))
    torch.testing.assert_close(torch.cat([first, rest], 2), whole)
