"""ReactFace's losses (Eq. 18 to 23), and the same parts around our own objective."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from visavis.channels import GROUPS
from visavis.dyad import Batch
from visavis.features.attributes import attributes_from_coefficients
from visavis.models._appropriate_loss import appropriate_terms, real
from visavis.nn.losses import masked_mean, nearest, pairwise_diversity

if TYPE_CHECKING:
    from visavis.models._reactface_config import ReactFaceConfig

EXPRESSION = 52


def reaction_terms(config: ReactFaceConfig, draws: Tensor, batch: Batch) -> dict[str, Tensor]:
    """Terms of draws [B, M, T, 58] that the config's objective asks for, weighted.

    "paper": Eq. 20, 21 and 23, of the first draw but for the diversity. "appropriate": two draws,
    `_appropriate_loss`; its error of first differences stands for Eq. 23 and its shortfall of
    variety for Eq. 21, scaled by the same weights.
    """
    there = batch.target_mask
    if config.reconstruction == "paired":
        there = torch.zeros_like(there)
        there[:, 0] = True
    if config.objective == "paper":
        inside = batch.listener.inside()
        return {
            "reaction": appropriate_error(config, draws[:, 0], batch, there),
            "diversity": config.diversity_weight * pairwise_diversity(draws, inside),
            "smooth": config.smooth_weight * unsteadiness(draws[:, 0], inside),
        }
    made = attributes_from_coefficients(draws[..., :EXPRESSION], draws[..., 52:55])
    attributes = torch.cat([made[n] for n in GROUPS["attributes"]], dim=-1)
    terms = appropriate_terms(
        {"coefficients": draws, "attributes": attributes},
        batch,
        pose_weight=config.pose_weight,
        share=config.variety_share,
        coverage=config.coverage_weight > 0,
        by_group=True,
        only=there,
    )
    terms["motion"] = config.smooth_weight * terms["motion"]
    terms["variety"] = config.diversity_weight * terms["variety"]
    if "coverage" in terms:
        terms["coverage"] = config.coverage_weight * terms["coverage"]
    return terms


def appropriate_error(
    config: ReactFaceConfig, drawn: Tensor, batch: Batch, there: Tensor
) -> Tensor:
    """Smooth L1 to the nearest appropriate reaction (Eq. 20): drawn [B, T, 58], there [B, N].

    "joint" and "paired": one mean over all 58 channels and so one nearest reaction, as printed.
    "separate": expression and pose each to the reaction nearest in it alone, the pose
    `pose_weight` times, as released.
    """
    targets, mask = real(batch.targets, *GROUPS["coefficients"])  # [B, N, T, 58]
    error = F.smooth_l1_loss(drawn[:, None].expand_as(targets), targets, reduction="none")
    error = torch.where(mask[..., None], error, 0.0)
    error = error.sum(-2) / mask.sum(-1, keepdim=True).clamp(min=1)  # [B, N, 58]
    there = there & mask.any(-1)
    known = there.any(-1)
    if not bool(known.any()):  # nobody's reaction was observed: nothing to learn
        return drawn.sum() * 0.0
    there = there | ~known[:, None]
    if config.reconstruction == "separate":
        expression, _ = nearest(error[..., :EXPRESSION].mean(-1), there)
        pose, _ = nearest(error[..., EXPRESSION:].mean(-1), there)
        least = expression + config.pose_weight * pose
    else:
        least, _ = nearest(error.mean(-1), there)
    return (least * known).sum() / known.sum()


def unsteadiness(drawn: Tensor, mask: Tensor) -> Tensor:
    """Smooth L1 between consecutive velocities (Eq. 23): [B, T, 58], mask [B, T]."""
    if drawn.shape[-2] < 3:
        return drawn.sum() * 0.0
    velocity = drawn.diff(dim=-2)
    change = F.smooth_l1_loss(velocity[..., 1:, :], velocity[..., :-1, :], reduction="none")
    return masked_mean(change, mask[..., 2:] & mask[..., 1:-1] & mask[..., :-2])


def speaker_error(predicted: Tensor, batch: Batch) -> Tensor:
    """Smooth L1 of the speaker's own coefficients (Eq. 19), [B, T, 58]."""
    values, mask = real(batch.speaker, *GROUPS["coefficients"])
    return masked_mean(F.smooth_l1_loss(predicted, values, reduction="none"), mask)
