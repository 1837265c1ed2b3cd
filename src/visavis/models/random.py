"""Random (the tables' B_Random): uniform numbers in (0, 1) for every attribute of every frame.

The papers say Gaussian; the published digits (FRVar 0.0833, FRDiv 0.1667) are those of a uniform
distribution, and so is the released code (specification, section 6).
"""

from __future__ import annotations

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from visavis import noise
from visavis.behaviour import Behaviour
from visavis.dyad import Persona
from visavis.models._base import STRICT, ReactionConfig, ReactionModel


@dataclass(frozen=True, kw_only=True, config=STRICT)
class RandomConfig(ReactionConfig):
    """Nothing to set."""


class Random(ReactionModel[RandomConfig]):
    """Reads nothing of the speaker but the clip's length; expressions do not sum to 1."""

    config_class = RandomConfig

    @property
    def inputs(self) -> tuple[str, ...]:
        return ()

    @property
    def outputs(self) -> tuple[str, ...]:
        return ("attributes",)

    def react(
        self, speaker: Behaviour, seeds: Tensor, num_samples: int, persona: Persona | None
    ) -> dict[str, Tensor]:
        samples = torch.arange(num_samples, device=seeds.device)
        shape = (speaker.frames, 25)
        values = noise.uniform(seeds[:, None], samples[None], "random/attributes", 0, shape)
        au, va, expression = torch.split(values, [15, 2, 8], dim=-1)
        return {"au": au, "va": va, "expression": expression}
