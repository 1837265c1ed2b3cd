"""The latent reaction space: its scale, and a clip's latents as windows and back."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from visavis.nn.standardise import RunningMoments


class LatentScale(nn.Module):
    """Latents to the numbers that are diffused, and back: (z - centre) / spread, a dimension.

    The statistics are buffers and lie with the weights; before `fit` it is the identity. (The
    released map lacks brackets and its statistics are a frame position's.)
    """

    centre: Tensor
    spread: Tensor

    def __init__(self, latent: int, kind: Literal["range", "moments", "shared"]) -> None:
        super().__init__()
        self.kind = kind
        self.register_buffer("centre", torch.zeros(latent))
        self.register_buffer("spread", torch.ones(latent))

    def forward(self, latents: Tensor) -> Tensor:
        """[..., d]; "range" brings what was fitted into [-1, 1]."""
        return (latents - self.centre) / self.spread

    def back(self, scaled: Tensor) -> Tensor:
        """The inverse."""
        return scaled * self.spread + self.centre


class LatentStatistics:
    """What `LatentScale` needs, from rows seen in pieces."""

    def __init__(self, latent: int) -> None:
        self._moments = RunningMoments(latent)
        self._low = torch.full((latent,), float("inf"))
        self._high = torch.full((latent,), float("-inf"))

    def update(self, rows: Tensor) -> None:
        """Rows [N, d]."""
        if len(rows):
            rows = rows.detach().cpu().float()
            self._moments.update(rows)
            self._low = torch.minimum(self._low, rows.amin(0))
            self._high = torch.maximum(self._high, rows.amax(0))

    def write_to(self, scale: LatentScale) -> None:
        """Set the buffers; dimensions that do not vary are only centred."""
        if not self._moments.count:
            return
        if scale.kind == "range":
            centre, half = (self._low + self._high) / 2, (self._high - self._low) / 2
        else:
            centre, half = self._moments.mean.float(), self._moments.std.float()
            if scale.kind == "shared":
                half = half.square().mean().sqrt().expand_as(half)
        with torch.no_grad():
            scale.centre.copy_(centre)
            scale.spread.copy_(torch.where(half > 1e-6, half, 1.0))


# ---------------------------------------------------------------------- windows


def count(frames: int, hop: int) -> int:
    """Windows that a clip needs: every hop begins one."""
    return -(-frames // hop)


def padded(x: Tensor, frames: int) -> Tensor:
    """x [B, T, ...] with zeros behind it, [B, frames, ...]."""
    short = frames - x.shape[1]
    return x if short <= 0 else torch.cat([x, x.new_zeros(len(x), short, *x.shape[2:])], dim=1)


def windows(x: Tensor, window: int, hop: int) -> Tensor:
    """x [B, T, d], T = (n - 1) hop + window, to [B, n, window, d]: window i begins at i hop."""
    return x.unfold(1, window, hop).transpose(-1, -2)


def blended(parts: Tensor, weights: Tensor, hop: int) -> Tensor:
    """Windows [B, n, w, d] back on their clip, [B, (n - 1) hop + w, d].

    Frames under several windows are averaged by weights [B, n, w]; frames under none are 0. Without
    overlap it is the inverse of `windows`.
    """
    rows, number, window, width = parts.shape
    frames = (number - 1) * hop + window
    place = torch.arange(number, device=parts.device)[:, None] * hop
    place = (place + torch.arange(window, device=parts.device)).flatten()
    total = parts.new_zeros(rows, frames, width)
    total.index_add_(1, place, (parts * weights[..., None]).flatten(1, 2))
    share = parts.new_zeros(rows, frames).index_add_(1, place, weights.flatten(1))
    return total / share.clamp(min=1e-6)[..., None]


def blend_weights(lengths: Tensor, number: int, window: int, hop: int) -> Tensor:
    """Weights [B, n, w]: ramps over the overlaps, and nothing for windows that begin behind the
    end of a clip, so that padding changes nothing. `lengths` int64 [B]."""
    overlap = window - hop
    ramp = torch.ones(window, device=lengths.device)
    for i in range(min(overlap, window)):
        rise = (i + 1) / (overlap + 1)
        ramp[i] = min(float(ramp[i]), rise)
        ramp[window - 1 - i] = min(float(ramp[window - 1 - i]), rise)
    begins = torch.arange(number, device=lengths.device) * hop
    valid = (begins < lengths[:, None]).float()
    return valid[..., None] * ramp
