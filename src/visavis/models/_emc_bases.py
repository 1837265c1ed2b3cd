"""The models that EMC stands around, as it needs them: where their parts lie in time.

A `SplitModel` has the parts; what differs is which rows attention runs over (a clip, a window, a
patch), which frames a latent may know, and how a draw is scored. Letters: R rows of speakers
(clips, or their samples apart), k draws a row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

import torch
from torch import Tensor

from visavis.dyad import Batch
from visavis.errors import InputError
from visavis.models import faceais, reactface, regnn, trans_vae
from visavis.models._base import ReactionModel, Samples, SplitModel
from visavis.models._emc_layers import Band, EmotionAttention, Whole
from visavis.models._outputs import coefficient_channels
from visavis.nn.windows import unfold

ModelT = TypeVar("ModelT", bound=ReactionModel[Any])
STRETCH = 96
"""Frames that an online base's attention takes at once."""


@dataclass(frozen=True)
class Modules:
    """EMC's attention at its three places, and the null emotion [d]."""

    face: EmotionAttention
    speech: EmotionAttention
    fused: EmotionAttention
    latent: EmotionAttention
    nothing: Tensor


class Around(Generic[ModelT]):
    """A base between whose parts EMC stands. It holds no weights."""

    causal: ClassVar[bool] = False
    """Whether nothing of it sees the future."""
    alone: ClassVar[bool] = False
    """Whether a latent's tokens stand by themselves."""

    def __init__(self, model: ModelT) -> None:
        self.model = model
        self.split: Any = model
        """The same, as the `SplitModel` that it is."""

    @property
    def width(self) -> int:
        """d, where the configuration does not say it."""
        return int(self.model.config.width)

    @property
    def fused_width(self) -> int:
        """Of the part of `fuse`'s output that attention reads."""
        return self.width

    @property
    def latent_width(self) -> int:
        return self.width

    # ------------------------------------------------------------------ between the parts

    def unimodal(
        self, face: Tensor, speech: Tensor, emotion: Tensor, inside: Tensor | None, ea: Modules
    ) -> tuple[Tensor, Tensor]:
        """U-EA (Eq. 8 to 10): features [R, T, C] of both, emotions [R, T, d]."""
        see = Whole(inside)
        return ea.face(face, emotion, see, "face"), ea.speech(speech, emotion, see, "speech")

    def fuse(self, face: Tensor, speech: Tensor, inside: Tensor | None) -> Tensor:
        out: Tensor = self.split.fuse(face, speech)
        return out

    def mixed(self, fused: Tensor, emotion: Tensor, inside: Tensor | None, ea: Modules) -> Tensor:
        """M-EA (Eq. 11 to 13), on what `fuse` gives."""
        out: Tensor = ea.fused(fused, emotion, Whole(inside), "fused")
        return out

    def predict(self, fused: Tensor, inside: Tensor | None) -> Any:
        return self.split.predict(fused, inside)

    def sample(self, distribution: Any, seeds: Tensor, samples: Samples) -> Tensor:
        out: Tensor = self.split.sample(distribution, seeds, samples)
        return out

    def refined(
        self, latent: Tensor, emotion: Tensor, inside: Tensor | None, ea: Modules
    ) -> Tensor:
        """S-EA (Eq. 15): draws [R, k, L, C]."""
        raise NotImplementedError

    def learning(
        self, latent: Tensor, emotion: Tensor, inside: Tensor | None, ea: Modules
    ) -> Tensor:
        """The same for what `drawn` drew."""
        return self.refined(latent, emotion, inside, ea)

    def raw(
        self, latent: Tensor, frames: int, distribution: Any, inside: Tensor | None
    ) -> dict[str, Tensor]:
        """[R, k, L, C] to what `channels` takes, [R, k, T, ..]."""
        raw: dict[str, Tensor] = self.split.decode(latent, frames, distribution=distribution)
        return raw

    def channels(self, raw: Mapping[str, Tensor]) -> dict[str, Tensor]:
        raise NotImplementedError

    # ------------------------------------------------------------------ training

    def drawn(self, distribution: Any) -> Tensor:
        """Draws for the loss, [R, k, L, C], at the noise that the base itself learns with."""
        raise NotImplementedError

    def loss(self, distribution: Any, latent: Tensor, batch: Batch) -> dict[str, Tensor]:
        terms: dict[str, Tensor] = self.split.base_loss(distribution, latent, batch)
        return terms

    def beside(self, fused: Tensor, inside: Tensor | None, seeds: Tensor) -> Any:
        """The distribution of fused rows, ready to be compared with another of the same seeds."""
        return self.predict(fused, inside)

    def apart(self, one: Any, other: Any) -> Tensor:
        """KL(one || other), a mean over the distribution's numbers, [R]."""
        each: Tensor = one.kl(other)
        return each.flatten(1).mean(1)


class AroundTransVAE(Around[trans_vae.TransVAE]):
    """One Gaussian a clip, one latent a draw."""

    alone = True

    def __init__(self, model: trans_vae.TransVAE) -> None:
        if model.config.online:
            raise InputError(
                "EMC stands around the offline Trans-VAE: online, its latents depend on its own "
                "past and its parts are not its whole. Take reactface for an online base."
            )
        super().__init__(model)

    def refined(
        self, latent: Tensor, emotion: Tensor, inside: Tensor | None, ea: Modules
    ) -> Tensor:
        keys = ea.latent.told(emotion, Whole(inside), "latent")
        mask = None if inside is None else inside[:, None, None]
        return ea.latent.asked(latent[:, :, 0], keys, ea.nothing, mask)[:, :, None]

    def raw(
        self, latent: Tensor, frames: int, distribution: Any, inside: Tensor | None
    ) -> dict[str, Tensor]:
        return self.model.decode(latent, frames, distribution=distribution, inside=inside)

    def channels(self, raw: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return trans_vae.as_channels(dict(raw))

    def drawn(self, distribution: Any) -> Tensor:
        mean, log_variance = distribution.mean[:, None], distribution.log_variance[:, None]
        noise = torch.randn(len(mean), 2, mean.shape[-1], device=mean.device, dtype=mean.dtype)
        latent: Tensor = type(distribution)(mean, log_variance).at(noise)[:, :, None]
        return latent


class AroundREGNN(Around[regnn.REGNN]):
    """Windows are rows of their own; a window's codes are tokens of its frames."""

    @property
    def fused_width(self) -> int:
        return self.model.config.width // 2

    @property
    def latent_width(self) -> int:
        return 25

    def fuse(self, face: Tensor, speech: Tensor, inside: Tensor | None) -> Tensor:
        return self.model.fuse(face, speech, inside)

    def _windows(self, x: Tensor) -> Tensor:
        """[R, T, C] to [R * W, window, C]."""
        size, stride = self.model.config.window, self.model.config.stride
        return unfold(x, size, stride).flatten(0, 1)

    def _inside(self, emotion: Tensor, inside: Tensor | None) -> Tensor:
        """Which frames of the windows there are, bool [R * W, window]; one a window at least."""
        there = emotion.new_ones(*emotion.shape[:2], 1)
        if inside is not None:
            there = there * inside[..., None]
        mask = self._windows(there)[..., 0] > 0
        return mask | ~mask.any(-1, keepdim=True)

    def mixed(self, fused: Tensor, emotion: Tensor, inside: Tensor | None, ea: Modules) -> Tensor:
        rows = fused.unflatten(1, (-1, self.model.config.window)).flatten(0, 1)
        see = Whole(self._inside(emotion, inside))
        made = ea.fused(rows, self._windows(emotion), see, "fused")
        beside: Tensor = made.unflatten(0, (len(fused), -1)).flatten(1, 2)
        return beside

    def refined(
        self, latent: Tensor, emotion: Tensor, inside: Tensor | None, ea: Modules
    ) -> Tensor:
        size, draws = self.model.config.window, latent.shape[1]
        mask = self._inside(emotion, inside)
        keys = ea.latent.told(self._windows(emotion), Whole(mask), "latent")
        rows = latent.unflatten(2, (-1, size)).transpose(1, 2)  # [R, W, k, D, 25]
        keys = keys.repeat_interleave(draws, 0)
        seen = mask[:, None, None].repeat_interleave(draws, 0)
        made = ea.latent.asked(rows.flatten(0, 2), keys, ea.nothing, seen)
        return made.view_as(rows).transpose(1, 2).flatten(2, 3)

    def raw(
        self, latent: Tensor, frames: int, distribution: Any, inside: Tensor | None
    ) -> dict[str, Tensor]:
        lengths = None if inside is None else inside.sum(-1)
        raw = self.model.decode(latent, frames, distribution=distribution, lengths=lengths)
        return raw if inside is None else raw | {"inside": inside}

    def channels(self, raw: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return self.model.channels_of(raw["attributes"], raw.get("inside"))

    def drawn(self, distribution: Any) -> Tensor:
        if self.model.config.objective != "appropriate":
            return distribution.mean[:, None]  # type: ignore[no-any-return]
        clips = len(distribution.over.means)
        seeds = torch.randint(2**31, (clips,), device=distribution.over.means.device)
        return self.model.sample(distribution, seeds, self.model.config.draws)


class AroundFaceAIS(Around[faceais.FaceAIS]):
    """Patches are rows of their own; what is told of a patch lies before it."""

    causal = True

    @property
    def latent_width(self) -> int:
        return self.model.config.tokenizer_width

    def _patches(self, x: Tensor) -> Tensor:
        return self.model.in_patches(x)

    def unimodal(
        self, face: Tensor, speech: Tensor, emotion: Tensor, inside: Tensor | None, ea: Modules
    ) -> tuple[Tensor, Tensor]:
        there = torch.ones(emotion.shape[:2], dtype=torch.bool, device=emotion.device)
        mask = self._patches(there if inside is None else inside)
        see = Whole(mask | ~mask.any(-1, keepdim=True))
        felt = self._patches(emotion)

        def own(x: Tensor, attention: EmotionAttention, name: str) -> Tensor:
            made = attention(self._patches(x), felt, see, name)
            beside: Tensor = made.unflatten(0, (len(x), -1)).flatten(1, 2)[:, : x.shape[1]]
            return beside

        return own(face, ea.face, "face"), own(speech, ea.speech, "speech")

    def _before(self, emotion: Tensor, size: int, nothing: Tensor) -> tuple[Tensor, Tensor]:
        """Emotions of the `size` frames before each patch, [R * P, size, d], and which of them are
        after the beginning, with the patch of nothing before it, bool."""
        patch, frames = self.model.config.patch, emotion.shape[1]
        patches = -(-frames // patch)
        front = nothing.expand(len(emotion), size, -1)
        told = torch.cat([front, emotion[:, : (patches - 1) * patch]], 1)
        cut = told.unfold(1, size, patch).transpose(-1, -2)  # [R, P, size, d]
        frame = torch.arange(told.shape[1], device=emotion.device) - size
        there = (frame >= -patch).unfold(0, size, patch).expand(len(emotion), -1, -1)
        return cut.flatten(0, 1), there.flatten(0, 1)

    def mixed(self, fused: Tensor, emotion: Tensor, inside: Tensor | None, ea: Modules) -> Tensor:
        settings = self.model.config
        size = settings.patch if settings.causal else settings.window
        told, there = self._before(emotion, size, ea.nothing)
        rows = fused.unflatten(1, (-1, size)).flatten(0, 1)
        made = ea.fused(rows, told, Whole(there), "fused")
        beside: Tensor = made.unflatten(0, (len(fused), -1)).flatten(1, 2)
        return beside

    def refined(
        self, latent: Tensor, emotion: Tensor, inside: Tensor | None, ea: Modules
    ) -> Tensor:
        patch, draws = self.model.config.patch, latent.shape[1]
        told, there = self._before(emotion, patch, ea.nothing)
        keys = ea.latent.told(told, Whole(there), "latent").repeat_interleave(draws, 0)
        rows = latent.unflatten(2, (-1, patch)).transpose(1, 2)  # [R, P, k, n, C]
        made = ea.latent.asked(rows.flatten(0, 2), keys, ea.nothing, None)
        return made.view_as(rows).transpose(1, 2).flatten(2, 3)

    def channels(self, raw: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return faceais.as_channels(dict(raw))

    def drawn(self, distribution: Any) -> Tensor:
        """The expected vectors, so that gradients pass the choice of codes."""
        return distribution.mean[:, None]  # type: ignore[no-any-return]

    def loss(self, distribution: Any, latent: Tensor, batch: Batch) -> dict[str, Tensor]:
        return self.model.base_loss(distribution, latent, batch)


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


PARTS = ("own", "emotion", "cross")
_BASES: Mapping[type, type[Around[Any]]] = {
    trans_vae.TransVAE: AroundTransVAE,
    regnn.REGNN: AroundREGNN,
    faceais.FaceAIS: AroundFaceAIS,
    reactface.ReactFace: AroundReactFace,
}


def around(model: Any) -> Around[Any]:
    """The adapter of a base.

    Raises:
        InputError: the model is in no parts, or EMC does not know where they lie in time.
    """
    found = _BASES.get(type(model))
    known = ", ".join(sorted(c.__module__.rpartition(".")[2] for c in _BASES))
    name = model.name
    if not isinstance(model, SplitModel):
        raise InputError(
            f"{name} cannot be a base: it is not split into encoders, fusion, distribution "
            f"and decoder (a SplitModel). Bases: {known}."
        )
    if found is None:
        raise InputError(f"EMC has no adapter for {name}. Bases: {known}.")
    return found(model)
