"""Windows there and back, for any length."""

from __future__ import annotations

import pytest
import torch

from visavis.nn.windows import count, overlap_mean, unfold


@pytest.mark.parametrize(
    ("frames", "windows"), [(1, 1), (50, 1), (51, 2), (75, 2), (76, 3), (750, 29), (751, 30)]
)
def test_windows_cover_every_frame_and_no_more_than_needed(frames: int, windows: int) -> None:
    assert count(frames, 50, 25) == windows
    assert count(torch.tensor([frames]), 50, 25).tolist() == [windows]  # type: ignore[union-attr]
    x = torch.randn(2, frames, 3)
    assert unfold(x, 50, 25).shape == (2, windows, 50, 3)


@pytest.mark.parametrize("frames", [1, 7, 8, 9, 30])
@pytest.mark.parametrize(("size", "stride"), [(8, 4), (8, 8), (5, 3)])
def test_a_signal_cut_in_windows_comes_back(frames: int, size: int, stride: int) -> None:
    x = torch.randn(2, frames, 3)
    parts = unfold(x, size, stride)[:, None]
    torch.testing.assert_close(overlap_mean(parts, stride, frames)[:, 0], x)


def test_a_shared_frame_is_the_mean_of_its_windows() -> None:
    parts = torch.tensor([1.0, 3.0])[None, None, :, None, None].expand(1, 1, 2, 4, 1)
    made = overlap_mean(parts, 2, 6)
    assert made.flatten().tolist() == [1, 1, 2, 2, 3, 3]


def test_windows_beyond_a_clip_s_own_are_not_read() -> None:
    x = torch.randn(2, 20, 1)
    parts = unfold(x, 8, 4)[:, None].clone()
    parts[1, :, 2:] = float("nan")
    made = overlap_mean(parts, 4, 20, torch.tensor([4, 2]))
    torch.testing.assert_close(made[0, 0], x[0])
    torch.testing.assert_close(made[1, 0, :12], x[1, :12])
