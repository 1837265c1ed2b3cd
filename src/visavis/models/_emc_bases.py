"""The offline models and FaceAIS as EMC needs them, and which adapter a base has.

Letters: R rows of speakers (clips, or their samples apart), k draws a row.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from visavis.dyad import Batch
from visavis.errors import InputError
from visavis.models import faceais, reactface, regnn, trans_vae
from visavis.models._base import Samples, SplitModel
from visavis.models._clip_decoder import HeardGaussian
from visavis.models._emc_around import Around, Modules
from visavis.models._emc_layers import EmotionAttention, Whole
from visavis.models._emc_reactface import AroundReactFace
from visavis.models._emc_spread import spread
from visavis.nn.windows import unfold


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

    def spread(
        self, latent: Tensor, distribution: Any, by: Tensor, inside: Tensor | None
    ) -> Tensor:
        """By the clip's mean."""
        mean = by.mean(1) if inside is None else (by * inside).sum(1) / inside.sum(1).clamp(min=1)
        return spread(latent, distribution.mean[:, None, None], mean[:, None, None, None])

    def refined(
        self, latent: Tensor, emotion: Tensor, inside: Tensor | None, ea: Modules
    ) -> Tensor:
        keys = ea.latent.told(emotion, Whole(inside), "latent")
        mask = None if inside is None else inside[:, None, None]
        return ea.latent.asked(latent[:, :, 0], keys, ea.nothing, mask)[:, :, None]

    def raw(
        self, latent: Tensor, frames: int, distribution: Any, inside: Tensor | None
    ) -> dict[str, Tensor]:
        raw = self.model.decode(latent, frames, distribution=distribution, inside=inside)
        return raw if inside is None else raw | {"inside": inside}

    def channels(self, raw: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return self.model.channels_of(raw, raw.get("inside"))

    def drawn(self, distribution: Any) -> Tensor:
        return self.model.draws(distribution)

    def apart(self, one: Any, other: Any) -> Tensor:
        """Of what was heard when too, a Gaussian of deviation 1 around each number."""
        between = super().apart(one, other)
        if not isinstance(one, HeardGaussian):
            return between
        heard: Tensor = 0.5 * ((one.heard - other.heard) ** 2).flatten(1).mean(1)
        return between + heard


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

    def spread(
        self, latent: Tensor, distribution: Any, by: Tensor, inside: Tensor | None
    ) -> Tensor:
        rows = self._windows(by[..., None] - 1) + 1  # nothing changes behind the clip
        tokens = rows.unflatten(0, (len(by), -1)).flatten(1, 2)
        return spread(latent, distribution.mean[:, None], tokens[:, None])

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
        return self.model.sample(distribution, seeds, self.model.config.draws, learning=True)


class AroundFaceAIS(Around[faceais.FaceAIS]):
    """Patches are rows of their own; what is told of a patch lies before it."""

    causal = True

    @property
    def latent_width(self) -> int:
        return self.model.config.tokenizer_width

    def sample(
        self,
        distribution: Any,
        seeds: Tensor,
        samples: Samples,
        by: Tensor | None = None,
        inside: Tensor | None = None,
    ) -> Tensor:
        """By the temperature of the codes' chances, of what is known before a patch."""
        if by is None:
            return super().sample(distribution, seeds, samples)
        patch = self.model.config.patch
        heat = torch.cat([torch.ones_like(by[:, :1]), by[:, patch - 1 :: patch]], 1)
        return self.model.sample(distribution, seeds, samples, heat=heat)

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
        return self.model.channels(raw)

    def drawn(self, distribution: Any) -> Tensor:
        """The expected vectors, so that gradients pass the choice of codes."""
        return distribution.mean[:, None]  # type: ignore[no-any-return]

    def loss(self, distribution: Any, latent: Tensor, batch: Batch) -> dict[str, Tensor]:
        return self.model.base_loss(distribution, latent, batch)


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
