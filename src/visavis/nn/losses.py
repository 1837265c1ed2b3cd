"""Terms that several papers' losses share, each once, with its formula."""

from __future__ import annotations

import torch
from torch import Tensor


def masked_mean(values: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean of values [..., T, C] over the frames where mask [..., T] is True.

    Values outside the mask are not read, so NaN there does no harm.
    """
    if mask is None:
        return values.mean()
    weights = mask[..., None].expand_as(values)
    return torch.where(weights, values, 0.0).sum() / weights.sum().clamp(min=1)


def squared_error(predicted: Tensor, real: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean squared error over the observed frames; [..., T, C], mask [..., T]."""
    if mask is not None:
        real = torch.where(mask[..., None], real, predicted.detach())
    return masked_mean((predicted - real) ** 2, mask)


def energy_diversity(first: Tensor, second: Tensor, *, scale: float = 100.0) -> Tensor:
    """exp(-||a - b||^2 / scale) of two draws [B, T, C], each clip as one vector; mean over B.

    It is 1 for equal draws and falls to 0 as they part (Yuan and Kitani, DLow, 2020, Eq. 8;
    Eq. 21 of ReactFace). The norm grows with T: a longer clip asks for less variety a frame.
    """
    distance = ((first - second) ** 2).flatten(1).sum(-1)
    return torch.exp(-distance / scale).mean()
