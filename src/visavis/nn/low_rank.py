"""Weights that differ from sample to sample: shifts of linear maps, made from a condition.

y = x W^T + x (A B)^T with A [out, r] and B [r, in] of each sample (Hu et al., LoRA, 2022, Eq. 3,
with A and B made by a hypernetwork). Nothing is written into the shared weight, so samples of
different conditions share a batch; A begins at zero, so that training begins at the unshifted map.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class LowRank:
    """A B, one a sample."""

    up: Tensor
    """A [B, out, r]."""
    down: Tensor
    """B [B, r, in]."""

    def of(self, x: Tensor) -> Tensor:
        """What is added to W x: x [B, ..., in] to [B, ..., out]."""
        flat = x.flatten(1, -2)
        out = (flat @ self.down.transpose(1, 2)) @ self.up.transpose(1, 2)
        return out.view(*x.shape[:-1], out.shape[-1])

    def dense(self) -> Tensor:
        """The shift written out, [B, out, in]."""
        return self.up @ self.down

    def squared(self) -> Tensor:
        """Squared Frobenius norms [B], without writing the product out: tr(A^T A B B^T)."""
        left = self.up.transpose(1, 2) @ self.up
        right = self.down @ self.down.transpose(1, 2)
        return (left * right).sum((1, 2))

    def __len__(self) -> int:
        return len(self.up)

    def each(self, count: int) -> LowRank:
        """Every sample `count` times in a row, [B * count]."""
        return LowRank(*(x.repeat_interleave(count, 0) for x in (self.up, self.down)))


@dataclass(frozen=True)
class Dense:
    """A whole matrix a sample, as PerFRDiff's hypernetwork makes it."""

    weight: Tensor
    """[B, out, in]."""

    def of(self, x: Tensor) -> Tensor:
        """What is added to W x: x [B, ..., in] to [B, ..., out]."""
        out = x.flatten(1, -2) @ self.weight.transpose(1, 2)
        return out.view(*x.shape[:-1], out.shape[-1])

    def dense(self) -> Tensor:
        """The shift itself, [B, out, in]."""
        return self.weight

    def squared(self) -> Tensor:
        """Squared Frobenius norms [B]."""
        return (self.weight**2).sum((1, 2))

    def __len__(self) -> int:
        return len(self.weight)

    def each(self, count: int) -> Dense:
        """Every sample `count` times in a row, [B * count]."""
        return Dense(self.weight.repeat_interleave(count, 0))


Shift = LowRank | Dense


class Shifts(nn.Module):
    """Conditions [B, S] to a shift of every target.

    Args:
        style: S.
        targets: name -> (out, in) of the linear maps that are shifted.
        rank: r; None makes whole matrices, S' out in parameters each.
        hidden: widths of ReLU layers before the targets' own linear maps.
        scale: factor of a low-rank shift.
    """

    def __init__(
        self,
        style: int,
        targets: Mapping[str, tuple[int, int]],
        *,
        rank: int | None = 4,
        hidden: tuple[int, ...] = (),
        scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.targets, self.rank, self.scale = dict(targets), rank, scale
        sizes = (style, *hidden)
        layers: list[nn.Module] = []
        for before, after in pairwise(sizes):
            layers += [nn.Linear(before, after), nn.ReLU()]
        self.trunk = nn.Sequential(*layers)
        last, sides = sizes[-1], list(self.targets.values())
        self.ups = nn.ModuleList(nn.Linear(last, out * (rank or into)) for out, into in sides)
        self.downs = nn.ModuleList(nn.Linear(last, rank * into) for _, into in sides if rank)
        for up in self.ups:
            assert isinstance(up, nn.Linear)
            nn.init.zeros_(up.weight)
            nn.init.zeros_(up.bias)

    def forward(self, condition: Tensor) -> dict[str, Shift]:
        x = self.trunk(condition)
        names, sides = self.targets, self.targets.values()
        if self.rank is None:
            return {
                name: Dense(up(x).view(-1, *size))
                for name, size, up in zip(names, sides, self.ups, strict=True)
            }
        return {
            name: LowRank(
                self.scale * up(x).view(-1, out, self.rank), down(x).view(-1, self.rank, into)
            )
            for name, (out, into), up, down in zip(names, sides, self.ups, self.downs, strict=True)
        }


def shifted(layer: nn.Linear, x: Tensor, shift: Shift | None) -> Tensor:
    """layer(x) with a shift a sample: x [B, ..., in] to [B, ..., out]; without one, layer(x)."""
    y: Tensor = layer(x)
    return y if shift is None else y + shift.of(x)


def mean_square(shifts: Mapping[str, Shift]) -> Tensor:
    """Mean over samples and targets of ||A B||_F^2, to keep shifts small."""
    return torch.stack([shift.squared().mean() for shift in shifts.values()]).mean()
