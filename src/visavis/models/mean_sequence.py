"""MeanSeq: the frame-by-frame mean of all training people, whatever the speaker does."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from visavis.behaviour import Behaviour
from visavis.dyad import Batch
from visavis.models._base import STRICT, ReactionConfig
from visavis.models._framewise import FramewiseModel
from visavis.models._mean import WIDTHS, channels, fitted, frame_sums


@dataclass(frozen=True, kw_only=True, config=STRICT)
class MeanSequenceConfig(ReactionConfig):
    frames: int = Field(default=750, gt=0)
    """Length of the sequence that is kept; later frames repeat its last one."""


class MeanSequence(FramewiseModel[MeanSequenceConfig]):
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

    def react_at(
        self, speaker: Behaviour, frames: Tensor, seeds: Tensor, num_samples: int
    ) -> dict[str, Tensor]:
        known = fitted(self.sequence, self.name)
        return channels(known[frames.clamp(max=len(known) - 1)], num_samples)
