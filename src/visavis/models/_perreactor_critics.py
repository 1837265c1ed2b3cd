"""PerReactor's two kinds of critics: is this frame real, and does this reaction suit?

Both return raw scores, high for real: the released sigmoid belongs to the loss (`nn.adversarial`).
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from visavis.models._clip_decoder import ATTRIBUTES, COEFFICIENTS, Hearing
from visavis.models._perreactor_pattern import SingleAttention
from visavis.nn.standardise import Standardise

_DROPOUT = 0.3


class RealismCritic(nn.Module):
    """D_R: is this frame of 58 coefficients a person's? An MLP a frame, 172,673 parameters.

    Dropout acts in training alone (released: always).
    """

    def __init__(self, *, spectral: bool = False) -> None:
        super().__init__()
        self.scale = Standardise(COEFFICIENTS)
        sizes = (COEFFICIENTS, 128, 256, 512)
        layers: list[nn.Module] = []
        for a, b in pairwise(sizes):
            layers += [nn.Linear(a, b), nn.LeakyReLU(0.2), nn.Dropout(_DROPOUT)]
        self.layers = nn.Sequential(*layers, nn.Linear(sizes[-1], 1))
        if spectral:
            bound(self)

    def forward(self, coefficients: Tensor) -> Tensor:
        """[..., 58] to scores [...]."""
        scores: Tensor = self.layers(self.scale(coefficients))
        return scores[..., 0]


class AppropriatenessCritic(nn.Module):
    """D_A: does this reaction suit this speaker (and, with a pattern, is it this listener's)?

    Each reaction is judged by itself: rows of one batched LSTM (released: the reactions of a
    speaker follow one another through one LSTM, so that each verdict depends on the others).

    Args:
        stride: ours: so many frames are averaged before the LSTM; 1 is published.
        timed: ours: each frame of the reaction is also laid beside what the speaker did about
            then. The published attention has no positions, so it cannot tell whether a smile came
            in time.
    """

    def __init__(
        self,
        width: int,
        *,
        stride: int = 1,
        timed: bool = False,
        persona_scale: float = 1e-5,
        spectral: bool = False,
    ) -> None:
        super().__init__()
        self.stride, self.persona_scale = stride, persona_scale
        self.scale = Standardise(COEFFICIENTS)
        self.coefficients = nn.Linear(COEFFICIENTS, width)
        self.attributes = nn.Linear(ATTRIBUTES, width)
        self.attend_coefficients = SingleAttention(width)
        self.attend_attributes = SingleAttention(width)
        self.hearing = Hearing(width) if timed else None
        self.fuse = nn.Linear(4 * width if timed else 2 * width, width)
        self.lstm = nn.LSTM(width, width, num_layers=3, batch_first=True)
        self.out = nn.Sequential(
            nn.Linear(width, width), nn.ReLU(), nn.Dropout(_DROPOUT), nn.Linear(width, 1)
        )
        if spectral:
            bound(self)

    def forward(
        self,
        speaker: tuple[Tensor, Tensor],
        reactions: tuple[Tensor, Tensor],
        *,
        inside: Tensor,
        pattern: Tensor | None = None,
    ) -> Tensor:
        """Scores [B, N].

        Args:
            speaker: coefficients [B, T, 58] and attributes [B, T, 25].
            reactions: the same of N reactions, [B, N, T, 58] and [B, N, T, 25].
            inside: bool [B, T], False in padding.
            pattern: the listener's, [B, C]: one more speaker token, `persona_scale` times.
        """
        count, frames = reactions[0].shape[1:3]
        heard = (
            self.coefficients(self.scale(speaker[0])),
            self.attributes(speaker[1]),
        )
        shown = (self.coefficients(self.scale(reactions[0])), self.attributes(reactions[1]))
        seen = inside[:, None]
        if pattern is not None:
            token = self.persona_scale * pattern[:, None]
            memories = tuple(torch.cat([token, x], 1) for x in heard)
            seen = torch.cat([seen.new_ones(len(seen), 1, 1), seen], -1)
        else:
            memories = heard
        parts = [
            attend(x.flatten(1, 2), memory, seen).unflatten(1, (count, frames))
            for attend, x, memory in zip(
                (self.attend_coefficients, self.attend_attributes), shown, memories, strict=True
            )
        ]
        if self.hearing is not None:
            moment = self.hearing(heard[0] + heard[1], inside)
            parts.append(moment[:, None].expand(-1, count, -1, -1))
            parts.append(shown[0] + shown[1])
        x = self.fuse(torch.cat(parts, -1)).flatten(0, 1)
        ends = inside.sum(1).clamp(min=1).repeat_interleave(count)
        if self.stride > 1:
            rows = inside[:, None].expand(-1, count, -1).flatten(0, 1)
            x, ends = self._thinned(x, rows), (ends + self.stride - 1) // self.stride
        read, _ = self.lstm(x)
        last = read[torch.arange(len(read), device=read.device), ends - 1]
        scores: Tensor = self.out(last)[..., 0].unflatten(0, (len(inside), count))
        return scores

    def _thinned(self, x: Tensor, inside: Tensor) -> Tensor:
        """Means over `stride` frames of x [N, T, C] that are not padding (inside [N, T])."""
        weights = inside[:, None].to(x.dtype)
        kept = torch.where(inside[..., None], x, 0.0).transpose(1, 2)
        pooled, share = (
            F.avg_pool1d(v, self.stride, ceil_mode=True, count_include_pad=False)
            for v in (kept, weights)
        )
        thinned: Tensor = (pooled / share.clamp(min=1e-6)).transpose(1, 2)
        return thinned


def bound(critic: nn.Module) -> None:
    """Spectral norm on every linear map (Miyato et al., 2018); an LSTM's gates bound themselves."""
    for layer in [m for m in critic.modules() if isinstance(m, nn.Linear)]:
        spectral_norm(layer)
