"""What of the speaker a window's answer may know, and how it is read frame by frame (ours)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STRIDE, CHANNELS = 5, 64


def past_windows(heard: Tensor, window: int, context: int, *, late: bool) -> Tensor:
    """[B, T, F] to [B, W, (1 + context) window, F]: a window and the ones before it.

    `late` moves all of it one window back. Before the beginning and after the end there are zeros.
    """
    frames = heard.shape[1]
    count = -(-frames // window)
    before = (context + late) * window
    padded = F.pad(heard, (0, 0, before, count * window - frames))
    size = (1 + context) * window
    return padded[:, : (count - 1) * window + size].unfold(1, size, window).transpose(2, 3)


class WindowHearing(nn.Module):
    """Frames to one vector that still knows when things happened.

    Convolutions down to five steps a second, then one linear map of all of them; the last state of
    a GRU, as in the published code, says little about when.
    """

    def __init__(self, width: int, frames: int, out: int) -> None:
        super().__init__()
        self.down = nn.Conv1d(width, CHANNELS, STRIDE, stride=STRIDE)
        self.mix = nn.Conv1d(CHANNELS, CHANNELS, 5, padding=2)
        self.out = nn.Linear(-(-frames // STRIDE) * CHANNELS, out)

    def forward(self, frames: Tensor) -> Tensor:
        """[N, T, F] to [N, C]."""
        short = -frames.shape[1] % STRIDE
        x = F.gelu(self.down(F.pad(frames, (0, 0, 0, short)).transpose(1, 2)))
        x = x + F.gelu(self.mix(x))
        out: Tensor = self.out(torch.flatten(x, 1))
        return out
