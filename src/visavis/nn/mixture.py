"""A mixture of diagonal Gaussians over arrays, with what a wrapper asks of a distribution."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Mixture:
    """Over arrays [..., N, D]: M components of means and deviations, one of them chosen a row.

    One component is a plain Gaussian.
    """

    means: Tensor
    """[..., M, N, D]"""
    log_std: Tensor
    """Broadcasts to `means`, e.g. [M, N, 1]."""
    logits: Tensor
    """[..., M]"""

    @property
    def mean(self) -> Tensor:
        """[..., N, D]"""
        shares = self.logits.softmax(-1)[..., None, None]
        return (shares * self.means).sum(-3)

    def at(self, noise: Tensor, uniform: Tensor) -> Tensor:
        """Draws [K, ..., N, D] for normal `noise` of that shape and `uniform` [K, ...] in (0, 1).

        The component is the first whose cumulated share exceeds the uniform number: equal numbers
        in neighbouring rows choose alike.
        """
        upto = self.logits.softmax(-1).cumsum(-1)
        chosen = (uniform[..., None] > upto).sum(-1).clamp(max=upto.shape[-1] - 1)
        index = chosen[..., None, None, None].expand(*chosen.shape, 1, *self.means.shape[-2:])
        means = self.means.expand(*chosen.shape, *self.means.shape[-3:])
        std = self.log_std.exp().expand_as(self.means).expand(means.shape)
        return means.gather(-3, index).squeeze(-3) + noise * std.gather(-3, index).squeeze(-3)

    def log_prob(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Log density of x [..., N, D], a row [...]; entries where mask is False are left out."""
        away = (x[..., None, :, :] - self.means) * (-self.log_std).exp()
        each = -0.5 * (away**2 + math.log(2 * math.pi)) - self.log_std
        if mask is not None:
            each = torch.where(mask[..., None, :, :], each, 0.0)
        joint = each.sum((-1, -2)) + self.logits.log_softmax(-1)
        return joint.logsumexp(-1)

    def kl(self, other: Mixture | None = None) -> Tensor:
        """An upper bound of KL(self || other) an entry, [..., N, D]; the sum over entries bounds
        the whole (Do, 2003: components matched by order; exact for one component).

        `other` defaults to the standard normal.
        """
        if other is None:
            zero = torch.zeros((), device=self.means.device, dtype=self.means.dtype)
            other = Mixture(zero.expand_as(self.means), zero, self.logits)
        gap = self.log_std - other.log_std
        away = ((self.means - other.means) * (-other.log_std).exp()) ** 2
        each = 0.5 * ((2 * gap).exp() + away - 1) - gap
        mine, theirs = self.logits.log_softmax(-1), other.logits.log_softmax(-1)
        choice = (mine.exp() * (mine - theirs)).sum(-1)
        shares = mine.exp()[..., None, None]
        entries = self.means.shape[-1] * self.means.shape[-2]
        return (shares * each).sum(-3) + choice[..., None, None] / entries
