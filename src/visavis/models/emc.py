"""EMC (Hu et al., IJCB 2024): reactions that survive a lost microphone or camera.

A wrapper around a model in parts (a `SplitModel`: Trans-VAE, REGNN, FaceAIS, ReactFace). What is
lost of one modality is made up from the other by a conditional VAE (CMA), and the speaker's emotion
is brought in by attention at three places (EA): behind the encoders, behind the fusion, on the
draws. The base stays as it is and where it is: EMC's weights hold what is EMC's own, and the base's
name. With `joint` the base is trained and stored too.

What the paper leaves open is decided here (docs/emc.md lists it). What we do otherwise, on purpose:
absence is a matter of single frames, of either modality or both, and an unobserved frame is never
read (paper: whole clips); everything that is added to the base's features begins at zero, so that
an untrained EMC is its base, bit for bit; z has a smooth course over time and each sample its own;
in the fusion KL the whole speaker's distribution teaches and is not drawn; where both modalities
are lost a learned vector stands for each, so that nobody at all gets an answer as well: what the
base says to these. Around an online base everything is causal. The paper names no speech-emotion
model: ours is a small head distilled from faces (`visavis.features.speech_emotion`). No code of the
authors is public.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, ClassVar

import torch
from pydantic import ValidationError
from torch import Tensor

from visavis import noise
from visavis.behaviour import Behaviour
from visavis.channels import GROUPS
from visavis.dyad import Batch, Persona
from visavis.errors import InputError, explain
from visavis.features.speech_emotion import distilled
from visavis.models._base import ReactionModel, ReactionSession, Samples
from visavis.models._checks import readable
from visavis.models._emc_around import Around, Modules
from visavis.models._emc_bases import AroundFaceAIS, around
from visavis.models._emc_config import EMCConfig
from visavis.models._emc_fade import Fading, faded, sources
from visavis.models._emc_layers import (
    Compensation,
    EmotionAttention,
    EmotionMLP,
    Recalled,
)
from visavis.models._emc_losses import EMCLosses
from visavis.models._emc_reactface import AroundReactFace
from visavis.models._emc_read import OPTIONAL, Told, completed, imputed, read
from visavis.models._emc_spread import deviation, unseen
from visavis.nn.smooth_noise import way
from visavis.nn.standardise import RunningMoments

_BASE = "base."


class EMC(EMCLosses, ReactionModel[EMCConfig]):
    """See the module's text."""

    config_class = EMCConfig
    around: ClassVar[str | None] = "base"
    sampled_with = ("fade", "sampling", "spread", "spread_frames")
    mark: Tensor
    base: Any

    def __init__(self, config: EMCConfig, base: ReactionModel[Any]) -> None:
        """`base` is the model that `config.base` names, with its weights; it is taken over: its
        settings of sampling are those of `config.sampling`, and it learns only if `config.joint`.

        Raises:
            InputError: it is not in parts, or EMC has no adapter for it, or `config.sampling`
                names what is no setting of its sampling.
        """
        super().__init__(config)
        self.parts: Around[Any] = around(base)
        base.config = sampled(base, config.sampling)
        self.base = base.requires_grad_(config.joint).eval()
        width = config.width or self.parts.width
        if width % config.heads:
            raise InputError(f"EMC's width {width} is no multiple of its heads, {config.heads}.")
        self.width = width
        if isinstance(self.parts, AroundReactFace):
            self.parts.horizon = config.horizon
        self.head = distilled()
        faces, voices = int(self.base.d_face), int(self.base.d_speech)
        self.cma_face: Compensation | None = None
        self.cma_speech: Compensation | None = None
        if config.compensation == "cma":
            sizes = (width, config.latent, config.context)
            how = {"causal": self.parts.causal, "recall": config.recall}
            self.cma_face = Compensation(faces, voices, *sizes, **how)
            self.cma_speech = Compensation(voices, faces, *sizes, **how)
        self.emotions: EmotionMLP | None = None
        if config.attention:

            def attention(features: int, *, alone: bool = False) -> EmotionAttention:
                return EmotionAttention(
                    features, width, config.heads, dropout=config.dropout, alone=alone
                )

            self.emotions = EmotionMLP(width)
            self.ea_face, self.ea_speech = attention(faces), attention(voices)
            self.ea_fused = attention(self.parts.fused_width)
            self.ea_latent = attention(self.parts.latent_width, alone=self.parts.alone)
        self.register_buffer("mark", _mark_of(base))
        """Of the base's weights, which EMC was trained around."""

    def train(self, mode: bool = True) -> EMC:
        """The base's dropout stays off where the base is not trained."""
        super().train(mode)
        if not self.config.joint:
            self.base.eval()
        return self

    # ------------------------------------------------------------------ weights

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """EMC's own, and the base's where it is trained too."""
        state = super().state_dict(*args, **kwargs)
        if self.config.joint:
            return state
        prefix = kwargs.get("prefix", "")
        for name in [n for n in state if n.startswith(prefix + _BASE)]:
            del state[name]
        return state

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """What `state_dict` gave.

        Raises:
            InputError: it was trained around other weights of the base.
        """
        whole = dict(state_dict)
        if not self.config.joint:
            if "mark" in whole and int(whole["mark"]) != int(self.mark):
                raise InputError(
                    f"these weights of {self.name} were trained around other weights of "
                    f"{self.config.base!r} than there are here. Train it again, or bring those "
                    "back."
                )
            whole |= {_BASE + n: x for n, x in self.base.state_dict().items()}
        return super().load_state_dict(whole, strict=strict, assign=assign)

    # ------------------------------------------------------------------ what is read

    @property
    def face_channels(self) -> tuple[str, ...]:
        """Those that the base reads of a face."""
        return tuple(n for n in self.base.reads if n not in self.speech_channels)

    @property
    def speech_channels(self) -> tuple[str, ...]:
        """Those that the base reads of a voice."""
        settings = self.base.config
        own = getattr(settings, "speech", "mfcc78")
        return tuple(n for n in GROUPS.get(own, (own,)) if n in self.base.reads)

    @property
    def inputs(self) -> tuple[str, ...]:
        return (*self.base.inputs, "attributes")

    @property
    def reads_also(self) -> tuple[str, ...]:
        return OPTIONAL

    @property
    def outputs(self) -> tuple[str, ...]:
        return tuple(self.base.outputs)

    def check_speaker(self, speaker: Behaviour) -> Behaviour:
        """As every model; a modality may be missing, and is then unobserved."""
        if not isinstance(speaker, Behaviour):
            return super().check_speaker(speaker)
        whole = completed(speaker, self)
        lacking = [n for n in self.reads if n not in whole.layout]
        if lacking or speaker.layout.convention != "arkit":
            return super().check_speaker(speaker)
        dtype = next(p.dtype for p in self.base.parameters())
        wanted = tuple(dict.fromkeys((*self.reads, *self.reads_also)))
        return readable(self.name, wanted, whole, dtype)

    # ------------------------------------------------------------------ generation

    def react(
        self, speaker: Behaviour, seeds: Tensor, num_samples: int, persona: Persona | None
    ) -> dict[str, Tensor]:
        told = self.told(speaker)
        rows = num_samples if self.apart(told) else 1
        samples: Samples = num_samples
        if rows > 1:
            each = torch.arange(rows, device=seeds.device)
            samples = each.repeat(len(seeds))[:, None]
            told, seeds = told.repeat(rows), seeds.repeat_interleave(rows)
        numbers = samples if isinstance(samples, Tensor) else torch.zeros_like(seeds)[:, None]
        fused, emotion = self.fused(told, seeds, numbers[:, 0])
        distribution = self.parts.predict(fused, told.inside)
        by = self.spread_of(told)
        latent = self.parts.sample(distribution, seeds, samples, by, told.inside)
        if emotion is not None:
            latent = self.parts.refined(latent, emotion, told.inside, self.modules_of())
        raw = self.parts.raw(latent, speaker.frames, distribution, told.inside)
        channels = self.parts.channels(raw)
        if rows == 1:
            return channels
        return {n: x.squeeze(1).unflatten(0, (-1, rows)) for n, x in channels.items()}

    def told(self, speaker: Behaviour) -> Told:
        """A speaker that `check_speaker` returned, imputed where that is the compensation."""
        how = self.config.compensation
        told, _ = read(self, speaker)
        if how == "cma" or not told.lossy:
            return told
        names = (*self.face_channels, *self.speech_channels)
        filled = imputed(speaker, names, how)
        again, _ = read(self, filled)
        return replace(  # emotions are those that were told
            told,
            face=self._known(again.face, 0, filled),
            speech=self._known(again.speech, 1, filled),
        )

    def _known(self, features: Tensor | None, which: int, speaker: Behaviour) -> Tensor:
        """Features, those of the average where nothing was ever observed."""
        if features is not None:
            return features
        encode = self.base.encode_speech if which else self.base.encode_face
        out: Tensor = encode(speaker)
        return out

    def apart(self, told: Told) -> bool:
        """Whether samples are told different things of a speaker, and are rows of their own."""
        made_up = self.config.compensation == "cma" and self.config.z != "mean"
        return made_up and not self.config.z_shared and told.lossy

    def spread_of(self, told: Told) -> Tensor | None:
        """How many times as far draws deviate, [R, T], 1 behind a clip's end; None where that is
        once, as always for plain imputation."""
        numbers, imputed = self.config.spread, self.config.compensation != "cma"
        if imputed or set(numbers) == {1.0} or (numbers[0] == 1 and not told.lossy):
            return None
        there, causal = (told.face_there, told.speech_there), self.parts.causal
        face, voice = (unseen(x, causal=causal)[0] for x in there)
        by = deviation(face, voice, numbers, self.config.spread_frames)
        return by if told.inside is None else torch.where(told.inside, by, 1.0)

    def modules_of(self) -> Modules:
        assert self.emotions is not None
        return Modules(
            self.ea_face, self.ea_speech, self.ea_fused, self.ea_latent, self.emotions.nothing
        )

    def fused(self, told: Told, seeds: Tensor, samples: Tensor) -> tuple[Tensor, Tensor | None]:
        """Features that lack nothing, with emotions, fused; and the emotions [R, T, d].

        Seeds and numbers of samples int64 [R] say which z stands for what is lost.
        """
        face, speech = told.face, told.speech
        if self.config.compensation == "cma":
            face, speech = self.compensated(told, seeds, samples)
            if self.fades:
                face = self.eased(face, sources(told.face_there, told.speech_there))
                speech = self.eased(speech, sources(told.speech_there, told.face_there))
        assert face is not None
        assert speech is not None
        emotion = self.felt(told)
        if emotion is None:
            return self.parts.fuse(face, speech, told.inside), None
        if self.fades:
            emotion = self.eased(emotion, sources(told.shown_there, told.spoken_there))
        ea = self.modules_of()
        face, speech = self.parts.unimodal(face, speech, emotion, told.inside, ea)
        fused = self.parts.fuse(face, speech, told.inside)
        return self.parts.mixed(fused, emotion, told.inside, ea), emotion

    @property
    def fades(self) -> bool:
        """Whether what is known in one way fades into what is known in another."""
        return self.config.fade > 0 and self.parts.causal and not self.training

    def eased(self, x: Tensor, source: Tensor) -> Tensor:
        """A clip's numbers [R, T, C] without jumps where their source changes, int64 [R, T]."""
        return faded(x, source, self.config.fade, Fading.begun(len(x), x))[0]

    def felt(self, told: Told) -> Tensor | None:
        """Emotions [R, T, d]; None without EA."""
        if self.emotions is None:
            return None
        shown, spoken = (told.shown, told.shown_there), (told.spoken, told.spoken_there)
        out: Tensor = self.emotions(shown, spoken, mean=self.config.emotion == "mean")
        return out

    def compensated(self, told: Told, seeds: Tensor, samples: Tensor) -> tuple[Tensor, Tensor]:
        """Face and speech features [R, T, C] with what is lost made up (Eq. 6 and 7)."""
        assert self.cma_face is not None
        assert self.cma_speech is not None
        if not told.lossy:
            assert told.face is not None
            assert told.speech is not None
            return told.face, told.speech
        frames = torch.arange(told.face_there.shape[1], device=seeds.device)[None]
        face = self.scaled(self.cma_face, told.face)
        speech = self.scaled(self.cma_speech, told.speech)
        made = []
        kinds = (
            (self.cma_face, speech, told.face, told.face_there, told.speech_there, "emc/face"),
            (self.cma_speech, face, told.speech, told.speech_there, told.face_there, "emc/speech"),
        )
        for (cma, other, mine, there, others, stream), own in zip(
            kinds, (face, speech), strict=True
        ):
            whole = there if told.inside is None else there | ~told.inside
            if mine is not None and bool(whole.all()):
                made.append(mine)
                continue
            condition, _ = cma.condition(other, others)
            recalled, _ = cma.recalled(own, there)
            z = self.z_of(cma, seeds, samples, stream, frames)
            made.append(self.made_up(cma, mine, there, others, condition, z, recalled))
        return made[0], made[1]

    def scaled(self, cma: Compensation, features: Tensor | None) -> Tensor | None:
        return None if features is None else cma.scale(features)

    def made_up(
        self,
        cma: Compensation,
        features: Tensor | None,
        there: Tensor,
        others: Tensor,
        condition: Tensor,
        z: Tensor,
        recalled: Recalled | None = None,
    ) -> Tensor:
        """Features [R, T, C], made of z, the condition and what is recalled where they are not
        there; where the other modality is lost as well, the learned vector, and beside it what is
        recalled."""
        missing = self.nothing_of(cma).expand(*there.shape, -1)
        if recalled is not None:
            missing = missing + recalled.value * cma.scale.std
        if bool(others.any()):
            condition = cma.told(condition, recalled)
            known = cma.unscaled(cma.made(z.expand(*condition.shape[:2], -1), condition, recalled))
            missing = torch.where(others[..., None], known, missing)
        return missing if features is None else torch.where(there[..., None], features, missing)

    def nothing_of(self, cma: Compensation) -> Tensor:
        """What stands for a modality when both are lost: the vector that is the other one's
        condition then, [C]."""
        other = self.cma_speech if cma is self.cma_face else self.cma_face
        assert other is not None
        return cma.unscaled(other.nothing)

    def z_of(
        self, cma: Compensation, seeds: Tensor, samples: Tensor, stream: str, frames: Tensor
    ) -> Tensor:
        """z of consecutive frames int64 [1 or R, T]: [R, T, z], at any chunking the same."""
        if self.config.z == "mean":
            return cma.z_mean.new_zeros(1, 1, cma.latent)
        every = self.config.z_frames
        first = frames[:, :1] // every
        count = (frames.shape[1] + every - 2) // every + 2
        knots = first + torch.arange(count, device=frames.device)
        who = torch.zeros_like(samples) if self.config.z_shared else samples
        drawn = noise.normal(seeds[:, None], who[:, None], stream, knots, (cma.latent,))
        place = (frames // every - first).expand(len(drawn), -1)[..., None]
        one, other = (drawn.gather(1, (place + i).expand(-1, -1, cma.latent)) for i in (0, 1))
        a, b = way((frames % every)[..., None].to(drawn.dtype) / every)
        z = (a * one + b * other).to(cma.z_mean.dtype)
        return z if self.config.z == "prior" else cma.z_mean + cma.z_std * z

    def session(self, num_samples: int = 1) -> ReactionSession:
        """Conversations, around a base that streams frame by frame (ReactFace, FaceAIS)."""
        from visavis.models._emc_faceais_session import EMCFaceAISSession
        from visavis.models._emc_session import EMCSession

        if self.config.compensation == "cma":
            if isinstance(self.parts, AroundReactFace):
                return EMCSession(self, num_samples)
            if isinstance(self.parts, AroundFaceAIS):
                return EMCFaceAISSession(self, num_samples=num_samples)
        return super().session(num_samples)

    # ------------------------------------------------------------------ training

    def fit(self, batches: Iterable[Batch]) -> None:
        """Moments of the base's features, in which the CMA works; the base keeps its own."""
        if self.cma_face is None or self.cma_speech is None:
            return
        moments = [RunningMoments(x.scale.mean.numel()) for x in (self.cma_face, self.cma_speech)]
        with self.sampling():
            for batch in batches:
                told, _ = read(self, self.check_speaker(batch.speaker))
                for found, features, there in (
                    (moments[0], told.face, told.face_there),
                    (moments[1], told.speech, told.speech_there),
                ):
                    if features is not None:
                        found.update(features[there])
            moments[0].write_to(self.cma_face.scale)
            moments[1].write_to(self.cma_speech.scale)

    def objectives(self, stage: str = "main") -> tuple[Any, ...]:
        return super().objectives(stage) if self.config.learns or self.config.joint else ()


def sampled(base: ReactionModel[Any], settings: Mapping[str, Any]) -> Any:
    """The base's configuration with other settings of its sampling.

    Raises:
        InputError: what is no setting of it, or not a value that it takes.
    """
    for name in settings:
        if name not in base.sampled_with:
            raise InputError(
                f"`sampling` takes settings of {base.name}'s sampling "
                f"({', '.join(base.sampled_with) or 'it names none'}), not {name!r}."
            )
    try:
        return replace(base.config, **settings)
    except ValidationError as error:
        raise InputError(f"`sampling` does not fit {base.name}. {explain(error)}") from error


def _mark_of(base: ReactionModel[Any]) -> Tensor:
    """A number that tells a base's weights from others, int64 []."""
    total = torch.zeros((), dtype=torch.int64)
    for i, x in enumerate(base.state_dict().values()):
        if x.is_meta:
            return torch.zeros((), dtype=torch.int64)
        numbers = x.detach().flatten()
        if x.dtype == torch.float32:
            numbers = numbers.view(torch.int32)
        place = torch.arange(len(numbers), device=numbers.device) % 8191 + i + 1
        total = total + (numbers.to(torch.int64) * place).sum().to(total.device)
    return total
