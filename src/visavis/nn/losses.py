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


def energy_diversity(
    first: Tensor, second: Tensor, mask: Tensor | None = None, *, scale: float = 100.0
) -> Tensor:
    """exp(-||a - b||^2 / scale) of two draws [B, T, C], each clip as one vector; mean over B.

    Frames where mask [B, T] is False are not read.

    It is 1 for equal draws and falls to 0 as they part (Yuan and Kitani, DLow, 2020, Eq. 8;
    Eq. 21 of ReactFace). The norm grows with T: a longer clip asks for less variety a frame.
    """
    apart = first - second
    if mask is not None:
        apart = torch.where(mask[..., None], apart, 0.0)
    distance = (apart**2).flatten(1).sum(-1)
    return torch.exp(-distance / scale).mean()


def concordance(predicted: Tensor, real: Tensor, mask: Tensor | None = None) -> Tensor:
    """Concordance correlation over time a channel (Lin, 1989): [..., T, C] to [..., C].

    A channel that is constant in `real` gives NaN: it has nothing to agree with. Frames where
    mask [..., T] is False are not read.
    """
    weights = torch.ones_like(real[..., :1])
    if mask is not None:
        weights = mask[..., None].to(real.dtype)
        predicted, real = (torch.where(mask[..., None], x, 0.0) for x in (predicted, real))
    total = weights.sum(-2).clamp(min=1)

    def mean(x: Tensor) -> Tensor:
        return (x * weights).sum(-2) / total

    centred_p = predicted - mean(predicted)[..., None, :]
    centred_r = real - mean(real)[..., None, :]
    variance_r = mean(centred_r**2)
    agreement = 2 * mean(centred_p * centred_r)
    spread = mean(centred_p**2) + variance_r + (mean(predicted) - mean(real)) ** 2
    return torch.where(variance_r > 1e-6, agreement / spread.clamp(min=1e-8), torch.nan)


def nearest(costs: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Least of the costs [..., N] among the targets that are there (mask), and its index."""
    least = costs.masked_fill(~mask, float("inf")).min(-1)
    return least.values, least.indices


def spread_hinge(first: Tensor, second: Tensor, wanted: Tensor) -> Tensor:
    """How far two draws fall short of the wanted variety, channel by channel.

    Draws [B, T, C], wanted mean squared differences [C]. A channel that is varied enough costs
    nothing and cannot pay for another: a pooled diversity is met by one noisy channel alone.
    """
    got = ((first - second) ** 2).mean((0, 1))
    return (torch.relu(wanted - got) / wanted.clamp(min=1e-4)).mean()


def velocity_error(predicted: Tensor, real: Tensor, mask: Tensor | None = None) -> Tensor:
    """Squared error of first differences over time, [..., T, C]; mask [..., T] of whole frames.

    A smoothness term that asks for the real motion rather than for none (the first-difference
    penalty of PerReactor, section "motion", pulls every movement towards stillness).
    """
    if predicted.shape[-2] < 2:
        return predicted.sum() * 0.0
    both = None if mask is None else mask[..., 1:] & mask[..., :-1]
    return squared_error(predicted.diff(dim=-2), real.diff(dim=-2), both)
