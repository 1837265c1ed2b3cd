"""Noise that is alike over some frames is noise still: deviation 1, nothing from the future."""

from __future__ import annotations

import pytest
import torch

from visavis.nn.smooth_noise import reach, smoothed


@pytest.mark.parametrize("length", [1.0, 3.0, 6.5])
def test_its_deviation_is_one_at_every_frame_and_neighbours_are_alike(length: float) -> None:
    white = torch.randn(4000, 40, 2, generator=torch.Generator().manual_seed(0))
    made = smoothed(white, length)
    torch.testing.assert_close(made.std((0, 2)), torch.ones(40), atol=0.05, rtol=0.0)
    late = made[:, reach(length) :]
    beside = float((late[:, 1:] * late[:, :-1]).mean())
    # two bells of deviation l, one frame apart
    assert beside == pytest.approx(float(torch.exp(torch.tensor(-0.25 / length**2))), abs=0.06)


def test_length_zero_is_white_noise() -> None:
    white = torch.randn(2, 5, 3)
    assert torch.equal(smoothed(white, 0.0), white)


def test_later_frames_change_nothing_before_them() -> None:
    white = torch.randn(2, 30, 3)
    changed = white.clone()
    changed[:, 20:] = 9.0
    one, other = smoothed(white, 3.0), smoothed(changed, 3.0)
    assert torch.equal(one[:, :20], other[:, :20])
    assert not torch.equal(one[:, 20:], other[:, 20:])


def test_pieces_that_know_what_was_before_are_the_whole() -> None:
    white = torch.randn(2, 45, 3, dtype=torch.float64)
    whole = smoothed(white, 3.0)
    parts = [smoothed(white[:, :15], 3.0)]
    for start in (15, 30):
        parts.append(smoothed(white[:, start : start + 15], 3.0, white[:, start - 15 : start]))
    torch.testing.assert_close(torch.cat(parts, 1), whole)
