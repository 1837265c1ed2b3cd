"""PerFRDiff's person encoder (PSSL): who is it, whatever they are doing?

Trained by contrast: two clips of one listener are near each other and far from those of the other
listeners of the batch (Khosla et al., supervised contrastive learning, 2020, Eq. 2).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from visavis.models._clip_decoder import COEFFICIENTS
from visavis.nn.attention import EncoderLayer
from visavis.nn.positions import sinusoid

TEMPERATURE = 0.07


class PersonEncoder(nn.Module):
    """Coefficients of one listener, [N, T, 58] standardised, to a unit vector [N, C].

    A zero token before the sequence reads it through four post-norm layers with fixed positions,
    and two linears (ReLU between) take it to the style; 8,967,168 parameters as published.
    """

    def __init__(self, width: int, heads: int, hidden: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.into = nn.Linear(COEFFICIENTS, width)
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        self.layers = nn.ModuleList(
            EncoderLayer(width, heads, hidden, dropout=dropout) for _ in range(layers)
        )
        self.project = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
        self.drop = nn.Dropout(dropout)

    def forward(self, coefficients: Tensor) -> Tensor:
        x = torch.cat([self.token.expand(len(coefficients), -1, -1), self.into(coefficients)], 1)
        positions = torch.arange(x.shape[1], device=x.device)
        x = self.drop(x + sinusoid(positions, x.shape[-1]).to(x.dtype))
        for layer in self.layers[:-1]:
            x = layer(x)
        # only the token leaves the last layer
        style = self.layers[-1](x[:, :1], memory=x)[:, 0]
        return F.normalize(self.project(style), dim=-1)


def contrast(first: Tensor, second: Tensor) -> Tensor:
    """Mean over 2 B views [C] of -log softmax of the other view of the same row; unit vectors."""
    views = torch.cat([first, second])
    likeness = views @ views.T / TEMPERATURE
    likeness = likeness.masked_fill(torch.eye(len(views), dtype=torch.bool).to(views.device), -1e9)
    count = len(first)
    partner = torch.arange(2 * count, device=views.device).roll(count)
    return F.cross_entropy(likeness, partner)


def right(first: Tensor, second: Tensor) -> Tensor:
    """How often a listener's second view is nearest to their first, among the batch's listeners."""
    nearest = (first @ second.T).argmax(1)
    return (nearest == torch.arange(len(first), device=first.device)).float().mean()
