"""A diffusion step, a noise level or a time as a vector that a network can read."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


def step_embedding(steps: Tensor, width: int, *, max_period: float = 10000.0) -> Tensor:
    """Steps [...] of any dtype to [..., width]: cosines first, then sines.

    The order of the guided-diffusion family (Dhariwal and Nichol, 2021, released code), in which
    `nn.attention.sinusoid` differs. An odd width ends with a zero.
    """
    half = width // 2
    rates = torch.exp(torch.arange(half, device=steps.device) * (-math.log(max_period) / half))
    angles = steps.to(torch.float32)[..., None] * rates
    both = torch.cat([angles.cos(), angles.sin()], dim=-1)
    return nn.functional.pad(both, (0, width - 2 * half))


def log_noise(sigma: Tensor) -> Tensor:
    """c_noise = ln(sigma) / 4 (Karras et al., EDM, 2022, Table 1), about -1.2 to 1.1."""
    return sigma.log() / 4


class FourierFeatures(nn.Module):
    """Values [...] to [..., width]: cosines, then sines, at random frequencies kept as a buffer.

    Tancik et al. (2020), section 6, as EDM uses it for c_noise; `spread` is the deviation of the
    frequencies (of c_noise: 1 to 16; too small a spread cannot tell neighbouring levels apart).
    """

    frequencies: Tensor

    def __init__(self, width: int, *, spread: float = 1.0) -> None:
        super().__init__()
        assert width % 2 == 0
        self.register_buffer("frequencies", torch.randn(width // 2) * spread)

    def forward(self, values: Tensor) -> Tensor:
        angles = 2 * math.pi * values[..., None] * self.frequencies
        return torch.cat([angles.cos(), angles.sin()], dim=-1)
