"""What ReactDiff-K may remember of the speaker beyond the window at hand (ours)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SpeakerMemory(nn.Module):
    """A GRU over the speaker's frames since the beginning, mapped to the network's first width."""

    def __init__(self, heard: int, width: int, out: int) -> None:
        super().__init__()
        self.into = nn.Linear(heard, width)
        self.along = nn.GRU(width, width, batch_first=True)
        self.out = nn.Linear(width, out)

    def forward(self, sound: Tensor, face: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Frames [B, T, ...] behind a state [B, width] to [B, T, out] and the state after them."""
        heard = F.gelu(self.into(torch.cat([sound, face], dim=-1)))
        states, last = self.along(heard, state[None].contiguous())
        return self.out(states), last[0]
