"""One shard of a cache: several dyads in a safetensors file, read through a memory map.

A channel lies contiguous in the file, frame after frame, so a window of it is one slice of the
map: only the pages under the window are ever read, and all processes share them. Equal tensors
of a shard (the two views of one clip after a role swap, the mask of several channels) are stored
once.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from visavis._behaviour_files import source_from, source_json, words_from, words_json
from visavis._files_tensors import write_tensors
from visavis.behaviour import Behaviour, Source, Word
from visavis.channels import Layout
from visavis.dyad import Dyad
from visavis.errors import InputError

FORMAT = 1
_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


# ---------------------------------------------------------------------- writing


def write_shard(
    path: Path, dyads: Sequence[Dyad], *, key: str, contents: Sequence[Sequence[str]]
) -> None:
    """Write dyads into one file, whole or not at all.

    Args:
        path: of the shard.
        dyads: in order.
        key: of the cache, so that a shard is never taken for another's.
        contents: for each dyad the hashes of the files it was parsed from.

    Raises:
        InputError: a dyad holds what a cache cannot keep, or the file cannot be written.
    """
    store = _Store()
    described = [store.dyad(dyad) for dyad in dyads]
    about = {
        "format": FORMAT,
        "key": key,
        "dyads": described,
        "contents": [list(c) for c in contents],
    }
    write_tensors(path, store.tensors, kind="shard", about=about)


class _Store:
    """Tensors by content, and dyads as plain data that name them."""

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}

    def keep(self, tensor: Tensor) -> str:
        held = tensor.detach().cpu().contiguous()
        whole = held.reshape(-1).view(torch.uint8) if held.numel() else held
        look = f"{held.dtype} {list(held.shape)} ".encode()
        name = hashlib.blake2b(look + whole.numpy().tobytes(), digest_size=16).hexdigest()
        self.tensors.setdefault(name, held)
        return name

    def dyad(self, dyad: Dyad) -> dict[str, Any]:
        return {f.name: self.value(dyad.id, f.name, getattr(dyad, f.name)) for f in fields(dyad)}

    def value(self, id: str, name: str, value: Any) -> Any:
        if isinstance(value, Behaviour):
            return {"behaviour": self.behaviour(id, name, value)}
        if isinstance(value, Tensor):
            return {"tensor": self.keep(value)}
        try:
            json.dumps(value)
        except (TypeError, ValueError):
            raise InputError(
                f"the {name} of {id} is {type(value).__name__}, which a cache cannot keep."
            ) from None
        return {"value": value}

    def behaviour(self, id: str, role: str, behaviour: Behaviour) -> dict[str, Any]:
        if behaviour.lead or behaviour.lengths is not None:
            raise InputError(
                f"the {role} of {id} is a batch {list(behaviour.lead)}; a dyad holds single clips."
            )
        return {
            "layout": behaviour.layout.to_json(),
            "fps": behaviour.fps,
            "frames": behaviour.frames,
            "words": words_json(behaviour.words),
            "source": source_json(behaviour.source),
            "derived": sorted(behaviour.derived),
            "channels": {n: self.keep(x) for n, x in behaviour.channels.items()},
            "observed": {n: self.keep(m) for n, m in behaviour.observed.items()},
        }


# ---------------------------------------------------------------------- reading


class Shard:
    """A shard opened for reading.

    Raises:
        InputError: the file is not there, is not whole, or is no shard of this cache.
    """

    def __init__(self, path: Path, *, key: str) -> None:
        about, self._places, self._map = _opened(path)
        if about.get("format") != FORMAT or about.get("key") != key:
            raise InputError(f"{path} belongs to another cache; build the cache again.")
        try:
            self.ids = tuple(str(d["id"]["value"]) for d in about["dyads"])
            self.contents = tuple(tuple(map(str, c)) for c in about["contents"])
            self._dyads: list[dict[str, Any]] = about["dyads"]
        except (KeyError, TypeError) as error:
            raise InputError(f"{path} is damaged ({error!r}); build the cache again.") from error
        self._plans: dict[tuple[int, str], _Plan] = {}

    def dyad(self, slot: int) -> Dyad:
        """The dyad in a place of this shard; its tensors lie in the file until they are read."""
        made: dict[str, Any] = {}
        for name, entry in self._dyads[slot].items():
            if "behaviour" in entry:
                made[name] = self.behaviour(slot, name)
            elif "tensor" in entry:
                made[name] = self._tensor(entry["tensor"]).clone()
            else:
                made[name] = _tupled(entry["value"])
        return Dyad(**made)

    def frames(self, slot: int, role: str) -> int:
        """Length of the speaker or listener of a dyad, at its own rate."""
        return self._plan(slot, role).frames

    def behaviour(
        self, slot: int, role: str, start: int = 0, stop: int | None = None, /
    ) -> Behaviour:
        """Frames [start, stop) of the speaker or listener of a dyad, all without `stop`.

        Raises:
            InputError: the clip is shorter.
        """
        plan = self._plan(slot, role)
        if stop is None:
            stop = plan.frames
        if not 0 <= start <= stop <= plan.frames:
            raise InputError(f"cannot cut frames {start} to {stop} out of {plan.frames}.")
        whole = start == 0 and stop == plan.frames
        masks: dict[str, Tensor] = {}
        if plan.observed:
            # a mask shared by several channels is looked at once
            cut = {k: plan.masks[k].read(self._map, start, stop) for k in plan.masks}
            lost = {k for k, m in cut.items() if not bool(m.all())}
            masks = {n: cut[k] for n, k in plan.observed.items() if k in lost}
        return _view(
            channels={n: p.read(self._map, start, stop) for n, p in plan.channels.items()},
            layout=plan.layout,
            fps=plan.fps,
            observed=masks,
            lengths=None,
            words=plan.words if whole else _heard(plan, start, stop),
            source=_moved(plan.source, start / plan.fps) if start else plan.source,
            derived=plan.derived,
        )

    def _plan(self, slot: int, role: str) -> _Plan:
        plan = self._plans.get((slot, role))
        if plan is None:
            about = self._dyads[slot][role]["behaviour"]
            layout = Layout.from_json(about["layout"])
            words = words_from(about["words"])
            source = source_from(about["source"])
            plan = _Plan(
                layout=layout,
                fps=float(about["fps"]),
                frames=int(about["frames"]),
                channels={
                    n: self._places[k].ticks(layout[n].rate) for n, k in about["channels"].items()
                },
                observed=dict(about["observed"]),
                masks={k: self._places[k].ticks(1) for k in about["observed"].values()},
                words=tuple(w for w in words if isinstance(w, Word)),
                source=source if isinstance(source, Source) else None,
                derived=frozenset(about["derived"]),
            )
            self._plans[slot, role] = plan
        return plan

    def _tensor(self, name: str) -> Tensor:
        return self._places[name].whole(self._map)


@dataclass(frozen=True)
class _Place:
    """Where one tensor lies in a file."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    offset: int

    def whole(self, file: mmap.mmap) -> Tensor:
        count = 1
        for n in self.shape:
            count *= n
        if not count:
            return torch.empty(self.shape, dtype=self.dtype)
        return torch.frombuffer(file, dtype=self.dtype, count=count, offset=self.offset).reshape(
            self.shape
        )

    def ticks(self, rate: int) -> _Ticks:
        size = 1
        for n in self.shape[1:]:
            size *= n
        return _Ticks(self.dtype, self.shape[1:], self.offset, size, rate)


@dataclass(frozen=True)
class _Ticks:
    """Where one channel lies, and how far its frames are apart."""

    dtype: torch.dtype
    width: tuple[int, ...]
    offset: int
    size: int
    rate: int

    def read(self, file: mmap.mmap, start: int, stop: int) -> Tensor:
        """Ticks of the frames [start, stop): a view of the file."""
        first, count = start * self.rate, (stop - start) * self.rate
        if not count:
            return torch.empty((0, *self.width), dtype=self.dtype)
        flat = torch.frombuffer(
            file,
            dtype=self.dtype,
            count=count * self.size,
            offset=self.offset + first * self.size * self.dtype.itemsize,
        )
        return flat.view(count, *self.width)


@dataclass(frozen=True)
class _Plan:
    """All that is needed to cut a behaviour out of a file."""

    layout: Layout
    fps: float
    frames: int
    channels: Mapping[str, _Ticks]
    observed: Mapping[str, str]
    masks: Mapping[str, _Ticks]
    words: tuple[Word, ...]
    source: Source | None
    derived: frozenset[str]


def _view(**parts: Any) -> Behaviour:
    """A behaviour without the checks of its birth, which would read every page of the clip.

    What is stored was checked when it was written, and unobserved values are NaN already.
    """
    made = object.__new__(Behaviour)
    made.__dict__.update(parts)
    return made


def _heard(plan: _Plan, start: int, stop: int) -> tuple[Word, ...]:
    """The words that overlap a window, moved along: as `Behaviour.window` has it."""
    begin_s, end_s = start / plan.fps, stop / plan.fps
    heard = [w.moved(-begin_s) for w in plan.words if w.end_s > begin_s and w.start_s < end_s]
    return tuple(heard)


def _moved(source: Source | None, by_s: float) -> Source | None:
    return None if source is None else Source(source.path, source.start_s + by_s)


def _tupled(value: Any) -> Any:
    """JSON has lists where a dyad has tuples."""
    return tuple(_tupled(v) for v in value) if isinstance(value, list) else value


def _opened(path: Path) -> tuple[dict[str, Any], dict[str, _Place], mmap.mmap]:
    """Description, places and map of a safetensors file, checked to be whole."""
    try:
        with path.open("rb") as file:
            # a private map: writing into a tensor by mistake never reaches the file
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        (size,) = struct.unpack("<Q", mapped[:8])
        header = json.loads(mapped[8 : 8 + size])
        about = json.loads(header.pop("__metadata__")["visavis.shard"])
        places, end = {}, 8 + size
        for name, entry in header.items():
            begin, stop = entry["data_offsets"]
            places[name] = _Place(_DTYPES[entry["dtype"]], tuple(entry["shape"]), 8 + size + begin)
            end = max(end, 8 + size + stop)
        if end != len(mapped):
            raise ValueError(f"{len(mapped)} bytes, wanted {end}")
        if not isinstance(about, dict):
            raise ValueError("no description")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}.") from error
    except (ValueError, KeyError, TypeError, struct.error) as error:
        raise InputError(
            f"{path} is not a whole shard of a cache ({error}); build the cache again."
        ) from error
    return about, places, mapped
