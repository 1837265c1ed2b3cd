"""What MReactor reads of a speaker, as patches of frames."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from visavis.behaviour import Behaviour
from visavis.channels import STANDARD
from visavis.models._sources import average_where_lost, names_of, observed_rows
from visavis.nn.standardise import Standardise


def patched(x: Tensor, patch: int) -> Tensor:
    """[..., T, C] to [..., ceil(T / patch), patch C], filled up with zeros."""
    x = F.pad(x, (0, 0, 0, -x.shape[-2] % patch))
    joined: Tensor = x.unflatten(-2, (-1, patch)).flatten(-2)
    return joined


def unpatched(x: Tensor, patch: int, frames: int) -> Tensor:
    """[..., N, patch C] to [..., T, C]."""
    apart: Tensor = x.unflatten(-1, (patch, -1)).flatten(-3, -2)
    return apart[..., :frames, :]


def there(speaker: Behaviour, patch: int) -> Tensor | None:
    """Patches that hold a frame of the clip, bool [B, N]; None where nothing is padded."""
    if speaker.lengths is None:
        return None
    first = torch.arange(0, speaker.frames, patch, device=speaker.device)
    return first < speaker.lengths.to(speaker.device)[:, None]


class Source(nn.Module):
    """Frames of some channels, standardised; a frame that was not observed is the average."""

    def __init__(self, *names: str) -> None:
        super().__init__()
        self.names = names
        self.sizes = [sum(STANDARD[n].size for n in names_of(name)) for name in names]
        self.size = sum(self.sizes)
        (self.rate,) = {STANDARD[n].rate for name in names for n in names_of(name)}
        self.scales = nn.ModuleList(Standardise(size) for size in self.sizes)

    @property
    def width(self) -> int:
        """Numbers a frame."""
        return self.size * self.rate

    def forward(self, speaker: Behaviour) -> tuple[Tensor, Tensor]:
        """Speaker [B, T] to numbers [B, T, width] and the share of them that was observed,
        [B, T, 1]; both zero in padding."""
        parts, seen = [], []
        for name, scale in zip(self.names, self.scales, strict=True):
            assert isinstance(scale, Standardise)
            values = average_where_lost(speaker, name, scale)
            parts.append(values.unflatten(-2, (-1, self.rate)).flatten(-2))
            seen += [speaker.mask(n) for n in names_of(name)]
        joined = torch.cat(parts, -1)
        share = torch.stack(seen).to(joined.dtype).mean(0)[..., None]
        if speaker.lengths is None:
            return joined, share
        inside = speaker.inside()[..., None]
        return torch.where(inside, joined, 0.0), torch.where(inside, share, 0.0)

    def rows(self, speaker: Behaviour) -> list[Tensor]:
        """Observed frames by name, [F, C] each, for `fit`."""
        return [observed_rows(speaker, name) for name in self.names]


class Patches(nn.Module):
    """Numbers of a patch of frames, and how much of them was observed, to a token."""

    def __init__(self, numbers: int, patch: int, width: int) -> None:
        super().__init__()
        self.patch = patch
        self.into = nn.Linear(patch * (numbers + 1), width)

    def forward(self, values: Tensor, share: Tensor) -> Tensor:
        """[B, T, C] and [B, T, 1] to [B, N, width]."""
        tokens: Tensor = self.into(patched(torch.cat([values, share], -1), self.patch))
        return tokens
