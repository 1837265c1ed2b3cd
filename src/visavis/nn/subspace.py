"""The linear subspace in which training data moves, kept with the weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Subspace(nn.Module):
    """Rows [..., C] to their nearest point of a subspace, x P; everything until fitted.

    An output that is judged by few sums of its columns (two brows by one action unit) is free in
    all other directions. Data says which of them faces use: principal components (Pearson, 1901).
    """

    projection: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("projection", torch.eye(width))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.projection


class RunningCovariance:
    """Covariance of rows seen in pieces (Chan, Golub and LeVeque, 1979), float64."""

    def __init__(self, width: int) -> None:
        self.count = 0
        self.mean = torch.zeros(width, dtype=torch.float64)
        self._products = torch.zeros(width, width, dtype=torch.float64)

    def update(self, rows: Tensor) -> None:
        """Rows [N, width]."""
        if not len(rows):
            return
        rows = rows.detach().cpu().double()
        count, mean = len(rows), rows.mean(0)
        total, delta = self.count + count, mean - self.mean
        centred = rows - mean
        self._products += centred.T @ centred
        self._products += torch.outer(delta, delta) * (self.count * count / total)
        self.mean += delta * (count / total)
        self.count = total

    def write_to(self, module: Subspace, *, share: float, std: Tensor) -> None:
        """Keep the fewest principal components of (x - mean) / std that hold `share` of the
        variance."""
        if self.count < 2:
            return
        scale = std.double().cpu()
        values, vectors = torch.linalg.eigh(self._products / self.count / torch.outer(scale, scale))
        held = values.flip(0).clamp(min=0).cumsum(0)
        kept = int((held < share * held[-1]).sum()) + 1
        basis = vectors[:, -kept:]
        module.projection.copy_(basis @ basis.T)
