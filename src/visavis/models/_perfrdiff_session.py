"""Conversations with PerFRDiff: a window of reactions from the speaker's last two windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from visavis.behaviour import Behaviour
from visavis.dyad import Persona
from visavis.models._personal import embedding_for
from visavis.models._session import Conversation, WindowSession

if TYPE_CHECKING:
    from visavis.models.perfrdiff import PerFRDiff


@dataclass(frozen=True)
class State:
    """What one conversation remembers between windows."""

    window: Tensor
    """int64 [1]: number of the next window."""
    before: Tensor
    """The speaker's last window as numbers, [1, L, 161]."""
    style: Tensor
    """The listener's style, [1, C]; [0, C] for nobody in particular."""
    expressiveness: Tensor
    """[1]"""


class PerFRDiffSession(WindowSession[State]):
    """Hop = window; each window costs the same, however long the conversation is."""

    model: PerFRDiff

    def start(self, seed: int, persona: Persona | None) -> State:
        config, rest = self.model.config, self.model.rest_attributes
        style = rest.new_zeros(0, config.style)
        if persona is not None:
            style = embedding_for(persona, 1, config.style, rest)
        return State(
            torch.zeros(1, dtype=torch.int64, device=rest.device),
            rest.new_zeros(1, config.window, self.model.numbers),
            style,
            rest.new_tensor([1.0 if persona is None else persona.expressiveness]),
        )

    def advance(
        self, conversations: Sequence[Conversation[State]], speaker: Behaviour, *, last: bool
    ) -> tuple[list[State], list[dict[str, Tensor]]]:
        model = self.model
        heard = model.read(speaker)
        states, parts = [], []
        for row, conversation in enumerate(conversations):
            state = conversation.state
            mine = heard[row : row + 1]
            persona = None
            if len(state.style):
                persona = Persona(
                    model.name, state.style, expressiveness=float(state.expressiveness)
                )
            seeds = torch.tensor([conversation.seed], device=heard.device)
            clean = model.sample(
                model.windows(mine, state.before),
                seeds,
                self.num_samples,
                state.window,
                model.shifts(state.style if len(state.style) else None),
            )
            channels = model.finished(clean[:, :, : speaker.frames], persona)
            parts.append({n: x[0] for n, x in channels.items()})
            lacking = model.config.window - mine.shape[1]
            before = nn.functional.pad(mine, (0, 0, 0, lacking))
            states.append(replace(state, window=state.window + 1, before=before))
        return states, parts

    def state_tensors(self, state: State) -> dict[str, Tensor]:
        return {
            "window": state.window,
            "before": state.before,
            "style": state.style,
            "expressiveness": state.expressiveness,
        }

    def state_from(self, tensors: Mapping[str, Tensor]) -> State:
        return State(**tensors)
