"""Reactions that do not flicker: means over a few frames of what a model drew."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def steadied(x: Tensor, frames: int, inside: Tensor | None = None) -> Tensor:
    """Each frame of [B, K, T, C] as the mean of the `frames` (odd) around it.

    At the ends of a clip fewer are averaged; frames where `inside` [B, T] is False are not read.
    """
    if frames == 1:
        return x
    seen = x.new_ones(x.shape[0], x.shape[2]) if inside is None else inside.to(x.dtype)
    kept = x if inside is None else torch.where(inside[:, None, :, None], x, 0.0)
    flat = kept.transpose(2, 3).flatten(0, 2)[:, None]  # [B K C, 1, T]
    total, share = (
        F.avg_pool1d(v, frames, 1, padding=frames // 2)[:, 0] for v in (flat, seen[:, None])
    )
    means = total.view(*x.shape[:2], x.shape[3], -1).transpose(2, 3)
    out: Tensor = means / share.clamp(min=1e-6)[:, None, :, None]
    return out


def trailing(x: Tensor, frames: int, before: Tensor, first: Tensor | int) -> Tensor:
    """Each frame of [B, K, T, C] as the mean of the last `frames`, itself included.

    Args:
        before: the frames before x, [B, K, frames - 1, C], zeros where there were none.
        first: number of x's first frame in its conversation, one or [B].
    """
    if frames == 1:
        return x
    joined = torch.cat([before, x], -2)
    total = joined.unfold(-2, frames, 1).sum(-1)
    number = torch.arange(1, x.shape[-2] + 1, device=x.device)
    number = number + (first[:, None] if isinstance(first, Tensor) else first)
    share = number.clamp(max=frames).to(x.dtype)[..., None]
    out: Tensor = total / (share[:, None] if share.ndim == 3 else share)
    return out
