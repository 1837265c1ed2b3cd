"""Terms that several papers' losses share, each once, with its formula and source.

The Kullback-Leibler divergence stands with its distribution (`nn.gaussian.Gaussian.kl`), critics
and generators in `nn.adversarial`.
"""

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


def pairwise_diversity(
    draws: Tensor, mask: Tensor | None = None, *, scale: float = 100.0
) -> Tensor:
    """`energy_diversity` averaged over all pairs of K draws [B, K, T, C]; K at least 2.

    ReactFace, Eq. 21, divides by M (M - 1) over ordered pairs, which is this mean; its released
    code sums the pairs.
    """
    count = draws.shape[1]
    pairs = [(i, j) for i in range(count) for j in range(i)]
    terms = [energy_diversity(draws[:, i], draws[:, j], mask, scale=scale) for i, j in pairs]
    return torch.stack(terms).mean()


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


def least_error(
    predicted: Tensor, targets: Tensor, there: Tensor, mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Mean squared error to the nearest of N targets: min over n of ||y - x_n||^2 / (T C).

    The reconstruction of models that may answer in any appropriate way (ReactFace, Eq. 18, has it
    with a smooth L1).

    Args:
        predicted: [B, T, C].
        targets: [B, N, T, C].
        there: bool [B, N], which targets there are; at least one a row.
        mask: bool [B, N, T], frames to learn from; others are not read.

    Returns:
        The error a row [B], and the number of the target that was nearest [B].
    """
    error = predicted[:, None] - targets
    if mask is None:
        return nearest((error**2).mean((-1, -2)), there)
    error = torch.where(mask[..., None], error, 0.0)
    seen = mask.sum(-1).clamp(min=1) * targets.shape[-1]
    return nearest((error**2).sum((-1, -2)) / seen, there & mask.any(-1))


def motion_smoothness(predicted: Tensor, mask: Tensor | None = None, *, order: int = 1) -> Tensor:
    """Mean over frames of ||y_t - y_{t-1}||^2, [..., T, C] (L_mot of PerReactor).

    `order` 2 takes second differences, which leave a steady movement alone. Pairs of frames that
    mask [..., T] does not wholly hold are left out.
    """
    if predicted.shape[-2] <= order:
        return predicted.sum() * 0.0
    if mask is not None:
        predicted = torch.where(mask[..., None], predicted, 0.0)
    for _ in range(order):
        predicted = predicted.diff(dim=-2)
        mask = None if mask is None else mask[..., 1:] & mask[..., :-1]
    return masked_mean(predicted**2, mask) * predicted.shape[-1]


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
