"""Nearest-neighbour baselines: how the listener of the most similar speaker reacted.

The idea is Learning to Listen's (Ng et al., 2022); segment length, space and stitching are not
published, so they are stated here (specification, section 6): exact L2 search over standardised
segments, joined by a short linear cross-fade.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from visavis.behaviour import Behaviour
from visavis.dyad import Batch, Persona
from visavis.errors import InputError
from visavis.models._base import STRICT, ReactionConfig, ReactionModel
from visavis.models._mean import NAMES, WIDTHS
from visavis.nn.standardise import RunningMoments, Standardise


@dataclass(frozen=True, kw_only=True, config=STRICT)
class NearestConfig(ReactionConfig):
    segment: int = Field(default=50, gt=0)
    """Frames that are compared and copied at once."""
    fade: int = Field(default=4, ge=0)
    """Frames over which one copied segment turns into the next."""
    neighbours: int = Field(default=10, gt=0)
    """Sample k copies the k-th nearest, modulo this; 1 gives the tables' single reaction."""
    segments: int = Field(default=200, gt=0)
    """Segments that are kept, evenly spread over the training data."""


class Nearest(ReactionModel[NearestConfig]):
    """A bank of training segments; a subclass names the space they are compared in."""

    config_class = NearestConfig
    stochastic = False
    keys: Tensor
    values: Tensor
    count: Tensor

    def __init__(self, config: NearestConfig) -> None:
        super().__init__(config)
        width = self.key_width()
        length = config.segment + config.fade
        self.scale = Standardise(width)
        self.register_buffer("keys", torch.zeros(config.segments, config.segment, width))
        self.register_buffer("values", torch.zeros(config.segments, length, sum(WIDTHS)))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    @classmethod
    @abstractmethod
    def key_width(cls) -> int:
        """Numbers a frame of the space that segments are compared in."""

    @property
    def outputs(self) -> tuple[str, ...]:
        return ("attributes", "coefficients")

    def _read(self, speaker: Behaviour) -> Tensor:
        """The space's numbers [..., T, C], NaN where unobserved."""
        return torch.cat([speaker.filled(n, float("nan")) for n in self.reads], dim=-1)

    def _standardised(self, raw: Tensor) -> Tensor:
        """What `_read` gave, [..., C], scaled; an unobserved frame is the average."""
        return self.scale(torch.where(raw.isnan(), self.scale.mean, raw))  # type: ignore[no-any-return]

    def fit(self, batches: Iterable[Batch]) -> None:
        """Keep segments whose listener was observed throughout, evenly spread over the data.

        Raises:
            InputError: there is no such segment.
        """
        moments = RunningMoments(self.key_width())
        keys: list[Tensor] = []
        values: list[Tensor] = []
        segment, length = self.config.segment, self.config.segment + self.config.fade
        for batch in batches:
            for speaker, listener in zip(batch.speaker, batch.listener, strict=True):
                raw = self._read(speaker)
                real = torch.cat([listener.filled(n, float("nan")) for n in NAMES], dim=-1)
                moments.update(raw[~raw.isnan().any(-1)])
                for start in range(0, speaker.frames - segment + 1, segment):
                    copied = _held(real[start:], length)
                    if not bool(copied.isnan().any()):
                        keys.append(raw[start : start + segment])
                        values.append(copied)
        if not keys:
            raise InputError(
                f"{self.name} found no training segment of {segment} frames with the listener "
                "observed throughout; give longer clips or a smaller `segment`."
            )
        moments.write_to(self.scale)
        kept = torch.linspace(0, len(keys) - 1, min(len(keys), self.config.segments)).long()
        for row, i in enumerate(kept.tolist()):
            self.keys[row] = self._standardised(keys[i])
            self.values[row] = values[i]
        self.count.fill_(len(kept))

    def react(
        self, speaker: Behaviour, seeds: Tensor, num_samples: int, persona: Persona | None
    ) -> dict[str, Tensor]:
        found = self._standardised(self._read(speaker))
        segment, fade = self.config.segment, self.config.fade
        bank, clips, frames = int(self.count), len(found), speaker.frames
        if not bank:
            raise InputError(f"{self.name} has no training segments; fit it or load its weights.")
        out = found.new_zeros(clips, num_samples, frames + fade, sum(WIDTHS))
        inside = speaker.inside()
        ramp = torch.arange(1, fade + 1, device=out.device)[:, None] / (fade + 1)
        for start in range(0, frames, segment):
            size = min(segment, frames - start)
            window = slice(start, start + size)
            near = self._ranks(found[:, window], inside[:, window], bank)
            near = near[:, : self.config.neighbours]
            chosen = near[:, torch.arange(num_samples, device=near.device) % near.shape[1]]
            copied = self.values[chosen][:, :, : size + fade]
            if start and fade:
                overlap = min(fade, copied.shape[2])
                before = out[:, :, start : start + overlap]
                mix = ramp[:overlap]
                copied[:, :, :overlap] = before * (1 - mix) + copied[:, :, :overlap] * mix
            out[:, :, start : start + size + fade] = copied
        parts = torch.split(out[:, :, :frames], list(WIDTHS), dim=-1)
        return dict(zip(NAMES, parts, strict=True))

    def _ranks(self, queries: Tensor, inside: Tensor, bank: int) -> Tensor:
        """Bank rows by distance to queries [B, t, C], nearest first, [B, bank].

        Frames that are padding (`inside` False, [B, t]) count for nothing. The queries' own
        square is the same for every row, so the order does not need it.
        """
        keys = self.keys[:bank, : queries.shape[1]]
        known = torch.where(inside[..., None], queries, 0.0)
        squares = inside.to(keys.dtype) @ keys.square().sum(-1).T
        return (squares - 2 * known.flatten(1) @ keys.flatten(1).T).argsort(dim=1, stable=True)


def _held(rows: Tensor, length: int) -> Tensor:
    """The first `length` rows, the last one repeated where there are fewer."""
    missing = length - len(rows)
    return rows[:length] if missing <= 0 else torch.cat([rows, rows[-1:].expand(missing, -1)])
