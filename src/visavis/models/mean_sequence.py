"""MeanSeq: the frame-by-frame mean of all training people, whatever the speaker does."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from visavis.behaviour import Behaviour
from visavis.dyad import Batch, Persona
from visavis.models._base import STRICT, ReactionConfig, ReactionModel
from visavis.models._mean import WIDTHS, channels, frame_sums


@dataclass(frozen=True, kw_only=True, config=STRICT)
class MeanSequenceConfig(ReactionConfig):
    frames: int = Field(default=750, gt=0)
    """Length of the sequence that is kept; later frames repeat its last one."""


class MeanSequence(ReactionModel[MeanSequenceConfig]):
    config_class = MeanSequenceConfig
    stochastic = False
    sequence: Tensor

    def __init__(self, config: MeanSequenceConfig) -> None:
        super().__init__(config)
        self.register_buffer("sequence", torch.zeros(config.frames, sum(WIDTHS)))

    @property
    def inputs(self) -> tuple[str, ...]:
        return ()

    @property
    def outputs(self) -> tuple[str, ...]:
        return ("attributes", "coefficients")

    def fit(self, batches: Iterable[Batch]) -> None:
        sums, counts = frame_sums(batches, self.config.frames)
        overall = sums.sum(0) / counts.sum().clamp(min=1)
        self.sequence.copy_(torch.where(counts > 0, sums / counts.clamp(min=1), overall))

    def react(
        self, speaker: Behaviour, seeds: Tensor, num_samples: int, persona: Persona | None
    ) -> dict[str, Tensor]:
        clock = torch.arange(speaker.frames, device=seeds.device).clamp(max=len(self.sequence) - 1)
        return channels(self.sequence[clock], len(seeds), num_samples)
