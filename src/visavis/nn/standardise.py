"""Scaling by statistics of the training data, kept with the weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Standardise(nn.Module):
    """(x - mean) / std a column, with mean and std as buffers; the identity until fitted."""

    mean: Tensor
    std: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("std", torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.std


class RunningMoments:
    """Mean and variance of rows seen in pieces (Chan, Golub and LeVeque, 1979), float64."""

    def __init__(self, width: int) -> None:
        self.count = 0
        self.mean = torch.zeros(width, dtype=torch.float64)
        self._squares = torch.zeros(width, dtype=torch.float64)

    def update(self, rows: Tensor) -> None:
        """Rows [N, width]."""
        if not len(rows):
            return
        rows = rows.detach().cpu().double()
        count, mean = len(rows), rows.mean(0)
        total, delta = self.count + count, mean - self.mean
        self._squares += ((rows - mean) ** 2).sum(0) + delta**2 * (self.count * count / total)
        self.mean += delta * (count / total)
        self.count = total

    @property
    def std(self) -> Tensor:
        """Population standard deviation [width]."""
        return (self._squares / max(self.count, 1)).sqrt()

    def write_to(self, module: Standardise, *, least: float = 1e-3) -> None:
        """Set a `Standardise`; columns that hardly vary are only centred."""
        module.mean.copy_(self.mean)
        module.std.copy_(torch.where(self.std > least, self.std, 1.0))
