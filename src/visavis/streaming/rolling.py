"""Stream any offline model honestly: over a sliding window, with a stated context and latency."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from visavis.behaviour import Behaviour
from visavis.channels import Layout
from visavis.dyad import Persona
from visavis.errors import InputError, OfflineOnly
from visavis.models._base import Lane, ReactionModel
from visavis.models._session import Conversation, WindowSession


@dataclass(frozen=True)
class RollingState:
    """What one conversation remembers: the speaker's last frames, and reactions to fade from."""

    context: Behaviour | None
    """The last `context` speaker frames at most."""
    held: int
    """Of them, the newest that are not answered yet (the look-ahead)."""
    tail: Tensor | None
    """The last run's reactions to frames that the next run answers anew, [K, fade, C]."""
    persona: Persona | None


class RollingSession(WindowSession[RollingState]):
    """Runs an offline model over the last frames, every `hop` frames.

    Each run sees the last `context` frames (speaker frames that are older are forgotten), and
    answers `hop` of them. With `lookahead` the answered frames lie that much before the newest
    one, and each answer fades in from the run before, so that seams do not show; without it the
    reactions may step at seams. One seed is used for every run, so a model whose noise is a clip's
    latent keeps its listener.

    Each run begins at frame 0, so a model that knows how long the conversation has lasted is
    refused: one that reads nothing of the speaker, and one that streams itself (`model.session`).

    A reaction to frame t is ready once frame t + `latency` has come; latency = hop - 1 +
    lookahead. What a run computes depends on frames alone, not on how they were chunked.

    Args:
        context: frames a run sees, at least hop + lookahead.
        hop: frames answered a run.
        lookahead: frames seen beyond the answered ones.

    Raises:
        InputError: the sizes do not fit, or the model is refused.
    """

    def __init__(
        self,
        model: ReactionModel[Any],
        *,
        num_samples: int = 1,
        context: int = 250,
        hop: int = 25,
        lookahead: int = 0,
    ) -> None:
        super().__init__(model, hop=hop, num_samples=num_samples)
        _refuse_a_clock(model)
        if lookahead < 0 or context < hop + lookahead:
            raise InputError(
                f"context must be at least hop + lookahead = {hop} + {lookahead} frames, "
                f"not {context}."
            )
        self.context, self.lookahead = context, lookahead
        self.latency = hop - 1 + lookahead

    def start(self, seed: int, persona: Persona | None) -> RollingState:
        return RollingState(None, 0, None, persona)

    def advance(
        self, conversations: Sequence[Conversation[RollingState]], speaker: Behaviour, *, last: bool
    ) -> tuple[list[RollingState], list[dict[str, Tensor]]]:
        # conversations have contexts of different length while they are young, so each runs alone
        runs = [
            self._run(conversation, frames, last=last)
            for conversation, frames in zip(conversations, speaker, strict=True)
        ]
        channels = [dict(Behaviour.unpack(packed, self._layout).channels) for _, packed in runs]
        return [state for state, _ in runs], channels

    @property
    def _layout(self) -> Layout:
        return Layout.of(*self.model.outputs)

    def _run(
        self, conversation: Conversation[RollingState], new: Behaviour, *, last: bool
    ) -> tuple[RollingState, Tensor]:
        """One run: the next state and packed reactions [K, t, C]."""
        state = conversation.state
        seen = new if state.context is None else Behaviour.cat([state.context, new])
        waiting = state.held + new.frames
        keep_back = 0 if last else min(self.lookahead, waiting)
        answered = waiting - keep_back
        seen = seen.window(max(0, seen.frames - self.context), seen.frames)
        first = seen.frames - waiting
        reactions = self.model.generate(
            seen, self.num_samples, seeds=conversation.seed, persona=state.persona
        ).pack()
        out = reactions[:, first : first + answered]
        if state.tail is not None:
            fade = min(state.tail.shape[1], answered)
            ramp = torch.arange(1, fade + 1, device=out.device)[:, None] / (fade + 1)
            mixed = state.tail[:, :fade] * (1 - ramp) + out[:, :fade] * ramp
            out = torch.cat([mixed, out[:, fade:]], dim=1)
        tail = reactions[:, first + answered :] if keep_back else None
        kept = min(seen.frames, self.context)
        context = seen.window(seen.frames - kept, seen.frames)
        return RollingState(context, keep_back, tail, state.persona), out

    def _last(self, lane: Lane) -> list[Behaviour]:
        """With nothing pending, a flush still owes the frames that were held for the look-ahead."""
        conversation = self._at(lane)
        state = conversation.state
        if not state.held or state.context is None:
            return []
        nothing_new = state.context.window(0, 0)
        with self.model.sampling():
            conversation.state, packed = self._run(conversation, nothing_new, last=True)
        return [Behaviour.unpack(packed, self._layout)]

    def _identity(self) -> dict[str, Any]:
        return {**super()._identity(), "context": self.context, "lookahead": self.lookahead}

    def state_tensors(self, state: RollingState) -> dict[str, Tensor]:
        tensors = {"held": torch.tensor(state.held)}
        if state.context is not None:
            tensors |= {f"channel/{n}": x for n, x in state.context.channels.items()}
            tensors |= {f"observed/{n}": x for n, x in state.context.observed.items()}
        if state.tail is not None:
            tensors["tail"] = state.tail
        if state.persona is not None:
            tensors["persona"] = state.persona.embedding
            tensors["expressiveness"] = torch.tensor(state.persona.expressiveness)
            if state.persona.traits is not None:
                tensors["traits"] = state.persona.traits
        return tensors

    def state_from(self, tensors: Mapping[str, Tensor]) -> RollingState:
        names = dict.fromkeys((*self.model.reads, *self.model.reads_also))
        channels = {n: tensors[f"channel/{n}"] for n in names if f"channel/{n}" in tensors}
        masks = {n: tensors[f"observed/{n}"] for n in channels if f"observed/{n}" in tensors}
        embedding, traits = tensors.get("persona"), tensors.get("traits")
        expressiveness = float(tensors.get("expressiveness", 1.0))
        return RollingState(
            Behaviour(channels, Layout.of(*channels), observed=masks) if channels else None,
            int(tensors["held"]),
            tensors.get("tail"),
            None
            if embedding is None
            else Persona(self.model.name, embedding, traits, expressiveness),
        )


def _refuse_a_clock(model: ReactionModel[Any]) -> None:
    """Runs over windows would repeat, or draw the same noise again, where time should go on."""
    try:
        model.session()
    except OfflineOnly:
        if model.inputs:
            return
        raise InputError(
            f"{model.name} reads nothing of the speaker, so its reactions can depend on the clock "
            "alone, and a sliding window would start that again at every run. Give the model a "
            "session of its own."
        ) from None
    raise InputError(
        f"{model.name} streams itself; use model.session(num_samples). A sliding window would "
        "start its clock again at every run."
    )
