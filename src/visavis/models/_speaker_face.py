"""A speaker's face to features, a frame at a time: from pixels, or from coefficients."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from visavis.nn.standardise import Standardise

COEFFICIENTS = 58
_FRAMES_AT_ONCE = 32


class FrameConvolutions(nn.Module):
    """224 x 224 frames to one feature vector each, every frame on its own.

    The released stack has temporal kernel 1, so its 3D convolutions are these 2D ones; instance
    normalisation is over the frame (released: over the clip, which leaks the future).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            (
                nn.Conv2d(3, width // 4, 7, 2, 3, bias=False),
                nn.Conv2d(width // 4, width, 7, 2, 3, bias=False),
                nn.Conv2d(width, width, 3, 2, 1, bias=False),
                nn.Conv2d(width, width, 3, 1, 1, bias=False),
                nn.Conv2d(width, width, 3, 2, 1, bias=False),
            )
        )
        self.linear = nn.Linear(width, width)

    def forward(self, pixels: Tensor) -> Tensor:
        """Pixels [B, T, 3, H, W] in [0, 255] to features [B, T, C]."""
        # in blocks: the first layer's maps of a whole clip would take gigabytes
        blocks = pixels.flatten(0, 1).split(_FRAMES_AT_ONCE)
        frames: Tensor = torch.cat([self._encode(b) for b in blocks]).unflatten(0, pixels.shape[:2])
        return frames

    def _encode(self, pixels: Tensor) -> Tensor:
        """[N, 3, H, W] to [N, C]."""
        x = pixels.to(self.linear.weight.dtype) / 127.5 - 1.0
        first, second, third, residual, last = self.convolutions
        x = nn.functional.max_pool2d(self._normal(first(x)), 3, 2)
        x = self._normal(third(self._normal(second(x))))
        x = x + self._normal(residual(x))
        x = self._normal(last(x)).mean((-1, -2))
        out: Tensor = self.linear(x)
        return out

    @staticmethod
    def _normal(x: Tensor) -> Tensor:
        return nn.functional.instance_norm(x).relu()


class FaceCoefficients(nn.Module):
    """58 coefficients a frame to features: what the bundled weights use in place of pixels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale = Standardise(COEFFICIENTS)
        self.linear = nn.Linear(COEFFICIENTS, width)

    def forward(self, coefficients: Tensor) -> Tensor:
        out: Tensor = self.linear(self.scale(coefficients))
        return out
