"""ReactDiff-K's network: a U of residual blocks over the frames of a window (specification 2.2).

Linear layers see one frame; frames meet in LSTMs and in cross-attention to the speaker's window.
The published layout, less what its released code does wrong: attention heads are merged in order,
the noise level is embedded as a real number (released: rounded to two values), dropout is off when
sampling. Norms are over the channels of a frame, so a window may be shorter than another, and
weights that the released code starts at zero start small.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from visavis.nn.step_embedding import FourierFeatures, log_noise, step_embedding

SMALL = 1e-2


class Prepared(NamedTuple):
    """What of a window's evaluations depends on neither noise level nor sample."""

    sources: list[tuple[Tensor, Tensor]]
    """Keys and values of every cross-attention, [B, heads, S, c] each."""
    clocks: list[Tensor]
    """Scale and shift of every block's temporal norm, [T, 2 C]."""
    seen: Tensor
    """Frames of the speaker that are there, bool [B, 1, 1, S]."""
    beside: Tensor | None = None
    """What is added to each frame behind the stem, [B, T, C]."""


class ConditionedNorm(nn.Module):
    """Group normalisation of each frame, scaled and shifted by a condition (AdaGN)."""

    def __init__(self, features: int, width: int, group: int) -> None:
        super().__init__()
        self.groups = max(1, width // group)
        self.mapper = nn.Linear(features, 2 * width)
        nn.init.normal_(self.mapper.weight, std=SMALL)
        nn.init.zeros_(self.mapper.bias)

    def by(self, x: Tensor, modulation: Tensor) -> Tensor:
        """x [..., C] by the mapper's output [..., 2 C], broadcast."""
        grouped = x.unflatten(-1, (self.groups, -1))
        flat = F.layer_norm(grouped, grouped.shape[-1:]).flatten(-2)
        scale, shift = modulation.chunk(2, -1)
        return shift + flat * (scale + 1)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """x [B, K, T, C], condition [B or 1, features]."""
        return self.by(x, self.mapper(condition)[:, None, None])


class ResidualBlock(nn.Module):
    """Norm, GELU, Linear; norm, GELU, temporal norm, Linear; an LSTM where the width changes."""

    def __init__(
        self, features: int, into: int, middle: int, out: int, *, group: int, dropout: float
    ) -> None:
        super().__init__()
        self.first = ConditionedNorm(features, into, group)
        self.up = nn.Linear(into, middle)
        self.second = ConditionedNorm(features, middle, group)
        self.temporal = ConditionedNorm(features, middle, group)
        self.down = nn.Linear(middle, out)
        self.drop = nn.Dropout(dropout)
        self.skip: nn.Linear | None = None
        self.lstm: nn.LSTM | None = None
        if into != out:
            self.skip = nn.Linear(into, out, bias=False)
            nn.init.orthogonal_(self.skip.weight)
            self.lstm = nn.LSTM(out, out, batch_first=True)

    def forward(self, x: Tensor, noise: Tensor, clock: Tensor) -> Tensor:
        """x [B, K, T, C], noise level [B or 1, features], clock [T, 2 middle]."""
        h = self.drop(self.up(F.gelu(self.first(x, noise))))
        h = self.temporal.by(F.gelu(self.second(h, noise)), clock)
        h = self.drop(self.down(h))
        if self.lstm is None or self.skip is None:
            same: Tensor = x + h
            return same
        along, _ = self.lstm(h.flatten(0, 1))
        out: Tensor = self.skip(x) + along.unflatten(0, x.shape[:2])
        return out


class SourceAttention(nn.Module):
    """Frames [B, K, T, C] attend to a sequence [B, S, E] that all K share."""

    def __init__(
        self, features: int, width: int, source: int, *, head: int, group: int, dropout: float
    ) -> None:
        super().__init__()
        self.head, self.dropout = head, dropout
        self.norm = ConditionedNorm(features, width, group)
        self.source_norm = nn.LayerNorm(source)
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(source, 2 * width)
        self.out = nn.Linear(width, width)
        nn.init.normal_(self.out.weight, std=SMALL)
        nn.init.zeros_(self.out.bias)

    def source(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values, [B, heads, S, c] each."""
        both = self.key_value(self.source_norm(x)).unflatten(-1, (2, -1, self.head))
        keys, values = both.permute(2, 0, 3, 1, 4).unbind(0)
        return keys, values

    def forward(
        self, x: Tensor, noise: Tensor, source: tuple[Tensor, Tensor], seen: Tensor
    ) -> Tensor:
        samples = x.shape[1]
        # the samples' frames are queries of one attention: keys and values are not repeated
        queries = self.query(self.norm(x, noise)).flatten(1, 2)
        queries = queries.unflatten(-1, (-1, self.head)).transpose(1, 2)
        drop = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(queries, *source, attn_mask=seen, dropout_p=drop)
        mixed = mixed.transpose(1, 2).flatten(2).unflatten(1, (samples, -1))
        out: Tensor = x + self.out(mixed)
        return out


class Stage(nn.Module):
    """Residual blocks of one width, each followed by attention to sound and to the face."""

    def __init__(
        self,
        features: int,
        widths: tuple[int, int, int],
        depth: int,
        sources: tuple[int, int],
        *,
        head: int,
        group: int,
        dropout: float,
    ) -> None:
        super().__init__()
        into, middle, out = widths
        self.blocks, self.attentions = nn.ModuleList(), nn.ModuleList()
        for i in range(depth):
            ends = (into if i == 0 else middle, middle, out if i == depth - 1 else middle)
            self.blocks.append(ResidualBlock(features, *ends, group=group, dropout=dropout))
            for source in sources:
                self.attentions.append(
                    SourceAttention(
                        features, ends[2], source, head=head, group=group, dropout=dropout
                    )
                )


class WindowUNet(nn.Module):
    """F of EDM: a noisy window, its noise level, the speaker's window and the own last frame."""

    def __init__(
        self,
        width: int,
        sound: int,
        *,
        features: int,
        widths: tuple[int, ...],
        depths: tuple[int, ...],
        head: int,
        group: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.features = features
        self.level = FourierFeatures(features)
        self.mapping = _mapping(features)
        self.temporal_mapping = _mapping(features)
        first = widths[0]
        self.stem = nn.Linear(width, first)
        self.stem_lstm = nn.LSTM(first, first, batch_first=True)
        self.last_lstm = nn.LSTM(first, first, batch_first=True)
        self.last = nn.Linear(first, width)
        nn.init.normal_(self.last.weight, std=SMALL)
        nn.init.zeros_(self.last.bias)

        def stage(into: int, middle: int, out: int, depth: int) -> Stage:
            ends, sources = (into, middle, out), (sound, width)
            return Stage(features, ends, depth, sources, head=head, group=group, dropout=dropout)

        self.downs, self.ups = nn.ModuleList(), nn.ModuleList()
        for i, (own, depth) in enumerate(zip(widths, depths, strict=True)):
            before = widths[max(0, i - 1)]
            self.downs.append(stage(before, own, own, depth))
            joined = own if i == len(widths) - 1 else 2 * own
            self.ups.insert(0, stage(joined, own, before, depth))

    @property
    def stages(self) -> list[Stage]:
        return [s for s in (*self.downs, *self.ups) if isinstance(s, Stage)]

    def prepare(
        self, sound: Tensor, face: Tensor, inside: Tensor, beside: Tensor | None = None
    ) -> Prepared:
        """Everything that is the same for all noise levels and samples.

        Args:
            sound: the speaker's, [B, T, E].
            face: the speaker's coefficients, [B, T, width].
            inside: bool [B, T]; other frames are not attended to.
            beside: added to each frame behind the stem, [B, T, C].
        """
        number = torch.arange(face.shape[1], device=face.device)
        clock = self.temporal_mapping(step_embedding(number, self.features).to(face.dtype))
        sources, clocks = [], []
        for stage in self.stages:
            for block in stage.blocks:
                assert isinstance(block, ResidualBlock)
                clocks.append(block.temporal.mapper(clock))
            for i, attention in enumerate(stage.attentions):
                assert isinstance(attention, SourceAttention)
                sources.append(attention.source(face if i % 2 else sound))
        # softmax over no frame at all would be NaN; such windows are past the clip's end
        seen = inside | ~inside.any(1, keepdim=True)
        return Prepared(sources, clocks, seen[:, None, None], beside)

    def forward(self, x: Tensor, sigma: Tensor, past: Tensor, prepared: Prepared) -> Tensor:
        """x [B, K, T, width], noise level [B or 1], own last frame [B, K, width]."""
        noise = self.mapping(self.level(log_noise(sigma)))
        begin = self.stem(past).flatten(0, 1)[None]
        state = (begin, torch.zeros_like(begin))
        shown = self.stem(x)
        if prepared.beside is not None:
            shown = shown + prepared.beside[:, None]
        h, _ = self.stem_lstm(shown.flatten(0, 1), state)
        h = h.unflatten(0, x.shape[:2])
        sources, clocks = iter(prepared.sources), iter(prepared.clocks)
        skips: list[Tensor] = []
        for i, stage in enumerate(self.stages):
            if i >= len(self.downs):
                below = skips.pop()
                h = torch.cat([h, below], -1) if i > len(self.downs) else h
            attentions = iter(stage.attentions)
            for block in stage.blocks:
                h = block(h, noise, next(clocks))
                for _ in range(2):
                    h = next(attentions)(h, noise, next(sources), prepared.seen)
            if i < len(self.downs):
                skips.append(h)
        h, _ = self.last_lstm(h.flatten(0, 1), state)
        out: Tensor = self.last(h.unflatten(0, x.shape[:2]))
        return out


def _mapping(features: int) -> nn.Sequential:
    made = nn.Sequential(
        nn.Linear(features, features), nn.GELU(), nn.Linear(features, features), nn.GELU()
    )
    for layer in made:
        if isinstance(layer, nn.Linear):
            nn.init.orthogonal_(layer.weight)
    return made
