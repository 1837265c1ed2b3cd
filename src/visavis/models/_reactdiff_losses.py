"""ReactDiff's two stages: the transformer (Eq. 5, and ours beside it), the denoiser (Eq. 8)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from visavis.behaviour import Behaviour
from visavis.channels import GROUPS
from visavis.dyad import Batch
from visavis.models._appropriate_loss import AGREEMENT, ERROR, real
from visavis.models._reactdiff_latent import count, padded, windows
from visavis.models._reactdiff_sampling import FLOW_SCALE, levels
from visavis.nn.diffusion import draw_noised, row_errors, rows
from visavis.nn.guidance import drop_rows
from visavis.nn.losses import concordance, masked_mean

if TYPE_CHECKING:
    from visavis.models.reactdiff import ReactDiff

DIFFUSION = 10.0
"""Weight of the denoiser's error, as released."""


def transformer_terms(model: ReactDiff, batch: Batch) -> dict[str, Tensor]:
    """The first stage: both partners as they are, and the first guess or whole answer."""
    config, parts = model.config, dict[str, Tensor]()
    speaker, inside = batch.speaker, _inside(batch)
    told = model.encode(speaker, inside, speaking=True)
    if config.diffusion.enabled:
        model.inputs_of.need_face(batch.listener)
        parts["listener"] = model.encode(batch.listener, inside, speaking=False)
        mirrored = {*GROUPS["attributes"], *GROUPS["coefficients"]}
        if config.transformer.video and mirrored <= set(speaker.layout.names):
            parts["speaker"] = told
    if config.guess or not config.diffusion.enabled:
        parts["answer"] = model.answer(told)
    many = None if inside is None else inside.repeat(len(parts), 1)
    decoded = model.decode(torch.cat(list(parts.values())), many)
    made = {
        who: {n: x.unflatten(0, (len(parts), -1))[i] for n, x in decoded.items()}
        for i, who in enumerate(parts)
    }
    terms = dict[str, Tensor]()
    for who, raw in made.items():
        if who == "answer" and config.objective == "appropriate":
            terms |= guessed(raw, batch)
        else:
            terms |= error_terms(model, raw, speaker if who == "speaker" else batch.listener, who)
    return terms


def error_terms(
    model: ReactDiff, made: dict[str, Tensor], person: Behaviour, who: str
) -> dict[str, Tensor]:
    """w1 times the squared error of coefficients and w2 times the absolute one of attributes.

    Under the objective "appropriate" the attributes' error is squared too: the least absolute error
    of an action unit that is mostly off is to leave it off.
    """
    coefficients, seen = real(person, *GROUPS["coefficients"])
    attributes, known = real(person, *GROUPS["attributes"])
    config = model.config
    apart = (made["attributes"] - attributes).abs()
    if config.objective == "appropriate":
        apart = apart**2
    squares = (made["coefficients"] - coefficients) ** 2
    return {
        f"{who}/coefficients": config.coefficient_weight * masked_mean(squares, seen),
        f"{who}/attributes": config.attribute_weight * masked_mean(apart, known),
    }


def guessed(made: dict[str, Tensor], batch: Batch) -> dict[str, Tensor]:
    """One answer [B, T, ...] beside all appropriate listeners: squared error and agreement.

    The error is to every one of them, whose least is their mean, and 1 - CCC likewise: the guess
    need not choose, the diffusion does.
    """
    attributes, seen = real(batch.targets, *GROUPS["attributes"])
    coefficients, known = real(batch.targets, *GROUPS["coefficients"])
    there = batch.target_mask
    drawn = made["attributes"][:, None]
    agreement = concordance(drawn, attributes, seen).nan_to_num(1.0).mean(-1)
    weights = there.to(agreement.dtype) / there.sum(1, keepdim=True)
    errors = (drawn - attributes) ** 2
    apart = (made["coefficients"][:, None] - coefficients) ** 2
    return {
        "guess/agreement": 0.2 * AGREEMENT * ((1 - agreement) * weights).sum(1).mean(),
        "guess/attributes": 5 * ERROR * masked_mean(errors, seen & there[..., None]),
        "guess/coefficients": 5 * ERROR * masked_mean(apart, known & there[..., None]),
    }


# ---------------------------------------------------------------------- the second stage


def diffusion_terms(model: ReactDiff, batch: Batch) -> dict[str, Tensor]:
    """The denoiser's error on windows of one listener a clip; the transformer is frozen."""
    spec, inside = model.config.diffusion, _inside(batch)
    listener = _chosen(batch) if model.config.objective == "appropriate" else batch.listener
    model.inputs_of.need_face(listener)
    with torch.no_grad():
        clean = model.scale(model.encode(listener, inside, speaking=False))
        told = model.encode(batch.speaker, inside, speaking=True)
        speaker, guess = model.conditions(told, inside)
    learnable = batch.listener.inside()
    frames = clean.shape[1]
    number = count(frames, spec.hop)
    front = spec.overlap if spec.seams == "past" else 0

    def cut(x: Tensor) -> Tensor:
        whole = (number - 1) * spec.hop + spec.window
        x = torch.cat([x.new_zeros(len(x), front, *x.shape[2:]), x], dim=1)
        parts: Tensor = windows(padded(x, whole), spec.window, spec.hop).flatten(0, 1)
        return parts

    x0, seen = cut(clean), cut(learnable[..., None].to(clean.dtype))[..., 0] > 0
    shown, condition = cut(speaker), None if guess is None else cut(guess)
    if spec.condition_dropout:
        chance = torch.rand(len(x0), device=x0.device)
        nothing = x0.new_zeros(())
        shown = drop_rows(shown, nothing, spec.condition_dropout, chance)
        if condition is not None:
            condition = drop_rows(condition, nothing, spec.condition_dropout, chance)
    known, new = x0[:, :front], x0[:, front:]
    noisy, steps, wanted = _noised(model, new)
    given = model.predict(torch.cat([known, noisy], dim=1), steps, shown, condition)
    errors = row_errors(given, wanted, spec.error, seen[:, front:])
    full = seen[:, front:].any(1)
    return {"diffusion": DIFFUSION * (errors * full).sum() / full.sum().clamp(min=1)}


def personal_terms(model: ReactDiff, batch: Batch) -> dict[str, Tensor]:
    """Both losses for a listener's own reactions, under the model's shifts (`reactdiff_lrs`)."""
    assert batch.personal_mask is not None
    own = replace(batch, target_mask=batch.target_mask & batch.personal_mask)
    inside = _inside(batch)
    with torch.no_grad():
        latents = model.encode(batch.listener, inside, speaking=False)
    made = model.decode(latents, inside)
    return diffusion_terms(model, own) | error_terms(model, made, batch.listener, "own")


def _noised(model: ReactDiff, x0: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Noisy rows, their steps, and what is to be predicted."""
    spec = model.config.diffusion
    if spec.prediction == "flow":
        times, noise = torch.rand(len(x0), device=x0.device), torch.randn_like(x0)
        t = rows(times, x0)
        return (1 - t) * x0 + t * noise, times * FLOW_SCALE, noise - x0
    drawn = draw_noised(x0, levels(spec), prediction=spec.prediction)
    return drawn.x, drawn.steps, drawn.wanted


def _chosen(batch: Batch) -> Behaviour:
    """One of the appropriate listeners of each clip, at random, [B, T, ...]."""
    weights = batch.target_mask.to(torch.float32)
    number = torch.multinomial(weights, 1)[:, 0]
    clip = torch.arange(len(number), device=number.device)
    return Behaviour(
        {n: x[clip, number] for n, x in batch.targets.channels.items()},
        batch.targets.layout,
        observed={n: m[clip, number] for n, m in batch.targets.observed.items()},
        lengths=batch.lengths,
    )


def _inside(batch: Batch) -> Tensor | None:
    return None if batch.lengths is None else batch.speaker.inside()
