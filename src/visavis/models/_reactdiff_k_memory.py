"""What ReactDiff-K may remember of the speaker beyond the window at hand (ours)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

TAPS = 5
DILATIONS = (1, 4, 8)
REACH = sum((TAPS - 1) * d for d in DILATIONS)
"""Frames back that a frame still knows of: 52, about two seconds."""


class SpeakerMemory(nn.Module):
    """Causal convolutions over the speaker's frames, mapped to the network's first width."""

    def __init__(self, heard: int, width: int, out: int) -> None:
        super().__init__()
        self.into = nn.Linear(heard, width)
        self.along = nn.ModuleList(nn.Conv1d(width, width, TAPS, dilation=d) for d in DILATIONS)
        self.out = nn.Linear(width, out)

    def forward(self, heard: Tensor, before: Tensor) -> Tensor:
        """Frames [B, T, E] behind the last `REACH` ones [B, REACH, E] to [B, T, out]."""
        x = F.gelu(self.into(torch.cat([before, heard], dim=1))).transpose(1, 2)
        for layer in self.along:
            made = F.gelu(layer(x))
            x = x[..., x.shape[-1] - made.shape[-1] :] + made
        told: Tensor = self.out(x.transpose(1, 2))
        return told
