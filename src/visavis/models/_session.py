"""Sessions of models that advance window by window: lanes, buffers, batches, snapshots."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, replace
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor

from visavis.behaviour import Behaviour, Source
from visavis.channels import Layout
from visavis.dyad import Persona
from visavis.errors import InputError
from visavis.models._base import Lane, ReactionModel
from visavis.models._checks import seeds_of

StateT = TypeVar("StateT")


@dataclass
class Conversation(Generic[StateT]):
    """What one lane holds between steps."""

    seed: int
    state: StateT
    pending: Behaviour | None = None
    """Speaker frames that do not fill a window yet."""
    ended: bool = False
    source: Source | None = None
    """Where the conversation's first frame comes from."""
    answered: int = 0
    """Frames that reactions were returned for."""


class WindowSession(ABC, Generic[StateT]):
    """Lanes that take any number of frames and advance in windows of `hop` frames.

    A subclass gives the state of one conversation (`start`), one window for many conversations
    (`advance`), and the state as named tensors and back.

    A conversation is one recording: each piece of reactions has the source that its first frames
    came with, moved on to where the piece begins.
    """

    stretches: ClassVar[bool] = False
    """Whether `advance` takes any number of windows at once."""

    def __init__(self, model: ReactionModel[Any], *, hop: int, num_samples: int) -> None:
        if hop < 1 or num_samples < 1:
            raise InputError(
                f"hop and num_samples must be at least 1, not {hop} and {num_samples}."
            )
        self.model = model
        self.hop = hop
        self.latency = hop - 1
        self.num_samples = num_samples
        self._lanes: dict[Lane, Conversation[StateT]] = {}
        self._opened = 0

    # ------------------------------------------------------------------ to give

    @abstractmethod
    def start(self, seed: int, persona: Persona | None) -> StateT:
        """The state of a conversation before its first frame."""

    @abstractmethod
    def advance(
        self, conversations: Sequence[Conversation[StateT]], speaker: Behaviour, *, last: bool
    ) -> tuple[list[StateT], list[dict[str, Tensor]]]:
        """One window [B, t] of B conversations: their new states and channels [K, t', ...].

        A session that `stretches` may be given several windows as one. `last` marks a final
        window, which may be shorter than `hop` or even empty of new frames.
        """

    @abstractmethod
    def state_tensors(self, state: StateT) -> dict[str, Tensor]: ...

    @abstractmethod
    def state_from(self, tensors: Mapping[str, Tensor]) -> StateT: ...

    # ------------------------------------------------------------------ given

    def open(self, *, seed: int, persona: Persona | None = None) -> Lane:
        """A new conversation.

        Raises:
            InputError: the seed is no 64-bit whole number, or the persona is another model's.
        """
        self.model.check_persona(persona)
        (number,) = seeds_of(seed, 1)
        return self._add(Conversation(number, self.start(number, persona)))

    def _add(self, conversation: Conversation[StateT]) -> Lane:
        lane = Lane(self._opened)
        self._opened += 1
        self._lanes[lane] = conversation
        return lane

    def step(self, speakers: Mapping[Lane, Behaviour]) -> Mapping[Lane, Behaviour]:
        """Take new frames of any lanes; return what is ready, [K, t, ...], t = 0 if nothing is.

        Raises:
            InputError: a lane is closed or ended, or frames do not fit; then no lane has moved.
        """
        if not isinstance(speakers, Mapping):
            raise InputError(
                f"step takes the new frames of each lane, {{lane: frames}}, not "
                f"{type(speakers).__name__}."
            )
        joined: dict[Lane, Behaviour] = {}
        for lane, frames in speakers.items():
            conversation = self._at(lane)
            if conversation.ended:
                raise InputError(f"{lane} was flushed and takes no more frames; open a new one.")
            read = replace(self.model.check_speaker(frames), words=())
            if read.lead:
                raise InputError(
                    "a lane takes one speaker's frames [t, ...], not leading axes "
                    f"{list(read.lead)}."
                )
            before = conversation.pending
            waiting = [] if before is None or not before.frames else [before]
            joined[lane] = Behaviour.cat([*waiting, read])
        for lane, read in joined.items():
            conversation = self._lanes[lane]
            begins = conversation.pending is None and not conversation.answered
            if begins and isinstance(read.source, Source):
                conversation.source = read.source
            conversation.pending = replace(read, source=None)
        ready: dict[Lane, list[Behaviour]] = {lane: [] for lane in joined}
        while turn := [lane for lane in joined if self._full(lane)]:
            for lane, part in zip(turn, self._advance(turn, self._size(turn)), strict=True):
                ready[lane].append(part)
        for lane in joined:
            self._lanes[lane].pending = _own(self._lanes[lane].pending)
        return {lane: self._returned(lane, parts) for lane, parts in ready.items()}

    def flush(self, lane: Lane) -> Behaviour:
        """The reactions to frames that did not fill a window; the lane takes no more frames."""
        conversation = self._at(lane)
        if conversation.ended:
            return self._returned(lane, [])
        conversation.ended = True
        if conversation.pending is None or not conversation.pending.frames:
            return self._returned(lane, self._last(lane))
        return self._returned(lane, self._advance([lane], conversation.pending.frames, last=True))

    def _last(self, lane: Lane) -> list[Behaviour]:
        """What a flush gives when no frame is pending."""
        return []

    def _returned(self, lane: Lane, parts: list[Behaviour]) -> Behaviour:
        """Reactions that leave the session, with where they belong in the lane's source."""
        conversation = self._at(lane)
        ready = Behaviour.cat(parts) if parts else self.model.nothing(self.num_samples)
        begin_s, source = conversation.answered / ready.fps, conversation.source
        conversation.answered += ready.frames
        if source is None:
            return ready
        return replace(ready, source=Source(source.path, source.start_s + begin_s))

    def close(self, lane: Lane) -> None:
        self._at(lane)
        del self._lanes[lane]

    def snapshot(self, lane: Lane) -> Mapping[str, Tensor]:
        """Everything a conversation needs to go on elsewhere, as named tensors."""
        conversation = self._at(lane)
        tensors = {f"state/{n}": x for n, x in self.state_tensors(conversation.state).items()}
        about: dict[str, Any] = {
            **self._identity(),
            "seed": conversation.seed,
            "ended": conversation.ended,
            "answered": conversation.answered,
            "source": None if conversation.source is None else astuple(conversation.source),
        }
        if conversation.pending is not None:
            tensors |= {f"pending/{n}": x for n, x in conversation.pending.channels.items()}
            tensors |= {f"observed/{n}": x for n, x in conversation.pending.observed.items()}
            about["layout"] = conversation.pending.layout.to_json()
        about["shapes"] = {n: list(x.shape) for n, x in sorted(tensors.items())}
        text = np.frombuffer(json.dumps(about).encode(), dtype=np.uint8)
        return {n: x.clone() for n, x in tensors.items()} | {"about": torch.from_numpy(text.copy())}

    def resume(self, snapshot: Mapping[str, Tensor]) -> Lane:
        """A lane that goes on where the snapshot was taken.

        Raises:
            InputError: it was taken of another model, configuration, number of samples or hop, or
                it is not whole.
        """
        try:
            about = json.loads(bytes(snapshot["about"].cpu().numpy()))
        except (KeyError, ValueError) as error:
            raise InputError("this is not a snapshot of a session.") from error
        shapes = about.get("shapes", {})
        if lost := [name for name in shapes if name not in snapshot]:
            raise InputError(f"the snapshot is not whole: it lacks {', '.join(lost)}.")
        for name, shape in shapes.items():
            if list(snapshot[name].shape) != shape:
                raise InputError(
                    f"the snapshot is not whole: {name} is {list(snapshot[name].shape)} and was "
                    f"{shape}."
                )
        for key, mine in self._identity().items():
            if about.get(key) != mine:
                raise InputError(
                    f"the snapshot was taken with {key} = {about.get(key)!r}, but this session has "
                    f"{mine!r}."
                )
        mine = {n: x.clone() for n, x in snapshot.items()}
        pending = None
        if "layout" in about:
            pending = Behaviour(
                under(mine, "pending/"),
                Layout.from_json(about["layout"]),
                observed=under(mine, "observed/"),
            )
        state = self.state_from(under(mine, "state/"))
        source = None if about["source"] is None else Source(*about["source"])
        return self._add(
            Conversation(about["seed"], state, pending, about["ended"], source, about["answered"])
        )

    def _identity(self) -> dict[str, Any]:
        """What a snapshot must have in common with the session that resumes it."""
        settings = json.loads(json.dumps(asdict(self.model.config)))
        return {
            "model": self.model.name,
            "hop": self.hop,
            "num_samples": self.num_samples,
            **{f"settings.{name}": value for name, value in settings.items()},
        }

    def _at(self, lane: Lane) -> Conversation[StateT]:
        try:
            return self._lanes[lane]
        except KeyError:
            raise InputError(f"{lane} is not open in this session.") from None

    def _full(self, lane: Lane) -> bool:
        pending = self._lanes[lane].pending
        return pending is not None and pending.frames >= self.hop

    def _size(self, lanes: Sequence[Lane]) -> int:
        """Frames that full lanes move on by: a window, or as many as all of them have."""
        if not self.stretches:
            return self.hop
        buffers = [self._lanes[lane].pending for lane in lanes]
        return min(b.frames for b in buffers if b is not None) // self.hop * self.hop

    def _advance(
        self, lanes: Sequence[Lane], frames: int, *, last: bool = False
    ) -> list[Behaviour]:
        """One window of each lane, as one batch; states and buffers move on together."""
        conversations = [self._lanes[lane] for lane in lanes]
        buffers = [c.pending for c in conversations if c.pending is not None]
        window = Behaviour.stack([b.window(0, frames) for b in buffers])
        with self.model.sampling():
            states, channels = self.advance(conversations, window, last=last)
        for conversation, state, buffer in zip(conversations, states, buffers, strict=True):
            conversation.state = state
            rest = buffer.frames - frames
            conversation.pending = buffer.window(frames, buffer.frames) if rest else None
        layout = Layout.of(*self.model.outputs)
        return [Behaviour(parts, layout) for parts in channels]


def _own(pending: Behaviour | None) -> Behaviour | None:
    """A copy: a view would keep a long chunk in memory, and change with the caller's buffer."""
    if pending is None:
        return None
    return replace(
        pending,
        channels={n: x.clone() for n, x in pending.channels.items()},
        observed={n: x.clone() for n, x in pending.observed.items()},
    )


def under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Those whose names begin with the prefix, without it."""
    return {n.removeprefix(prefix): x for n, x in tensors.items() if n.startswith(prefix)}
