"""What one person does over time: named channels on one 25 fps clock, with absence in the type."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from visavis.channels import FPS, WORDS, Layout, channel_named
from visavis.errors import InputError, MissingChannel

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class Word:
    """A spoken word; times in seconds from the start of the behaviour."""

    text: str
    start_s: float
    end_s: float

    def moved(self, by_s: float) -> Word:
        return Word(self.text, self.start_s + by_s, self.end_s + by_s)


@dataclass(frozen=True)
class Source:
    """The file a behaviour was perceived from, and where in it the behaviour begins."""

    path: str
    start_s: float = 0.0


Words = tuple[Word, ...] | tuple[tuple[Word, ...], ...]
Sources = Source | tuple[Source | None, ...] | None


@dataclass(frozen=True, repr=False, eq=False)
class Behaviour:
    """What one person does, or a batch of persons or samples do.

    Channels have shape [..., T * rate, *width]; the leading axes `...` are the same for all:
    none for one clip, K for reactions, B or [B, K] for batches. Build one with `Behaviour.of`.

    It is a value: no method changes it, and windows and selections share its memory, so do not
    write into `channels`.

    An unobserved value is stored as NaN (zero in integer pixels) and `behaviour["au"]` refuses to
    return a channel that has any, so that absence is never read by mistake: use `filled` or
    `mask`. Padding (frames past `lengths`) is zero and is not absence.
    """

    channels: Mapping[str, Tensor]
    layout: Layout
    fps: float = FPS
    observed: Mapping[str, Tensor] = field(default_factory=dict)
    """name -> bool [..., T]; a channel that is not here was observed in every frame."""
    lengths: Tensor | None = None
    """int64, shaped as the first leading axes; None where nothing is padded."""
    words: Words = ()
    """In a batch one tuple of words a clip (along the first leading axis)."""
    source: Sources = None
    derived: frozenset[str] = frozenset()
    """Channels computed from the other half (attributes from coefficients, or back)."""

    # ------------------------------------------------------------------ birth

    def __post_init__(self) -> None:
        if not self.channels:
            raise InputError("a behaviour needs at least one channel.")
        if set(self.channels) != set(self.layout.names):
            raise InputError(
                f"the layout names {', '.join(self.layout.names)} but the channels given are "
                f"{', '.join(self.channels)}."
            )
        if not self.fps > 0:
            raise InputError(f"fps must be positive, not {self.fps}.")
        shapes = {name: self._clip_shape(name) for name in self.layout.names}
        if len(set(shapes.values())) != 1:
            listed = ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items())
            raise InputError(f"channels differ in leading axes or frames: {listed}.")
        unknown = set(self.observed) - set(self.channels)
        if unknown:
            raise InputError(f"`observed` names channels that are not here: {sorted(unknown)}.")
        if not isinstance(self.derived, frozenset) or not self.derived <= set(self.channels):
            raise InputError(f"`derived` must be a frozenset of channels here, not {self.derived}.")
        if _a_clip_each(self.words) and (not self.lead or len(self.words) != self.lead[0]):
            raise InputError(f"words of {len(self.words)} clips came for {list(self.lead)} clips.")
        self._settle_lengths()
        self._settle_absence()

    def _clip_shape(self, name: str) -> tuple[int, ...]:
        """Leading axes and frames of one channel."""
        channel, values = self.layout[name], self.channels[name]
        width = channel.width
        if values.ndim <= len(width) or tuple(values.shape[-len(width) :]) != width:
            raise InputError(
                f"channel {name!r} must have shape [..., T, {', '.join(map(str, width))}], "
                f"but came as {list(values.shape)}."
            )
        *lead, ticks = values.shape[: -len(width)]
        if ticks % channel.rate:
            raise InputError(
                f"channel {name!r} has {ticks} ticks; wanted a multiple of {channel.rate}."
            )
        return (*lead, ticks // channel.rate)

    def _settle_lengths(self) -> None:
        if self.lengths is None:
            return
        shape = tuple(self.lengths.shape)
        if self.lengths.ndim == 0 or shape != self.lead[: len(shape)]:
            raise InputError(
                f"lengths of shape {list(shape)} do not fit the leading axes {list(self.lead)}."
            )
        if bool(((self.lengths < 1) | (self.lengths > self.frames)).any()):
            raise InputError(f"lengths must lie between 1 and {self.frames}: {self.lengths}.")

    def _settle_absence(self) -> None:
        """Drop masks that say nothing; store unobserved values as NaN and padding as zero."""
        inside = self.inside() if self.lengths is not None else None
        channels, masks = dict(self.channels), {}
        for name, values in self.channels.items():
            mask = self.observed.get(name)
            if mask is not None:
                if tuple(mask.shape) != (*self.lead, self.frames) or mask.dtype != torch.bool:
                    raise InputError(
                        f"the mask of {name!r} must be bool {[*self.lead, self.frames]}, but came "
                        f"as {mask.dtype} {list(mask.shape)}."
                    )
                mask = mask if inside is None else mask | ~inside
                if not bool(mask.all()):
                    masks[name] = mask
                    lost = float("nan") if values.is_floating_point() else 0
                    values = torch.where(self._per_tick(mask, name), values, lost)
            if inside is not None:
                values = torch.where(self._per_tick(inside, name), values, 0)
            channels[name] = values
        object.__setattr__(self, "channels", channels)
        object.__setattr__(self, "observed", masks)

    def _per_tick(self, mask: Tensor, name: str) -> Tensor:
        """A frame mask [..., T] shaped to broadcast over a channel's values."""
        channel = self.layout[name]
        if channel.rate > 1:
            mask = mask.repeat_interleave(channel.rate, dim=-1)
        return mask.reshape(*mask.shape, *([1] * len(channel.width)))

    @classmethod
    def of(
        cls,
        channels: Mapping[str, Tensor | np.ndarray],
        *,
        layout: Layout | None = None,
        convention: str = "arkit",
        fps: float = FPS,
        observed: Mapping[str, Tensor | np.ndarray] | None = None,
        lengths: Tensor | Sequence[int] | None = None,
        words: Words = (),
        source: Sources = None,
        derived: frozenset[str] = frozenset(),
        nan_is_absent: bool = False,
    ) -> Behaviour:
        """A behaviour from tensors or arrays, checked.

        Args:
            channels: name -> values [..., T * rate, *width]. Names are standard unless `layout`
                defines them.
            nan_is_absent: take frames that hold NaN or infinity as unobserved instead of raising.

        Raises:
            InputError: a shape does not fit, or an observed value is not finite.
        """
        if layout is None:
            layout = Layout(tuple(channel_named(name) for name in channels), convention)
        values = {name: _tensor(v) for name, v in channels.items()}
        masks = {name: torch.as_tensor(m) for name, m in (observed or {}).items()}
        behaviour = cls(
            values,
            layout,
            fps,
            masks,
            None if lengths is None else torch.as_tensor(lengths, dtype=torch.int64),
            words,
            source,
            derived,
        )
        return behaviour._checked_finite(nan_is_absent)

    def _checked_finite(self, nan_is_absent: bool) -> Behaviour:
        masks = {}
        for name, values in self.channels.items():
            if not values.is_floating_point() or bool(torch.isfinite(values).all()):
                continue
            axes = tuple(range(-len(self.layout[name].width), 0))
            good = torch.isfinite(values).all(dim=axes)
            good = good.unflatten(-1, (self.frames, self.layout[name].rate)).all(dim=-1)
            bad = self.mask(name) & ~good
            if not bool(bad.any()):
                continue
            if not nan_is_absent:
                first = bad.nonzero()[0].tolist()
                raise InputError(
                    f"channel {name!r} is not finite at {first} ([..., frame]; "
                    f"{int(bad.sum())} frames in all). Pass `observed`, or nan_is_absent=True to "
                    "take such frames as unobserved."
                )
            masks[name] = self.mask(name) & good
        return replace(self, observed={**self.observed, **masks}) if masks else self

    # ------------------------------------------------------------------ size

    @cached_property
    def frames(self) -> int:
        """T, padding included."""
        return self._clip_shape(self.layout.names[0])[-1]

    @cached_property
    def lead(self) -> tuple[int, ...]:
        """The leading axes: () for one clip, (K,) for reactions, (B,) or (B, K) for batches."""
        return self._clip_shape(self.layout.names[0])[:-1]

    @property
    def duration_s(self) -> float:
        return self.frames / self.fps

    @property
    def device(self) -> torch.device:
        return next(iter(self.channels.values())).device

    def __len__(self) -> int:
        """Size of the first leading axis."""
        if not self.lead:
            raise InputError(
                "a single clip has no leading axis; its frames are `behaviour.frames`."
            )
        return self.lead[0]

    def __iter__(self) -> Iterator[Behaviour]:
        return (self[i] for i in range(len(self)))

    def has(self, *names: str) -> bool:
        """Whether every one of the channels (or a channel of each group) is here."""
        return all(self.layout.resolve([name], strict=False) for name in names)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.has(name)

    # ------------------------------------------------------------------ reading

    def __getitem__(self, key: str | int | slice) -> Any:
        """`b["au"]`: the values [..., T, 15]; `b[0]`: the first clip or sample, unpadded.

        Raises:
            MissingChannel: the channel is not here, or some of its frames were not observed.
        """
        if isinstance(key, str):
            return self._read(key)
        if not isinstance(key, slice):
            key = _whole_number(key)
        if not self.lead:
            raise InputError(
                "a single clip has no leading axis; use `window(start, stop)` for time."
            )
        if isinstance(key, int) and not -self.lead[0] <= key < self.lead[0]:
            raise IndexError(f"index {key} is out of range for {self.lead[0]} entries.")
        part = self._map(
            lambda x: x[key], words=_pick(self.words, key), source=_pick(self.source, key)
        )
        if isinstance(key, int) and self.lengths is not None and self.lengths.ndim == 1:
            return replace(part, lengths=None).window(0, int(self.lengths[key]))
        return part

    def _read(self, name: str) -> Tensor:
        self.layout[name]  # raises MissingChannel with the nearest name
        if name in self.observed:
            lost = int((~self.observed[name]).sum())
            raise MissingChannel(
                f"{lost} of {self.observed[name].numel()} frames of {name!r} were not observed. "
                f"Use filled({name!r}, value) or mask({name!r}), or window() an observed stretch."
            )
        return self.channels[name]

    def filled(self, name: str, value: float = 0.0) -> Tensor:
        """The channel [..., T * rate, *width] with unobserved frames set to `value`."""
        channel = self.layout[name]
        if channel.name not in self.observed:
            return self.channels[name]
        return torch.where(self._per_tick(self.observed[name], name), self.channels[name], value)

    def mask(self, name: str) -> Tensor:
        """Which frames of the channel were observed, bool [..., T]; True in padding."""
        self.layout[name]
        found = self.observed.get(name)
        if found is not None:
            return found.clone()
        return torch.ones((*self.lead, self.frames), dtype=torch.bool, device=self.device)

    def inside(self) -> Tensor:
        """Which frames are not padding, bool [..., T]."""
        everything = torch.ones((*self.lead, self.frames), dtype=torch.bool, device=self.device)
        if self.lengths is None:
            return everything
        clock = torch.arange(self.frames, device=self.device)
        lengths = self.lengths.reshape(
            *self.lengths.shape, *([1] * (len(self.lead) + 1 - self.lengths.ndim))
        )
        return everything & (clock < lengths.to(self.device))

    def pack(self, *names: str) -> Tensor:
        """The channels side by side, [..., T, C], in layout order; every frame must be observed.

        Ticks of faster channels lie side by side within their frame.
        """
        parts = []
        for name in self.layout.resolve(names or self.layout.names):
            values = self._read(name)
            parts.append(values.reshape(*self.lead, self.frames, -1))
        return torch.cat(parts, dim=-1)

    @classmethod
    def unpack(cls, packed: Tensor, layout: Layout, *, fps: float = FPS) -> Behaviour:
        """The inverse of `pack`: [..., T, layout.size] to named channels."""
        if packed.shape[-1] != layout.size:
            raise InputError(
                f"the layout {', '.join(layout.names)} has {layout.size} numbers a frame, "
                f"but the tensor has {packed.shape[-1]}."
            )
        *lead, frames, _ = packed.shape
        parts = packed.split([c.size * c.rate for c in layout], dim=-1)
        channels = {
            c.name: part.reshape(*lead, frames * c.rate, *c.width)
            for c, part in zip(layout, parts, strict=True)
        }
        return cls(channels, layout, fps)

    # ------------------------------------------------------------------ channels

    def select(self, *names: str) -> Behaviour:
        """Only these channels or groups, in layout order; words stay."""
        return self._keep(self.layout.resolve(names))

    def without(self, *names: str) -> Behaviour:
        """All but these channels, groups or "words"; names that are not here change nothing."""
        gone = self.layout.resolve(names, strict=False)
        kept = self._keep(tuple(n for n in self.layout.names if n not in gone))
        return replace(kept, words=_no_words(kept.words)) if WORDS in names else kept

    def _keep(self, names: tuple[str, ...]) -> Behaviour:
        return replace(
            self,
            channels={n: self.channels[n] for n in names},
            layout=Layout(tuple(self.layout[n] for n in names), self.layout.convention),
            observed={n: m for n, m in self.observed.items() if n in names},
            derived=self.derived & set(names),
        )

    def with_channels(
        self,
        channels: Mapping[str, Tensor],
        *,
        observed: Mapping[str, Tensor] | None = None,
        derived: bool = False,
    ) -> Behaviour:
        """This behaviour with standard channels added or replaced."""
        merged = {**self.channels, **channels}
        added = tuple(channel_named(n) for n in channels if n not in self.layout)
        masks = {n: m for n, m in self.observed.items() if n not in channels}
        marked = self.derived | set(channels) if derived else self.derived - set(channels)
        changed = replace(
            self,
            channels=merged,
            layout=Layout((*self.layout.channels, *added), self.layout.convention),
            observed={**masks, **(observed or {})},
            derived=frozenset(marked),
        )
        return changed._checked_finite(nan_is_absent=False)

    def drop(self, *names: str, start: int = 0, stop: int | None = None) -> Behaviour:
        """The same behaviour with frames [start, stop) of channels or groups unobserved.

        "words" drops the words that overlap the stretch.
        """
        stop = self.frames if stop is None else stop
        if not 0 <= start <= stop <= self.frames:
            raise InputError(f"cannot drop frames {start} to {stop} of {self.frames}.")
        masks = dict(self.observed)
        for name in self._dropped(names):
            mask = self.mask(name).clone()
            mask[..., start:stop] = False
            masks[name] = mask
        begin_s, end_s = start / self.fps, stop / self.fps
        words = self.words
        if WORDS in names:
            words = _each_clip(
                words, lambda ws: tuple(w for w in ws if w.end_s <= begin_s or w.start_s >= end_s)
            )
        return replace(self, observed=masks, words=words)

    def _dropped(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Channels behind names; "words" may stand for words alone, every other name for some."""
        others = self.layout.resolve([n for n in names if n != WORDS])
        return (*others, *self.layout.resolve([WORDS] if WORDS in names else [], strict=False))

    # ------------------------------------------------------------------ time

    def window(self, start: int, stop: int) -> Behaviour:
        """Frames [start, stop), words and source moved along."""
        if not 0 <= start <= stop <= self.frames:
            raise InputError(f"cannot cut frames {start} to {stop} out of {self.frames}.")
        if self.lengths is not None and bool((self.lengths <= start).any()):
            raise InputError(
                f"frame {start} lies in the padding of a clip; cut clips before batching."
            )
        begin_s, end_s = start / self.fps, stop / self.fps
        words = _each_clip(
            self.words,
            lambda ws: tuple(
                w.moved(-begin_s) for w in ws if w.end_s > begin_s and w.start_s < end_s
            ),
        )
        return replace(
            self,
            channels={
                n: self._narrow(x, self.layout[n].rate, n, start, stop)
                for n, x in self.channels.items()
            },
            observed={n: m[..., start:stop] for n, m in self.observed.items()},
            lengths=None
            if self.lengths is None
            else (self.lengths - start).clamp(max=stop - start),
            words=words,
            source=_moved(self.source, begin_s),
        )

    def _narrow(self, values: Tensor, rate: int, name: str, start: int, stop: int) -> Tensor:
        return values.narrow(len(self.lead), start * rate, (stop - start) * rate)

    def windows(self, size: int, hop: int | None = None) -> Iterator[Behaviour]:
        """Windows of `size` frames every `hop` (default: `size`); a last one may be shorter."""
        hop = size if hop is None else hop
        if size < 1 or hop < 1:
            raise InputError(f"windows need a positive size and hop, not {size} and {hop}.")
        for start in range(0, self.frames, hop):
            yield self.window(start, min(start + size, self.frames))
            if start + size >= self.frames:
                return

    @staticmethod
    def cat(parts: Sequence[Behaviour]) -> Behaviour:
        """One behaviour after the other in time; leading axes and layouts must agree."""
        from visavis._behaviour_join import cat

        return cat(parts)

    # ------------------------------------------------------------------ batches

    @staticmethod
    def stack(clips: Sequence[Behaviour]) -> Behaviour:
        """A batch [B, ..., T]; shorter clips are padded with zeros and `lengths` says so."""
        from visavis._behaviour_join import stack

        return stack(clips)

    def unsqueeze(self) -> Behaviour:
        """With a leading axis of one in front: a clip as a batch."""
        return self._map(
            lambda x: x[None],
            words=(self.words,) if self.words else (),
            source=(self.source,) if self.source else None,
        )

    def to(self, target: torch.device | str | torch.dtype) -> Behaviour:
        """On another device, or with floating channels in another dtype."""
        if isinstance(target, torch.dtype):
            return replace(
                self,
                channels={
                    n: x.to(target) if x.is_floating_point() else x
                    for n, x in self.channels.items()
                },
            )
        return self._map(lambda x: x.to(target), words=self.words, source=self.source)

    def detach(self) -> Behaviour:
        return replace(self, channels={n: x.detach() for n, x in self.channels.items()})

    def _map(self, change: Any, *, words: Any, source: Any) -> Behaviour:
        """The same change to every tensor's leading part."""
        lengths = self.lengths
        return replace(
            self,
            channels={n: change(x) for n, x in self.channels.items()},
            observed={n: change(m) for n, m in self.observed.items()},
            lengths=None if lengths is None or _loses_axis(lengths, change) else change(lengths),
            words=words,
            source=source,
        )

    # ------------------------------------------------------------------ files

    def save(self, path: str | Path) -> Path:
        """Write a safetensors file with the layout, words and source in its metadata."""
        from visavis._behaviour_files import save

        return save(self, path)

    @classmethod
    def load(cls, path: str | Path) -> Behaviour:
        """Read what `save` wrote.

        Raises:
            InputError: the file is not there, is not a behaviour, or is of another format.
        """
        from visavis._behaviour_files import load

        return load(path)

    def to_dataframe(self) -> pandas.DataFrame:
        """A table of one clip: a row a frame, `time_s` first, columns `channel.label`.

        Unobserved values are NaN; the first tick stands for a faster channel's frame; pixels are
        left out.

        Raises:
            MissingExtra: pandas is not installed.
            InputError: this is a batch.
        """
        from visavis._behaviour_files import table

        return table(self)

    # ------------------------------------------------------------------ looking

    def __repr__(self) -> str:
        from visavis._behaviour_text import describe

        return describe(self)


# ---------------------------------------------------------------------- helpers


def _tensor(values: Tensor | np.ndarray) -> Tensor:
    # an array is copied: what its owner does to it later must not reach in here
    tensor = values if isinstance(values, Tensor) else torch.tensor(values)
    return tensor if tensor.dtype in (torch.uint8, torch.float32) else tensor.to(torch.float32)


def _loses_axis(lengths: Tensor, change: Any) -> bool:
    """Whether indexing takes away the only axis that `lengths` has."""
    return lengths.ndim == 1 and bool(change(lengths).ndim == 0)


def _pick(value: Any, key: int | slice) -> Any:
    """Entry `key` of what is stored once a clip; what is stored once for all stays."""
    if (
        isinstance(value, tuple)
        and value
        and (value[0] is None or isinstance(value[0], tuple | Source))
    ):
        picked = value[key]
        return () if picked is None and isinstance(value[0], tuple) else picked
    return value


def _a_clip_each(words: Words) -> bool:
    """Whether words are given clip by clip, as in a batch."""
    return bool(words) and isinstance(words[0], tuple)


def _whole_number(key: Any) -> int:
    """An index as a Python int, whatever whole number it came as."""
    try:
        if isinstance(key, bool | tuple):
            raise TypeError
        return operator.index(key)
    except TypeError:
        raise InputError(
            f"cannot index a behaviour with {key!r}; give a channel's name, a whole number or a "
            "slice of the first leading axis."
        ) from None


def _each_clip(words: Words, change: Any) -> Words:
    if _a_clip_each(words):
        return tuple(change(ws) for ws in words)
    return tuple(change(words))


def _no_words(words: Words) -> Words:
    return _each_clip(words, lambda _: ())


def words_of(behaviour: Behaviour, clip: int) -> tuple[Word, ...]:
    words = behaviour.words
    if words and isinstance(words[0], tuple):
        words = words[clip]
    return tuple(w for w in words if isinstance(w, Word))


def _moved(source: Sources, by_s: float) -> Sources:
    if isinstance(source, tuple):
        return tuple(None if s is None else Source(s.path, s.start_s + by_s) for s in source)
    return None if source is None else Source(source.path, source.start_s + by_s)
