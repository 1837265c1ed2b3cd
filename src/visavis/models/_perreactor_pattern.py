"""PerReactor's Personalised Pattern Encoder (PPE): what stays the same in a person's history.

The history is cut into 2^K segments. Segment j meets segment j + n/2, never its neighbour (but in
the sweep's K = 1, where there are only two), in one shared cross-attention, and again, until one
segment is left: what the far parts of a history have in common is the person, what differs is the
moment (section "Learning Personalised Behaviour Pattern" of Zhu et al., AAAI 2025).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from visavis.dyad import TRAITS
from visavis.nn.standardise import Standardise


def pairs(count: int) -> tuple[tuple[int, int], ...]:
    """Which of `count` segments, from 0, meet in one round: (j, j + count / 2)."""
    half = count // 2
    return tuple((j, j + half) for j in range(half))


def rounds(segments: Tensor, meet: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """2^K segments [N, 2^K, L, C] to one [N, L, C] in K rounds of `meet(first, second)`.

    All pairs of a round meet at once, [N * pairs, L, C].
    """
    while (count := segments.shape[1]) > 1:
        first, second = (segments[:, list(places)] for places in zip(*pairs(count), strict=True))
        met = meet(first.flatten(0, 1), second.flatten(0, 1))
        segments = met.unflatten(0, (len(segments), count // 2))
    return segments[:, 0]


class SingleAttention(nn.Module):
    """One head of scale (C / 2)^-0.5: queries and keys of half width, no residual, norm or output.

    Drawn as released: normal, deviation sqrt(2 / out) (specification 2.2).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, width // 2)
        self.key = nn.Linear(width, width // 2)
        self.value = nn.Linear(width, width)
        for layer in (self.query, self.key, self.value):
            nn.init.normal_(layer.weight, std=math.sqrt(2 / layer.out_features))

    def forward(self, x: Tensor, memory: Tensor, mask: Tensor | None = None) -> Tensor:
        """x [..., T, C] attends memory [..., S, C]; mask bool [..., 1, S], True = seen."""
        queries, keys, values = self.query(x), self.key(memory), self.value(memory)
        return F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)


class PatternEncoder(nn.Module):
    """History windows [N, H, 25] to a person's pattern [N, C].

    Args:
        frames: H, a multiple of 2^K; published 480 (19.2 s).
        times: K rounds.
        pooled: ours: GELU between the linears, and mean and deviation over the frames of the last
            segment in place of its flattened frames, whose place in time says nothing of a person;
            beside them those of the whole window, read with its first differences, for what is left
            after K rounds is values of the last segment alone.
        channels: of a frame of history.
    """

    def __init__(
        self, width: int, *, frames: int, times: int, pooled: bool = False, channels: int = 25
    ) -> None:
        super().__init__()
        self.count, self.pooled = 2**times, pooled
        between = (nn.GELU(),) if pooled else ()
        size = 4 * width if pooled else frames // self.count * width
        self.scale = Standardise(channels) if pooled else None
        read = 2 * channels if pooled else channels
        self.read = nn.Sequential(nn.Linear(read, 2 * width), *between, nn.Linear(2 * width, width))
        self.attention = SingleAttention(width)
        self.out = nn.Sequential(nn.Linear(size, 2 * width), *between, nn.Linear(2 * width, width))

    def forward(self, history: Tensor) -> Tensor:
        if self.scale is not None:
            history = self.scale(history)
            steps = F.pad(history.diff(dim=1), (0, 0, 1, 0)).abs()
            history = torch.cat([history, 3 * steps], -1)
        frames = self.read(history)
        x = rounds(frames.unflatten(1, (self.count, -1)), self.attention)
        if self.pooled:
            x = torch.cat([_over_time(x), _over_time(frames)], -1)
        pattern: Tensor = self.out(x.flatten(1))
        return pattern


def _over_time(x: Tensor) -> Tensor:
    """Mean and deviation of [N, T, C], as [N, 2 C]."""
    return torch.cat([x.mean(1), (x.var(1, unbiased=False) + 1e-6).sqrt()], -1)


class TraitEncoder(nn.Module):
    """Big Five [N, 5] in [0, 1] to a pattern [N, C], as the MARS 2026 baseline has it (2.8)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(len(TRAITS), width), nn.LayerNorm(width), nn.GELU(), nn.Linear(width, width)
        )

    def forward(self, traits: Tensor) -> Tensor:
        pattern: Tensor = self.layers(2 * traits - 1)
        return pattern
