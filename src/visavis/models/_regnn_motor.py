"""REGNN's motor processor: real reactions to codes, and codes back to reactions.

Pairs of an `ActNorm` over the attributes and a residual graph attention. The released layer
divides the attention by |I + 2 B / sqrt D| + sqrt N, a number its weights can outgrow; here the
divisor is never less than what certifies the slope (`EdgeAttention.lipschitz`). What is not built:
the released LU layer, allocated and never called (2,525 parameters a layer at the published sizes).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from visavis.models._regnn_cognitive import NODES
from visavis.nn.graph import EdgeAttention
from visavis.nn.invertible import ActNorm, LipschitzResidual

CERTAIN = 0.9
"""The steepest slope that a residual branch may have."""


class GraphBranch(nn.Module):
    """What a residual layer adds, M(h) h, scaled so that the layer can be undone.

    Published, that is all, and the true slope is about 0.03: the layer is nearly the identity. With
    a linear map behind it (`mapped`, ours) of which only the direction counts, the branch has the
    certified slope itself.
    """

    def __init__(self, window: int, channels: int, *, mapped: bool) -> None:
        super().__init__()
        self.attention = EdgeAttention(window, channels)
        self.map = nn.Linear(window, window, bias=False) if mapped else None

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        """x [..., K, 25, D], edges [..., P, 25, 25]."""
        out: Tensor = self.attention(x, edges)
        return out if self.map is None else self.map(out)

    @torch.no_grad()
    def scale(self) -> Tensor:
        steepest = self.attention.lipschitz(NODES) / CERTAIN
        if self.map is not None:
            size: Tensor = torch.linalg.matrix_norm(self.map.weight, ord=2)
            return 1 / (steepest * size)
        return 1 / torch.maximum(steepest, self.released())

    @torch.no_grad()
    def released(self) -> Tensor:
        """The divisor of the released code."""
        width = self.attention.width
        query, key = self.attention.query_key.weight.split(width)
        unit = torch.eye(width, device=query.device, dtype=query.dtype)
        size: Tensor = torch.linalg.matrix_norm(unit + 2 * query @ key.T / math.sqrt(width), ord=2)
        return size + math.sqrt(NODES)


class Motor(nn.Module):
    """Reactions [..., K, 25, D] to codes and back; the K rows share their edges."""

    def __init__(self, window: int, channels: int, layers: int, *, mapped: bool) -> None:
        super().__init__()
        self.norms = nn.ModuleList(ActNorm(NODES) for _ in range(layers))
        self.layers = nn.ModuleList(
            LipschitzResidual(GraphBranch(window, channels, mapped=mapped)) for _ in range(layers)
        )

    def forward(
        self, x: Tensor, edges: Tensor, probes: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Codes, and log-determinants a row [..., K]; those of the residuals only with probes."""
        total = x.new_zeros(x.shape[:-2])
        for norm, layer in zip(self.norms, self.layers, strict=True):
            x, scaled = norm(x)
            x, bent = layer(x, edges, probes=probes)
            total = total + scaled + bent
        return x, total

    def inverse(self, codes: Tensor, edges: Tensor) -> Tensor:
        for norm, layer in zip(reversed(self.norms), reversed(self.layers), strict=True):
            assert isinstance(norm, ActNorm) and isinstance(layer, LipschitzResidual)
            codes = norm.inverse(layer.inverse(codes, edges))
        return codes
