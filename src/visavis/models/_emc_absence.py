"""Which modalities a training clip keeps: drawn anew at every step, on top of what it lacks.

The rates are those of `visavis.corpora.Dropout.emc`, which loses the same clips' frames for good;
here the frames are still known, so that what stands for them can be compared with them.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from visavis.models._base import STRICT


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Absence:
    """Probabilities of a clip; at most one of `face`, `speech` and `bursts` befalls it."""

    face: float = Field(default=0.125, ge=0, le=1)
    speech: float = Field(default=0.125, ge=0, le=1)
    bursts: float = Field(default=0.25, ge=0, le=1)
    """One modality comes and goes, or both do."""
    both: float = Field(default=1 / 3, ge=0, le=1)
    """Of the clips with bursts, those where both do, independently."""
    seen_frames: float = Field(default=100.0, ge=1)
    """Mean run that is there."""
    lost_frames: float = Field(default=25.0, ge=1)
    """Mean run that is lost."""
    keep_one: float = Field(default=0.9, ge=0, le=1)
    """Of the clips that lose both, those where at no frame both are lost."""

    def __post_init__(self) -> None:
        if self.face + self.speech + self.bursts > 1 + 1e-9:
            raise ValueError("face, speech and bursts exclude one another: together at most 1")

    def draw(self, clips: int, frames: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """Which frames of face and of speech are kept, bool [B, T] each."""
        fate = torch.rand(clips, 1, device=device)
        no_face = fate < self.face
        no_speech = ~no_face & (fate < self.face + self.speech)
        burst = ~no_face & ~no_speech & (fate < self.face + self.speech + self.bursts)
        both = burst & (torch.rand_like(fate) < self.both)
        first = torch.rand_like(fate) < 0.5
        face, speech = (self.runs(clips, frames, device) for _ in range(2))
        apart = both & (torch.rand_like(fate) < self.keep_one)
        speech = torch.where(apart, speech & ~face, speech)
        lost_face = no_face | (burst & (both | first) & face)
        lost_speech = no_speech | (burst & (both | ~first) & speech)
        return ~lost_face, ~lost_speech

    def away(self, clips: int, frames: int, device: torch.device) -> Tensor:
        """Which frames of one modality the CMA learns to make up beside what it recalls, bool
        [B, T]: a third of the clips whole, else half of the frames in runs."""
        whole = torch.rand(clips, 1, device=device) < 1 / 3
        return whole | replace(self, seen_frames=self.lost_frames).runs(clips, frames, device)

    def runs(self, clips: int, frames: int, device: torch.device) -> Tensor:
        """Which frames are lost, bool [B, T]: a two-state chain, begun in its stationary state."""
        share = self.lost_frames / (self.lost_frames + self.seen_frames)
        chance = torch.rand(frames, clips, device=device)
        state = torch.rand(clips, device=device) < share
        found = [state]
        for one in chance[1:]:
            leave = torch.where(state, 1 / self.lost_frames, 1 / self.seen_frames)
            state = state ^ (one < leave)
            found.append(state)
        return torch.stack(found[:frames], dim=1) if frames else chance.new_zeros(clips, 0).bool()
