"""Noise schedules and the steps that a sampler takes through them.

Discrete schedules are given by alpha-bar, float64 [T]: x_t = sqrt(alpha_bar_t) x_0 +
sqrt(1 - alpha_bar_t) noise (Ho et al., DDPM, 2020, Eq. 4), step 0 the least noisy. Continuous ones
are given by noise levels, float64 [S + 1], from the highest down to 0.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from visavis.errors import InputError


def linear_betas(steps: int, start: float = 1e-4, end: float = 0.02) -> Tensor:
    """Betas that rise evenly (Ho et al., 2020, section 4), float64 [T]."""
    _at_least_one(steps, "diffusion steps")
    return torch.linspace(start, end, steps, dtype=torch.float64)


def scaled_linear_betas(steps: int, start: float = 0.00085, end: float = 0.012) -> Tensor:
    """Betas whose roots rise evenly (Rombach et al., 2022, released configuration), float64 [T]."""
    _at_least_one(steps, "diffusion steps")
    return torch.linspace(start**0.5, end**0.5, steps, dtype=torch.float64) ** 2


def cosine_betas(steps: int, *, offset: float = 0.008, cap: float = 0.999) -> Tensor:
    """Betas of a squared cosine (Nichol and Dhariwal, 2021, Eq. 17), capped, float64 [T]."""
    _at_least_one(steps, "diffusion steps")
    u = torch.arange(steps + 1, dtype=torch.float64) / steps
    level = torch.cos((u + offset) / (1 + offset) * math.pi / 2) ** 2
    return (1 - level[1:] / level[:-1]).clamp(max=cap)


def alpha_bars(betas: Tensor) -> Tensor:
    """The running product of 1 - beta (Ho et al., 2020, above Eq. 4), float64 [T]."""
    return torch.cumprod(1 - betas.double(), 0)


def leading_steps(steps: int, taken: int) -> Tensor:
    """`taken` of T steps, evenly from 0 up and highest first: 980, 960, ..., 0; int64 [S]."""
    _fits(steps, taken)
    return (torch.arange(taken) * (steps // taken)).flip(0)


def trailing_steps(steps: int, taken: int) -> Tensor:
    """`taken` of T steps, evenly from the last down: 999, 979, ..., 19 (Lin et al., 2024, Table 2).

    Sampling then begins at the noise that was trained last, which `leading_steps` misses.
    """
    _fits(steps, taken)
    return (torch.arange(taken, 0, -1, dtype=torch.float64) * (steps / taken)).round().long() - 1


def karras_sigmas(
    taken: int, *, low: float = 0.002, high: float = 80.0, rho: float = 7.0
) -> Tensor:
    """Noise levels from `high` to `low`, then 0 (Karras et al., EDM, 2022, Eq. 5), [S + 1]."""
    _at_least_one(taken, "sampling steps")
    if not 0 < low <= high:
        raise InputError(f"noise levels must be 0 < low <= high, not {low} and {high}.")
    along = torch.arange(taken, dtype=torch.float64) / max(taken - 1, 1)
    roots = high ** (1 / rho) + along * (low ** (1 / rho) - high ** (1 / rho))
    return torch.cat([roots**rho, roots.new_zeros(1)])


def flow_times(taken: int, *, shift: float = 1.0) -> Tensor:
    """Times from 1 (noise) to 0 (data), [S + 1]; `shift` > 1 lingers near the noise.

    The shift is t -> shift t / (1 + (shift - 1) t) (Esser et al., 2024, Eq. 23).
    """
    _at_least_one(taken, "sampling steps")
    even = torch.linspace(1, 0, taken + 1, dtype=torch.float64)
    return shift * even / (1 + (shift - 1) * even)


def _at_least_one(count: int, what: str) -> None:
    if count < 1:
        raise InputError(f"{what} must be at least 1, not {count}.")


def _fits(steps: int, taken: int) -> None:
    _at_least_one(steps, "diffusion steps")
    _at_least_one(taken, "sampling steps")
    if taken > steps:
        raise InputError(
            f"{taken} sampling steps were asked of a schedule of {steps}; take at most {steps}."
        )
