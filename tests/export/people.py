"""A person whose coefficients are easy to find again in another program."""

from __future__ import annotations

import torch

from visavis.behaviour import Behaviour
from visavis.channels import BLENDSHAPES


def waving(frames: int = 50) -> Behaviour:
    """Opens the jaw, smiles on the left, looks left, turns and nods, each at its own pace."""
    t = torch.arange(frames) / 25
    shapes = torch.zeros(frames, 52)
    for name, pace in (("jawOpen", 1.0), ("mouthSmileLeft", 0.7), ("eyeLookOutLeft", 0.5)):
        shapes[:, BLENDSHAPES.index(name)] = 0.5 - 0.5 * torch.cos(6.2832 * pace * t)
    shapes[:, BLENDSHAPES.index("mouthLeft")] = 0.3
    shapes[:, BLENDSHAPES.index("jawRight")] = 0.2
    turn = torch.stack([0.2 * torch.sin(3 * t), 0.3 * torch.sin(2 * t), 0.1 * torch.sin(t)], 1)
    shift = torch.stack([0.01 * torch.sin(t), 0.02 * torch.cos(t), 0 * t], 1)
    return Behaviour.of({"blendshapes": shapes, "rotation": turn, "translation": shift})
