"""FaceAIS (Dam et al., FG 2024; "FaceVIS" in the EMC paper): a face in codes, patch after patch.

A tokenizer learns a finite code for a frame of the face, a patch of 32 frames at a time. Then a
transformer predicts the listener's next patch of codes from what lies before it: the speaker's
codes and voice in a window of 256 frames, and its own past. So a patch is known before it begins.

Where we differ from the released code, on purpose: every cross-modal block hears the other stream
(released: the first alone); masks and top-k are a sample's own; only real codes can come; the
speaker is worked out once for all samples; frames before the start are not asked; every frame is
answered (released: 736 of 750); a training window learns only the patch after it (released: also
patches that it contains). `causal` is ours: patches see only what came before them, with rotary
positions, so that keys and values are kept and a patch costs its own frames.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from visavis import noise
from visavis.behaviour import Behaviour
from visavis.dyad import Batch, Persona
from visavis.models import _faceais_state as states
from visavis.models._base import Objective, ReactionModel, Samples, numbered
from visavis.models._faceais_config import FaceAISConfig
from visavis.models._faceais_losses import FaceAISLosses
from visavis.models._faceais_predictor import Predictor
from visavis.models._faceais_prior import PatchPrior, draw
from visavis.models._faceais_session import FaceAISSession
from visavis.models._faceais_tokenizer import ATTRIBUTES, COEFFICIENTS, Tokenizer
from visavis.models._outputs import (
    attribute_channels,
    attributes_in_range,
    coefficient_channels,
)
from visavis.models._sources import average_where_lost, observed_rows, size_of
from visavis.models._steady import trailing
from visavis.nn.smooth_noise import way
from visavis.nn.standardise import RunningMoments, Standardise


class FaceAIS(FaceAISLosses, ReactionModel[FaceAISConfig]):
    """See the module's text; a `SplitModel` whose sequence is what was heard before each patch."""

    config_class = FaceAISConfig
    sampled_with = ("temperature", "top_k", "redraw", "steady")

    def __init__(self, config: FaceAISConfig) -> None:
        super().__init__(config)
        self.speech_scale = Standardise(size_of(config.speech, config.speech_size))
        self.tokenizer = Tokenizer(
            config.tokenizer_width,
            config.tokenizer_heads,
            config.tokenizer_layers,
            patch=config.patch,
            levels=config.levels,
            dropout=config.dropout,
        )
        self.predictor = Predictor(config.predictor_sizes(self.tokenizer.codes))
        self.d_face, self.d_speech = config.width, self.predictor.d_speech

    @property
    def inputs(self) -> tuple[str, ...]:
        return ("coefficients", self.config.speech)

    @property
    def outputs(self) -> tuple[str, ...]:
        return ("attributes", "coefficients")

    # ------------------------------------------------------------------ the parts (SplitModel)

    @torch.no_grad()
    def codes(self, person: Behaviour) -> Tensor:
        """A person's face as codes int64 [B, T]; frames that were not observed have the code
        after the last. The tokenizer is frozen: no gradient passes."""
        values, known = self.face_of(person)
        found = self.codes_of(self.in_patches(values), self.in_patches(known))
        apart: Tensor = found.unflatten(0, (len(values), -1))
        return apart.flatten(1)[:, : person.frames]

    def codes_of(self, patches: Tensor, known: Tensor) -> Tensor:
        """Standardised patches [R, n, 58] and bool [R, n] to codes [R, n]."""
        training = self.tokenizer.training
        self.tokenizer.eval()
        indices = self.tokenizer.encode(patches, known).indices
        self.tokenizer.train(training)
        return torch.where(known, indices, self.predictor.absent)

    def face_of(self, person: Behaviour) -> tuple[Tensor, Tensor]:
        """Standardised coefficients [B, T, 58], 0 where not known, and where they are, bool."""
        values = average_where_lost(person, "coefficients", self.tokenizer.coefficient_scale)
        known = person.inside()
        for name in ("blendshapes", "rotation", "translation"):
            known = known & person.mask(name)
        return torch.where(known[..., None], values, 0.0), known

    def in_patches(self, x: Tensor) -> Tensor:
        """[B, T, ...] to [B * P, n, ...], the last patch filled up with zeros."""
        short = -x.shape[1] % self.config.patch
        filled = torch.cat([x, x.new_zeros(len(x), short, *x.shape[2:])], 1)
        cut: Tensor = filled.unflatten(1, (-1, self.config.patch))
        return cut.flatten(0, 1)

    def encode_face(self, speaker: Behaviour) -> Tensor:
        """Speaker [B, T] to the embeddings of its codes [B, T, C]."""
        out: Tensor = self.predictor.face(self.codes(speaker))
        return out

    def encode_speech(self, speaker: Behaviour) -> Tensor:
        """Speaker [B, T] to [B, T, d_speech]; an unobserved frame is the average sound."""
        return self.predictor.embed_speech(self.voice_of(speaker))

    def voice_of(self, speaker: Behaviour) -> Tensor:
        """Standardised ticks [B, T * rate, A]."""
        return average_where_lost(speaker, self.config.speech, self.speech_scale)

    def fuse(self, face: Tensor, speech: Tensor) -> Tensor:
        """Embeddings [B, T, C] and [B, T, d_speech] to what was heard before each patch.

        Causal: features of the patch before it, [B, P * n, C]. Published: of its window, side by
        side, [B, P * S, C], zeros before the window's first frame. The last patch's own frames come
        too late and are not read.
        """
        before = self._before(face, speech)
        return self._heard(*before, whole=torch.is_grad_enabled() and self.config.causal)

    def _before(self, face: Tensor, speech: Tensor) -> tuple[Tensor, Tensor]:
        """The frames that lie before a patch: absent ones, and all but the last patch's."""
        size = self.config.patch
        patches = -(-face.shape[1] // size)
        none = self.predictor.before(face, speech)
        told = (x[:, : (patches - 1) * size] for x in (face, speech))
        joined = [torch.cat([a, b], 1) for a, b in zip(none, told, strict=True)]
        return joined[0], joined[1]

    def _heard(self, face: Tensor, speech: Tensor, *, whole: bool) -> Tensor:
        """All patches at once (`whole`, the causal form in training), or one after the other."""
        size = self.config.patch
        if whole:
            mask = self.predictor.band(face.shape[1], face.device)
            clock = torch.arange(face.shape[1], device=face.device)[None]
            return self.predictor.listen(face, speech, mask=mask, turn=self.predictor.turn(clock))
        state, parts = states.begin(self.predictor, len(face), 0), []
        for f, s in zip(face.split(size, 1), speech.split(size, 1), strict=True):
            part = states.hear(self.predictor, state, f, s)
            short = 0 if self.config.causal else self.config.window - part.shape[1]
            parts.append(torch.nn.functional.pad(part, (0, 0, short, 0)))
        return torch.cat(parts, 1)

    def predict(self, fused: Tensor, mask: Tensor | None = None) -> PatchPrior:
        """What was heard before each patch to a distribution over its codes; a patch lies wholly
        before its own padding, so the mask changes nothing."""
        return PatchPrior(self.predictor, self.tokenizer.quantise.vectors(), fused)

    def sample(
        self,
        distribution: PatchPrior,
        seeds: Tensor,
        num_samples: Samples,
        index: int = 0,
        heat: Tensor | None = None,
    ) -> Tensor:
        """K draws as the codes' vectors, [B, K, P * n, C]; `index` counts patches before these,
        `heat` [B, P] multiplies the temperature of each."""
        each = numbered(num_samples, seeds.device).shape[1]
        state = self.beginning(len(seeds), each)
        codes, parts = self.nothing_before(len(seeds) * each), []
        numbers = torch.full_like(seeds, index)
        for number in range(distribution.patches):
            codes = self.next_codes(
                state,
                codes,
                distribution.piece(number),
                seeds,
                num_samples,
                numbers + number,
                None if heat is None else heat[:, number],
            )
            parts.append(codes.unflatten(0, (len(seeds), -1)))
        return self.tokenizer.quantise.decode(torch.cat(parts, 2))

    def beginning(self, clips: int, samples: int) -> states.State:
        """Before the first patch. Where the own past is always hidden, nothing of an answer differs
        from sample to sample but its draw, and one answer a clip serves them all."""
        return states.begin(self.predictor, clips, 1 if self.config.own_drop == 1 else samples)

    def nothing_before(self, rows: int) -> Tensor:
        """The own codes before the first patch, [rows, n]."""
        device = self.predictor.head.weight.device
        return torch.full((rows, self.config.patch), self.predictor.absent, device=device)

    def next_codes(
        self,
        state: states.State,
        codes: Tensor,
        features: Tensor,
        seeds: Tensor,
        num_samples: Samples,
        numbers: Tensor,
        heat: Tensor | None = None,
    ) -> Tensor:
        """The codes [B * K, n] of patches `numbers` [B], from those before them; `heat` [B]
        multiplies the temperature."""
        settings = self.config
        if settings.own_drop == 1:
            codes = self.nothing_before(len(seeds))
        logits = states.reply(self.predictor, state, codes, features)
        frames = numbers[:, None, None] * settings.patch
        frames = frames + torch.arange(settings.patch, device=seeds.device)
        chance = self._chance(frames, seeds[:, None, None], numbered(num_samples, seeds.device))
        logits = logits.repeat_interleave(chance[..., 0, 0].numel() // len(logits), 0)
        if heat is not None:
            logits = logits / heat.repeat_interleave(len(logits) // len(heat))[:, None, None]
        return draw(
            logits,
            chance.flatten(0, 1),
            settings.levels,
            temperature=settings.temperature,
            top_k=settings.top_k,
        )

    def _chance(self, frames: Tensor, seeds: Tensor, samples: Tensor) -> Tensor:
        """Uniform numbers [B, K, n, D], one a dimension of the codes, for `frames` [B, 1, n]; with
        a smooth way from each to the next where they are not drawn every frame."""
        every, shape = self.config.redraw, (len(self.config.levels),)
        knots = frames // every if every else torch.zeros_like(frames)

        def drawn(at: Tensor) -> Tensor:
            return noise.normal(seeds, samples[:, :, None], "faceais/code", at, shape)

        found = drawn(knots)
        if every > 1:
            a, b = way((frames % every)[..., None].to(found.dtype) / every)
            found = a * found + b * drawn(knots + 1)
        chance: Tensor = torch.special.ndtr(found)
        return chance

    def decode(
        self, latent: Tensor, frames: int, *, distribution: PatchPrior | None = None
    ) -> dict[str, Tensor]:
        """Codes' vectors [B, K, P * n, C] to raw coefficients [B, K, T, 58] and attributes
        [B, K, T, 25] in their ranges."""
        patches = latent.unflatten(2, (-1, self.config.patch)).flatten(0, 2)
        shape = (*latent.shape[:2], -1)
        coefficients, attributes = (
            x.unflatten(0, shape).flatten(2, 3)[:, :, :frames]
            for x in self.tokenizer.decode(patches)
        )
        return {"coefficients": coefficients, "attributes": attributes_in_range(attributes)}

    # ------------------------------------------------------------------ generation

    def react(
        self, speaker: Behaviour, seeds: Tensor, num_samples: int, persona: Persona | None
    ) -> dict[str, Tensor]:
        fused = self.fuse(self.encode_face(speaker), self.encode_speech(speaker))
        latent = self.sample(self.predict(fused), seeds, num_samples)
        return self.channels(self.decode(latent, speaker.frames))

    def channels(self, raw: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What `decode` returns for a whole clip, steadied, by channel."""
        before = self.config.steady - 1
        made = {
            n: trailing(x, before + 1, x.new_zeros(*x.shape[:2], before, x.shape[-1]), 0)
            for n, x in raw.items()
        }
        return as_channels(made)

    def session(self, num_samples: int = 1) -> FaceAISSession:
        """Conversations a frame at a time: a patch is known before its first frame comes."""
        return FaceAISSession(self, num_samples=num_samples)

    # ------------------------------------------------------------------ training

    def fit(self, batches: Iterable[Batch]) -> None:
        """Moments of faces (both people's), of the listeners' attributes and of the voice."""
        face, attributes = RunningMoments(COEFFICIENTS), RunningMoments(ATTRIBUTES)
        speech = RunningMoments(self.speech_scale.mean.numel())
        for batch in batches:
            for person in (batch.speaker, batch.listener):
                face.update(observed_rows(person, "coefficients"))
            attributes.update(observed_rows(batch.listener, "attributes"))
            speech.update(observed_rows(batch.speaker, self.config.speech))
        with torch.no_grad():
            face.write_to(self.tokenizer.coefficient_scale)
            attributes.write_to(self.tokenizer.attribute_scale)
            speech.write_to(self.speech_scale)

    def objectives(self, stage: str = "main") -> tuple[Objective, ...]:
        """ "tokenizer", then "emotion" (its attributes alone), then "predictor"; "main" is the
        first and the last at once."""
        adam = torch.optim.AdamW
        tokenizer, predictor = self.tokenizer, self.predictor
        emotion = [*tokenizer.attributes.parameters(), *tokenizer.to_attributes.parameters()]
        found = {
            "tokenizer": Objective(
                "tokenizer", tuple(tokenizer.parameters()), self.tokenizer_loss, adam
            ),
            "emotion": Objective("emotion", tuple(emotion), self.emotion_loss, adam),
            "predictor": Objective(
                "predictor", tuple(predictor.parameters()), self.predictor_loss, adam
            ),
        }
        return (found[stage],) if stage in found else (found["tokenizer"], found["predictor"])

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        return {**self.tokenizer_loss(batch), **self.predictor_loss(batch)}


def as_channels(raw: dict[str, Tensor]) -> dict[str, Tensor]:
    """What `decode` returns, by channel."""
    return attribute_channels(raw["attributes"]) | coefficient_channels(raw["coefficients"])
