"""EMC around ReactFace, which is online: bands of attention that go on, latents a window."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from visavis.dyad import Batch
from visavis.models import reactface
from visavis.models._emc_around import Around, Modules
from visavis.models._emc_layers import Band
from visavis.models._emc_spread import spread
from visavis.models._outputs import coefficient_channels

STRETCH = 96
"""Frames that an online base's attention takes at once."""
PARTS = ("own", "emotion", "cross")


class AroundReactFace(Around[reactface.ReactFace]):
    """Frame by frame, and a latent every window, which knows what came before the window."""

    causal = True
    alone = True

    def __init__(self, model: reactface.ReactFace) -> None:
        super().__init__(model)
        self.horizon = 2
        """Of EMC's configuration."""

    def empty(self, rows: int, width: int) -> dict[str, Tensor]:
        """What the three places held before the first frame; see `Band`."""
        like = next(self.model.parameters())
        names = [f"{p}/{part}" for p in ("face", "speech", "fused") for part in PARTS]
        held = dict.fromkeys((*names, "latent/emotion"))
        return {n: like.new_zeros(rows, self.horizon - 1, 2 * width) for n in held}

    def _along(self, rows: int, frames: int, like: Tensor, width: int) -> Any:
        """Stretches (start, stop, band), each band going on where the last one ended."""
        held: dict[str, Tensor] = self.empty(rows, width)
        for start in range(0, frames, STRETCH):
            stop = min(start + STRETCH, frames)
            count = torch.full((rows,), start, dtype=torch.int64, device=like.device)
            band = Band(held, count, stop - start, self.horizon)
            yield start, stop, band
            held = {**held, **band.kept}

    def unimodal(
        self, face: Tensor, speech: Tensor, emotion: Tensor, inside: Tensor | None, ea: Modules
    ) -> tuple[Tensor, Tensor]:
        rows, frames, width = emotion.shape
        made: list[tuple[Tensor, Tensor]] = []
        for start, stop, band in self._along(rows, frames, emotion, width):
            felt = emotion[:, start:stop]
            made.append(
                (
                    ea.face(face[:, start:stop], felt, band, "face"),
                    ea.speech(speech[:, start:stop], felt, band, "speech"),
                )
            )
        one, other = (torch.cat(x, 1) for x in zip(*made, strict=True))
        return one, other

    def mixed(self, fused: Tensor, emotion: Tensor, inside: Tensor | None, ea: Modules) -> Tensor:
        """Of the motion; the speech beside it has met its emotions already."""
        rows, frames, width = emotion.shape
        motion, speech = fused.split([self.width, fused.shape[-1] - self.width], dim=-1)
        parts = [
            ea.fused(motion[:, start:stop], emotion[:, start:stop], band, "fused")
            for start, stop, band in self._along(rows, frames, emotion, width)
        ]
        return torch.cat([torch.cat(parts, 1), speech], dim=-1)

    def spread(
        self, latent: Tensor, distribution: Any, by: Tensor, inside: Tensor | None
    ) -> Tensor:
        """A window's noise, by what is known at its first frame."""
        return spread(latent, 0.0, by[:, None, :: self.model.config.window, None])

    def refined(
        self, latent: Tensor, emotion: Tensor, inside: Tensor | None, ea: Modules
    ) -> Tensor:
        return self._refined(latent, emotion, ea, self.model.config.window)

    def learning(
        self, latent: Tensor, emotion: Tensor, inside: Tensor | None, ea: Modules
    ) -> Tensor:
        return self._refined(latent, emotion, ea, self._window(emotion.shape[1]))

    def _window(self, frames: int) -> int:
        """w in training: the base's own, so that few come one after the other, unless the crop is
        but one of them, whose draw knows nothing of the speaker."""
        longest = max(self.model.config.training_windows)
        return longest if frames > longest else self.model.config.window

    def _refined(self, latent: Tensor, emotion: Tensor, ea: Modules, window: int) -> Tensor:
        """Noise [R, k, windows, C]: each window's knows the frames before it."""
        rows, frames, width = emotion.shape
        told = [
            ea.latent.told(emotion[:, start:stop], band, "latent")
            for start, stop, band in self._along(rows, frames, emotion, width)
        ]
        draws, windows = latent.shape[1:3]
        begin = torch.arange(windows, device=latent.device)[:, None] * window
        frame = torch.arange(frames, device=latent.device)
        seen = (frame < begin) & (frame >= begin - self.horizon)
        mask = seen.repeat(draws, 1)[None, None]
        made = ea.latent.asked(latent.flatten(1, 2), torch.cat(told, 1), ea.nothing, mask)
        apart: Tensor = made.unflatten(1, (draws, windows))
        return apart

    def channels(self, raw: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return coefficient_channels(raw["coefficients"])

    def drawn(self, distribution: Any) -> Tensor:
        """Noise at temperature 1, kept for `redraw` windows of generation."""
        settings, fused = self.model.config, distribution.fused
        windows = -(-fused.shape[1] // self._window(fused.shape[1]))
        each = 1
        if settings.redraw:
            each = windows
        shape = (len(fused), settings.draws, each, settings.width)
        noise = torch.randn(shape, device=fused.device, dtype=fused.dtype)
        return noise.expand(-1, -1, windows, -1)

    def loss(self, distribution: Any, latent: Tensor, batch: Batch) -> dict[str, Tensor]:
        window = self._window(batch.speaker.frames)
        return self.model.base_loss(distribution, latent, batch, window=window)

    def beside(self, fused: Tensor, inside: Tensor | None, seeds: Tensor) -> Any:
        """Rolled out with the same noise: what a window's Gaussian knows of the speaker it knows
        from the reactions before it."""
        found = self.model.predict(fused)
        noise = self.model.draw(seeds, 1, "emc/fusion", 0, (self.model.config.width,))
        frames = fused.shape[1]
        window = self._window(frames)
        latent = noise[:, :, None].expand(-1, -1, -(-frames // window), -1)
        self.model.decode(latent, frames, distribution=found, window=window)
        return found

    def apart(self, one: Any, other: Any) -> Tensor:
        each: Tensor = one.kl(other)
        return each.mean((0, 2))
