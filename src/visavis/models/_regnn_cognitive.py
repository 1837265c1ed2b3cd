"""REGNN's cognitive processor: a graph with one node an attribute, and a distribution over it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from visavis.nn.graph import balance, keep_strongest
from visavis.nn.mixture import Mixture

NODES = 25
"""One an attribute."""


@dataclass(frozen=True)
class ReactionGraph:
    """What a speaker's windows say of the listener: where the reactions' codes lie, and the edges.

    Codes are [B, W, 25, D] for windows of D frames; as tokens, [B, W * D, 25].
    """

    over: Mixture
    """Its rows are the windows, [B, W]."""
    edges: Tensor
    """[B, W, P, 25, 25], rows that sum to 1."""

    @property
    def mean(self) -> Tensor:
        """[B, W * D, 25]"""
        return as_tokens(self.over.mean)

    def kl(self, other: ReactionGraph | None = None) -> Tensor:
        """KL(self || other) or a bound of it, an entry: [B, W * D, 25]."""
        return as_tokens(self.over.kl(None if other is None else other.over))


def as_tokens(codes: Tensor) -> Tensor:
    """[..., W, 25, D] to frames side by side, [..., W * D, 25]."""
    return codes.transpose(-1, -2).flatten(-3, -2)


def as_codes(tokens: Tensor, window: int) -> Tensor:
    """The inverse: [..., W * D, 25] to [..., W, 25, D]."""
    codes: Tensor = tokens.unflatten(-2, (-1, window)).transpose(-1, -2)
    return codes


class MixtureHead(nn.Module):
    """Components around the point that the graph says, with learnt widths and shares.

    The released code has the networks for the means (30,600 parameters at the published sizes) and
    uses them nowhere; widths and shares, which its paper speaks of, are ours.
    """

    def __init__(self, window: int, components: int) -> None:
        super().__init__()
        self.means = nn.ModuleList(
            nn.Sequential(nn.Linear(window, window), nn.GELU(), nn.Linear(window, window))
            for _ in range(components)
        )
        self.log_std = nn.Parameter(torch.full((components, NODES), math.log(0.7)))
        self.shares = nn.Linear(window, components)
        nn.init.zeros_(self.shares.weight)

    def forward(self, codes: Tensor) -> Mixture:
        """[B, W, 25, D]"""
        means = torch.stack([codes + net(codes) for net in self.means], dim=-3)
        return Mixture(means, self.log_std[..., None], self.shares(codes.mean(-2)))


class Cognitive(nn.Module):
    """Fused windows [B, W, D, C / 2] to a `ReactionGraph`."""

    def __init__(
        self, width: int, window: int, channels: int, neighbours: int, components: int, noise: float
    ) -> None:
        super().__init__()
        self.channels, self.neighbours, self.noise = channels, neighbours, noise
        self.direct = nn.Sequential(
            nn.Linear(width, width // 2), nn.GELU(), nn.Linear(width // 2, NODES)
        )
        self.relate = nn.Sequential(nn.Linear(window, window), nn.GELU(), nn.Linear(window, window))
        self.query_key = nn.Linear(window, 2 * window * channels, bias=False)
        self.mixture = MixtureHead(window, components) if components else None

    def forward(self, fused: Tensor) -> ReactionGraph:
        codes = self.direct(fused).transpose(-1, -2)
        return ReactionGraph(self.over(codes), self.edges(codes))

    def over(self, codes: Tensor) -> Mixture:
        """The learnt mixture, or one point with the released code's noise around it."""
        if self.mixture is not None:
            out: Mixture = self.mixture(codes)
            return out
        log_std = codes.new_tensor(math.log(self.noise))
        return Mixture(codes[..., None, :, :], log_std, codes.new_zeros(*codes.shape[:-2], 1))

    def edges(self, codes: Tensor) -> Tensor:
        """Codes [B, W, 25, D] to [B, W, P, 25, 25]."""
        both = self.query_key(self.relate(codes)).unflatten(-1, (2, self.channels, -1))
        query, key = both.movedim(-2, -4).unbind(-2)  # [B, W, P, 25, D]
        strength = (query @ key.transpose(-1, -2) / math.sqrt(codes.shape[-1])).softmax(-1)
        return balance(keep_strongest(strength, self.neighbours))
