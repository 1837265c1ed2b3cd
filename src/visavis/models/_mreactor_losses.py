"""MReactor's objective: Eq. 5 of the supplementary, and what its modules are asked beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from visavis.behaviour import Behaviour
from visavis.channels import GROUPS, SUBJECT_SLOTS
from visavis.dyad import Batch
from visavis.models._appropriate_loss import real
from visavis.models._mreactor_config import MReactorConfig
from visavis.models._mreactor_denoiser import LISTENER, Manner
from visavis.models._mreactor_inputs import patched, unpatched
from visavis.models._mreactor_regions import REGIONS, decorrelation
from visavis.models._mreactor_subjects import steered
from visavis.nn.diffusion import noised
from visavis.nn.losses import concordance, masked_mean
from visavis.nn.schedules import alpha_bars, cosine_betas
from visavis.nn.smooth_noise import drawn_like

if TYPE_CHECKING:
    from visavis.models.mreactor import MReactor, Understood

ATTRIBUTES = 25
_UNSTEERED = 0.5
"""Share of training's reactions that see all subjects of an utterance."""


def jerkiness(values: Tensor, mask: Tensor) -> Tensor:
    """Mean absolute second difference [..., T, C] over frames that mask [..., T] holds, [...]."""
    if values.shape[-2] < 3:
        return values.new_zeros(values.shape[:-2])
    known = torch.where(mask[..., None], values, 0.0)
    second = known.diff(n=2, dim=-2).abs().mean(-1)
    whole = mask[..., 2:] & mask[..., 1:-1] & mask[..., :-2]
    return (second * whole).sum(-1) / whole.sum(-1).clamp(min=1)


def terms(model: MReactor, batch: Batch) -> dict[str, Tensor]:
    """Everything a training step minimises, weighted; "log/..." is only looked at."""
    config = model.config
    understood = model.understand(batch.speaker)
    found = _generation(model, batch, understood)
    if understood.embeddings is not None and understood.seen is not None:
        found |= _disentanglement(model, understood)
    perceived = understood.perceived
    inside = understood.there
    counted = None if inside is None else inside[:, None].expand_as(perceived.mask)
    found["log/kept"] = masked_mean(perceived.mask.detach()[..., None], counted)
    rates = [x.rates.detach().mean() for x in model.relatives()]
    if rates and config.decay != "none":
        found["log/decay"] = torch.stack(rates).mean()
    return found


def chosen_listeners(batch: Batch, draws: int, *, paired: bool) -> Tensor:
    """Numbers of the listeners that each clip's draws are to become, [B, K]."""
    weights = batch.target_mask.to(torch.float32)
    if paired:  # always the first
        weights = torch.zeros_like(weights).index_fill_(1, weights.new_zeros(1).long(), 1.0)
    return torch.multinomial(weights, draws, replacement=True)


def _generation(model: MReactor, batch: Batch, understood: Understood) -> dict[str, Tensor]:
    """Eq. 5 on `draws` listeners of each clip, each at a step and noise of its own."""
    config = model.config
    values, mask = real(batch.targets, *GROUPS["attributes"], *GROUPS["coefficients"])
    number = chosen_listeners(batch, config.draws, paired=config.listener == "paired")
    rows = torch.arange(len(number), device=number.device)[:, None]
    wanted, known = values[rows, number], mask[rows, number]  # [B, K, T, 83]
    scaled = torch.where(known[..., None], model.listener_scale(wanted), 0.0)
    x0 = patched(scaled, config.patch)

    clips, samples = number.shape
    device = x0.device
    steps = torch.randint(config.steps, (clips, samples), device=device)
    levels = alpha_bars(cosine_betas(config.steps)).to(device)[steps.flatten()]
    noise = _noise_like(x0, config)
    x = noised(x0.flatten(0, 1), noise.flatten(0, 1), levels).view_as(x0)

    lost = torch.rand(2, clips, samples, device=device) < config.condition_dropout
    manner = Manner(
        torch.randn(clips, samples, config.variation, device=device) if config.variation else None,
        model.smoothness_of(wanted, known) if config.smoothness else None,
    )
    given = model.denoised(
        x, steps, understood, manner, _chosen(model, understood, samples, lost[1]), lost=lost[0]
    )
    made = unpatched(given, config.patch, scaled.shape[2])
    error = (made - scaled) ** 2
    attributes = masked_mean(error[..., :ATTRIBUTES], known)
    coefficients = masked_mean(error[..., ATTRIBUTES:], known)
    found = {
        "attributes": attributes,
        "coefficients": config.coefficient_weight * coefficients,
    }
    if config.smooth_weight and made.shape[2] > 1:
        apart = (made.diff(dim=2) - scaled.diff(dim=2)).abs()
        both = known[..., 1:] & known[..., :-1]
        found["smooth"] = config.smooth_weight * masked_mean(apart, both)
    if config.agreement_weight:
        raw = model.raw(made)[..., :ATTRIBUTES]
        agreement = concordance(raw, wanted[..., :ATTRIBUTES], known).nan_to_num(1.0)
        found["agreement"] = config.agreement_weight * (1 - agreement).mean()
    return found


def _noise_like(x0: Tensor, config: MReactorConfig) -> Tensor:
    """Noise for tokens [B, K, N, numbers], over their frames as in sampling."""
    if not config.smooth_noise:
        return torch.randn_like(x0)
    count = x0.shape[2] * config.patch
    frames = unpatched(x0.flatten(0, 1), config.patch, count)
    return patched(drawn_like(frames, config.smooth_noise), config.patch).view_as(x0)


def _chosen(model: MReactor, understood: Understood, samples: int, lost: Tensor) -> Tensor | None:
    """Which subjects each draw sees: one, as in generation, or all."""
    if understood.slots is None:
        return None
    clips, device = len(understood.slots), understood.slots.device
    chances = torch.rand(clips, SUBJECT_SLOTS, device=device).clamp(1e-6, 1 - 1e-6)
    number = None
    if model.config.steering:
        number = torch.randint(SUBJECT_SLOTS, (clips, samples), device=device)
    every = steered(understood.slots, chances, None).expand(-1, samples, -1, -1)
    if number is None:
        return every & ~lost[..., None, None]
    one = steered(understood.slots, chances, number)
    whole = torch.rand(clips, samples, 1, 1, device=device) < _UNSTEERED
    return torch.where(whole, every, one) & ~lost[..., None, None]


def _disentanglement(model: MReactor, understood: Understood) -> dict[str, Tensor]:
    """Six embeddings that do not repeat each other, keep their own region, and, the coarse
    expression, agree with what is heard."""
    config, regions = model.config, model.regions
    embeddings, seen = understood.embeddings, understood.seen
    assert regions is not None and embeddings is not None and seen is not None
    there = understood.there
    made = regions.reconstructed(embeddings)
    errors = [masked_mean((made[n] - seen[n]) ** 2, there) for n in REGIONS]
    found = {
        "decorrelation": config.decorrelation_weight * decorrelation(embeddings, there),
        "reconstruction": config.reconstruction_weight * torch.stack(errors).mean(),
    }
    if model.alignment is not None and len(understood.perceived.tokens) > 1:
        tokens = understood.perceived.tokens
        found["alignment"] = config.alignment_weight * model.alignment(
            embeddings["expression"], tokens, there
        )
    return found


def listener_rows(person: Behaviour) -> tuple[Tensor, Tensor]:
    """A batch of listeners' 83 numbers [B, T, 83] and the frames where all are known [B, T]."""
    values, mask = real(person, *GROUPS["attributes"], *GROUPS["coefficients"])
    assert values.shape[-1] == LISTENER
    return values, mask
