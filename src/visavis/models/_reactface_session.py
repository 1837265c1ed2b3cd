"""Conversations with ReactFace: one store for all lanes, written in place.

A lane is a row of the store. Its rings hold keys and values of the last `horizon` frames, so a
step costs the same at minute thirty as at second one, and nothing is copied from lane to batch
where all open lanes are stepped together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from visavis.behaviour import Behaviour
from visavis.dyad import Persona
from visavis.models._base import Lane
from visavis.models._reactface_layers import Caches, Heard, KeysValues
from visavis.models._session import Conversation, WindowSession
from visavis.nn.cache import Place, Ring

if TYPE_CHECKING:
    from visavis.models.reactface import ReactFace

_TOKENS = 2
"""The interaction encoder's distribution tokens."""


@dataclass
class Row:
    """Where the state of one conversation stands in its session's store."""

    number: int
    """Changes when another conversation leaves: rows in use stay the first ones."""


class Store:
    """The state of all conversations of a session, row by row; K samples lie side by side."""

    def __init__(self, model: ReactFace, samples: int) -> None:
        config, like = model.config, next(model.parameters())
        self.samples = samples
        self.count: list[int] = []
        """Frames that each row in use has seen."""
        self._rows: list[Row] = []
        self.reach = config.horizon - 1 + config.window
        self.past = config.past + config.window
        """Slots of the interaction encoder's rings, besides two for its tokens."""
        rate, width = model.rate, config.width
        shared = dict.fromkeys((*model.speaker.caches, "visual", "past_motion"), self.reach)
        shared |= dict.fromkeys(("modality", "past_speech"), self.reach * rate)
        if not config.visual:
            del shared["visual"]
        if config.modality != "interaction":
            del shared["modality"]
        own = dict.fromkeys(model.own_caches, self.reach)
        own |= dict.fromkeys(model.interaction.latents, self.past + _TOKENS)
        shapes = {f"shared/{n}": (1, size, width) for n, size in shared.items()}
        shapes |= {f"own/{n}": (samples, size, width) for n, size in own.items()}
        empty = like.new_zeros
        self.tensors = {f"{n}/keys": empty(0, *shape) for n, shape in shapes.items()}
        self.tensors |= {f"{n}/values": empty(0, *shape) for n, shape in shapes.items()}
        self.tensors["latent"] = empty(0, samples, width)
        self.tensors["tokens"] = empty(0, samples, config.window, width)
        """What the decoder made of the present window's latents."""
        for i, shape in enumerate(model.tail_shapes()):
            self.tensors[f"tail/{i}"] = empty(0, *shape)

    def take(self) -> Row:
        """A row for a new conversation."""
        row = Row(len(self._rows))
        self._rows.append(row)
        self.count.append(0)
        room = len(self.tensors["latent"])
        for name, x in self.tensors.items():
            if row.number == room:
                x = self.tensors[name] = torch.cat([x, x.new_zeros(max(1, room), *x.shape[1:])])
            if name.startswith("tail/"):
                x[row.number] = 0.0
        return row

    def give_back(self, row: Row) -> None:
        """The last row takes its place."""
        last = self._rows.pop()
        if last is not row:
            for x in self.tensors.values():
                x[row.number] = x[last.number]
            self.count[row.number] = self.count[last.number]
            self._rows[row.number] = last
            last.number = row.number
        self.count.pop()

    def of(self, row: Row) -> dict[str, Tensor]:
        """A row's state as named tensors."""
        count = torch.tensor(self.count[row.number])
        return {"count": count} | {n: x[row.number].clone() for n, x in self.tensors.items()}

    def put(self, row: Row, state: Mapping[str, Tensor]) -> None:
        """The inverse of `of`."""
        self.count[row.number] = int(state["count"])
        for name, x in self.tensors.items():
            x[row.number] = state[name]


class ReactFaceSession(WindowSession[Row]):
    """Any number of frames a step; a stretch of frames is computed at once up to the next border
    of a window of any of its lanes."""

    stretches = True
    model: ReactFace

    def __init__(self, model: ReactFace, num_samples: int) -> None:
        super().__init__(model, hop=1, num_samples=num_samples)
        self._store = Store(model, num_samples)

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
        rows = [c.state for c in conversations]
        lanes = Lanes(store, [r.number for r in rows], [c.seed for c in conversations])
        face, tail = model.face_tokens(speaker, lanes.tail())
        lanes.keep_tail(tail)
        speech = model.encode_speech(speaker)
        parts, done, window = [], 0, model.config.window
        while done < speaker.frames:
            border = min(window - store.count[r.number] % window for r in rows)
            stop = min(done + border, speaker.frames)
            parts.append(_stretch(model, lanes, face[:, done:stop], speech[:, done:stop]))
            lanes.move(stop - done)
            done = stop
        made = torch.cat(parts, dim=1).unflatten(0, (len(rows), self.num_samples))
        channels = as_channels(model.coefficients(made))
        each = zip(*(x.unbind(0) for x in channels.values()), strict=True)
        return rows, [dict(zip(channels, values, strict=True)) for values in each]


class Lanes:
    """The rows of a store that move on together."""

    def __init__(self, store: Store, numbers: list[int], seeds: list[int]) -> None:
        self.store, self.numbers = store, numbers
        device = store.tensors["latent"].device
        self.seeds = torch.tensor(seeds, device=device)
        self.index: Tensor | None = None
        """Which rows; None where they are the first ones, in order."""
        if numbers != list(range(len(numbers))):
            self.index = torch.tensor(numbers, device=device)

    @property
    def counts(self) -> Tensor:
        """Frames that each lane has seen, [B]."""
        count = [self.store.count[n] for n in self.numbers]
        return torch.tensor(count, device=self.seeds.device)

    def move(self, frames: int) -> None:
        for n in self.numbers:
            self.store.count[n] += frames

    def read(self, name: str) -> Tensor:
        """Their part of a tensor, [B, ...]."""
        whole = self.store.tensors[name]
        return whole[: len(self.numbers)] if self.index is None else whole[self.index]

    def write(self, name: str, values: Tensor) -> None:
        index = slice(len(self.numbers)) if self.index is None else self.index
        self.store.tensors[name][index] = values

    def tail(self) -> tuple[Tensor, ...]:
        names = [n for n in self.store.tensors if n.startswith("tail/")]
        return tuple(self.read(n) for n in names)

    def keep_tail(self, tail: tuple[Tensor, ...]) -> None:
        for i, x in enumerate(tail):
            self.write(f"tail/{i}", x)

    def some(self, which: list[int]) -> Lanes:
        """Those at places `which` among these."""
        if len(which) == len(self.numbers):
            return self
        seeds = self.seeds[torch.tensor(which, device=self.seeds.device)].tolist()
        return Lanes(self.store, [self.numbers[i] for i in which], seeds)

    def place(self, counts: Tensor, tokens: int, size: int, *, spare: int = 0) -> Place:
        """Where new tokens of each lane go."""
        return Place(self.index, counts, tokens, size, spare=spare)

    def own_place(self, counts: Tensor, tokens: int, size: int, *, spare: int = 0) -> Place:
        """The same for each sample of each lane."""
        samples = self.store.samples
        index = self.index
        if index is not None:
            each = torch.arange(samples, device=index.device)
            index = (index[:, None] * samples + each).flatten()
        return Place(index, counts.repeat_interleave(samples), tokens, size, spare=spare)

    def ring(self, name: str, place: Place) -> Ring:
        """One cache, its samples as rows."""
        keys, values = (self.store.tensors[f"{name}/{part}"] for part in ("keys", "values"))
        if self.index is None:
            keys, values = keys[: len(self.numbers)], values[: len(self.numbers)]
        return Ring(keys.flatten(0, 1), values.flatten(0, 1), place)

    def own_rings(self, model: ReactFace, reach: Place, past: Place) -> Caches:
        far = model.interaction.latents
        return {n: self.ring(f"own/{n}", past if n in far else reach) for n in model.own_caches}


def _stretch(model: ReactFace, lanes: Lanes, face: Tensor, speech: Tensor) -> Tensor:
    """Frames [B, t] that lie in one window of each lane: standardised coefficients [B K, t, 58]."""
    store, samples, rate = lanes.store, lanes.store.samples, model.rate
    counts, frames = lanes.counts, face.shape[1]
    reach = lanes.place(counts, frames, store.reach)
    ticks = reach
    if rate > 1:
        ticks = lanes.place(counts * rate, frames * rate, store.reach * rate)
    past = lanes.place(counts, frames, store.past, spare=_TOKENS)
    one = slice(1) if reach.alike else slice(None)
    moment = model.moment(reach.queries[one], reach.held[one], ticks.held[one], past.held[one])

    rings = {n: lanes.ring(f"shared/{n}", reach) for n in model.speaker.caches}
    motion, _ = model.speaker(face + moment.places, model.ticks(speech), rings, moment)
    fresh = model.hear(motion, speech)

    def seen(name: str, pair: KeysValues, place: Place) -> KeysValues:
        return lanes.ring(f"shared/{name}", place).put(*pair)

    heard = Heard(
        None if fresh.visual is None else seen("visual", fresh.visual, reach),
        None if fresh.modality is None else seen("modality", fresh.modality, ticks),
        seen("past_speech", fresh.past_speech, ticks),
        seen("past_motion", fresh.past_motion, reach),
        fresh.speech,
    )
    tokens = _window_tokens(model, lanes, counts, frames)
    if samples > 1:
        reach = lanes.own_place(counts, frames, store.reach)
        past = lanes.own_place(counts, frames, store.past, spare=_TOKENS)
    caches = lanes.own_rings(model, reach, past)
    raw: Tensor = model.synchroniser(tokens, heard, caches, moment, samples)
    model.interaction.remember(raw, heard, caches, moment, samples)
    return raw


def _window_tokens(model: ReactFace, lanes: Lanes, counts: Tensor, frames: int) -> Tensor:
    """Decoded tokens of the frames, [B K, t, C]; lanes at a border get their window's first."""
    window, count = model.config.window, lanes.store.count
    begins = [i for i, n in enumerate(lanes.numbers) if count[n] % window == 0]
    if begins:
        _begin_window(model, lanes.some(begins))
    whole = lanes.read("tokens").flatten(0, 1)
    within = counts % window
    if bool((within == within[0]).all()):
        first = int(within[0])
        return whole[:, first : first + frames]
    which = within[:, None] + torch.arange(frames, device=within.device)
    which = which.repeat_interleave(lanes.store.samples, dim=0)
    return whole.gather(1, which[:, :, None].expand(-1, -1, whole.shape[-1]))


def _begin_window(model: ReactFace, lanes: Lanes) -> None:
    """A new latent from the frames before, and what the decoder makes of it."""
    store, samples, window = lanes.store, lanes.store.samples, model.config.window
    counts = lanes.counts
    place = lanes.own_place(counts, 0, store.past, spare=_TOKENS)
    rings = {n: lanes.ring(f"own/{n}", place) for n in model.interaction.latents}
    oldest = (counts - model.config.past).clamp(min=0).repeat_interleave(samples)
    bias = torch.zeros(place.held.shape, device=counts.device)
    bias[:, : store.past].masked_fill_(place.held[:, : store.past] < oldest[:, None], float("-inf"))
    rows = len(lanes.numbers) * samples
    gaussian = model.interaction.distribution(rings, rows, bias[:, None, None])
    noise = model.noise_of(lanes.seeds, samples)(counts // window)
    draw = gaussian.at(noise.flatten(0, 1))
    first = (counts == 0).repeat_interleave(samples)[:, None]
    before = torch.where(first, draw, lanes.read("latent").flatten(0, 1))
    latent, latents = model.next_latent(draw, before, window)
    starts = counts[:1] if place.alike else counts
    numbers = starts[:, None] + torch.arange(window, device=counts.device)
    tokens = model.decoder(latents, numbers, samples)
    lanes.write("latent", latent.unflatten(0, (-1, samples)))
    lanes.write("tokens", tokens.unflatten(0, (-1, samples)))


def as_channels(coefficients: Tensor) -> dict[str, Tensor]:
    """Coefficients [..., 58] as named channels; blendshapes end in [0, 1]."""
    blendshapes, rotation, translation = coefficients.split([52, 3, 3], dim=-1)
    return {
        "blendshapes": blendshapes.clamp(0.0, 1.0),
        "rotation": rotation,
        "translation": translation,
    }
