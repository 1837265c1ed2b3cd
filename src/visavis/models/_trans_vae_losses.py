"""Trans-VAE's two objectives: the paper's, and the one that uses all appropriate listeners.

Measured on simulated dyads, the paper's objective answers every speaker with the mean of all
listeners, and buys its pooled diversity with valence and arousal alone, which it drives to their
ends (docs/models.md). The second objective is what the bundled weights are trained with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from visavis.channels import GROUPS
from visavis.dyad import Batch
from visavis.models._appropriate_loss import appropriate_terms, real
from visavis.nn.losses import energy_diversity, squared_error

if TYPE_CHECKING:
    from visavis.models._trans_vae_config import TransVAEConfig


def objective_terms(
    config: TransVAEConfig, draws: dict[str, Tensor], kl: Tensor, batch: Batch
) -> dict[str, Tensor]:
    """Terms of K draws {"coefficients": [B, K, T, 58], "attributes": [B, K, T, 25]}; K = 2 of the
    paper's."""
    if config.objective == "appropriate":
        terms = _appropriate(config, draws, batch)
    else:
        terms = _paper(config, draws, batch)
    return terms | {"kl": config.kl_weight * kl, "log/kl": kl.detach()}


def _appropriate(
    config: TransVAEConfig, draws: dict[str, Tensor], batch: Batch
) -> dict[str, Tensor]:
    terms = appropriate_terms(
        draws,
        batch,
        pose_weight=config.pose_weight,
        share=config.variety_share,
        coverage=config.coverage_weight > 0,
        by_group=config.by_group,
    )
    weights = {
        "motion": config.motion_weight,
        "variety": config.variety_weight,
        "coverage": config.coverage_weight,
    }
    return {n: weights.get(n, 1.0) * x for n, x in terms.items()}


def _paper(config: TransVAEConfig, draws: dict[str, Tensor], batch: Batch) -> dict[str, Tensor]:
    """MSE to the paired listener, pose ten times, and exp(-distance) of two draws (spec 4.3)."""

    def error(predicted: Tensor, *names: str) -> Tensor:
        return squared_error(predicted, *real(batch.listener, *names))

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
