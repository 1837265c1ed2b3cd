"""No jump where both modalities are lost, or one comes back: a learned vector and what is known
fade into each other (ours).

Where a frame begins or ceases to be known at all, what its numbers jump by is added back, and fades
over some frames. Causal; who never loses both is left as they are, bit for bit. One modality's loss
is not faded: what is made of the other is near, and fading would only tell the return later.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor


@dataclass(frozen=True)
class Fading:
    """What a stretch of frames goes on from."""

    source: Tensor
    """Of the frame before, int64 [R, 1]; -1 before the first."""
    last: Tensor
    """That frame as it came out, [R, 1, C]."""
    jump: Tensor
    """Of the last change, [R, 1, C]."""
    since: Tensor
    """Frames since then, int64 [R, 1]."""

    @classmethod
    def begun(cls, rows: int, like: Tensor) -> Fading:
        """Before the first frame of C numbers; `like` has that last axis."""
        nothing = like.new_zeros(rows, 1, like.shape[-1])
        none = torch.full((rows, 1), -1, dtype=torch.int64, device=like.device)
        return cls(none, nothing, nothing, none + 1)


def sources(there: Tensor, others: Tensor) -> Tensor:
    """How a frame is known, int64 [R, T]: 2 by itself, else 1 by the other modality, else 0."""
    return torch.where(there, 2, others.to(torch.int64))


def faded(x: Tensor, source: Tensor, frames: int, held: Fading) -> tuple[Tensor, Fading]:
    """x [R, T, C] with its jumps fading over `frames`, by `source` int64 [R, T]."""
    before = torch.cat([held.source, source[:, :-1]], 1)
    changes = ((source == 0) != (before == 0)) & (before >= 0)
    cuts = sorted({0, *changes.any(0).nonzero().flatten().tolist(), x.shape[1]})
    last, jump, since, parts = held.last, held.jump, held.since, []
    for a, b in pairwise(cuts):
        here = changes[:, a : a + 1]
        jump = torch.where(here[..., None], last - x[:, a : a + 1], jump)
        since = torch.where(here, 0, since)
        passed = (since + 1 + torch.arange(b - a, device=x.device)) / (frames + 1)
        way = passed.clamp(max=1)[..., None]
        part = x[:, a:b] + jump * (1 - way * way * (3 - 2 * way))
        parts.append(part)
        last, since = part[:, -1:], since + (b - a)
    return torch.cat(parts, 1), Fading(source[:, -1:], last, jump, since)
