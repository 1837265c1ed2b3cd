"""MeanFr: the one average frame of all training people, held still."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from visavis.behaviour import Behaviour
from visavis.dyad import Batch
from visavis.models._base import STRICT, ReactionConfig
from visavis.models._framewise import FramewiseModel
from visavis.models._mean import WIDTHS, channels, fitted, frame_sums

_LONGEST = 100_000
"""Frames of a clip that are counted; more than an hour."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class MeanFrameConfig(ReactionConfig):
    """Nothing to set."""


class MeanFrame(FramewiseModel[MeanFrameConfig]):
    config_class = MeanFrameConfig
    stochastic = False
    frame: Tensor

    def __init__(self, config: MeanFrameConfig) -> None:
        super().__init__(config)
        self.register_buffer("frame", torch.zeros(sum(WIDTHS)))

    @property
    def inputs(self) -> tuple[str, ...]:
        return ()

    @property
    def outputs(self) -> tuple[str, ...]:
        return ("attributes", "coefficients")

    def fit(self, batches: Iterable[Batch]) -> None:
        sums, counts = frame_sums(batches, _LONGEST)
        self.frame.copy_(sums.sum(0) / counts.sum().clamp(min=1))

    def react_at(
        self, speaker: Behaviour, frames: Tensor, seeds: Tensor, num_samples: int
    ) -> dict[str, Tensor]:
        known = fitted(self.frame, self.name)
        return channels(known.expand(*frames.shape, -1), num_samples)
