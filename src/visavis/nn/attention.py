"""Post-norm transformer layers (Vaswani et al., 2017) on fused attention, open to caches."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def causal_attention(queries: Tensor, keys: Tensor, values: Tensor, *, block: int = 64) -> Tensor:
    """Causal attention over [..., T, c], a block of queries at a time.

    The CPU kernel computes the masked upper half too; a block only meets the keys up to its end,
    which saves nearly half of the work. GPU kernels skip masked blocks themselves.
    """
    frames = queries.shape[-2]
    if queries.is_cuda or frames <= block:
        return F.scaled_dot_product_attention(queries, keys, values, is_causal=True)
    parts = []
    for start in range(0, frames, block):
        stop = min(start + block, frames)
        mask = torch.ones(stop - start, stop, dtype=torch.bool, device=queries.device).tril(start)
        part = F.scaled_dot_product_attention(
            queries[..., start:stop, :], keys[..., :stop, :], values[..., :stop, :], attn_mask=mask
        )
        parts.append(part.transpose(-2, -3))  # the kernel's own memory order: no copy
    return torch.cat(parts, dim=-3).transpose(-2, -3)


class Attention(nn.Module):
    """Multi-head attention with separate query, key, value and output projections.

    4 (width^2 + width) parameters. `keys_values` is apart so that a caller can keep a cache.
    """

    def __init__(self, width: int, heads: int, *, dropout: float = 0.1) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)
        for layer in (self.query, self.key, self.value):
            nn.init.xavier_uniform_(layer.weight)
        for layer in (self.query, self.key, self.value, self.out):
            nn.init.zeros_(layer.bias)

    def split(self, x: Tensor) -> Tensor:
        """[..., T, C] -> [..., heads, T, C / heads]"""
        parts: Tensor = x.unflatten(-1, (self.heads, -1))
        return parts.transpose(-2, -3)

    def keys_values(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Memory [B, S, C] to keys and values [B, heads, S, C / heads]."""
        return self.split(self.key(memory)), self.split(self.value(memory))

    def attend(
        self,
        x: Tensor,
        keys: Tensor,
        values: Tensor,
        *,
        mask: Tensor | None = None,
        causal: bool = False,
    ) -> Tensor:
        """Queries from x [B, T, C] over keys and values; mask bool, True = seen, [.., T, S]."""
        queries, dropout = self.split(self.query(x)), self.dropout if self.training else 0.0
        if causal and mask is not None:  # not every kernel takes both
            future = torch.ones(x.shape[-2], keys.shape[-2], dtype=torch.bool, device=x.device)
            mask, causal = mask & future.tril(), False
        if causal and not dropout:
            mixed = causal_attention(queries, keys, values)
        else:
            mixed = F.scaled_dot_product_attention(
                queries, keys, values, attn_mask=mask, dropout_p=dropout, is_causal=causal
            )
        joined: Tensor = self.out(mixed.transpose(-2, -3).flatten(-2))
        return joined

    def biased(
        self, x: Tensor, keys: Tensor, values: Tensor, bias: Tensor | None, *, samples: int = 1
    ) -> Tensor:
        """Attention with a bias, as of `nn.alignment`, added to the scores.

        Args:
            x: queries' tokens [B * samples, T, C].
            keys: [B, S, C], heads side by side: `self.key` of the memory.
            values: [B, S, C].
            bias: [1 or B, 1 or heads, T, S], -inf where a key is not seen; None: all are.
            samples: rows of x that share a memory; it is not copied for them.
        """
        queries = self.query(x)
        if samples > 1:
            queries = queries.unflatten(0, (-1, samples)).flatten(1, 2)
            bias = None if bias is None else bias.repeat(1, 1, samples, 1)
        mixed = F.scaled_dot_product_attention(
            self.split(queries),
            self.split(keys),
            self.split(values),
            attn_mask=bias,
            dropout_p=self.dropout if self.training else 0.0,
        )
        mixed = mixed.transpose(-2, -3).flatten(-2)
        if samples > 1:
            mixed = mixed.unflatten(1, (samples, -1)).flatten(0, 1)
        joined: Tensor = self.out(mixed)
        return joined

    def weights(self, x: Tensor, keys: Tensor, bias: Tensor, *, samples: int = 1) -> Tensor:
        """What `biased` weighs values by, [B * samples, heads, T, S]: rows sum to 1."""
        each = self.split(keys.repeat_interleave(samples, dim=0))
        scores = self.split(self.query(x)) @ each.transpose(-1, -2) * each.shape[-1] ** -0.5
        if len(bias) > 1:
            bias = bias.repeat_interleave(samples, dim=0)
        shares: Tensor = (scores + bias).softmax(-1)
        return shares

    def of_own(self, x: Tensor, memory: Tensor, *, samples: int = 1) -> Tensor:
        """Each query over the few tokens that are its own: x [B * samples, T, C], memory
        [B, T * rate, C] (point-to-point alignment), without scores for all the others.

        At rate 1 the softmax is over one key, so query and key are not computed.
        """
        rate = memory.shape[1] // x.shape[1]
        values = self.value(memory)
        if rate == 1:
            mixed = F.dropout(values, self.dropout, self.training)
            if samples > 1:
                mixed = mixed.repeat_interleave(samples, dim=0)
            alone: Tensor = self.out(mixed)
            return alone
        queries, keys, values = (
            y.unflatten(-1, (self.heads, -1)) for y in (self.query(x), self.key(memory), values)
        )
        queries = queries.unflatten(0, (-1, samples))  # [B, K, T, heads, c]
        keys, values = (y.unflatten(1, (-1, rate))[:, None] for y in (keys, values))
        scores = (queries[:, :, :, None] * keys).sum(-1) * queries.shape[-1] ** -0.5
        shares = F.dropout(scores.softmax(3), self.dropout, self.training)
        out: Tensor = self.out((shares[..., None] * values).sum(3).flatten(-2).flatten(0, 1))
        return out

    def of_one(self, memory: Tensor) -> Tensor:
        """What any query gets from a memory of a single token [B, 1, C]: its value, [B, 1, C].

        The softmax over one key is 1 whatever the query is, so query and key are not computed.
        """
        value = F.dropout(self.split(self.value(memory)), self.dropout, self.training)
        out: Tensor = self.out(value.transpose(-2, -3).flatten(-2))
        return out

    def forward(
        self, x: Tensor, memory: Tensor, *, mask: Tensor | None = None, causal: bool = False
    ) -> Tensor:
        return self.attend(x, *self.keys_values(memory), mask=mask, causal=causal)


class FeedForward(nn.Sequential):
    """Linear, ReLU, dropout, linear."""

    def __init__(self, width: int, hidden: int, *, dropout: float = 0.1) -> None:
        super().__init__(
            nn.Linear(width, hidden),
            nn.ReLU(inplace=True),  # nobody else reads the linear map's output
            nn.Dropout(dropout),
            nn.Linear(hidden, width),
        )


class EncoderLayer(nn.Module):
    """Self-attention and feed-forward, each with residual, dropout and layer norm after it."""

    def __init__(self, width: int, heads: int, hidden: int, *, dropout: float = 0.1) -> None:
        super().__init__()
        self.attention = Attention(width, heads, dropout=dropout)
        self.feed_forward = FeedForward(width, hidden, dropout=dropout)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.drop = nn.Dropout(dropout)

    def forward(
        self, x: Tensor, *, memory: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """x [B, T, C] attends `memory` (default: itself); mask bool [B, 1, 1 or T, S]."""
        mixed = self.attention(x, x if memory is None else memory, mask=mask)
        return self.finish(x, mixed)

    def finish(self, x: Tensor, mixed: Tensor) -> Tensor:
        """What follows the attention, for callers that computed `mixed` their own way."""
        x = self.norms[0](x + self.drop(mixed))
        out: Tensor = self.norms[1](x + self.drop(self.feed_forward(x)))
        return out


class DecoderLayer(nn.Module):
    """Self-attention, cross-attention and feed-forward, post-norm."""

    def __init__(self, width: int, heads: int, hidden: int, *, dropout: float = 0.1) -> None:
        super().__init__()
        self.self_attention = Attention(width, heads, dropout=dropout)
        self.cross_attention = Attention(width, heads, dropout=dropout)
        self.feed_forward = FeedForward(width, hidden, dropout=dropout)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.drop = nn.Dropout(dropout)

    def after_self(self, x: Tensor, mixed: Tensor) -> Tensor:
        out: Tensor = self.norms[0](x + self.drop(mixed))
        return out

    def after_cross(self, x: Tensor, mixed: Tensor) -> Tensor:
        x = self.norms[1](x + self.drop(mixed))
        out: Tensor = self.norms[2](x + self.drop(self.feed_forward(x)))
        return out

    def forward(
        self,
        x: Tensor,
        memory: Tensor,
        *,
        causal: bool = True,
        self_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
    ) -> Tensor:
        """x [B, T, C], memory [B, S, C]; masks bool, True = seen."""
        x = self.after_self(x, self.self_attention(x, x, mask=self_mask, causal=causal))
        return self.after_cross(x, self.cross_attention(x, memory, mask=memory_mask))
