"""What PerFRDiff's denoiser minimises: published, and ours over all appropriate listeners.

Published (specification 3.3): the squared error of clean windows, one step of noise a window, every
appropriate reaction with noise of its own. Ours adds the objective of docs/models.md for what the
sampler makes of pure noise, over all windows of a crop: the steps before a chosen one are taken
without gradients, that one with.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from visavis.behaviour import Behaviour
from visavis.channels import GROUPS
from visavis.dyad import Batch
from visavis.models._appropriate_loss import appropriate_terms, real
from visavis.models._clip_decoder import ATTRIBUTES
from visavis.nn.diffusion import noised
from visavis.nn.losses import masked_mean
from visavis.nn.low_rank import Shift
from visavis.nn.samplers import ddim
from visavis.nn.schedules import alpha_bars, cosine_betas, leading_steps

if TYPE_CHECKING:
    from visavis.models._perfrdiff_config import PerFRDiffConfig
    from visavis.models._perfrdiff_denoiser import Memory
    from visavis.models.perfrdiff import PerFRDiff


DENOISED = 2
"""Appropriate reactions a clip that are denoised in a step of "appropriate": the paired one and
another, at random."""


def schedule(config: PerFRDiffConfig) -> tuple[Tensor, Tensor]:
    """Alpha-bars [T] and the steps that sampling takes, falling."""
    levels = alpha_bars(cosine_betas(config.steps))
    steps: Tensor = leading_steps(config.steps, config.sampling_steps)
    return levels, steps


def mixed(windows: Tensor, clip: Tensor, share: float) -> Tensor:
    """Noise of each frame [..., L, 25] and of the whole clip [..., 1, 25] with variances 1 - share
    and share."""
    return math.sqrt(1 - share) * windows + math.sqrt(share) * clip


def generic_terms(
    model: PerFRDiff, batch: Batch, there: Tensor, shifts: Mapping[str, Shift]
) -> dict[str, Tensor]:
    """Of the stages "generic" and "personal", whose targets are there [B, N]."""
    if model.config.objective == "published":
        return denoising_terms(model, batch, there, shifts)
    terms = sampled_terms(model, batch, there, shifts)
    if model.config.denoising_weight:
        apart = denoising_terms(model, _few(batch), there[:, :DENOISED], shifts)
        terms |= {n: model.config.denoising_weight * x for n, x in apart.items()}
    return terms


def _few(batch: Batch) -> Batch:
    """With its first `DENOISED` targets alone."""
    many = batch.targets
    first = Behaviour(
        {n: x[:, :DENOISED] for n, x in many.channels.items()},
        many.layout,
        observed={n: m[:, :DENOISED] for n, m in many.observed.items()},
        lengths=None if many.lengths is None else many.lengths[:, :DENOISED],
    )
    return replace(
        batch, targets=first, target_mask=batch.target_mask[:, :DENOISED], personal_mask=None
    )


def mean_terms(model: PerFRDiff, batch: Batch) -> dict[str, Tensor]:
    """Of the stage "mean": when to move, asking no variety.

    What is told to move is told it without noise. With noise it would learn to leave noise out, and
    no shortfall of variety could teach it otherwise: of draws that are alike it has no gradient.
    """
    terms = sampled_terms(model, batch, batch.target_mask, {}, quiet=True)
    return {n: x for n, x in terms.items() if n not in ("variety", "coverage")}


def denoising_terms(
    model: PerFRDiff, batch: Batch, there: Tensor, shifts: Mapping[str, Shift]
) -> dict[str, Tensor]:
    """Squared error of clean windows, by group."""
    config = model.config
    values, mask = real(batch.targets, *GROUPS["attributes"])
    memory, count = _remembered(model, batch, shifts, drop=config.condition_dropout)
    x0, known = (
        _in_windows(x, count, config.window) for x in (scaled(values), mask & there[..., None])
    )
    steps = torch.randint(config.steps, (len(x0),), device=x0.device)
    levels = alpha_bars(cosine_betas(config.steps)).to(x0.device)[steps]
    shape = (len(batch), count, *x0.shape[1:])
    x = noised(x0, _noise(model, shape).flatten(0, 1), levels)
    error = (model.denoised(x, steps, memory) - x0) ** 2
    parts = zip(("au", "va", "expression"), error.split([15, 2, 8], -1), strict=True)
    weights = {
        "au": 15.0,
        "va": 2 * config.va_weight,
        "expression": 8 * config.expression_weight,
    }
    return {n: weights[n] / 25 * masked_mean(part, known) for n, part in parts}


def sampled_terms(
    model: PerFRDiff,
    batch: Batch,
    there: Tensor,
    shifts: Mapping[str, Shift],
    *,
    quiet: bool = False,
) -> dict[str, Tensor]:
    """`appropriate_terms` of the clean data that the sampler sees at one of its steps, drawn evenly
    (`quiet`: at the first one, and of no noise)."""
    config = model.config
    memory, count = _remembered(model, batch, shifts, drop=0.0)
    shape = (len(batch), count, 1 if quiet else config.draws, config.window, ATTRIBUTES)
    if quiet:
        x = model.rest_attributes.new_zeros(shape).flatten(0, 1)
    else:
        x = _noise(model, shape).flatten(0, 1)
    levels, steps = schedule(config)
    # nothing is to be learned at step 0, where a skip leaves hardly anything to the network
    taken = 0 if quiet else int(torch.randint(int((steps > 0).sum()), ()))
    if taken:
        with torch.no_grad():
            x = ddim(
                lambda x, t: model.denoised(x, t, memory),
                x,
                levels,
                steps[:taken],
                prediction="x0",
                clip=1.0,
                last=float(levels[steps[taken]]),
            )
    step = torch.full((len(x),), int(steps[taken]), device=x.device)
    clean = model.denoised(x, step, memory).unflatten(0, shape[:2]).transpose(1, 2).flatten(2, 3)
    made = unscaled(clean[:, :, : batch.targets.frames])
    terms = appropriate_terms(
        {"attributes": made.expand(-1, 2, -1, -1) if quiet else made},
        batch,
        share=config.variety_share,
        coverage=config.coverage_weight > 0,
        by_group=True,
        only=there,
    )
    terms["motion"] = config.smooth_weight * terms["motion"]
    terms["variety"] = config.variety_weight * terms["variety"]
    if "coverage" in terms:
        terms["coverage"] = config.coverage_weight * terms["coverage"]
    return terms


def _noise(model: PerFRDiff, shape: tuple[int, ...]) -> Tensor:
    """[B, W, K, L, 25], as the sampler begins."""
    device, share = model.rest_attributes.device, model.config.persistence
    noise = torch.randn(shape, device=device)
    if not share:
        return noise
    clips, _, samples, _, width = shape
    return mixed(noise, torch.randn(clips, 1, samples, 1, width, device=device), share)


def scaled(attributes: Tensor) -> Tensor:
    """Attributes [..., 25] in their ranges to [-1, 1], where the sampler clamps."""
    au, va, expression = attributes.split([15, 2, 8], -1)
    return torch.cat([2 * au - 1, va, 2 * expression - 1], -1)


def unscaled(clean: Tensor) -> Tensor:
    """The other way."""
    au, va, expression = clean.split([15, 2, 8], -1)
    return torch.cat([(au + 1) / 2, va, (expression + 1) / 2], -1)


def _remembered(
    model: PerFRDiff, batch: Batch, shifts: Mapping[str, Shift], *, drop: float
) -> tuple[Memory, int]:
    """What the windows of a batch know, [B W], and W."""
    heard = model.read(batch.speaker)
    before = heard.new_zeros(len(heard), model.config.window, heard.shape[-1])
    seen = model.windows(heard, before)
    count = seen.shape[1]
    tokens, sound = model.tokens(seen.flatten(0, 1), drop=drop)
    known = {n: s.each(count) for n, s in shifts.items()}
    return model.denoiser.remember(tokens, known, sound), count


def _in_windows(x: Tensor, count: int, size: int) -> Tensor:
    """[B, N, T, ...] to [B W, N, L, ...], filled up with zeros."""
    lacking = count * size - x.shape[2]
    filler = x.new_zeros(*x.shape[:2], lacking, *x.shape[3:])
    whole: Tensor = torch.cat([x, filler], 2).unflatten(2, (count, size))
    return whole.transpose(1, 2).flatten(0, 1)
