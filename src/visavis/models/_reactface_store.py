"""What ReactFace's conversations remember: rows of one store, written in place."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from visavis.models._base import Samples
from visavis.models._reactface_layers import Moment
from visavis.models._reactface_step import Step
from visavis.nn.cache import Place

if TYPE_CHECKING:
    from visavis.models.reactface import ReactFace

_TOKENS = 2
"""The interaction encoder's distribution tokens."""
_AHEAD = 16
"""Windows whose noise is drawn at once: hashing costs calls, not arithmetic."""
_KEPT = 512
"""Timings that are kept: rings that are full come back to the same slots."""


@dataclass
class Row:
    """Where the state of one conversation stands in its session's store."""

    number: int
    """Changes when another conversation leaves: rows in use stay the first ones."""


@dataclass(frozen=True)
class Timing:
    """Where a stretch of frames stands, and what it sees."""

    frames: int
    """t"""
    places: Mapping[str, Place]
    """Of rings by what they are counted in."""
    own_places: Mapping[str, Place]
    """The same for each sample of each lane."""
    moment: Moment
    mine: Moment
    """The same over what is held of each sample's own past."""


class Store:
    """The state of all conversations of a session, row by row; K samples lie side by side."""

    def __init__(self, model: ReactFace, step: Step, samples: int) -> None:
        config, like = model.config, next(model.parameters())
        self.model, self.samples = model, samples
        self.count: list[int] = []
        """Frames that each row in use has seen."""
        self._rows: list[Row] = []
        self.timings: OrderedDict[tuple[int, ...], tuple[Moment, Moment]] = OrderedDict()
        self.backs: dict[int, Tensor] = {}
        """Biases of `Lanes.looking_back` by slot, once the rings are full."""
        # whole windows, so that the frames of a window never go around a ring's end; and at least a
        # window more than is seen, so that what is computed past a lane's own frames covers nothing
        window = config.window
        reach = -(-(config.horizon - 1 + window) // window) * window
        past = -(-(config.past + window) // window) * window
        self.sizes = {"frame": reach, "tick": reach * model.rate, "past": past}
        """Slots of rings by what they are counted in."""
        self.spare = {"past": _TOKENS}
        self.rings = step.rings()
        shapes = {}
        for name, (unit, width) in self.rings.items():
            slots = self.sizes[unit] + self.spare.get(unit, 0)
            shapes[name] = (samples if name.startswith("own/") else 1, slots, width)
        self.tensors = {n: like.new_zeros(0, *shape) for n, shape in shapes.items()}
        self.tensors["latent"] = like.new_zeros(0, samples, config.width)
        self.tensors["tokens"] = like.new_zeros(0, samples, window, config.width)
        """What the decoder made of the present window's latents."""
        self.tensors["noise"] = like.new_zeros(0, samples, _AHEAD, config.width)
        for i, tail in enumerate(model.tail_shapes()):
            self.tensors[f"tail/{i}"] = like.new_zeros(0, *tail)

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


class Lanes:
    """The rows of a store that move on together."""

    def __init__(
        self,
        store: Store,
        numbers: list[int],
        seeds: list[int],
        which: list[int] | None = None,
    ) -> None:
        """`which`: the number of each row's sample, where a row is one sample of a listener (a
        wrapper whose samples are told different things of a speaker)."""
        self.store, self.numbers, self.seeds, self.which = store, numbers, seeds, which
        self.samples = store.samples
        self.device = store.tensors["latent"].device
        self.index: Tensor | None = None
        """Which rows; None where they are the first ones, in order."""
        if numbers != list(range(len(numbers))):
            self.index = torch.tensor(numbers, device=self.device)

    @property
    def counts(self) -> list[int]:
        """Frames that each lane has seen."""
        return [self.store.count[n] for n in self.numbers]

    def move(self, frames: list[int]) -> None:
        """Each lane on by its frames."""
        for n, count in zip(self.numbers, frames, strict=True):
            self.store.count[n] += count

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
        numbers, seeds = [self.numbers[i] for i in which], [self.seeds[i] for i in which]
        own = None if self.which is None else [self.which[i] for i in which]
        return Lanes(self.store, numbers, seeds, own)

    # ------------------------------------------------------------------ rings

    def ring(self, name: str) -> Tensor:
        """A ring's rows: those of these lanes if they are the first ones, else the whole store's;
        samples are rows of their own."""
        whole = self.store.tensors[name]
        return (whole[: len(self.numbers)] if self.index is None else whole).flatten(0, 1)

    def keep(self, name: str, new: Tensor, timing: Timing) -> Tensor:
        """New keys and values [B t, ..] (or [N t, ..]) into a ring; the lanes' rows of it."""
        unit, width = self.store.rings[name]
        own = name.startswith("own/")
        place = (timing.own_places if own else timing.places)[unit]
        rows = len(self.numbers) * (self.samples if own else 1)
        return place.write(self.ring(name), new.view(rows, -1, width))

    def timing(self, frames: int, within: Timing | None = None) -> Timing:
        """Of the lanes' next frames.

        Args:
            within: of the stretch that was heard already and that these frames are a part of.
        """
        store, rate, counts = self.store, self.store.model.rate, self.counts
        frame = self._place(counts, frames, "frame", 1)
        past = self._place(counts, frames, "past", 1)
        own = {"frame": frame, "past": past}
        if self.samples > 1:
            own = {unit: self._place(counts, frames, unit, self.samples) for unit in own}
        if within is None:
            ticks = [rate * count for count in counts]
            shared = {"frame": frame, "tick": self._place(ticks, rate * frames, "tick", 1)}
        else:
            shared = dict(within.places)
        key: tuple[int, ...] | None = None
        if frame.alike and counts[0] >= max(store.sizes["frame"], store.sizes["past"]):
            cycles = (store.sizes["frame"], store.sizes["past"], store.model.config.period)
            heard = () if within is None else (shared["frame"].ends % store.sizes["frame"],)
            key = (frames, *(counts[0] % cycle for cycle in cycles), *heard)
            if key in store.timings:
                return Timing(frames, shared, own, *store.timings[key])
        held, ticks_held = shared["frame"].held, shared["tick"].held
        moment = store.model.moment(frame.queries, held, ticks_held, past.held)
        mine = moment
        if within is not None:
            mine = store.model.moment(frame.queries, frame.held, ticks_held, past.held)
        mine = mine.rows(self.samples)
        if key is not None:
            store.timings[key] = moment, mine
            if len(store.timings) > _KEPT:
                store.timings.popitem(last=False)
        return Timing(frames, shared, own, moment, mine)

    def looking_back(self) -> tuple[Place, Tensor]:
        """Where the rings of the interaction encoder stand before the next frame, and the bias
        over what they hold, [N or 1, 1, 1, P + 2]: the past's horizon; all of the tokens."""
        store = self.store
        place, slots = self._place(self.counts, 0, "past", self.samples), store.sizes["past"]
        counts = self.counts[:1] if place.alike else self.counts
        full = place.alike and counts[0] >= slots
        if full and counts[0] % slots in store.backs:
            return place, store.backs[counts[0] % slots]
        oldest = [max(0, count - store.model.config.past) for count in counts]
        first = torch.tensor(oldest, device=self.device)
        if len(oldest) > 1:
            first = first.repeat_interleave(self.samples)
        held = place.held
        bias = torch.zeros(held.shape, device=self.device)
        bias[:, :slots].masked_fill_(held[:, :slots] < first[:, None], float("-inf"))
        bias = bias[:, None, None]
        if full:
            store.backs[counts[0] % slots] = bias
        return place, bias

    def noise(self) -> Tensor:
        """Of the windows that begin now, [B, K, C]; drawn for some windows at once."""
        window = self.store.model.config.window
        numbers = [count // window % _AHEAD for count in self.counts]
        due = [i for i, number in enumerate(numbers) if number == 0]
        if due:
            some = self.some(due)
            some.write("noise", some._drawn())
        whole = self.read("noise")
        if len(set(numbers)) == 1:
            return whole[:, :, numbers[0]]
        rows = torch.arange(len(numbers), device=self.device)
        return whole[rows, :, torch.tensor(numbers, device=self.device)]

    def _drawn(self) -> Tensor:
        """Noise of the next windows, [B, K, windows, C]."""
        model = self.store.model
        seeds = torch.tensor(self.seeds, device=self.device).repeat_interleave(_AHEAD)
        first = torch.tensor(self.counts, device=self.device) // model.config.window
        numbers = first[:, None] + torch.arange(_AHEAD, device=self.device)
        samples: Samples = self.samples
        if self.which is not None:
            own = torch.tensor(self.which, device=self.device)
            samples = own.repeat_interleave(_AHEAD)[:, None]
        drawn = model.noise_of(seeds, samples)(numbers.flatten())
        apart: Tensor = drawn.unflatten(0, (-1, _AHEAD)).transpose(1, 2)
        return apart

    def _place(self, counts: list[int], tokens: int, unit: str, samples: int) -> Place:
        """Where new tokens of each lane, or of each sample of each lane, go."""
        index = self.index
        if samples > 1:
            counts = [count for count in counts for _ in range(samples)]
            if index is not None:
                each = torch.arange(samples, device=self.device)
                index = (index[:, None] * samples + each).flatten()
        return Place(
            counts,
            tokens,
            self.store.sizes[unit],
            rows=index,
            spare=self.store.spare.get(unit, 0),
            device=self.device,
        )
