"""Conversations with EMC around ReactFace: any frame may lack a face, a voice or both.

EMC's own part holds what its attention saw lately, the last frames of either modality and the
speech-emotion head's memory; the base's part is a row of ReactFace's store a sample, or one for all
samples where they are told the same of the speaker.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from visavis.behaviour import Behaviour
from visavis.dyad import Persona
from visavis.errors import OfflineOnly
from visavis.models._emc_layers import Band
from visavis.models._emc_reactface import AroundReactFace
from visavis.models._emc_read import Told, read
from visavis.models._emc_spread import spread
from visavis.models._emc_stream import (
    Memory,
    begun,
    compensated,
    deviations,
    felt,
    joined,
    parted,
    samples_apart,
)
from visavis.models._reactface_session import step_of, stretch
from visavis.models._reactface_store import Lanes, Row, Store
from visavis.models._session import Conversation, WindowSession, under

if TYPE_CHECKING:
    from visavis.models.emc import EMC


@dataclass
class Talk:
    """One conversation."""

    memory: Memory
    rows: list[Row]


class Between:
    """What EMC puts between the parts of ReactFace's step, for a stretch of frames: attention,
    and how far draws deviate.

    `places` says which row of the batch a row of the store is.
    """

    known: Tensor

    def __init__(
        self,
        model: EMC,
        emotion: Tensor | None,
        memory: Memory,
        by: Tensor | None,
        places: Mapping[int, int],
    ) -> None:
        """Emotions [R, t, d] and deviations [R, t] of the stretch."""
        self.model, self.emotion, self.by, self.places = model, emotion, by, places
        self.memory, self.count = memory, memory["count"]
        if emotion is not None:
            self.band = Band(memory, self.count, emotion.shape[1], model.config.horizon)

    def asks(self, told: Tensor) -> None:
        """Take the stretch's emotions as draws ask them, [R, t, 2 d]."""
        self.known = torch.cat([self.memory["latent/told"], told], 1)
        self.memory["latent/told"] = self.known[:, -self.model.config.horizon :]

    def heard(self, lanes: Lanes, motion: Tensor) -> Tensor:
        """M-EA."""
        if self.emotion is None:
            return motion
        rows = motion.view(len(self.emotion), -1, motion.shape[-1])
        made = self.model.ea_fused(rows, self.emotion, self.band, "fused")
        self.memory.update(self.band.kept)
        out: Tensor = made.reshape(-1, motion.shape[-1])
        return out

    def drawn(self, lanes: Lanes, noise: Tensor) -> Tensor:
        """Of windows that begin: spread by what is known at their first frame, then S-EA over the
        frames before them."""
        device, horizon = noise.device, self.model.config.horizon
        rows = torch.tensor([self.places[n] for n in lanes.numbers], device=device)
        passed = torch.tensor(lanes.counts, device=device)
        first = passed - self.count[rows]
        if self.by is not None:
            noise = spread(noise, 0.0, self.by[rows, first].view(-1, 1, 1))
        if self.emotion is None:
            return noise
        # `known` begins `horizon` frames before the stretch
        slots = first[:, None] + torch.arange(horizon, device=device)
        keys = self.known[rows].gather(1, slots[..., None].expand(-1, -1, self.known.shape[-1]))
        age = torch.arange(horizon, 0, -1, device=device)
        mask = (age <= passed[:, None])[:, None, None]
        emotions = self.model.emotions
        assert emotions is not None
        return self.model.ea_latent.asked(noise, keys, emotions.nothing, mask)


class EMCSession(WindowSession[Talk]):
    """hop 1, latency 0."""

    stretches = True
    model: EMC

    def __init__(self, model: EMC, num_samples: int) -> None:
        super().__init__(model, hop=1, num_samples=num_samples)
        base = model.base
        if base.config.face == "pixels":
            raise OfflineOnly(
                f"{model.name} streams around a base that reads coefficients, not pixels; "
                "visavis.RollingSession(model, ...) streams it over a sliding window."
            )
        self._parameters = tuple(base.parameters())
        self.each = samples_apart(model, num_samples)
        """Rows of the store a conversation."""
        step = step_of(base, self._parameters)
        self._store = Store(base, step, num_samples // self.each)

    # ------------------------------------------------------------------ state

    def start(self, seed: int, persona: Persona | None) -> Talk:
        model, rows = self.model, self.each
        assert isinstance(model.parts, AroundReactFace)
        memory = begun(model, rows)
        if model.emotions is not None:
            memory |= model.parts.empty(rows, model.width)
            like = memory["latent/emotion"]
            memory["latent/told"] = like.new_zeros(rows, model.config.horizon, like.shape[-1])
        return Talk(memory, [self._store.take() for _ in range(rows)])

    def close(self, lane: object) -> None:
        talk = self._at(lane).state  # type: ignore[arg-type]
        super().close(lane)  # type: ignore[arg-type]
        for row in talk.rows:
            self._store.give_back(row)

    def state_tensors(self, state: Talk) -> dict[str, Tensor]:
        flat = {f"memory/{n}": x for n, x in state.memory.items()}
        for i, row in enumerate(state.rows):
            flat |= {f"row/{i}/{n}": x for n, x in self._store.of(row).items()}
        return flat

    def state_from(self, tensors: Mapping[str, Tensor]) -> Talk:
        memory = under(tensors, "memory/")
        rows = []
        for i in range(self.each):
            row = self._store.take()
            self._store.put(row, under(tensors, f"row/{i}/"))
            rows.append(row)
        return Talk(memory, rows)

    # ------------------------------------------------------------------ steps

    def advance(
        self, conversations: Sequence[Conversation[Talk]], speaker: Behaviour, *, last: bool
    ) -> tuple[list[Talk], list[dict[str, Tensor]]]:
        model, talks = self.model, [c.state for c in conversations]
        memory = joined([t.memory for t in talks])
        told, memory["head"] = read(model, speaker, memory["head"])
        step = step_of(model.base, self._parameters)
        rows = [row.number for t in talks for row in t.rows]
        each = list(range(self.each))
        seeds = [c.seed for c in conversations for _ in each]
        which = None if self.each == 1 else each * len(talks)
        lanes = Lanes(self._store, rows, seeds, which)
        parts, window = [], model.base.config.window
        for start in range(0, speaker.frames, window):
            piece = told.window(start, min(start + window, speaker.frames))
            face, speech, between = self._told(piece, memory, lanes)
            parts.append(stretch(step, lanes, face, speech, between))
        made = torch.cat(parts, dim=2)
        channels = model.parts.channels({"coefficients": model.base.coefficients(made)})
        if self.each > 1:
            channels = {n: x.squeeze(1).unflatten(0, (-1, self.each)) for n, x in channels.items()}
        for talk, part in zip(talks, parted(memory, len(talks)), strict=True):
            talk.memory = part
        values = zip(*(x.unbind(0) for x in channels.values()), strict=True)
        return talks, [dict(zip(channels, v, strict=True)) for v in values]

    def _told(self, told: Told, memory: Memory, lanes: Lanes) -> tuple[Tensor, Tensor, Between]:
        """A stretch's features [R, t, C], nothing missing; `memory` moves on."""
        model = self.model
        device = memory["count"].device
        seeds = torch.tensor(lanes.seeds, device=device)
        samples = torch.tensor(lanes.which or [0] * len(seeds), device=device)
        face, speech = compensated(model, told, memory, seeds, samples)
        by = deviations(model, told, memory)
        by = None if by is None else by.repeat_interleave(self.each, 0)
        emotion, frames = felt(model, told, memory, self.each), told.face_there.shape[1]
        places = {n: i for i, n in enumerate(lanes.numbers)}
        between = Between(model, emotion, memory, by, places)
        if emotion is not None:
            ea, band = model.modules_of(), between.band
            face = ea.face(face, emotion, band, "face")
            speech = ea.speech(speech, emotion, band, "speech")
            between.asks(ea.latent.told(emotion, band, "latent"))
            memory.update(band.kept)
        memory["count"] = memory["count"] + frames
        return face, speech, between
