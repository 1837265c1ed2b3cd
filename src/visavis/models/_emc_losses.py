"""EMC's objectives: the base's own on what is left of a speaker, agreement of the three
combinations, and features of one modality made up from the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from visavis.dyad import Batch
from visavis.models._emc_read import Told, read
from visavis.nn.losses import masked_mean

if TYPE_CHECKING:
    from visavis.models.emc import EMC


class EMCLosses:
    """The part of `EMC` that learns."""

    def loss(self: EMC, batch: Batch) -> Mapping[str, Tensor]:  # type: ignore[misc]
        """The base's own loss on what is left of each speaker, the CMA's (Eq. 18), and the KL over
        the three combinations (Eq. 14)."""
        told, _ = read(self, self.check_speaker(batch.speaker))
        clips, frames = told.face_there.shape
        device = told.face_there.device
        kept = told.without(*self.config.absence.draw(clips, frames, device))
        seeds = torch.randint(2**31, (clips,), device=device)
        every = torch.ones_like(told.face_there)
        rows = [kept]
        fusing = self.config.fusion_weight > 0
        if fusing:
            rows += [told, told.without(~every, every), told.without(every, ~every)]
        together, who = Told.cat(rows), seeds.repeat(len(rows))
        fused, emotion = self.fused(together, who, torch.zeros_like(who))
        inside = told.inside
        parts = fused.split(clips)
        distribution = self.parts.predict(parts[0], inside)
        latent = self.parts.drawn(distribution)
        if emotion is not None:
            latent = self.parts.learning(latent, emotion[:clips], inside, self.modules_of())
        terms = dict(self.parts.loss(distribution, latent, batch))
        if fusing:
            terms["fusion"] = self.config.fusion_weight * self._fusion(told, parts[1:], seeds)
        return terms | self._alignment(told)

    def _fusion(  # type: ignore[misc]
        self: EMC, told: Told, fused: tuple[Tensor, ...], seeds: Tensor
    ) -> Tensor:
        """Eq. 14, a mean over the clips that have both modalities somewhere: of the whole speaker,
        without face, without speech."""
        whole, no_face, no_speech = fused
        detach = self.config.detach_teacher
        with torch.set_grad_enabled(torch.is_grad_enabled() and not detach):
            teacher = self.parts.beside(whole.detach() if detach else whole, told.inside, seeds)
        first = self.parts.beside(no_face, told.inside, seeds)
        second = self.parts.beside(no_speech, told.inside, seeds)
        apart = self.parts.apart
        each = apart(teacher, first) + apart(teacher, second) + apart(first, second)
        both = (told.face_there.any(-1) & told.speech_there.any(-1)).to(each.dtype)
        return (each * both).sum() / both.sum().clamp(min=1)

    def _alignment(self: EMC, told: Told) -> dict[str, Tensor]:  # type: ignore[misc]
        """Eq. 16 and 17 on the frames that have both modalities, in the features' own deviations;
        features do not move towards it."""
        if self.cma_face is None or self.cma_speech is None:
            return {}
        both = told.face_there & told.speech_there
        if told.face is None or told.speech is None or not bool(both.any()):
            return {}
        scaled = [
            torch.where(told_there[..., None], cma.scale(x), 0.0).detach()
            for cma, x, told_there in (
                (self.cma_face, told.face, told.face_there),
                (self.cma_speech, told.speech, told.speech_there),
            )
        ]
        terms: dict[str, Tensor] = {}
        clips, frames = both.shape
        for name, cma, target, mine, other, others in (
            ("face", self.cma_face, scaled[0], told.face_there, scaled[1], told.speech_there),
            ("speech", self.cma_speech, scaled[1], told.speech_there, scaled[0], told.face_there),
        ):
            asked = both
            condition, _ = cma.condition(other, others)
            recalled = None
            if self.config.recall:
                lost = self.config.absence.away(clips, frames, both.device)
                recalled, _ = cma.recalled(target, mine & ~lost)
                condition, asked = cma.told(condition, recalled), both & lost
                if not bool(asked.any()):
                    continue
            found = cma.posterior(target, condition)
            z = found.at(torch.randn_like(found.mean))
            if self.training:
                cma.remember(z[asked])
            error = masked_mean((cma.made(z, condition, recalled) - target) ** 2, asked)
            kl = found.kl()[asked].mean(0)
            beyond = (kl - self.config.free_nats).clamp(min=0).mean()
            terms[f"align_{name}"] = self.config.align_weight * error
            terms[f"kl_{name}"] = self.config.align_weight * self.config.kl_weight * beyond
            terms[f"log/nats_{name}"] = kl.sum().detach()
        return terms
