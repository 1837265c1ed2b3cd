"""Layers that can be undone, each with the logarithm of its Jacobian's determinant.

`forward(x, condition)` returns (y, log|det dy/dx|) with the determinant a row, and `inverse(y,
condition)` returns x. A row's event is its last two axes [N, D]; the axes before them are rows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from visavis.errors import InputError


class Branch(Protocol):
    """What a residual layer adds, once it is scaled: f(x) = scale() * branch(x, condition)."""

    def __call__(self, x: Tensor, condition: Tensor) -> Tensor: ...

    def scale(self) -> Tensor:
        """A factor under which the slope of f lies below 1, whatever x is."""


class ActNorm(nn.Module):
    """y = exp(scale) x + shift, one pair of numbers a node (Kingma and Dhariwal, 2018, 3.1)."""

    def __init__(self, nodes: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.zeros(nodes))
        self.shift = nn.Parameter(torch.zeros(nodes))

    @torch.no_grad()
    def seed(self, mean: Tensor, std: Tensor, *, least: float = 1e-2) -> None:
        """Begin with outputs of mean 0 and deviation 1, from the data's moments a node [N]."""
        scale = -std.clamp(min=least).log()
        self.scale.copy_(scale)
        self.shift.copy_(-mean * scale.exp())

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x [..., N, D]."""
        y = x * self.scale.exp()[:, None] + self.shift[:, None]
        return y, (self.scale.sum() * x.shape[-1]).expand(x.shape[:-2])

    def inverse(self, y: Tensor) -> Tensor:
        return (y - self.shift[:, None]) * (-self.scale).exp()[:, None]


class LipschitzResidual(nn.Module):
    """y = x + f(x, condition), invertible since f's slope stays below 1 (Behrmann et al., 2019).

    The inverse is the fixed point of x = y - f(x), by iteration. A row that has settled is left
    alone, so a row's result does not depend on how long the others take.
    """

    def __init__(
        self,
        branch: nn.Module,
        *,
        tolerance: float = 1e-5,
        limit: int = 200,
        terms: int = 5,
    ) -> None:
        """
        Args:
            branch: a module that is a `Branch`.
            tolerance: a row has settled when none of its numbers moves by more.
            limit: iterations at most; with a bound of 0.9, 130 take a distance of 10 below 1e-5.
            terms: of the power series of the log-determinant.
        """
        super().__init__()
        if tolerance <= 0 or limit < 1 or terms < 1:
            raise InputError(
                f"tolerance, limit and terms must be positive, not {tolerance}, {limit}, {terms}."
            )
        self.branch: Any = branch
        self.tolerance, self.limit, self.terms = tolerance, limit, terms

    def forward(
        self, x: Tensor, condition: Tensor, *, probes: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """x [..., N, D]; with probes [S, ..., N, D] the log-determinant too, else zeros."""
        scale = self.branch.scale()
        if probes is None:
            return x + scale * self.branch(x, condition), x.new_zeros(x.shape[:-2])
        moved, logdet = log_determinant(
            lambda z: scale * self.branch(z, condition), x, probes, terms=self.terms
        )
        return x + moved, logdet

    def inverse(self, y: Tensor, condition: Tensor) -> Tensor:
        """x with x + f(x) = y, [..., N, D]; gradients pass through the iteration."""
        x, settled = y, torch.zeros(y.shape[:-2], dtype=torch.bool, device=y.device)
        scale = self.branch.scale()
        for _ in range(self.limit):
            new = y - scale * self.branch(x, condition)
            moved = (new - x).detach().abs().amax((-1, -2))
            x = torch.where(settled[..., None, None], x, new)
            settled = settled | (moved <= self.tolerance)
            if bool(settled.all()):
                break
        return x


def log_determinant(
    f: Callable[[Tensor], Tensor], x: Tensor, probes: Tensor, *, terms: int
) -> tuple[Tensor, Tensor]:
    """f(x) and log det(I + df/dx) a row, for f of slope below 1 that leaves rows apart.

    tr log(I + J) = sum over k of (-1)^(k+1) tr(J^k) / k, its traces as averages of v J^k v over
    the probes v (Hutchinson, 1990), which have mean 0 and covariance 1: an estimate without bias,
    but for the terms left out (at most N D c^(terms + 1) / (terms + 1) / (1 - c) for a slope c).
    `every_direction` gives exact traces.

    Args:
        x: [..., N, D].
        probes: [S, ..., N, D].
    """
    create = torch.is_grad_enabled()
    with torch.enable_grad():
        given = x if x.requires_grad else x.detach().requires_grad_(True)
        out = f(given)
        total = x.new_zeros(x.shape[:-2])
        for probe in probes:
            row = probe
            for k in range(1, terms + 1):
                (row,) = torch.autograd.grad(
                    out, given, row, retain_graph=True, create_graph=create
                )
                trace = (row * probe).sum((-1, -2))
                total = total + (1 if k % 2 else -1) * trace / k
    if not create:
        out, total = out.detach(), total.detach()
    return out, total / len(probes)


def signs(x: Tensor, count: int) -> Tensor:
    """`count` random probes of +1 and -1, [count, *x.shape]."""
    coins: Tensor = torch.randint(0, 2, (count, *x.shape), device=x.device)
    return coins.to(x.dtype) * 2 - 1


def every_direction(x: Tensor) -> Tensor:
    """The N D scaled unit vectors as probes, [N D, *x.shape]: traces are exact, and dear."""
    size = x.shape[-2] * x.shape[-1]
    unit: Tensor = torch.eye(size, dtype=x.dtype, device=x.device) * size**0.5
    shaped = unit.view(size, *([1] * (x.ndim - 2)), *x.shape[-2:])
    return shaped.expand(size, *x.shape)
