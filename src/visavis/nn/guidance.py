"""Classifier-free guidance (Ho and Salimans, 2022)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from visavis.errors import InputError

Denoiser = Callable[[Tensor, Tensor], Tensor]


def guided(conditional: Denoiser, unconditional: Denoiser | None, scale: float) -> Denoiser:
    """u + scale (c - u): 0 is unconditional, 1 is conditional, beyond 1 exaggerates.

    This scale is 1 + w of the paper's Eq. 6. Where a limit needs one of the two, only that one is
    evaluated.

    Raises:
        InputError: a scale other than 1 for a model that was not trained without its condition.
    """
    if scale == 1:
        return conditional
    if unconditional is None:
        raise InputError(
            f"guidance {scale:g} needs a model that was also trained without its condition; this "
            "one was not. Leave guidance at 1, or train with condition dropout."
        )
    if scale == 0:
        return unconditional

    def both(x: Tensor, t: Tensor) -> Tensor:
        without = unconditional(x, t)
        return without + scale * (conditional(x, t) - without)

    return both


def drop_rows(
    condition: Tensor, nothing: Tensor, probability: float, chance: Tensor | None = None
) -> Tensor:
    """Condition [N, ...] with rows replaced by `nothing` (the paper's Algorithm 1).

    Args:
        condition: [N, ...].
        nothing: what stands for no condition, broadcast to a row.
        probability: share of the rows, in [0, 1].
        chance: uniform numbers [N]; drawn where not given.
    """
    if not probability:
        return condition
    if chance is None:
        chance = torch.rand(len(condition), device=condition.device)
    dropped = (chance < probability).reshape(-1, *[1] * (condition.dim() - 1))
    return torch.where(dropped, nothing, condition)
