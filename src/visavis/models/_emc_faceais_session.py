"""Conversations with EMC around FaceAIS: any frame may lack a face, a voice or both.

A patch of the speaker is made whole when its last frame has come, and the next patch of reactions
is predicted from it; so a loss is answered one patch later, as everything is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from visavis.behaviour import Behaviour
from visavis.dyad import Persona
from visavis.models import _faceais_state as states
from visavis.models._emc_layers import FACE_EMOTION, SPEECH_EMOTION, Whole
from visavis.models._emc_read import Told, read_emotions
from visavis.models._emc_stream import (
    begun,
    compensated,
    deviations,
    felt,
    joined,
    parted,
    samples_apart,
)
from visavis.models._faceais_session import (
    PatchSession,
    Talk,
    no_speaker,
    of_speaker,
    packed,
    ticks_of,
)

if TYPE_CHECKING:
    from visavis.models.emc import EMC

_KEPT = ("face_there", "speech_there", "shown", "shown_there", "spoken", "spoken_there")
"""Of what is told of a frame; features are of a whole patch."""


class EMCFaceAISSession(PatchSession):
    """hop 1, latency 0."""

    model: EMC

    def __init__(self, model: EMC, *, num_samples: int) -> None:
        self.each = samples_apart(model, num_samples)
        """Rows of the speaker a conversation."""
        super().__init__(model, model.base, num_samples=num_samples)

    def start(self, seed: int, persona: Persona | None) -> Talk:
        talk = self.opened(self.each)
        talk.memory = begun(self.model, self.each)
        return talk

    def frames_of(self, talks: Sequence[Talk], speaker: Behaviour) -> dict[str, Tensor]:
        head = torch.cat([t.memory["head"] for t in talks])
        told, head = read_emotions(self.model, speaker, head)
        for talk, mine in zip(talks, head.split(1), strict=True):
            talk.memory["head"] = mine
        return of_speaker(self.base, speaker) | {n: getattr(told, n) for n in _KEPT}

    def nothing_heard(self) -> dict[str, Tensor]:
        heard = no_speaker(self.base)
        wide = {"shown": FACE_EMOTION, "spoken": SPEECH_EMOTION}
        for name in _KEPT:
            like = heard["face" if name in wide else "known"]
            shape = (len(like), wide[name]) if name in wide else (len(like),)
            heard[name] = like.new_zeros(shape)
        return heard

    def next_patch(
        self, talks: Sequence[Talk], state: states.State, seeds: Tensor
    ) -> tuple[Tensor, Tensor]:
        model, base = self.model, self.base
        predictor = base.predictor
        numbers = torch.arange(self.num_samples, device=seeds.device)
        drawn = numbers.view(self.each, -1).repeat(len(talks), 1)
        seeds = seeds.repeat_interleave(self.each)
        heard = {n: torch.stack([t.heard[n] for t in talks]) for n in talks[0].heard}
        memory = joined([t.memory for t in talks])
        emotion: Tensor | None = None
        by: Tensor | None = None
        if int(state.heard[0]):
            told = self._told(heard)
            face, speech = compensated(model, told, memory, seeds, drawn[:, 0])
            by = deviations(model, told, memory)
            emotion = felt(model, told, memory, self.each)
            memory["count"] = memory["count"] + base.config.patch
            if emotion is not None:
                ea, see = model.modules_of(), Whole()
                face = ea.face(face, emotion, see, "face")
                speech = ea.speech(speech, emotion, see, "speech")
        else:
            blank = heard["face"].repeat_interleave(self.each, 0)
            face, speech = predictor.before(blank, blank)
        features = states.hear(predictor, state, face, speech)
        if model.emotions is not None:
            if emotion is None:
                emotion = model.emotions.nothing.expand(len(seeds), base.config.patch, -1)
            memory["emotion"] = self._window(memory.get("emotion"), emotion)
            features = model.ea_fused(features, memory["emotion"], Whole(), "fused")
        own = torch.cat([t.codes for t in talks])
        heat = None if by is None else by[:, -1].repeat_interleave(self.each)
        codes = base.next_codes(state, own, features, seeds, drawn, state.heard - 1, heat)
        latent = base.tokenizer.quantise.decode(codes.unflatten(0, drawn.shape))
        if model.emotions is not None:
            latent = self._refined(latent, memory["emotion"][:, -base.config.patch :])
        for talk, part in zip(talks, parted(memory, len(talks)), strict=True):
            talk.memory = part
        shape = (len(talks), self.num_samples)
        return codes.unflatten(0, shape), packed(base, latent).flatten(0, 1).unflatten(0, shape)

    def _told(self, heard: dict[str, Tensor]) -> Told:
        """Patches of the speaker; a modality that none has is not encoded."""
        base = self.base
        told = Told(None, None, **{n: heard[n] for n in _KEPT}, inside=None)
        if bool(told.face_there.any()):
            codes = base.codes_of(heard["face"], heard["known"])
            told = replace(told, face=base.predictor.face(codes))
        if bool(told.speech_there.any()):
            voice = ticks_of(base, heard["voice"])
            told = replace(told, speech=base.predictor.embed_speech(voice))
        return told

    def _window(self, before: Tensor | None, felt: Tensor) -> Tensor:
        """Emotions of the frames that features are of: of a patch, or of the window so far."""
        if before is None or self.base.config.causal:
            return felt
        return torch.cat([before, felt], 1)[:, -self.base.config.window :]

    def _refined(self, latent: Tensor, felt: Tensor) -> Tensor:
        """S-EA of draws [R, k, n, C], which know the patch before theirs."""
        model = self.model
        ea, draws = model.modules_of().latent, latent.shape[1]
        keys = ea.told(felt, Whole(), "latent").repeat_interleave(draws, 0)
        made = ea.asked(latent.flatten(0, 1), keys, model.modules_of().nothing, None)
        return made.view_as(latent)
