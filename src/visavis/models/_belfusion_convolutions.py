"""A window of attributes as one code, and back, without going from frame to frame (ours)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from visavis.models._belfusion_autoencoder import ATTRIBUTES, WindowFaces, in_range
from visavis.models._belfusion_hearing import CHANNELS, STRIDE, WindowHearing
from visavis.nn.gaussian import Gaussian


class ConvolvedAutoencoder(WindowFaces):
    """What `WindowAutoencoder` does, by convolutions: all frames of a window at once.

    A GRU that hears its own last frame is slow to learn (docs/diffusion.md) and slow to run.
    """

    def __init__(self, width: int, *, window: int, blend: int) -> None:
        super().__init__(width)
        self.reader = WindowHearing(ATTRIBUTES + 1, window, 2 * width)
        self.steps = -(-(window + blend) // STRIDE)
        self.spread = nn.Linear(width, self.steps * CHANNELS)
        self.mix = nn.Conv1d(CHANNELS, CHANNELS, 5, padding=2)
        self.up = nn.Linear(CHANNELS, STRIDE * CHANNELS)
        self.smooth = nn.Conv1d(CHANNELS, CHANNELS, 5, padding=2)
        self.frame = nn.Linear(CHANNELS, ATTRIBUTES)

    def encode(self, attributes: Tensor, counts: Tensor) -> Gaussian:
        """Windows [N, w, 25], of which the first `counts` [N] frames are read, to [N, C]."""
        place = torch.arange(attributes.shape[1], device=attributes.device)
        there = (place < counts[:, None])[..., None]
        shown = torch.cat([torch.where(there, attributes, 0.0), there.to(attributes.dtype)], -1)
        mean, log_variance = self.reader(shown).chunk(2, dim=-1)
        return Gaussian(mean, log_variance)

    def decode(self, codes: Tensor, frames: int) -> Tensor:
        """Codes [N, C] to attributes in their ranges, [N, frames, 25]."""
        x = F.gelu(self.spread(codes)).unflatten(1, (CHANNELS, self.steps))
        x = x + F.gelu(self.mix(x))
        x = self.up(x.transpose(1, 2)).unflatten(-1, (STRIDE, CHANNELS)).flatten(1, 2)
        x = x + F.gelu(self.smooth(x.transpose(1, 2))).transpose(1, 2)
        return in_range(self.frame(x[:, :frames]))
