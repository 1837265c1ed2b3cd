"""Scaling by the range of the training data, kept with the weights."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


class RangeScale(nn.Module):
    """Each column's [low, high] to [-1, 1] and back; the identity until fitted.

    2 (x - low) / (high - low) - 1 (specification 1.2: one range a column, not one a frame). A
    column that hardly varies is only centred.
    """

    low: Tensor
    high: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("low", -torch.ones(width))
        self.register_buffer("high", torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return 2 * (x - self.low) / (self.high - self.low) - 1

    def back(self, x: Tensor) -> Tensor:
        return (x + 1) / 2 * (self.high - self.low) + self.low

    def fit(self, pieces: Iterable[Tensor], *, least: float = 1e-3) -> None:
        """Take the range of rows [N, width] that come in pieces; no rows change nothing."""
        lows, highs = [], []
        for piece in pieces:
            if len(piece):
                lows.append(piece.detach().min(0).values)
                highs.append(piece.detach().max(0).values)
        if not lows:
            return
        low, high = torch.stack(lows).min(0).values, torch.stack(highs).max(0).values
        narrow = high - low < least
        middle = (low + high) / 2
        self.low.copy_(torch.where(narrow, middle - 1, low))
        self.high.copy_(torch.where(narrow, middle + 1, high))
