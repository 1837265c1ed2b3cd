"""Frames to features by 3D convolutions that look back in time and never ahead.

The stack of ReactFace's video encoder (Luo et al., 2024; released sizes): kernels 5, 5, 3, 3, 3 in
time. The released one pads both ends of the clip, so a frame sees 7 frames of its future, and
normalises over the whole clip, so it sees all of it. Here all padding in time is on the left, every
frame is normalised over its own space, and what the next frames need of the last ones is handed
on: a stream gives what the whole clip gives.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Tail = tuple[Tensor, ...]
"""What each convolution must remember: its last k - 1 input frames, each [B, C, k - 1, H, W]."""

_FRAMES_AT_ONCE = 32


class CausalConv3d(nn.Conv3d):
    """A convolution over [B, C, T, H, W] whose output t sees inputs t - k + 1 .. t, no bias."""

    def __init__(
        self, inputs: int, outputs: int, kernel: tuple[int, int, int], stride: int
    ) -> None:
        space = (0, kernel[1] // 2, kernel[2] // 2)
        super().__init__(inputs, outputs, kernel, (1, stride, stride), space, bias=False)

    def stream(self, x: Tensor, tail: Tensor | None) -> tuple[Tensor, Tensor]:
        """Inputs [B, C, T, H, W] after `tail` (None: after nothing, which is zeros) to outputs of
        the same T and the next tail."""
        keep = self.kernel_size[0] - 1
        before = x.new_zeros(*x.shape[:2], keep, *x.shape[3:]) if tail is None else tail
        x = torch.cat([before, x], dim=2)
        out: Tensor = self(x)
        # a copy: a view would keep the whole block in memory
        return out, x[:, :, x.shape[2] - keep :].clone()


class CausalVideoEncoder(nn.Module):
    """Pictures to one feature vector a frame, seen with the 14 frames before it.

    2,370,656 parameters at width 128. Convolutions without bias, each followed by a normalisation
    of every map over its frame (no scale) and ReLU: 5x7x7 to width / 4, maximum over 3x3, 5x7x7 to
    width, 3x3x3, 3x3x3 added to its input, 3x3x3; all but the fourth halve the picture. Then the
    mean over space and a linear layer.
    """

    frames_before = 14
    """How far back a feature sees: 2 (5 - 1) + 3 (3 - 1) frames."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            (
                CausalConv3d(3, width // 4, (5, 7, 7), 2),
                CausalConv3d(width // 4, width, (5, 7, 7), 2),
                CausalConv3d(width, width, (3, 3, 3), 2),
                CausalConv3d(width, width, (3, 3, 3), 1),
                CausalConv3d(width, width, (3, 3, 3), 2),
            )
        )
        self.linear = nn.Linear(width, width)

    def forward(self, pixels: Tensor, tail: Tail | None = None) -> tuple[Tensor, Tail]:
        """Pixels [B, T, 3, H, W] in [0, 255], T at least 1, to features [B, T, width].

        Args:
            tail: what the call for the frames before returned; None at the beginning.

        Returns:
            The features, and the tail for the frames after.
        """
        features = []
        # in blocks: the first layer's maps of a whole clip would take gigabytes
        for block in pixels.split(_FRAMES_AT_ONCE, dim=1):
            x, tail = self._encode(block.to(self.linear.weight.dtype) / 127.5 - 1.0, tail)
            features.append(x)
        assert tail is not None, "no frames came"
        return torch.cat(features, dim=1), tail

    def _encode(self, x: Tensor, tail: Tail | None) -> tuple[Tensor, Tail]:
        """[B, T, 3, H, W] in [-1, 1] to [B, T, width]."""
        tails: list[Tensor] = []

        def convolved(layer: int, x: Tensor) -> Tensor:
            convolution = self.convolutions[layer]
            assert isinstance(convolution, CausalConv3d)
            x, rest = convolution.stream(x, None if tail is None else tail[layer])
            tails.append(rest)
            return _normal(x)

        x = convolved(0, x.transpose(1, 2))
        x = F.max_pool3d(x, (1, 3, 3), (1, 2, 2))
        x = convolved(2, convolved(1, x))
        x = x + convolved(3, x)
        x = convolved(4, x).mean((-1, -2))
        out: Tensor = self.linear(x.transpose(1, 2))
        return out, tuple(tails)


def _normal(x: Tensor) -> Tensor:
    """Every map [B, C, T, H, W] to mean 0 and variance 1 over its own frame's space, then ReLU."""
    frames = x.transpose(1, 2)
    flat = F.instance_norm(frames.flatten(0, 1)).relu()
    out: Tensor = flat.unflatten(0, frames.shape[:2]).transpose(1, 2)
    return out
