"""Attention of fixed queries over a growing sequence, in constant memory.

When the queries do not change, softmax attention over a stream needs only the running maximum of
the scores, the weighted sum of values and the sum of weights (online softmax: Milakov and
Gimelshein, 2018). A prefix of any length then costs as much as its newest frames.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor


@dataclass(frozen=True)
class RunningAttention:
    """Scores' maximum, sum of weights and weighted values of Q queries seen so far."""

    peak: Tensor
    """[..., heads, Q]"""
    weight: Tensor
    """[..., heads, Q]"""
    value: Tensor
    """[..., heads, Q, C / heads]"""

    @classmethod
    def over(
        cls, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None = None
    ) -> RunningAttention:
        """Of queries [..., heads, Q, c] over keys and values [..., heads, S, c]; S at least 1.

        Keys where mask [..., S] is False are not read; one key of each row must be seen.
        """
        scores = queries @ keys.transpose(-1, -2) * keys.shape[-1] ** -0.5
        if mask is not None:
            scores = scores.masked_fill(~mask[..., None, None, :], float("-inf"))
        # a stretch that is wholly masked must add nothing, and exp(-inf - -inf) would be NaN
        peak = scores.amax(-1).clamp(min=-1e30)
        weights = torch.exp(scores - peak[..., None])
        return cls(peak, weights.sum(-1), weights @ values)

    def join(self, other: RunningAttention) -> RunningAttention:
        """Over both stretches together."""
        peak = torch.maximum(self.peak, other.peak)
        mine, theirs = torch.exp(self.peak - peak), torch.exp(other.peak - peak)
        return RunningAttention(
            peak,
            self.weight * mine + other.weight * theirs,
            self.value * mine[..., None] + other.value * theirs[..., None],
        )

    def mixed(self) -> Tensor:
        """The attended values with heads side by side, [..., Q, C]."""
        return (self.value / self.weight[..., None]).transpose(-2, -3).flatten(-2)

    def tensors(self) -> dict[str, Tensor]:
        return {f.name: getattr(self, f.name) for f in fields(self)}
