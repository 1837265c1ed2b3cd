"""A diagonal Gaussian, and the transformer head that makes one out of a sequence."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from visavis.nn.attention import EncoderLayer


@dataclass(frozen=True)
class Gaussian:
    """N(mean, exp(log_variance)), both [..., C]."""

    mean: Tensor
    log_variance: Tensor

    def at(self, noise: Tensor) -> Tensor:
        """The reparameterised sample for standard normal `noise` (Kingma and Welling, 2014)."""
        return self.mean + torch.exp(0.5 * self.log_variance) * noise

    def kl(self, other: Gaussian | None = None) -> Tensor:
        """KL(self || other) an element, [..., C]; `other` defaults to the standard normal."""
        if other is None:
            return 0.5 * (self.mean**2 + self.log_variance.exp() - 1 - self.log_variance)
        ratio = (self.log_variance - other.log_variance).exp()
        distance = (self.mean - other.mean) ** 2 * torch.exp(-other.log_variance)
        return 0.5 * (ratio + distance - 1 - self.log_variance + other.log_variance)


class TokenGaussian(nn.Module):
    """Two learned tokens read a sequence and become its mean and log-variance.

    A linear map, then transformer encoder layers over [mean token, log-variance token, sequence]
    without positions: the head of Trans-VAE, PerReactor and ReactFace.
    """

    def __init__(
        self, width: int, heads: int, hidden: int, *, layers: int = 1, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width)
        self.tokens = nn.Parameter(torch.randn(2, width))
        self.layers = nn.ModuleList(
            EncoderLayer(width, heads, hidden, dropout=dropout) for _ in range(layers)
        )

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Gaussian:
        """x [B, T, C], mask bool [B, T] (True = read) to one Gaussian [B, C] a sequence."""
        tokens = self.tokens.expand(x.shape[0], -1, -1)
        x = torch.cat([tokens, self.linear(x)], dim=1)
        seen = None
        if mask is not None:
            seen = torch.cat([mask.new_ones(x.shape[0], 2), mask], dim=1)[:, None, None]
        for layer in self.layers[:-1]:
            x = layer(x, mask=seen)
        # only the two tokens leave the last layer, so only they are computed in it
        out = self.layers[-1](x[:, :2], memory=x, mask=seen)
        return Gaussian(out[:, 0], out[:, 1])
