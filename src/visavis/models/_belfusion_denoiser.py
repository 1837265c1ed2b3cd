"""BeLFusion's denoiser: an MLP whose every layer sees the noisy code again (specification 3.2).

The layout is that of DiffAE's latent denoiser (Preechakul et al., 2022): h = SiLU(LayerNorm((W [h;
x]) (1 + V SiLU([time; condition])))), the last layer plain.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from visavis.nn.step_embedding import step_embedding

STEP_WIDTH = 64


class SkipMLP(nn.Module):
    """A noisy code [M, K, C], its step and its condition to the clean code."""

    def __init__(self, width: int, hidden: int, layers: int) -> None:
        super().__init__()
        self.time = _two_layers(STEP_WIDTH, width)
        self.condition = _two_layers(width, width)
        self.layers = nn.ModuleList(
            nn.Linear((hidden if i else width) + width, hidden if i < layers - 1 else width)
            for i in range(layers)
        )
        self.scales = nn.ModuleList(nn.Linear(2 * width, hidden) for _ in range(layers - 1))
        self.norms = nn.ModuleList(nn.LayerNorm(hidden) for _ in range(layers - 1))
        for layer in (*self.layers, *self.scales):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)

    def heard(self, condition: Tensor) -> list[Tensor]:
        """Conditions [M, C] as what each layer makes of them, [M, hidden] each.

        The scale is linear in [SiLU(time); SiLU(condition)], so the condition's share is the same
        for all steps and samples: computed once.
        """
        known = F.silu(self.condition(condition))
        width = known.shape[-1]
        return [F.linear(known, s.weight[:, width:], s.bias) for s in self._scales()]

    def forward(self, x: Tensor, steps: Tensor, heard: Sequence[Tensor]) -> Tensor:
        """The clean code [M, K, C].

        Args:
            x: noisy codes, [M, K, C].
            steps: [M], or [1] for all.
            heard: what `heard` made of the conditions, each [M, hidden].
        """
        time = F.silu(self.time(step_embedding(steps, STEP_WIDTH).to(x.dtype)))
        width = time.shape[-1]
        h = x
        scales = zip(self.layers, self._scales(), self.norms, heard, strict=False)
        for layer, scale, norm, known in scales:
            factor = known + F.linear(time, scale.weight[:, :width]) + 1
            h = F.silu(norm(layer(torch.cat([h, x], dim=-1)) * factor[:, None]))
        out: Tensor = self.layers[-1](torch.cat([h, x], dim=-1))
        return out

    def _scales(self) -> list[nn.Linear]:
        return [s for s in self.scales if isinstance(s, nn.Linear)]


def _two_layers(into: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(into, width), nn.SiLU(), nn.Linear(width, width))
