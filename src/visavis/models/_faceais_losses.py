"""FaceAIS's objectives: faces through codes and back, and the next patch of codes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from visavis.behaviour import Behaviour
from visavis.channels import GROUPS
from visavis.dyad import Batch
from visavis.models._appropriate_loss import real
from visavis.models._faceais_prior import PatchPrior
from visavis.models._faceais_tokenizer import GROUPS_OF_COEFFICIENTS
from visavis.nn.losses import concordance, masked_mean
from visavis.nn.quantize import perplexity

if TYPE_CHECKING:
    from visavis.models.faceais import FaceAIS


class FaceAISLosses:
    """The part of `FaceAIS` that learns."""

    # ------------------------------------------------------------------ tokenizer

    def tokenizer_loss(self: FaceAIS, batch: Batch) -> dict[str, Tensor]:  # type: ignore[misc]
        """L1 errors of both people's coefficients, group by group, and of the listener's
        attributes (specification 3.2), in units of the training data's deviations.

        The released tokenizer learns listeners' faces alone; it reads the speakers' too.
        """
        listener, codes = self._there_and_back(batch.listener)
        speaker, _ = self._there_and_back(batch.speaker)
        return {
            "face": grouped(*listener[:3]) + grouped(*speaker[:3]),
            "attributes": self._attribute_error(batch.listener, listener[3]),
            "log/perplexity": perplexity(codes, self.tokenizer.codes),
        }

    def emotion_loss(self: FaceAIS, batch: Batch) -> dict[str, Tensor]:  # type: ignore[misc]
        """The attributes' part alone."""
        made, _ = self._there_and_back(batch.listener)
        return {"attributes": self._attribute_error(batch.listener, made[3])}

    def _there_and_back(  # type: ignore[misc]
        self: FaceAIS, person: Behaviour
    ) -> tuple[tuple[Tensor, Tensor, Tensor, Tensor], Tensor]:
        """Decoded and real coefficients, where known, decoded attributes; the codes in use."""
        values, known = self.face_of(person)
        patches, there = self.in_patches(values), self.in_patches(known)
        code = self.tokenizer.encode(patches, there)
        raw, attributes = self.tokenizer.decode(code.values)
        made = self.tokenizer.coefficient_scale(raw)
        return (made, patches, there, attributes), code.indices[there]

    def _attribute_error(self: FaceAIS, person: Behaviour, made: Tensor) -> Tensor:  # type: ignore[misc]
        mask = person.inside()
        for name in GROUPS["attributes"]:
            mask = mask & person.mask(name)
        truth = torch.cat([person.filled(n) for n in GROUPS["attributes"]], -1)
        scale, there = self.tokenizer.attribute_scale, self.in_patches(mask)
        apart = scale(made) - scale(self.in_patches(truth))
        error = masked_mean(apart.abs(), there)
        if self.config.attribute_weight:
            error = error + self.config.attribute_weight * masked_mean(thirds(apart**2), there)
        return error

    # ------------------------------------------------------------------ predictor

    def predictor_loss(self: FaceAIS, batch: Batch) -> dict[str, Tensor]:  # type: ignore[misc]
        """Cross-entropy of the listener's codes, with the tokenizer as it is."""
        face, speech = self.encode_face(batch.speaker), self.encode_speech(batch.speaker)
        if self.config.causal:
            fused = self._heard(*self._before(face, speech), whole=True)
            return self.base_loss(self.predict(fused), None, batch)
        last = self._last_window(*self._before(face, speech))
        return self.base_loss(last, None, batch)

    def _last_window(self: FaceAIS, face: Tensor, speech: Tensor) -> PatchPrior:  # type: ignore[misc]
        """The published form learns one patch a crop, the last; at times from less past."""
        size, slots = self.config.patch, self.predictor.sizes.slots
        keep = min(slots, face.shape[1] // size)
        if self.training and float(torch.rand(())) < self.config.past_drop:
            keep = int(torch.randint(1, keep + 1, ()))
        features = self.predictor.listen(face[:, -keep * size :], speech[:, -keep * size :])
        padded = F.pad(features, (0, 0, self.config.window - keep * size, 0))
        return PatchPrior(self.predictor, self.tokenizer.quantise.vectors(), padded, first=keep - 1)

    def base_loss(  # type: ignore[misc]
        self: FaceAIS, distribution: PatchPrior, latent: Tensor | None, batch: Batch
    ) -> dict[str, Tensor]:
        """Cross-entropy given the real past, and what the configuration asks of the face that is to
        be expected; with draws [B, K, P * n, C] this is asked of theirs, or else how far they are
        from the listener's."""
        codes = self.in_patches(self.codes(batch.listener)).unflatten(0, (len(batch), -1))
        outside = self.in_patches(~batch.listener.inside()).unflatten(0, (len(batch), -1))
        filled = torch.arange(codes.shape[1:].numel(), device=codes.device) >= batch.listener.frames
        outside = outside | filled.view(codes.shape[1:])
        codes = torch.where(outside, self.predictor.absent, codes)
        wanted, logits = self._guesses(distribution, codes)
        there = wanted != self.predictor.absent
        each = F.cross_entropy(
            logits.flatten(0, -2), torch.where(there, wanted, 0).flatten(), reduction="none"
        )
        weight = there.flatten().to(each.dtype)
        count = weight.sum().clamp(min=1)
        right = (logits.argmax(-1) == wanted) & there
        terms = {
            "codes": (each * weight).sum() / count,
            "log/right": right.sum() / count,
        }
        if self.config.agreement_weight or self.config.error_weight:
            expected = latent
            if expected is None:
                expected = (logits.softmax(-1) @ self.tokenizer.quantise.vectors())[:, None]
            terms |= self._expected(expected, batch)
        elif latent is not None:
            terms["face"] = self._distance(latent, batch.listener)
        return terms

    def _guesses(  # type: ignore[misc]
        self: FaceAIS, distribution: PatchPrior, real: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Codes [B, t] that are asked for, and logits for them, given the real codes [B, P, n]."""
        size, predictor = self.config.patch, self.predictor
        past = torch.cat([torch.full_like(real[:, :1], predictor.absent), real[:, :-1]], 1)
        chance = self.config.own_drop
        if chance == 1 or (self.training and chance):
            hidden = torch.rand(len(real), 1, 1, device=real.device) < chance
            past = torch.where(hidden, predictor.absent, past)
        if self.config.causal:
            frames = distribution.features.shape[1]
            clock = torch.arange(frames, device=real.device)[None]
            turn, band = predictor.turn(clock), predictor.band(frames, real.device)
            told = predictor.tell(distribution.features, turn)
            codes = past.flatten(1)[:, :frames]
            logits = predictor.answer(codes, told, mask=band, told_mask=band, turn=turn)
            return real.flatten(1)[:, :frames], logits
        features = distribution.piece(distribution.patches - 1)
        own = past.flatten(1)[:, -features.shape[1] :]
        logits = predictor.answer(own, predictor.tell(features), last=size)
        return real[:, -1], logits

    def _expected(  # type: ignore[misc]
        self: FaceAIS, vectors: Tensor, batch: Batch
    ) -> dict[str, Tensor]:
        """The face that expected codes' vectors [B, 1, P * n, C] decode to, beside all appropriate
        listeners: 1 - CCC, and squared errors."""
        made = self.decode(vectors, batch.listener.frames)["attributes"]
        wanted, known = real(batch.targets, *GROUPS["attributes"])
        weights = batch.target_mask.to(made.dtype)
        agreement = concordance(made, wanted, known).nan_to_num(1.0).mean(-1)
        error = masked_mean(thirds((made - wanted) ** 2), known & batch.target_mask[..., None])
        total = weights.sum().clamp(min=1)
        return {
            "agreement": self.config.agreement_weight * ((1 - agreement) * weights).sum() / total,
            "error": self.config.error_weight * error,
        }

    def _distance(self: FaceAIS, latent: Tensor, listener: Behaviour) -> Tensor:  # type: ignore[misc]
        values, known = self.face_of(listener)
        made = self.decode(latent, listener.frames)["coefficients"]
        scaled = self.tokenizer.coefficient_scale(made)
        samples = latent.shape[1]
        return grouped(
            scaled,
            values[:, None].expand(-1, samples, -1, -1),
            known[:, None].expand(-1, samples, -1),
        )


def grouped(made: Tensor, real: Tensor, known: Tensor) -> Tensor:
    """Mean L1 error a group of coefficients [..., T, 58], added up; known bool [..., T]."""
    error = (made - real).abs()
    parts = [masked_mean(error[..., list(columns)], known) for _, columns in GROUPS_OF_COEFFICIENTS]
    return torch.stack(parts).sum()


def thirds(attributes: Tensor) -> Tensor:
    """[..., 25] to means over AUs, valence and arousal, and expressions, [..., 3]."""
    return torch.stack([x.mean(-1) for x in attributes.split([15, 2, 8], dim=-1)], dim=-1)
