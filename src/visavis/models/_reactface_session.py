"""Conversations with ReactFace: one store for all lanes, written in place.

A lane is a row of the store. Its rings hold keys and values of the last `horizon` frames, so a
step costs the same at minute thirty as at second one, and nothing is copied from lane to batch
where all open lanes are stepped together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from visavis.behaviour import Behaviour
from visavis.dyad import Persona
from visavis.models._base import Lane
from visavis.models._outputs import coefficient_channels
from visavis.models._reactface_step import Between, Step
from visavis.models._reactface_store import Lanes, Row, Store
from visavis.models._session import Conversation, WindowSession

if TYPE_CHECKING:
    from visavis.models.reactface import ReactFace


class ReactFaceSession(WindowSession[Row]):
    """Any number of frames a step, as many at once as a window has."""

    stretches = True
    model: ReactFace

    def __init__(self, model: ReactFace, num_samples: int) -> None:
        super().__init__(model, hop=1, num_samples=num_samples)
        self._parameters = tuple(model.parameters())
        self._store = Store(model, step_of(model, self._parameters), num_samples)

    def start(self, seed: int, persona: Persona | None) -> Row:
        return self._store.take()

    def close(self, lane: Lane) -> None:
        row = self._at(lane).state
        super().close(lane)
        self._store.give_back(row)

    def _advance(
        self, lanes: Sequence[Lane], frames: int, *, last: bool = False
    ) -> list[Behaviour]:
        """In the order of their rows, so that all open lanes together need no copy."""
        order = sorted(range(len(lanes)), key=lambda i: self._lanes[lanes[i]].state.number)
        parts = super()._advance([lanes[i] for i in order], frames, last=last)
        placed = dict(zip(order, parts, strict=True))
        return [placed[i] for i in range(len(lanes))]

    def state_tensors(self, state: Row) -> dict[str, Tensor]:
        return self._store.of(state)

    def state_from(self, tensors: Mapping[str, Tensor]) -> Row:
        row = self._store.take()
        self._store.put(row, tensors)
        return row

    def advance(
        self, conversations: Sequence[Conversation[Row]], speaker: Behaviour, *, last: bool
    ) -> tuple[list[Row], list[dict[str, Tensor]]]:
        model, store = self.model, self._store
        step = step_of(model, self._parameters)
        rows = [c.state for c in conversations]
        lanes = Lanes(store, [r.number for r in rows], [c.seed for c in conversations])
        face, tail = model.face_tokens(speaker, lanes.tail())
        lanes.keep_tail(tail)
        speech = model.encode_speech(speaker)
        parts, window = [], model.config.window
        for start in range(0, speaker.frames, window):
            stop = min(start + window, speaker.frames)
            parts.append(stretch(step, lanes, face[:, start:stop], speech[:, start:stop]))
        made = torch.cat(parts, dim=2)
        channels = coefficient_channels(model.coefficients(made))
        each = zip(*(x.unbind(0) for x in channels.values()), strict=True)
        return rows, [dict(zip(channels, values, strict=True)) for values in each]


def stretch(
    step: Step, lanes: Lanes, face: Tensor, speech: Tensor, between: Between | None = None
) -> Tensor:
    """Up to a window of frames: standardised coefficients [B, K, t, 58].

    They are heard at once. A border between two windows of a lane lies in them once at most, so
    they are answered in two goes, each lane up to its border and then on. What a shorter lane
    computes for the longest is not moved on over: it is written where nothing can be seen, and the
    real frames come to lie there.
    """
    window, size = lanes.store.model.config.window, face.shape[1]
    whole = lanes.timing(size)
    heard = step.hear(lanes, whole, face, speech, between)
    first = [min(window - count % window, size) for count in lanes.counts]
    if min(first) == size:
        made = step.answer(lanes, whole, heard, first, between)
        lanes.move(first)
        return made
    out: Tensor | None = None
    for begun, lengths in (([0] * len(first), first), (first, [size - n for n in first])):
        timing = lanes.timing(max(lengths), whole)
        seen = heard.part(size, begun, timing.frames)
        made = step.answer(lanes, timing, seen, lengths, between)
        lanes.move(lengths)
        # frame f of a lane is the (f - begun)th of this go
        frames = torch.arange(size, device=made.device)
        places = frames - torch.tensor(begun, device=made.device)[:, None]
        index = places.clamp(0, timing.frames - 1)[:, None, :, None]
        made = made.gather(2, index.expand(*made.shape[:2], -1, made.shape[3]))
        out = made if out is None else torch.where(places[:, None, :, None] < 0, out, made)
    assert out is not None
    return out


_PACKED: WeakKeyDictionary[ReactFace, tuple[tuple[int, int], Step]] = WeakKeyDictionary()
"""Weights are packed once a model, for all of its sessions."""


def step_of(model: ReactFace, parameters: tuple[nn.Parameter, ...]) -> Step:
    """The model's weights, packed; anew when they were trained, loaded or moved since."""
    state = (parameters[0].data_ptr(), sum(p._version for p in parameters))
    known = _PACKED.get(model)
    if known is None or known[0] != state:
        known = _PACKED[model] = (state, Step(model))
    return known[1]
