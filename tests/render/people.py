"""Small behaviours for the renderer's tests."""

from __future__ import annotations

import numpy as np
import torch

from visavis.behaviour import Behaviour
from visavis.channels import BLENDSHAPES


def weights(**shapes: float) -> np.ndarray:
    """[52] with the named shapes set; a name without its side sets both sides."""
    out = np.zeros(52, np.float32)
    for name, value in shapes.items():
        names = [name] if name in BLENDSHAPES else [f"{name}Left", f"{name}Right"]
        for each in names:
            out[BLENDSHAPES.index(each)] = value
    return out


def moving(frames: int, people: int | None = None, *, attributes: bool = False) -> Behaviour:
    """Heads that nod and smile, each at its own pace."""
    count = people or 1
    t = torch.arange(frames) / 25.0
    shapes = torch.zeros(count, frames, 52)
    rotation = torch.zeros(count, frames, 3)
    for k in range(count):
        shapes[k, :, BLENDSHAPES.index("mouthSmileLeft")] = 0.5 + 0.5 * torch.sin((3 + k) * t)
        shapes[k, :, BLENDSHAPES.index("jawOpen")] = 0.3 + 0.3 * torch.cos((2 + k) * t)
        rotation[k, :, 0] = 0.2 * torch.sin((1 + k) * t)
    channels = {"blendshapes": shapes, "rotation": rotation}
    if attributes:
        channels["au"] = torch.rand(count, frames, 15)
        channels["va"] = torch.rand(count, frames, 2) * 2 - 1
        channels["expression"] = torch.softmax(torch.randn(count, frames, 8), -1)
    behaviour = Behaviour.of(channels)
    return behaviour if people is not None else behaviour[0]
