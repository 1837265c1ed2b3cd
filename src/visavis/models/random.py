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
from visavis.models._base import STRICT, ReactionConfig
from visavis.models._framewise import FramewiseModel


@dataclass(frozen=True, kw_only=True, config=STRICT)
class RandomConfig(ReactionConfig):
    """Nothing to set."""


class Random(FramewiseModel[RandomConfig]):
    """Reads nothing of the speaker but how long it is; expressions do not sum to 1."""

    config_class = RandomConfig

    @property
    def inputs(self) -> tuple[str, ...]:
        return ()

    @property
    def outputs(self) -> tuple[str, ...]:
        return ("attributes",)

    def react_at(
        self, speaker: Behaviour, frames: Tensor, seeds: Tensor, num_samples: int
    ) -> dict[str, Tensor]:
        samples = torch.arange(num_samples, device=seeds.device)
        values = noise.uniform(
            seeds[:, None, None],
            samples[None, :, None],
            "random/attributes",
            frames[:, None],
            (25,),
        )
        au, va, expression = torch.split(values, [15, 2, 8], dim=-1)
        return {"au": au, "va": va, "expression": expression}
