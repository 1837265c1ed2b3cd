"""Overlapping windows of a sequence, and the sequence back from them; any length is served.

Windows of `size` frames begin every `stride` frames; the last one is filled up with zeros.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def count(frames: int | Tensor, size: int, stride: int) -> int | Tensor:
    """How many windows cover `frames` frames (at least one); 750 by 50 and 25 is 29."""
    over = -((size - frames) // stride)  # of the frames past the first window, rounded up
    return over.clamp(min=0) + 1 if isinstance(over, Tensor) else max(over, 0) + 1


def unfold(x: Tensor, size: int, stride: int) -> Tensor:
    """[B, T, C] to [B, W, size, C]."""
    windows = count(x.shape[1], size, stride)
    padded = F.pad(x, (0, 0, 0, (int(windows) - 1) * stride + size - x.shape[1]))
    return padded.unfold(1, size, stride).transpose(-1, -2)


def overlap_mean(parts: Tensor, stride: int, frames: int, windows: Tensor | None = None) -> Tensor:
    """[B, K, W, size, C] to [B, K, T, C]: each frame is the mean of the windows that hold it.

    `windows` int64 [B] says how many of the W belong to each clip; the others are not read.
    """
    clips, samples, total, size, width = parts.shape
    used = torch.ones(clips, total, dtype=torch.bool, device=parts.device)
    if windows is not None:
        used = torch.arange(total, device=parts.device) < windows[:, None]
    length = (total - 1) * stride + size
    summed = parts.new_zeros(clips, samples, max(length, frames), width)
    weight = parts.new_zeros(clips, 1, max(length, frames), 1)
    for w in range(total):
        here = slice(w * stride, w * stride + size)
        chosen = used[:, w, None, None, None]
        summed[:, :, here] = summed[:, :, here] + torch.where(chosen, parts[:, :, w], 0.0)
        weight[:, :, here] = weight[:, :, here] + chosen.to(weight.dtype)
    return (summed / weight.clamp(min=1))[:, :, :frames]
