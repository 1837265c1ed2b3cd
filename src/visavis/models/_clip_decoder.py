"""A latent of a clip laid out over its frames, and what was heard when beside it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import repeat

import torch
from torch import Tensor, nn

from visavis.nn.attention import DecoderLayer
from visavis.nn.gaussian import Gaussian
from visavis.nn.positions import sinusoid

COEFFICIENTS, ATTRIBUTES = 58, 25
_AT_ONCE = 2
"""Answers that are decoded together without gradients."""


class Hearing(nn.Module):
    """Features of a sequence with what came before and after them, ours: residual convolutions
    over +-1.7 s.

    The published decoders see the speaker through one latent a clip alone, which does not know
    when anything happened (docs/models.md).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Conv1d(width, width, 5, padding=2 * step, dilation=step) for step in (1, 4, 16)
        )

    def forward(self, x: Tensor, inside: Tensor | None = None) -> Tensor:
        """x [B, T, C], inside bool [B, T], False in padding, which is not read."""
        for layer in self.layers:
            if inside is not None:
                x = torch.where(inside[..., None], x, 0.0)
            x = x + layer(x.transpose(1, 2)).transpose(1, 2).relu()
        return x


@dataclass(frozen=True)
class HeardGaussian(Gaussian):
    """A clip's Gaussian [B, C], and what was heard when, which its decoder reads beside a draw."""

    heard: Tensor
    """[B, T, C]"""


class ClipDecoder(nn.Module):
    """Trans-VAE's and PerReactor's decoder: two layers over positions, then the two heads.

    The first layer's memory is the latent, the second's is its own input, unmasked. Linear to 58
    coefficients; two linears from those and the features to 25 attributes (specification 2.2).
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.width = width
        self.layers = nn.ModuleList(
            DecoderLayer(width, heads, 2 * width, dropout=dropout) for _ in range(2)
        )
        self.drop = nn.Dropout(dropout)
        self.to_coefficients = nn.Linear(width, COEFFICIENTS)
        self.to_attributes = nn.Sequential(
            nn.Linear(width + COEFFICIENTS, width), nn.Linear(width, ATTRIBUTES)
        )

    def forward(
        self,
        latent: Tensor,
        frames: int,
        *,
        heard: Tensor | None = None,
        inside: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """One answer for each of K latents.

        Args:
            latent: [B, K, L, C], L tokens.
            heard: [B, T, C], in the place of positions: what happens orders the frames then, and
                no clip is longer than those in training were.
            inside: bool [B, T].

        Returns:
            {"coefficients": [B, K, T, 58], "attributes": [B, K, T, 25]}; attributes in their
            ranges, coefficients not clamped.
        """
        clips, samples = latent.shape[:2]
        memory = latent.flatten(0, 1)
        if heard is None:
            queries = sinusoid(torch.arange(frames, device=latent.device), self.width)[None]
        else:
            queries = heard
        # what does not depend on the sample is computed once a clip, or once, unless dropout
        # must differ from sample to sample
        if self.training and self.drop.p:
            queries = self._each(queries, clips, samples)
        first, second = self.layers
        assert isinstance(first, DecoderLayer)
        assert isinstance(second, DecoderLayer)
        queries = self.drop(queries)
        queries = first.after_self(queries, first.self_attention(queries, queries, causal=True))
        queries = self._each(queries, clips, samples)
        seen = None
        if inside is not None:
            seen = inside.repeat_interleave(samples, dim=0)[:, None, None]
        # two answers of 30 s stay in a processor's cache, ten do not
        few = memory.is_cpu and not torch.is_grad_enabled()
        count = _AT_ONCE if few else len(memory)
        pieces = zip(
            queries.split(count),
            memory.split(count),
            repeat(None) if seen is None else seen.split(count),
            strict=False,  # `repeat` has no end
        )
        parts = [self._answered(*piece) for piece in pieces]
        raw = (parts[0] if len(parts) == 1 else torch.cat(parts)).unflatten(0, (clips, samples))
        coefficients, au, va, expression = raw.split([COEFFICIENTS, 15, 2, 8], dim=-1)
        attributes = torch.cat([au.sigmoid(), va.tanh(), expression.softmax(-1)], dim=-1)
        return {"coefficients": coefficients, "attributes": attributes}

    def _answered(self, queries: Tensor, memory: Tensor, seen: Tensor | None) -> Tensor:
        """Queries [N, T, C] that have met each other and memory [N, L, C] to raw answers
        [N, T, 83]; seen bool [N, 1, 1, T]."""
        first, second = self.layers
        assert isinstance(first, DecoderLayer)
        assert isinstance(second, DecoderLayer)
        if memory.shape[1] == 1:
            mixed = first.cross_attention.of_one(memory)
        else:
            mixed = first.cross_attention(queries, memory)
        x = first.after_cross(queries, mixed)
        hidden = second(x, x, causal=True, memory_mask=seen)
        if torch.is_grad_enabled():
            coefficients = self.to_coefficients(hidden)
            return torch.cat(
                [coefficients, self.to_attributes(torch.cat([coefficients, hidden], dim=-1))], -1
            )
        raw: Tensor = nn.functional.linear(hidden, *self._heads())
        return raw

    def _heads(self) -> tuple[Tensor, Tensor]:
        """Linear maps in a row are one, and cheaper: weight [83, C] and bias of all outputs."""
        to, (one, two) = self.to_coefficients, self.to_attributes
        assert isinstance(one, nn.Linear)
        assert isinstance(two, nn.Linear)
        weight, bias = two.weight @ one.weight, two.bias + two.weight @ one.bias
        through, straight = weight.split([COEFFICIENTS, self.width], dim=1)
        weight = torch.cat([to.weight, through @ to.weight + straight])
        return weight, torch.cat([to.bias, through @ to.bias + bias])

    @staticmethod
    def _each(queries: Tensor, clips: int, samples: int) -> Tensor:
        """[1 or B or B * K, T, C] to [B * K, T, C]."""
        if len(queries) == clips * samples:
            return queries
        if len(queries) == 1:
            return queries.expand(clips * samples, -1, -1)
        return queries.repeat_interleave(samples, dim=0)
