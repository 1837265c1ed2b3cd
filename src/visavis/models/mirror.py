"""Mirror (the tables' B_Mime): the speaker's own face, given back K times."""

from __future__ import annotations

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from visavis.behaviour import Behaviour
from visavis.channels import GROUPS
from visavis.models._base import STRICT, ReactionConfig
from visavis.models._framewise import FramewiseModel


@dataclass(frozen=True, kw_only=True, config=STRICT)
class MirrorConfig(ReactionConfig):
    """Nothing to set."""


class Mirror(FramewiseModel[MirrorConfig]):
    """Copies; a frame where the speaker's face was not observed is a neutral face at rest."""

    config_class = MirrorConfig
    stochastic = False

    @property
    def inputs(self) -> tuple[str, ...]:
        return ("attributes", "coefficients")

    @property
    def outputs(self) -> tuple[str, ...]:
        return ("attributes", "coefficients")

    def react_at(
        self, speaker: Behaviour, frames: Tensor, seeds: Tensor, num_samples: int
    ) -> dict[str, Tensor]:
        names = (*GROUPS["attributes"], *GROUPS["coefficients"])
        channels = {n: speaker.filled(n, 0.0) for n in names}
        neutral = torch.zeros_like(channels["expression"])
        neutral[..., 0] = 1.0
        seen = speaker.mask("expression")[..., None]
        channels["expression"] = torch.where(seen, channels["expression"], neutral)
        return {n: x[:, None].expand(-1, num_samples, -1, -1).clone() for n, x in channels.items()}
