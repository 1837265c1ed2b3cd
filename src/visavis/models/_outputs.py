"""Raw numbers of networks as channels in their ranges."""

from __future__ import annotations

import torch
from torch import Tensor


def attributes_in_range(raw: Tensor) -> Tensor:
    """Attributes [..., 25] with AUs in [0, 1], valence and arousal in [-1, 1], expressions that
    sum to 1."""
    au, va, expression = raw.split([15, 2, 8], dim=-1)
    positive = expression.clamp(min=1e-6)
    shares = positive / positive.sum(-1, keepdim=True)
    return torch.cat([au.clamp(0.0, 1.0), va.clamp(-1.0, 1.0), shares], dim=-1)


def attribute_channels(attributes: Tensor) -> dict[str, Tensor]:
    """[..., 25] by name."""
    au, va, expression = attributes.split([15, 2, 8], dim=-1)
    return {"au": au, "va": va, "expression": expression}


def coefficient_channels(raw: Tensor) -> dict[str, Tensor]:
    """[..., 58] by name; blendshapes end in [0, 1]."""
    blendshapes, rotation, translation = raw.split([52, 3, 3], dim=-1)
    return {
        "blendshapes": blendshapes.clamp(0.0, 1.0),
        "rotation": rotation,
        "translation": translation,
    }
