"""ReactFace over whole clips: tapes in place of rings, so that gradients go through."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from visavis.models._reactface_layers import Caches, Heard, KeysValues, Moment
from visavis.nn.cache import Tape
from visavis.nn.gaussian import Gaussian

if TYPE_CHECKING:
    from visavis.models.reactface import ReactFace

_CHUNK = 96
"""Frames of the speaker taken at once: each attends to the horizon before it besides."""


def motion_of(
    model: ReactFace, face: Tensor, speech: Tensor, offset: int = 0
) -> tuple[Tensor, Tensor]:
    """Face tokens [B, T, C] and speech tokens [B, T, k C] to the speaker's motion and
    SpeakFormer's second layer, [B, T, C]; `offset` frames lie before the clip."""
    tapes = _tapes(model, model.speaker.caches)
    parts = []
    for start in range(0, face.shape[1], _CHUNK):
        stop = min(start + _CHUNK, face.shape[1])
        moment = _moment(model, start, stop, offset, face.device)
        x = model.drop(face[:, start:stop] + moment.places)
        parts.append(model.speaker(x, model.ticks(speech[:, start:stop]), tapes, moment))
    motion, second = (torch.cat(x, dim=1) for x in zip(*parts, strict=True))
    return motion, second


def speaker_of(model: ReactFace, second: Tensor, offset: int = 0) -> Tensor:
    """The auxiliary head: the speaker's coefficients [B, T, 58] from SpeakFormer's second layer."""
    assert model.speaker_head is not None
    tapes, parts = _tapes(model, model.speaker_head.caches), []
    for start in range(0, second.shape[1], _CHUNK):
        stop = min(start + _CHUNK, second.shape[1])
        moment = _moment(model, start, stop, offset, second.device)
        parts.append(model.speaker_head(second[:, start:stop], tapes, moment))
    return torch.cat(parts, dim=1) * model.face_scale.std + model.face_scale.mean


def roll_out(
    model: ReactFace,
    fused: Tensor,
    samples: int,
    noise: Callable[[int], Tensor],
    *,
    window: int,
    offset: int = 0,
    watch: dict[str, list[Tensor]] | None = None,
) -> tuple[Tensor, list[Gaussian]]:
    """Reactions, window after window, each from its own past (Algorithm 1).

    Args:
        fused: what `ReactFace.fuse` gives, [B, T, (1 + k) C].
        samples: K.
        noise: a window's number to standard normal [B, K, C].
        window: w.
        offset: frames before the clip's first, for positions.
        watch: collects attention weights (`Synchroniser.forward`).

    Returns:
        Standardised coefficients [B, K, T, 58], and the Gaussian [B K, C] of every window.
    """
    width, (clips, length, _) = model.config.width, fused.shape
    motion, speech = fused.split([width, fused.shape[-1] - width], dim=-1)
    heard = model.hear(motion, speech)
    tapes = _tapes(model, model.own_caches)
    latent: Tensor | None = None
    parts, gaussians = [], []
    for start in range(0, length, window):
        stop = min(start + window, length)
        gaussian = model.interaction.distribution(tapes, clips * samples)
        gaussians.append(gaussian)
        draw = gaussian.at(noise(start // window).flatten(0, 1))
        latent, latents = model.next_latent(draw, latent, window)
        frames = torch.arange(start, start + window, device=fused.device)[None] + offset
        tokens = model.decoder(latents, frames, samples)[:, : stop - start]
        moment = _moment(model, start, stop, offset, fused.device)
        reach = _reach(model, heard, start, stop)
        raw = model.synchroniser(tokens, reach, tapes, moment, samples, watch)
        parts.append(raw)
        if stop < length:
            model.interaction.remember(raw, reach, tapes, moment, samples)
    return torch.cat(parts, dim=1).unflatten(0, (clips, samples)), gaussians


def laid_out(parts: list[Tensor], rate: int) -> Tensor:
    """Weights of one clip's stretches [1, heads, t, S] in one map [heads, T, T rate]."""
    frames = sum(part.shape[2] for part in parts)
    whole = parts[0].new_zeros(parts[0].shape[1], frames, frames * rate)
    stop = 0
    for (part,) in parts:
        start, stop = stop, stop + part.shape[1]
        whole[:, start:stop, stop * rate - part.shape[2] : stop * rate] = part
    return whole


def _tapes(model: ReactFace, names: Iterable[str]) -> Caches:
    far, config = model.interaction.latents, model.config
    return {n: Tape(config.past if n in far else config.horizon - 1) for n in names}


def _moment(model: ReactFace, start: int, stop: int, offset: int, device: torch.device) -> Moment:
    """Of frames start .. stop - 1, when the tapes hold a horizon before them."""

    def numbers(first: int, last: int) -> Tensor:
        return torch.arange(first, last, device=device)[None]

    low = max(0, start - model.config.horizon + 1)
    moment = model.moment(
        numbers(start, stop),
        numbers(low, stop),
        numbers(low * model.rate, stop * model.rate),
        numbers(max(0, start - model.config.past), stop),
    )
    if not offset:
        return moment
    places = model.places(numbers(start + offset, stop + offset))
    return Moment(moment.frame, moment.tick, moment.past, places)


def _reach(model: ReactFace, heard: Heard, start: int, stop: int) -> Heard:
    """What frames start .. stop - 1 can see of a clip."""
    low, rate = max(0, start - model.config.horizon + 1), model.rate

    def part(pair: KeysValues, k: int) -> KeysValues:
        return pair[0][:, low * k : stop * k], pair[1][:, low * k : stop * k]

    return Heard(
        None if heard.visual is None else part(heard.visual, 1),
        None if heard.modality is None else part(heard.modality, rate),
        part(heard.past_speech, rate),
        part(heard.past_motion, 1),
        heard.speech[:, start * rate : stop * rate],
    )
