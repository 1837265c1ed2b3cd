"""Vectors to one of finitely many codes and back, channel-last: [..., C] to indices [...].

Two ways with one result (`Quantised`): a fixed grid that needs no training (FSQ), and a codebook
that follows the data by moving averages (VQ). Gradients pass straight through the rounding (Bengio
et al., 2013).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from visavis.errors import InputError


@dataclass(frozen=True)
class Quantised:
    """What a quantiser makes of vectors [..., C]."""

    values: Tensor
    """The codes' vectors [..., C]; gradients go to the input as if nothing were rounded."""
    indices: Tensor
    """int64 [...], in [0, codes)."""
    loss: Tensor
    """What the quantiser itself asks to be minimised, a scalar; 0 for FSQ."""


def straight_through(exact: Tensor, rounded: Tensor) -> Tensor:
    """`rounded` in value, `exact` in gradient."""
    return exact + (rounded - exact).detach()


def perplexity(indices: Tensor, codes: int) -> Tensor:
    """exp(entropy) of how often each code is used: 1 if one is, `codes` if all are alike."""
    counts = torch.bincount(indices.flatten(), minlength=codes).to(torch.float64)
    shares = counts / counts.sum().clamp(min=1)
    return torch.exp(-torch.xlogy(shares, shares).sum())


class FSQ(nn.Module):
    """Finite scalar quantisation (Mentzer et al., 2024): every dimension is bounded and rounded.

    Dimension i takes `levels[i]` values in [-1, 1], 0 among them; an even number of levels leans to
    -1. The codebook is their product and has no parameters; `width` other than the number of
    levels adds a linear map in and one out.
    """

    levels: Tensor
    basis: Tensor
    reach: Tensor
    offset: Tensor
    shift: Tensor

    def __init__(self, levels: Sequence[int], width: int | None = None) -> None:
        super().__init__()
        if not levels or min(levels) < 2:
            raise InputError(f"FSQ needs at least two levels a dimension, not {list(levels)}.")
        self.codes = math.prod(levels)
        self.width = len(levels) if width is None else width
        numbers = torch.tensor(levels, dtype=torch.int64)
        basis = torch.cumprod(torch.tensor([1, *levels[:-1]]), 0)
        # the bounds reach a thousandth beyond the outer levels, so that rounding can reach them
        half = (numbers - 1).to(torch.float32) * (1 + 1e-3) / 2
        offset = torch.where(numbers % 2 == 0, 0.5, 0.0)
        for name, value in (("levels", numbers), ("basis", basis), ("reach", half)):
            self.register_buffer(name, value, persistent=False)
        self.register_buffer("offset", offset, persistent=False)
        self.register_buffer("shift", torch.atanh(offset / half), persistent=False)
        self.project_in, self.project_out = nn.Identity(), nn.Identity()
        if self.width != len(levels):
            self.project_in = nn.Linear(self.width, len(levels))  # type: ignore[assignment]
            self.project_out = nn.Linear(len(levels), self.width)  # type: ignore[assignment]

    def bound(self, z: Tensor) -> Tensor:
        """z [..., D] to what is rounded: between the outer levels, and differentiable."""
        return torch.tanh(z + self.shift) * self.reach - self.offset

    def forward(self, z: Tensor) -> Quantised:
        """Vectors [..., C] to codes."""
        bounded = self.bound(self.project_in(z))
        rounded = bounded.round()
        grid = straight_through(bounded, rounded) / (self.levels // 2)
        return Quantised(self.project_out(grid), self._number(rounded), z.new_zeros(()))

    def _number(self, rounded: Tensor) -> Tensor:
        steps = rounded.to(torch.int64) + self.levels // 2
        number: Tensor = (steps * self.basis).sum(-1)
        return number

    def grid(self, indices: Tensor) -> Tensor:
        """Indices [...] to points of the grid [..., D] in [-1, 1]."""
        half = self.levels // 2
        steps = (indices[..., None] // self.basis) % self.levels
        return (steps - half).to(self.reach.dtype) / half

    def decode(self, indices: Tensor) -> Tensor:
        """Indices [...] to vectors [..., C].

        Raises:
            InputError: an index is no code (it would wrap around to another one).
        """
        _check(indices, self.codes)
        out: Tensor = self.project_out(self.grid(indices))
        return out

    def vectors(self) -> Tensor:
        """All codes' vectors [codes, C], differentiable."""
        return self.decode(torch.arange(self.codes, device=self.levels.device))


class VQ(nn.Module):
    """A learned codebook whose vectors follow what they stand for (van den Oord et al., 2017).

    Training moves each code to a moving average of the vectors that chose it (their appendix A.1).
    The first batch seeds the codebook, and a code that hardly anything chooses is put where some
    vector of the present batch lies, so that none dies (Dhariwal et al., 2020, section 3.1).
    """

    codebook: Tensor
    counts: Tensor
    sums: Tensor
    seeded: Tensor

    def __init__(
        self,
        codes: int,
        width: int,
        *,
        decay: float = 0.8,
        commitment: float = 1.0,
        least: float = 1e-2,
    ) -> None:
        """
        Args:
            decay: of the moving averages, a batch.
            commitment: weight of the squared distance from vectors to their codes.
            least: a code with a moving average of fewer vectors a batch begins anew.
        """
        super().__init__()
        if codes < 1 or not 0 <= decay < 1:
            raise InputError(f"VQ needs a code and a decay in [0, 1), not {codes} and {decay}.")
        self.codes, self.width = codes, width
        self.decay, self.commitment, self.least = decay, commitment, least
        book = torch.randn(codes, width)
        self.register_buffer("codebook", book)
        self.register_buffer("counts", torch.ones(codes))
        self.register_buffer("sums", book.clone())
        self.register_buffer("seeded", torch.zeros((), dtype=torch.bool))

    def forward(self, z: Tensor) -> Quantised:
        """Vectors [..., C] to codes; in training the codebook moves."""
        rows = z.detach().flatten(0, -2)
        if self.training:
            self._seed(rows)
        indices = self._nearest(rows)
        values = F.embedding(indices, self.codebook).view_as(z)
        loss = self.commitment * F.mse_loss(z, values)
        if self.training:
            self._follow(rows, indices)
        return Quantised(straight_through(z, values), indices.view(z.shape[:-1]), loss)

    def _nearest(self, rows: Tensor) -> Tensor:
        # |r|^2 is the same for every code
        distances = (self.codebook**2).sum(-1) - 2 * rows @ self.codebook.T
        return distances.argmin(-1)

    def _seed(self, rows: Tensor) -> None:
        if bool(self.seeded):
            return
        self.codebook.copy_(_some(rows, self.codes))
        self.sums.copy_(self.codebook)
        self.counts.fill_(1.0)
        self.seeded.fill_(True)

    def _follow(self, rows: Tensor, indices: Tensor) -> None:
        chosen = F.one_hot(indices, self.codes).to(rows.dtype)
        self.counts.lerp_(chosen.sum(0), 1 - self.decay)
        self.sums.lerp_(chosen.T @ rows, 1 - self.decay)
        dead = self.counts < self.least
        if bool(dead.any()):
            self.sums[dead] = _some(rows, int(dead.sum()))
            self.counts[dead] = 1.0
        self.codebook.copy_(self.sums / self.counts[:, None])

    def decode(self, indices: Tensor) -> Tensor:
        """Indices [...] to vectors [..., C].

        Raises:
            InputError: an index is no code.
        """
        _check(indices, self.codes)
        return F.embedding(indices, self.codebook)

    def vectors(self) -> Tensor:
        """All codes' vectors [codes, C]."""
        return self.codebook


def _some(rows: Tensor, count: int) -> Tensor:
    """`count` of the rows at random, all of them before any comes twice."""
    order = torch.randperm(len(rows), device=rows.device)
    return rows[order.repeat(-(-count // len(rows)))[:count]]


def _check(indices: Tensor, codes: int) -> None:
    if indices.numel() and (int(indices.min()) < 0 or int(indices.max()) >= codes):
        raise InputError(
            f"indices lie between {int(indices.min())} and {int(indices.max())}; there are "
            f"{codes} codes, 0 to {codes - 1}."
        )
