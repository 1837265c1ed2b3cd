"""Values of an attention, changed by a small set of vectors beside each token.

The subject attention of MReactor's supplementary (D.1) "modulates the value space"; how is not
printed. Here a token pools its set by attention (Lee et al., Set Transformer, 2019) and scales and
shifts its value with what it found (FiLM; Perez et al., 2018): V' = V (1 + g(u)) + b(u).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SetPool(nn.Module):
    """Each token's own set to one vector, whatever the set's order; zero for an empty set."""

    def __init__(self, width: int, element: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, element)
        self.key = nn.Linear(element, element)

    def forward(self, x: Tensor, elements: Tensor, there: Tensor) -> Tensor:
        """
        Args:
            x: tokens [B, T, C].
            elements: [B, T, S, e].
            there: bool [B, K, T, S]: the elements that each of K readers of the same tokens has.

        Returns:
            [B, K, T, e].
        """
        scores = (self.query(x)[..., None, :] * self.key(elements)).sum(-1)[:, None]
        scores = scores * elements.shape[-1] ** -0.5
        shares = scores.masked_fill(~there, -1e30).softmax(-1) * there
        pooled: Tensor = (shares[..., None] * elements[:, None]).sum(-2)
        return pooled


class ValueModulation(nn.Module):
    """V (1 + g(u)) + b(u), the identity at first and wherever nothing modulates."""

    def __init__(self, width: int, element: int) -> None:
        super().__init__()
        self.to_both = nn.Linear(element, 2 * width)
        nn.init.zeros_(self.to_both.weight)
        nn.init.zeros_(self.to_both.bias)

    def forward(self, values: Tensor, pooled: Tensor, there: Tensor) -> Tensor:
        """Values [B, T, C] by pooled sets [B, K, T, e] to [B, K, T, C]; there bool [B, K, T]."""
        scale, shift = self.to_both(pooled).chunk(2, dim=-1)
        values = values[:, None]
        return torch.where(there[..., None], values * (1 + scale) + shift, values)
