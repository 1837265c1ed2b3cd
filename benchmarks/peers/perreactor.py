"""PerReactor's personal generator in the published layout: stock layers, one sample a pass.

Written from the specification, for feature tokens [B, T, C] in place of the convolutions; its
weights are copied from ours, so a test can hold both to the same numbers.
"""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import Tensor

from benchmarks.peers.trans_vae import PublishedTransVAE
from visavis.models.perreactor import PerReactor


class PublishedPerReactor(PublishedTransVAE):
    """Trans-VAE's layout, and the pattern encoder's pairs one after another."""

    def __init__(self, ours: PerReactor) -> None:
        like = SimpleNamespace(
            config=SimpleNamespace(width=ours.config.width, heads=ours.config.heads, window=1),
            latent=ours.latent,
            decoder=ours.own.layers,
            to_coefficients=ours.own.to_coefficients,
            to_attributes=ours.own.to_attributes,
            online=None,
        )
        super().__init__(like)  # type: ignore[arg-type]
        self.pattern, self.beta = ours.pattern, ours.config.beta

    def style(self, history: Tensor) -> Tensor:
        """History [B, 480, 25] to a pattern [B, C]."""
        attention = self.pattern.attention
        parts = list(self.pattern.read(history).chunk(self.pattern.count, 1))
        while len(parts) > 1:
            half = len(parts) // 2
            met = []
            for first, second in zip(parts[:half], parts[half:], strict=True):
                scores = attention.query(first) @ attention.key(second).transpose(1, 2)
                scores = scores * attention.query.out_features**-0.5
                met.append(scores.softmax(-1) @ attention.value(second))
            parts = met
        pattern: Tensor = self.pattern.out(parts[0].flatten(1))
        return pattern

    def personal(self, features: Tensor, history: Tensor, noise: Tensor) -> Tensor:
        """One sample: [B, T, C], history and noise [B, C] to [B, T, 83]."""
        latent = self.head(features, noise) + self.beta * self.style(history)
        hidden = self.unroll(latent, features.shape[1])
        return self.outputs(self.to_coefficients(hidden), hidden)


def sequence(channels: dict[str, Tensor]) -> Tensor:
    """Our channels in the order of `outputs`."""
    names = ("blendshapes", "rotation", "translation", "au", "va", "expression")
    return torch.cat([channels[n] for n in names], -1)
