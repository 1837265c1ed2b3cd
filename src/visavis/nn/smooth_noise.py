"""Noise that moves no faster than what is to be drawn.

A denoiser of motion that was trained briefly leaves a little of the noise it should remove. Of
white noise that is a trembling; of noise that is alike over some frames it is a slow and harmless
drift. Any Gaussian noise will do for a diffusion, if training and sampling have the same.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

REACH = 4
"""Frames back that a frame's noise is made of, in units of its length."""


def smoothed(white: Tensor, length: float, before: Tensor | None = None) -> Tensor:
    """White noise [..., T, C] as noise of deviation 1 that is alike over `length` frames.

    Each frame is a weighted sum of the white noise up to it, so that what comes later changes
    nothing; weights are a bell of deviation `length` that is highest 2 `length` frames back, cut
    off where there is no noise yet. With length 0 it is the white noise.

    Args:
        white: [..., T, C].
        length: frames.
        before: white noise before it, [..., P, C], of which the last frames are used.
    """
    if not length:
        return white
    known = white if before is None else torch.cat([before, white], dim=-2)
    past = known.shape[-2] - white.shape[-2]
    place = torch.arange(known.shape[-2], device=white.device)
    lag = (place[past:, None] - place).to(white.dtype)
    weights = torch.exp(-0.5 * (lag / length - REACH / 2) ** 2)
    weights = weights * ((lag >= 0) & (lag <= REACH * length))
    weights = weights / weights.square().sum(-1, keepdim=True).sqrt()
    return torch.einsum("ij,...jc->...ic", weights, known)


def continued(here: Tensor, before: Tensor, first: Tensor, length: float) -> Tensor:
    """`smoothed` for pieces [..., T, C] that follow pieces `before`, but where bool `first` [...]
    says that nothing was before."""
    begun = smoothed(here, length)
    return torch.where(first[..., None, None], begun, smoothed(here, length, before))


def drawn_like(x: Tensor, length: float) -> Tensor:
    """Noise for rows [N, T, C], as it is in the middle of a clip."""
    shape = (len(x), reach(length) + x.shape[1], x.shape[2])
    white = torch.randn(shape, device=x.device, dtype=x.dtype)
    past, here = white.split([reach(length), x.shape[1]], dim=1)
    return smoothed(here, length, past)


def reach(length: float) -> int:
    """Frames of white noise before the first that `smoothed` can use."""
    return int(REACH * length)


def way(share: Tensor) -> tuple[Tensor, Tensor]:
    """Weights of two independent normals on the way from the first (0) to the second (1) that keep
    their variance."""
    angle = share * (math.pi / 2)
    return angle.cos(), angle.sin()
