"""Pre-norm transformer blocks (GPT-2's) that ask a whole sequence, or a ring of what came before.

A sequence's positions are either added to its embeddings, or turned into queries and keys (rotary
positions: Su et al., 2021), which depend on distances alone: keys can then be kept while the window
over them moves on.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Turn = tuple[Tensor, Tensor]
"""Cosines and sines, each [N or 1, 1, T, c / 2]."""


def turn_of(positions: Tensor, width: int) -> Turn:
    """Positions int64 [N, T] to the rotation of heads of `width` numbers."""
    rates = 10000.0 ** (
        -torch.arange(0, width, 2, device=positions.device, dtype=torch.float64) / width
    )
    angles = positions[:, None, :, None].to(torch.float64) * rates
    return angles.cos().to(torch.float32), angles.sin().to(torch.float32)


def turned(x: Tensor, turn: Turn | None) -> Tensor:
    """x [N, heads, T, c] with pairs of its numbers rotated."""
    if turn is None:
        return x
    first, second = x.chunk(2, dim=-1)
    cosine, sine = (y.to(x.dtype) for y in turn)
    return torch.cat([first * cosine - second * sine, second * cosine + first * sine], dim=-1)


class PatchRing:
    """Keys and values of the last S frames, written over in pieces as they age, in place.

    With rotary positions the order of keys does not matter. Only what was written is asked.
    """

    def __init__(self, keys: Tensor, values: Tensor, written: int) -> None:
        self.keys, self.values, self.written = keys, values, written

    @classmethod
    def empty(cls, like: Tensor, rows: int, heads: int, frames: int, width: int) -> PatchRing:
        """For `rows` sequences of `heads` heads of `width` numbers."""
        shape = (rows, heads, frames, width)
        return cls(like.new_zeros(shape), like.new_zeros(shape), 0)

    def put(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Take a piece [N, heads, n, c], n a divisor of S; all that is there now."""
        size, piece = self.keys.shape[2], keys.shape[2]
        begin = self.written % size
        self.keys[:, :, begin : begin + piece] = keys
        self.values[:, :, begin : begin + piece] = values
        self.written += piece
        there = min(self.written, size)
        return self.keys[:, :, :there], self.values[:, :, :there]


class SelfAttention(nn.Module):
    """Multi-head attention of a sequence to itself: 4 width^2 parameters and, if any, biases."""

    def __init__(self, width: int, heads: int, *, bias: bool, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.inward = nn.Linear(width, 3 * width, bias=bias)
        self.outward = nn.Linear(width, width, bias=bias)

    def forward(
        self,
        x: Tensor,
        *,
        mask: Tensor | None = None,
        turn: Turn | None = None,
        ring: PatchRing | None = None,
        last: int | None = None,
    ) -> Tensor:
        """x [N, T, C] to [N, T, C], or only of its `last` frames; mask bool, True = seen."""
        split = self.inward(x).unflatten(-1, (3, self.heads, -1)).movedim(-3, 0)
        query, key, value = (y.transpose(-2, -3) for y in split)
        query, key = turned(query, turn), turned(key, turn)
        if ring is not None:
            key, value = ring.put(key, value)
        if last is not None:
            query = query[:, :, -last:]
        mixed = F.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, dropout_p=self.dropout if self.training else 0.0
        )
        out: Tensor = self.outward(mixed.transpose(1, 2).flatten(-2))
        return out


class CrossAttention(nn.Module):
    """Multi-head attention to another sequence, whose keys and values can be worked out before."""

    def __init__(self, width: int, heads: int, *, bias: bool, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.query = nn.Linear(width, width, bias=bias)
        self.told = nn.Linear(width, 2 * width, bias=bias)
        self.outward = nn.Linear(width, width, bias=bias)

    def keys_values(self, y: Tensor, turn: Turn | None = None) -> tuple[Tensor, Tensor]:
        """y [B, S, C] to keys and values [B, heads, S, c]."""
        split = self.told(y).unflatten(-1, (2, self.heads, -1)).movedim(-3, 0)
        key, value = (z.transpose(-2, -3) for z in split)
        return turned(key, turn), value

    def forward(
        self,
        x: Tensor,
        keys: Tensor,
        values: Tensor,
        *,
        mask: Tensor | None = None,
        turn: Turn | None = None,
    ) -> Tensor:
        """x [B * K, T, C] over keys and values [B, heads, S, c] that K neighbouring rows share."""
        rows, frames, _ = x.shape
        query = self.query(x).unflatten(-1, (self.heads, -1)).transpose(-2, -3)
        query = turned(query, turn)
        clips = len(keys)
        if rows != clips:  # the samples' queries side by side: keys are read once, not copied
            query = query.unflatten(0, (clips, -1)).transpose(1, 2).flatten(2, 3)
        mixed = F.scaled_dot_product_attention(
            query, keys, values, attn_mask=mask, dropout_p=self.dropout if self.training else 0.0
        )
        if rows != clips:
            mixed = mixed.unflatten(2, (-1, frames)).transpose(1, 2).flatten(0, 1)
        out: Tensor = self.outward(mixed.transpose(1, 2).flatten(-2))
        return out


class FeedForward(nn.Sequential):
    """Linear, GELU, linear, four times as wide inside."""

    def __init__(self, width: int, *, bias: bool, dropout: float) -> None:
        super().__init__(
            nn.Linear(width, 4 * width, bias=bias),
            nn.GELU(),
            nn.Linear(4 * width, width, bias=bias),
            nn.Dropout(dropout),
        )


class Block(nn.Module):
    """Self-attention and feed-forward, each with a norm before it."""

    def __init__(self, width: int, heads: int, *, bias: bool = True, dropout: float = 0.1) -> None:
        super().__init__()
        self.attention = SelfAttention(width, heads, bias=bias, dropout=dropout)
        self.feed_forward = FeedForward(width, bias=bias, dropout=dropout)
        self.norms = nn.ModuleList(nn.LayerNorm(width, bias=bias) for _ in range(2))
        self.drop = nn.Dropout(dropout)

    def forward(
        self,
        x: Tensor,
        *,
        mask: Tensor | None = None,
        turn: Turn | None = None,
        ring: PatchRing | None = None,
    ) -> Tensor:
        first, second = self.norms
        x = x + self.drop(self.attention(first(x), mask=mask, turn=turn, ring=ring))
        out: Tensor = x + self.feed_forward(second(x))
        return out


class CrossBlock(nn.Module):
    """Self-attention, gated attention to another stream, feed-forward (Dou et al., FIBER, 2022).

    The gate begins at 0, where the other stream is not heard. In the released code each block hands
    one and the same tensor on as both streams, so only the first hears the other; here all do.
    """

    def __init__(self, width: int, heads: int, *, dropout: float = 0.1) -> None:
        super().__init__()
        self.attention = SelfAttention(width, heads, bias=True, dropout=dropout)
        self.cross = CrossAttention(width, heads, bias=True, dropout=dropout)
        self.feed_forward = FeedForward(width, bias=True, dropout=dropout)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.gate = nn.Parameter(torch.zeros(()))
        self.drop = nn.Dropout(dropout)

    def told(self, y: Tensor, turn: Turn | None = None) -> tuple[Tensor, Tensor]:
        """The other stream [B, S, C] as keys and values."""
        return self.cross.keys_values(self.norms[2](y), turn)

    def forward(
        self,
        x: Tensor,
        told: tuple[Tensor, Tensor],
        *,
        mask: Tensor | None = None,
        told_mask: Tensor | None = None,
        turn: Turn | None = None,
        ring: PatchRing | None = None,
        last: int | None = None,
    ) -> Tensor:
        """x [B * K, T, C] over what `told` made; with `last`, only its last frames come out."""
        first, second, _ = self.norms
        own = self.drop(self.attention(first(x), mask=mask, turn=turn, ring=ring, last=last))
        heard = self.cross(first(own), *told, mask=told_mask, turn=turn)
        x = (x if last is None else x[:, -last:]) + own + self.gate * self.drop(heard)
        out: Tensor = x + self.feed_forward(second(x))
        return out
