"""BeLFusion over time: what was heard of late, and how the last window would have gone on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from visavis.behaviour import Behaviour
from visavis.dyad import Persona
from visavis.models._session import Conversation, WindowSession

if TYPE_CHECKING:
    from visavis.models.belfusion import Belfusion


@dataclass(frozen=True)
class WindowState:
    """One conversation between two frames."""

    frames: int
    """Heard so far."""
    heard: Tensor
    """The latest frames that the next answer may know, [h, F + 1]."""
    answer: Tensor
    """The latest window's attributes and how they would go on, [K, window + blend, 25]; empty
    before the first."""


class _BelfusionSession(WindowSession[WindowState]):
    model: Belfusion
    kept: int
    """Frames of the speaker that a state keeps."""

    def start(self, seed: int, persona: Persona | None) -> WindowState:
        width = self.model.scale.mean
        heard = width.new_zeros(self.kept, len(width) + 1)
        return WindowState(0, heard, width.new_zeros(self.num_samples, 0, 25))

    def answers(
        self, states: Sequence[WindowState], windows: Tensor, seeds: Sequence[int]
    ) -> Tensor:
        """The next window of conversations that heard [N, h, F + 1], [N, K, window + blend, 25].

        Its beginning is faded from the one before, its end goes on past the window.
        """
        model = self.model
        number = [s.frames // model.config.window for s in states]
        device = windows.device
        codes = model.codes(
            model.condition(windows),
            torch.tensor(seeds, device=device),
            torch.tensor(number, device=device),
            self.num_samples,
        )
        made = model.decode(codes)
        if not model.config.blend:
            return made
        parts = []
        for state, fresh in zip(states, made, strict=True):
            if state.answer.shape[1]:
                fresh = model.faded(state.answer[:, model.config.window :], fresh)
            parts.append(fresh)
        return torch.stack(parts)

    def state_tensors(self, state: WindowState) -> dict[str, Tensor]:
        number = torch.tensor(state.frames)
        return {"frames": number, "heard": state.heard, "answer": state.answer}

    def state_from(self, tensors: Mapping[str, Tensor]) -> WindowState:
        return WindowState(int(tensors["frames"]), tensors["heard"], tensors["answer"])


class WholeWindowSession(_BelfusionSession):
    """Offline weights, streamed: a window is answered once it is over."""

    def __init__(self, model: Belfusion, *, num_samples: int) -> None:
        super().__init__(model, hop=model.config.window, num_samples=num_samples)
        self.kept = model.config.context * model.config.window

    def advance(
        self, conversations: Sequence[Conversation[WindowState]], speaker: Behaviour, *, last: bool
    ) -> tuple[list[WindowState], list[dict[str, Tensor]]]:
        states = [c.state for c in conversations]
        model, new = self.model, speaker.frames
        before = torch.stack([s.heard for s in states])
        heard = torch.cat([before, model.heard(speaker)], 1)
        padded = torch.nn.functional.pad(heard, (0, 0, 0, self.hop - new))
        made = self.answers(states, padded, [c.seed for c in conversations])
        after = [
            WindowState(s.frames + new, h[len(h) - self.kept :].clone(), m)
            for s, h, m in zip(states, heard, made, strict=True)
        ]
        return after, [model.channels(m[:, :new]) for m in made]


class AfterWindowSession(_BelfusionSession):
    """Online weights: a window's answer is drawn before its first frame is heard, and returned
    frame by frame."""

    stretches = True

    def __init__(self, model: Belfusion, *, num_samples: int) -> None:
        super().__init__(model, hop=1, num_samples=num_samples)
        self.kept = (1 + model.config.context) * model.config.window

    def advance(
        self, conversations: Sequence[Conversation[WindowState]], speaker: Behaviour, *, last: bool
    ) -> tuple[list[WindowState], list[dict[str, Tensor]]]:
        """Conversations that begin a window at the same frame are answered as one batch."""
        heard, window = self.model.heard(speaker), self.model.config.window
        states, parts = [c.state for c in conversations], [list[Tensor]() for _ in conversations]
        at = 0
        while at < speaker.frames:
            due = [i for i, s in enumerate(states) if s.frames % window == 0]
            if due:
                known = torch.stack([states[i].heard for i in due])
                seeds = [conversations[i].seed for i in due]
                made = self.answers([states[i] for i in due], known, seeds)
                for i, answer in zip(due, made, strict=True):
                    states[i] = replace(states[i], answer=answer)
            # on to where the first of them ends its window
            new = min(speaker.frames - at, *(window - s.frames % window for s in states))
            for i, state in enumerate(states):
                place = state.frames % window
                parts[i].append(state.answer[:, place : place + new])
                later = torch.cat([state.heard[new:], heard[i, at : at + new]])
                states[i] = replace(state, frames=state.frames + new, heard=later)
            at += new
        return states, [self.model.channels(torch.cat(p, dim=1)) for p in parts]
