"""Trans-VAE's two objectives: the paper's, and one that uses all appropriate listeners.

Measured on simulated dyads, the paper's objective answers every speaker with the mean of all
listeners, and buys its pooled diversity with valence and arousal alone, which it drives to their
ends (docs/models.md). The second objective is what the bundled weights are trained with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from visavis.behaviour import Behaviour
from visavis.channels import GROUPS
from visavis.dyad import Batch
from visavis.nn.losses import (
    concordance,
    energy_diversity,
    masked_mean,
    nearest,
    spread_hinge,
    squared_error,
    velocity_error,
)

if TYPE_CHECKING:
    from visavis.models.trans_vae import TransVAEConfig

AGREEMENT, ERROR, VARIETY, MOTION = 6.0, 5.0, 0.5, 2.0
"""Weights of the second objective's terms: 1 - CCC, squared error, shortfall of variety, squared
error of first differences. With MOTION at 25 a face that never moves is the better answer at first,
and online training stays there (docs/models.md)."""
SHARE = 0.7
"""Of the real listeners' variety that two draws must have: each step beyond costs FRDist."""


def objective_terms(
    config: TransVAEConfig, draws: dict[str, Tensor], kl: Tensor, batch: Batch
) -> dict[str, Tensor]:
    """Terms of two draws {"coefficients": [B, 2, T, 58], "attributes": [B, 2, T, 25]}."""
    parts = _appropriate if config.objective == "appropriate" else _paper
    return parts(config, draws, batch) | {"kl": config.kl_weight * kl, "log/kl": kl.detach()}


def _real(person: Behaviour, *names: str) -> tuple[Tensor, Tensor]:
    """Values [..., T, C], zero where unobserved, and the frames to learn from [..., T]."""
    mask = person.inside()
    for n in names:
        mask = mask & person.mask(n)
    return torch.cat([person.filled(n) for n in names], dim=-1), mask


def _paper(config: TransVAEConfig, draws: dict[str, Tensor], batch: Batch) -> dict[str, Tensor]:
    """MSE to the paired listener, pose ten times, and exp(-distance) of two draws (spec 4.3)."""

    def error(predicted: Tensor, *names: str) -> Tensor:
        return squared_error(predicted, *_real(batch.listener, *names))

    coefficients, attributes = draws["coefficients"], draws["attributes"]
    inside = batch.listener.inside()
    diversity = energy_diversity(coefficients[:, 0], coefficients[:, 1], inside)
    diversity = diversity + energy_diversity(attributes[:, 0], attributes[:, 1], inside)
    return {
        "attributes": error(attributes[:, 0], *GROUPS["attributes"]),
        "blendshapes": error(coefficients[:, 0, :, :52], "blendshapes"),
        "pose": config.pose_weight * error(coefficients[:, 0, :, 52:], "rotation", "translation"),
        "diversity": config.diversity_weight * diversity,
    }


def _appropriate(
    config: TransVAEConfig, draws: dict[str, Tensor], batch: Batch
) -> dict[str, Tensor]:
    """Each draw against its nearest appropriate listener; variety as among those listeners."""
    attributes, mask = _real(batch.targets, *GROUPS["attributes"])  # [B, N, T, 25]
    coefficients, pose_mask = _real(batch.targets, *GROUPS["coefficients"])
    there = batch.target_mask[:, None].expand(-1, 2, -1)

    drawn = draws["attributes"][:, :, None]  # [B, 2, 1, T, 25]
    real, seen = attributes[:, None], mask[:, None]
    agreement = concordance(drawn, real, seen).nan_to_num(1.0).mean(-1)  # [B, 2, N]
    error = (((drawn - real) ** 2).mean(-1) * seen).sum(-1) / seen.sum(-1).clamp(min=1)
    cost, chosen = nearest(AGREEMENT * (1 - agreement) + ERROR * error, there)

    rows = torch.arange(len(chosen), device=chosen.device)[:, None]
    nearest_real, kept = coefficients[rows, chosen], pose_mask[rows, chosen]
    difference = (draws["coefficients"] - nearest_real) ** 2
    motion = velocity_error(draws["coefficients"], nearest_real, kept)
    motion = motion + velocity_error(
        draws["attributes"], attributes[rows, chosen], mask[rows, chosen]
    )
    return {
        "attributes": cost.mean(),
        "blendshapes": ERROR * masked_mean(difference[..., :52], kept),
        "pose": config.pose_weight * masked_mean(difference[..., 52:], kept),
        "motion": MOTION * motion,
        "variety": VARIETY
        * (
            _shortfall(draws["attributes"], attributes, batch.target_mask)
            + _shortfall(draws["coefficients"][..., :52], coefficients[..., :52], batch.target_mask)
        ),
    }


def _shortfall(drawn: Tensor, targets: Tensor, there: Tensor) -> Tensor:
    """How far two draws [B, 2, T, C] vary less than the appropriate listeners [B, N, T, C]."""
    first, second = drawn.unbind(1)
    return spread_hinge(first, second, SHARE * _variety(targets, there))


def _variety(targets: Tensor, there: Tensor) -> Tensor:
    """Mean squared difference a channel between two appropriate listeners, [B, N, T, C] to [C]."""
    weights = there[..., None, None].to(targets.dtype)
    count = weights.sum(1, keepdim=True)
    mean = (targets * weights).sum(1, keepdim=True) / count.clamp(min=1)
    variance = (((targets - mean) ** 2) * weights).sum(1) / (count[:, 0] - 1).clamp(min=1)
    return 2 * variance.mean((0, 1))
