"""REGNN's perceptual processor: face and voice of a window, fused by cross-modal attention.

Pre-norm transformer stacks (Tsai et al., MulT, 2019): the face's frames ask the voice's, then each
other. What is not built: the released voice projection, which is allocated and never called when
the voice's features already have the model's width (16,384 parameters at the published sizes).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from visavis.nn.attention import Attention, FeedForward
from visavis.nn.positions import sinusoid


class PreNormLayer(nn.Module):
    """x + attention(norm x, norm memory), then x + feed-forward(norm x), one norm for both."""

    def __init__(self, width: int, heads: int, *, dropout: float) -> None:
        super().__init__()
        self.attention = Attention(width, heads, dropout=0.0)
        self.feed_forward = FeedForward(width, 4 * width, dropout=dropout)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, memory: Tensor | None, mask: Tensor) -> Tensor:
        """x [B, T, C], memory [B, S, C] (None: x itself), mask bool [B, 1, 1, S]."""
        first, second = self.norms
        asked = first(x)
        told = asked if memory is None else first(memory)
        x = x + self.drop(self.attention(asked, told, mask=mask))
        out: Tensor = x + self.drop(self.feed_forward(second(x)))
        return out


class PreNormStack(nn.Module):
    """Layers over frames with sinusoidal positions; without memory each frame asks the others."""

    def __init__(self, width: int, heads: int, layers: int, *, dropout: float) -> None:
        super().__init__()
        self.width = width
        self.layers = nn.ModuleList(
            PreNormLayer(width, heads, dropout=dropout) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width)
        self.drop = nn.Dropout(0.25 if dropout else 0.0)

    def placed(self, x: Tensor) -> Tensor:
        """[B, T, C], scaled, with its positions added."""
        positions = sinusoid(torch.arange(x.shape[1], device=x.device), self.width)
        out: Tensor = self.drop(math.sqrt(self.width) * x + positions)
        return out

    def forward(self, x: Tensor, mask: Tensor, memory: Tensor | None = None) -> Tensor:
        x = self.placed(x)
        told = None if memory is None else self.placed(memory)
        for layer in self.layers:
            x = layer(x, told, mask)
        out: Tensor = self.norm(x)
        return out


class Perceptual(nn.Module):
    """Face and voice features of windows [B, t, C] to what is passed on, [B, t, C / 2]."""

    def __init__(
        self, face: int, speech: int, width: int, heads: int, layers: int, *, dropout: float
    ) -> None:
        super().__init__()
        self.face = nn.Linear(face, width, bias=False)
        self.speech = nn.Identity() if speech == width else nn.Linear(speech, width, bias=False)
        self.cross = PreNormStack(width, heads, layers, dropout=dropout)
        self.own = PreNormStack(width, heads, layers, dropout=dropout)
        self.hidden = nn.Sequential(
            nn.Linear(width, width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, width)
        )
        self.out = nn.Linear(width, width // 2)

    def forward(self, face: Tensor, speech: Tensor, inside: Tensor) -> Tensor:
        """Embedded windows [B, t, C] and their frames bool [B, t]; zeros outside them."""
        # softmax over nothing is NaN; a window without frames is dropped later
        seen = (inside | ~inside.any(-1, keepdim=True))[:, None, None]
        x = self.own(self.cross(face, seen, speech), seen)
        out: Tensor = self.out(x + self.hidden(x))
        return torch.where(inside[..., None], out, 0.0)
