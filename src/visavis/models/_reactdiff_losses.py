"""ReactDiff's two stages: the transformer (Eq. 5, and ours beside it), the denoiser (Eq. 8)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from visavis.behaviour import Behaviour
from visavis.channels import GROUPS
from visavis.dyad import Batch
from visavis.models._appropriate_loss import mean_terms, one_of, real
from visavis.models._reactdiff_config import DiffusionSpec
from visavis.models._reactdiff_latent import blend_weights, blended, count, padded, windows
from visavis.models._reactdiff_sampling import FLOW_SCALE, levels
from visavis.nn.diffusion import draw_noised, row_errors, rows
from visavis.nn.guidance import drop_rows
from visavis.nn.losses import masked_mean
from visavis.nn.smooth_noise import drawn_like

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
    latents = torch.cat(list(parts.values()))
    noise = config.latent_noise * torch.randn_like(latents)
    decoded = model.decode(latents + noise, many)
    made = {
        who: {n: x.unflatten(0, (len(parts), -1))[i] for n, x in decoded.items()}
        for i, who in enumerate(parts)
    }
    terms = dict[str, Tensor]()
    if config.kl_weight:
        seen = latents if many is None else latents[many]
        terms["kl"] = config.kl_weight * 0.5 * seen.square().mean()
    for who, raw in made.items():
        if who == "answer" and config.objective == "appropriate":
            terms |= mean_terms(raw, batch, agreement_weight=config.agreement_weight)
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


# ---------------------------------------------------------------------- the second stage


class Windows(NamedTuple):
    """A batch cut as the denoiser reads it, N = B W windows; 0 in padding."""

    clean: Tensor
    """Scaled latents of one listener a clip, [N, w, d]."""
    seen: Tensor
    """bool [N, w]: frames to learn from."""
    shown: Tensor
    """The speaker's scaled latents, [N, w, d]."""
    guess: Tensor | None
    """The scaled first guess, [N, w, d]."""


def diffusion_terms(model: ReactDiff, batch: Batch) -> dict[str, Tensor]:
    """The denoiser's error on windows of one listener a clip; the transformer is frozen."""
    spec = model.config.diffusion
    x0, seen, shown, guess = cut = cut_windows(model, batch)
    if spec.condition_dropout:
        chance = torch.rand(len(x0), device=x0.device)
        nothing = x0.new_zeros(())
        shown = drop_rows(shown, nothing, spec.condition_dropout, chance)
        if guess is not None:
            guess = drop_rows(guess, nothing, spec.condition_dropout, chance)
    known, new = x0[:, : front_of(spec)], x0[:, front_of(spec) :]
    noisy, steps, wanted = _noised(model, new)
    given = model.predict(torch.cat([known, noisy], dim=1), steps, shown, guess)
    errors = row_errors(given, wanted, spec.error, seen[:, front_of(spec) :])
    full = seen[:, front_of(spec) :].any(1)
    terms = {"diffusion": DIFFUSION * (errors * full).sum() / full.sum().clamp(min=1)}
    return terms | (_begun(model, batch, cut) if model.config.begun_weight else {})


def front_of(spec: DiffusionSpec) -> int:
    """Known frames at the beginning of a window."""
    return spec.overlap if spec.seams == "past" else 0


def cut_windows(model: ReactDiff, batch: Batch) -> Windows:
    spec, inside = model.config.diffusion, _inside(batch)
    listener = one_of(batch) if model.config.objective == "appropriate" else batch.listener
    model.inputs_of.need_face(listener)
    with torch.no_grad():
        clean = model.scale(model.encode(listener, inside, speaking=False))
        told = model.encode(batch.speaker, inside, speaking=True)
        speaker, guess = model.conditions(told, inside)
    whole = (count(clean.shape[1], spec.hop) - 1) * spec.hop + spec.window

    def cut(x: Tensor) -> Tensor:
        x = torch.cat([x.new_zeros(len(x), front_of(spec), *x.shape[2:]), x], dim=1)
        parts: Tensor = windows(padded(x, whole), spec.window, spec.hop).flatten(0, 1)
        return parts

    learnable = model.inputs_of.face_seen(listener)[..., None].to(clean.dtype)
    return Windows(
        cut(clean), cut(learnable)[..., 0] > 0, cut(speaker), None if guess is None else cut(guess)
    )


def _begun(model: ReactDiff, batch: Batch, cut: Windows) -> dict[str, Tensor]:
    """What the first step of sampling aims at, decoded, beside all appropriate listeners."""
    config, spec, clips = model.config, model.config.diffusion, len(batch)
    number = len(cut.clean) // clips
    front = front_of(spec)
    noise = drawn_like(cut.clean[:, front:], spec.smooth_noise)
    last = FLOW_SCALE if spec.prediction == "flow" else spec.steps - 1
    steps = torch.full((len(noise),), last, device=noise.device)
    given = model.predict(torch.cat([cut.clean[:, :front], noise], 1), steps, cut.shown, cut.guess)
    aimed = noise - given if spec.prediction == "flow" else given
    parts, frames = aimed.unflatten(0, (clips, number)), batch.speaker.frames
    if front:
        laid = parts.flatten(1, 2)
    else:
        lengths = torch.full((clips,), frames, device=noise.device)
        lengths = lengths if batch.lengths is None else batch.lengths
        laid = blended(parts, blend_weights(lengths, number, spec.window, spec.hop), spec.hop)
    made = model.decode(model.scale.back(laid[:, :frames]), _inside(batch))
    weight = config.agreement_weight
    terms = mean_terms(made, batch, agreement_weight=weight, prefix="begun")
    return {n: config.begun_weight * x for n, x in terms.items()}


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
    noise = drawn_like(x0, spec.smooth_noise)
    if spec.prediction == "flow":
        times = torch.rand(len(x0), device=x0.device)
        t = rows(times, x0)
        return (1 - t) * x0 + t * noise, times * FLOW_SCALE, noise - x0
    drawn = draw_noised(x0, levels(spec), prediction=spec.prediction, noise=noise)
    return drawn.x, drawn.steps, drawn.wanted


def _inside(batch: Batch) -> Tensor | None:
    return None if batch.lengths is None else batch.speaker.inside()
