"""Where a token stands, as a vector to add or to ask with."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def sinusoid(positions: Tensor, width: int) -> Tensor:
    """Sinusoidal positions (Vaswani et al., 2017, section 3.5): [..., T] -> [..., T, width]."""
    rates = torch.exp(
        torch.arange(0, width, 2, device=positions.device) * (-math.log(10000.0) / width)
    )
    angles = positions.to(torch.float32)[..., None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(-2)[..., :width]


def periodic(positions: Tensor, width: int, period: int) -> Tensor:
    """Sinusoidal positions that begin again every `period` (Fan et al., FaceFormer, 2022, Eq. 6).

    [..., T] -> [..., T, width]. Two tokens a whole number of periods apart look alike.
    """
    return sinusoid(positions % period, width)
