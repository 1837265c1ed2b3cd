"""Models whose reaction to a frame needs that frame and its number, and no other frame.

They stream as they are: no latency, and nothing to remember but the number of the next frame.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from visavis.behaviour import Behaviour
from visavis.dyad import Persona
from visavis.models._base import ConfigT, ReactionModel
from visavis.models._session import Conversation, WindowSession


class FramewiseModel(ReactionModel[ConfigT]):
    """A subclass gives `react_at` in place of `react`, and gets a session."""

    @abstractmethod
    def react_at(
        self, speaker: Behaviour, frames: Tensor, seeds: Tensor, num_samples: int
    ) -> dict[str, Tensor]:
        """Reactions to frames of B conversations.

        Args:
            speaker: [B, T, ...].
            frames: int64 [B, T], each frame's number since its conversation began.
            seeds: int64 [B].

        Returns:
            Channels [B, K, T, ...].
        """

    def react(
        self, speaker: Behaviour, seeds: Tensor, num_samples: int, persona: Persona | None
    ) -> dict[str, Tensor]:
        clock = torch.arange(speaker.frames, device=speaker.device)
        return self.react_at(speaker, clock.expand(len(speaker), -1), seeds, num_samples)

    def session(self, num_samples: int = 1) -> FramewiseSession:
        """Answers every frame as it comes, exactly as `generate` answers the whole clip."""
        return FramewiseSession(self, hop=1, num_samples=num_samples)


class FramewiseSession(WindowSession[int]):
    """Conversations that remember the number of their next frame."""

    model: FramewiseModel[Any]
    stretches = True

    def start(self, seed: int, persona: Persona | None) -> int:
        return 0

    def advance(
        self, conversations: Sequence[Conversation[int]], speaker: Behaviour, *, last: bool
    ) -> tuple[list[int], list[dict[str, Tensor]]]:
        seeds = torch.tensor([c.seed for c in conversations], device=speaker.device)
        begun = torch.tensor([c.state for c in conversations], device=speaker.device)
        clock = torch.arange(speaker.frames, device=speaker.device)
        made = self.model.react_at(speaker, begun[:, None] + clock, seeds, self.num_samples)
        parts = [{n: x[i] for n, x in made.items()} for i in range(len(conversations))]
        return [c.state + speaker.frames for c in conversations], parts

    def state_tensors(self, state: int) -> dict[str, Tensor]:
        return {"frame": torch.tensor(state)}

    def state_from(self, tensors: Mapping[str, Tensor]) -> int:
        return int(tensors["frame"])
