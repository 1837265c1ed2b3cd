"""Biases that align a sequence of queries with a past that it follows, computed, not tabled.

A query of frame i meets keys that come `rate` to a frame. Positions are counted from 0; they may
be any part of a long sequence, so that caches of the latest keys need no table.
"""

from __future__ import annotations

import torch
from torch import Tensor


def interaction_bias(
    frames: Tensor, ticks: Tensor, *, period: int, rate: int = 1, horizon: int | None = None
) -> Tensor:
    """The alignment bias of Eq. 17 of Luo et al. (ReactFace, 2024), for any period and rate.

    The paper counts from 1: -floor((k i - j) / (k p)) for j <= k i, else -inf; VIM has k = 1. So
    a frame sees all ticks of its own time and before, and each `period` of frames further back
    weighs e times less.

    Args:
        frames: queries' frame numbers, int64 [..., T].
        ticks: keys' tick numbers, int64 [..., S]; negative ones are not there.
        period: p, frames of a unit that is treated equally.
        rate: k, ticks a frame.
        horizon: frames (a query's own included) that a query reaches back; None is all.

    Returns:
        float32 [..., T, S], 0 or negative; -inf where a key is not seen. Against all of the past,
        keys behind a horizon H would weigh at most e^(2 s) e^(-H / p) p k e / (e - 1) / n, where s
        bounds the scores and n keys have bias 0.
    """
    behind = rate * (frames[..., :, None] + 1) - (ticks[..., None, :] + 1)
    seen = (behind >= 0) & (ticks >= 0)[..., None, :]
    if horizon is not None:
        seen = seen & (behind < rate * horizon)
    units = torch.div(behind, rate * period, rounding_mode="floor")
    return (-units.to(torch.float32)).masked_fill(~seen, float("-inf"))


def point_bias(frames: Tensor, ticks: Tensor, *, rate: int = 1) -> Tensor:
    """Point-to-point alignment (Fan et al., FaceFormer, 2022, Eq. 7): a frame sees its own ticks.

    Arguments as of `interaction_bias`; 0 or -inf, [..., T, S].
    """
    own = torch.div(ticks, rate, rounding_mode="floor")[..., None, :] == frames[..., :, None]
    return torch.zeros(own.shape, device=own.device).masked_fill(~own, float("-inf"))


def slopes(heads: int) -> Tensor:
    """How fast each head's bias falls, 2^(-8 (h + 1) / H) (Press et al., ALiBi, 2022), [heads].

    ReactFace's released code multiplies its biases by these; its paper has none. 8 heads: 1/2 to
    1/256, so that some heads look at the last moments and some at everything.
    """
    return 2.0 ** (-8.0 * torch.arange(1, heads + 1, dtype=torch.float32) / heads)
