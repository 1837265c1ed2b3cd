"""MReactor: what is said, and what it means to the listener.

A speaker's face, voice and words are perceived together and masked; the face is taken apart into
six embeddings; what is said becomes emotion priors (`visavis.features.subjects`). A transformer of
relative and subject attention denoises reactions, given all of it. Of the paper the supplementary
material alone is public ("MReactor: Offline Multiple Appropriate Facial Reaction Generation with
Hierarchical Cognitive Disentanglement").

**The supplementary's**: encoders wav2vec 2.0, RoBERTa and a face model; temporal correlation within
and across modalities, then binary temporal masks by evidence and cross-modal support; fine (lip,
eye, pose) and coarse (head, appearance, expression) embeddings, coarse ones aligned with language
and sound; the three stages of expressive recovery with thresholds 0.5; relative attention with a
decay term eps (x - y), subject attention that modulates values, six layers; the loss of Eq. 5 (x0
prediction) under c = {C, S} and v; that it is offline.

**Ours**, since nothing else is public: every size; how evidence and support are measured; which
channels make an embedding, and its losses (reconstruction, decorrelation, InfoNCE); where the decay
enters (the scores, or after the softmax); that subjects have moments and a token pools its own;
that each reaction follows one subject of an utterance; the smoothness control; the sampler; patches
of frames; the online variant, in which nothing sees ahead and every token of every denoising step
is computed once. No reproduction is claimed: the supplementary has no table of results.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping

import torch
from torch import Tensor, nn

from visavis import noise
from visavis.behaviour import Behaviour
from visavis.channels import SUBJECT_LETTERS
from visavis.dyad import Batch, Persona
from visavis.errors import InputError
from visavis.features.subjects.channel import Recovery, with_word_channels
from visavis.features.text import Reach
from visavis.models._base import ReactionModel
from visavis.models._checks import seeds_of
from visavis.models._mreactor_config import MReactorConfig
from visavis.models._mreactor_denoiser import LISTENER, Denoiser, Known, Manner
from visavis.models._mreactor_inputs import Patches, Source, patched, there, unpatched
from visavis.models._mreactor_losses import jerkiness, listener_rows, terms
from visavis.models._mreactor_perception import Perceived, Perception
from visavis.models._mreactor_regions import REGIONS, Alignment, Before, Regions
from visavis.models._mreactor_session import MReactorSession
from visavis.models._mreactor_subjects import SubjectVectors, chances_of, slots_of, steered
from visavis.models._outputs import (
    attribute_channels,
    attributes_in_range,
    coefficient_channels,
)
from visavis.models._steady import steadied, trailing
from visavis.nn.cache import Recall
from visavis.nn.relative_attention import RelativeAttention
from visavis.nn.samplers import ddim
from visavis.nn.schedules import alpha_bars, cosine_betas, trailing_steps
from visavis.nn.smooth_noise import smoothed
from visavis.nn.standardise import RunningMoments, Standardise

UNITS = 15
"""Action units, first of a listener's 83 numbers."""


@dataclasses.dataclass(frozen=True)
class Understood:
    """A speaker as the denoiser is told of them."""

    tokens: Tensor
    """C, [B, N, width]."""
    slots: Tensor | None
    """S as it came, [B, N, slots, 19]."""
    there: Tensor | None
    """bool [B, N]; None where nothing is padded."""
    perceived: Perceived
    embeddings: Mapping[str, Tensor] | None
    """The six, [B, N, region]."""
    seen: Mapping[str, Tensor] | None
    """What they were made of."""

    @property
    def hidden(self) -> Tensor | None:
        """Added to scores: -inf for padding, [B, 1, 1, N]."""
        return hidden_of(self.there, self.tokens)


def hidden_of(there: Tensor | None, like: Tensor) -> Tensor | None:
    if there is None:
        return None
    nothing = like.new_zeros(len(there), 1, 1, there.shape[1])
    return nothing.masked_fill(~there[:, None, None], float("-inf"))


class MReactor(ReactionModel[MReactorConfig]):
    """See the module's text."""

    config_class = MReactorConfig
    sampled_with = ("sampling_steps", "temperature", "guidance", "steady", "steady_units")
    listener_jerkiness: Tensor
    usual_smoothness: Tensor

    def __init__(self, config: MReactorConfig) -> None:
        super().__init__(config)
        self.recovery: Recovery | None = None
        """Text to emotion priors; None is the offline one (`features.subjects`)."""
        names = {"speech": config.speech, "words": config.words}
        self.sources = nn.ModuleDict({"face": Source("coefficients", "attributes")})
        for name in config.modalities[1:]:
            self.sources[name] = Source(names[name])
        self.patches = nn.ModuleDict(
            {n: Patches(s.width, config.patch, config.perception_width) for n, s in self._sources()}
        )
        self.perception = Perception(config)
        self.regions = Regions(config) if config.disentangled else None
        heard = len(config.modalities) > 1
        aligned = config.disentangled and config.alignment_weight and heard
        self.alignment = Alignment(config) if aligned else None
        told = len(config.modalities) * config.perception_width
        told += len(REGIONS) * config.region if config.disentangled else 0
        self.condition = nn.Linear(told, config.width)
        self.vectors: SubjectVectors | None = None
        if self.reads_subjects:
            self.vectors = SubjectVectors(config.subject, SUBJECT_LETTERS)
        self.denoiser = Denoiser(config)
        self.listener_scale = Standardise(LISTENER)
        self.register_buffer("listener_jerkiness", torch.ones(()))
        self.register_buffer("usual_smoothness", torch.full((), 0.5))

    def _sources(self) -> Iterator[tuple[str, Source]]:
        for name, source in self.sources.items():
            assert isinstance(source, Source)
            yield name, source

    def relatives(self) -> list[RelativeAttention]:
        """All relative attentions."""
        return [m for m in self.modules() if isinstance(m, RelativeAttention)]

    @property
    def reads_subjects(self) -> bool:
        config = self.config
        return config.subjects and config.attention == "relative_subject"

    @property
    def inputs(self) -> tuple[str, ...]:
        heard = () if self.config.speech == "none" else (self.config.speech,)
        return ("coefficients", "attributes", *heard)

    @property
    def spoken(self) -> tuple[str, ...]:
        """Channels of words; a speaker may lack them."""
        words = () if self.config.words == "none" else (self.config.words,)
        return (*words, *(("subjects",) if self.reads_subjects else ()))

    @property
    def reads(self) -> tuple[str, ...]:
        return (*super().reads, *self.spoken)

    @property
    def outputs(self) -> tuple[str, ...]:
        return ("attributes", "coefficients")

    # ------------------------------------------------------------------ the speaker

    def check_speaker(self, speaker: Behaviour) -> Behaviour:
        """As every model does; the words' channels are made of the words where they are not there,
        and unobserved where there are no words either.

        Raises:
            MissingExtra: there are words, and vaderSentiment, which tells what they mean, is not.
        """
        return super().check_speaker(self.with_words(speaker))

    def with_words(self, speaker: Behaviour) -> Behaviour:
        """A speaker with the channels that this model reads of words."""
        if not isinstance(speaker, Behaviour):
            return speaker
        made = [n for n in self.spoken if n != "roberta"]
        online = self.config.online
        reach: Reach = "heard" if online else "span"
        # online a clip before its first word is what a stream is: silent so far
        speaker = with_word_channels(
            speaker, made, reach=reach, recovery=self.recovery, silent=online
        )
        if "roberta" in self.spoken and "roberta" not in speaker.layout:
            size = 768
            shape = (*speaker.lead, speaker.frames)
            nothing = torch.zeros(*shape, size, device=speaker.device)
            absent = torch.zeros(shape, dtype=torch.bool, device=speaker.device)
            speaker = speaker.with_channels({"roberta": nothing}, observed={"roberta": absent})
        return speaker

    def understand(self, speaker: Behaviour) -> Understood:
        """A batch of clips [B, T], with the words' channels or with words, as C and S."""
        return self.told(self.with_words(speaker), None, None, None)[0]

    def told(
        self,
        speaker: Behaviour,
        before: Before | None,
        recall: Recall | None,
        hidden: Tensor | None,
    ) -> tuple[Understood, Before | None]:
        """Whole clips [B, T], or, with what conversations remember, their next frames; and what
        they remember then."""
        patch = self.config.patch
        read = {name: source(speaker) for name, source in self._sources()}
        tokens = torch.stack([self.patches[n](*read[n]) for n in self.config.modalities], 1)
        inside = there(speaker, patch)
        hidden = hidden_of(inside, tokens) if hidden is None else hidden
        perceived = self.perception(tokens, there=inside, hidden=hidden, recall=recall)
        parts = [perceived.tokens.transpose(1, 2).flatten(2)]
        seen = embeddings = None
        if self.regions is not None:
            frames = speaker.inside() if speaker.lengths is not None else None
            seen, before = self.regions.seen(read["face"][0], frames, before)
            # what the face's mask takes is taken from what was read of the face
            kept = perceived.mask[:, 0, :, None]
            embeddings = {n: x * kept for n, x in self.regions(seen).items()}
            parts += [embeddings[n] for n in REGIONS]
        slots = None
        if self.vectors is not None:
            slots = slots_of(speaker.filled("subjects"), patch)
        condition = self.condition(torch.cat(parts, -1))
        return Understood(condition, slots, inside, perceived, embeddings, seen), before

    # ------------------------------------------------------------------ generation

    def denoised(
        self,
        noisy: Tensor,
        steps: Tensor,
        understood: Understood,
        manner: Manner,
        chosen: Tensor | None,
        *,
        lost: Tensor | None = None,
    ) -> Tensor:
        """Noisy reactions [B, K, N, numbers] at steps [B, K] to clean ones, for training.

        `lost` bool [B, K]: reactions whose C is taken away.
        """
        clips, samples = steps.shape
        tokens, slots, rows = understood.tokens, understood.slots, understood.hidden
        if lost is not None and bool(lost.any()):
            # rows of their own, since they no longer share a speaker
            tokens = torch.where(lost[..., None, None], 0.0, tokens[:, None]).flatten(0, 1)
            slots = None if slots is None else slots.repeat_interleave(samples, 0)
            chosen = None if chosen is None else chosen.flatten(0, 1)[:, None]
            rows = None if rows is None else rows.repeat_interleave(samples, 0)
            noisy, steps = noisy.flatten(0, 1)[:, None], steps.flatten()[:, None]
            manner = Manner(
                None if manner.variation is None else manner.variation.flatten(0, 1)[:, None],
                None if manner.smoothness is None else manner.smoothness.flatten()[:, None],
            )
        elements = None if self.vectors is None or slots is None else self.vectors(slots)
        known = self.denoiser.remember(tokens, elements, chosen, noisy.shape[1], hidden=rows)
        made: Tensor = self.denoiser(noisy, steps, known, manner)
        return made.reshape(clips, samples, *made.shape[2:])

    def react(
        self, speaker: Behaviour, seeds: Tensor, num_samples: int, persona: Persona | None
    ) -> dict[str, Tensor]:
        return self.react_with(speaker, seeds, num_samples, Controls())

    def react_with(
        self,
        speaker: Behaviour,
        seeds: Tensor,
        num_samples: int,
        controls: Controls,
        *,
        watch: dict[str, list[Tensor]] | None = None,
    ) -> dict[str, Tensor]:
        """Reactions to a batch [B, T] with parts of the condition exchanged or left out.

        `watch` is given the attention weights of every step and layer, in order.
        """
        understood = self.told(speaker, None, None, None)[0]
        understood = self._controlled(understood, controls)
        known = self._known(understood, seeds, num_samples)
        other = None
        if self.config.guidance != 1:
            nothing = dataclasses.replace(
                understood, tokens=torch.zeros_like(understood.tokens), slots=None
            )
            other = self._known(nothing, seeds, num_samples)
        manner = self.manner(seeds, num_samples, controls)
        if watch is not None:
            watch.update(heard=[], own=[])
        start = self.start(seeds, num_samples, 0, understood.tokens.shape[1])

        def denoise(x: Tensor, t: Tensor) -> Tensor:
            steps = t.unflatten(0, (-1, num_samples))
            noisy = x.unflatten(0, (-1, num_samples))
            given: Tensor = self.denoiser(noisy, steps, known, manner, watch=watch)
            if other is not None:
                without = self.denoiser(noisy, steps, other, manner)
                given = without + self.config.guidance * (given - without)
            return given.flatten(0, 1)

        clean = self.sampled(denoise, start.flatten(0, 1))
        raw = self.frames(clean.unflatten(0, (-1, num_samples)), speaker.frames)
        if self.config.online:
            return self.channels(self.steadied_behind(raw, self.nothing_made(raw), 0))
        inside = None if speaker.lengths is None else speaker.inside()
        sizes = self.config.steadying
        parts = zip(raw.split([UNITS, LISTENER - UNITS], -1), sizes, strict=True)
        return self.channels(torch.cat([steadied(x, n, inside) for x, n in parts], -1))

    def nothing_made(self, like: Tensor) -> Tensor:
        """What `steadied_behind` knows before the first frame, [B, K, frames, 83]."""
        return like.new_zeros(*like.shape[:2], max(self.config.steadying) - 1, LISTENER)

    def steadied_behind(self, raw: Tensor, before: Tensor, first: Tensor | int) -> Tensor:
        """Frames [B, K, T, 83] from number `first` on as means of those up to them; `before` as of
        `nothing_made`."""
        parts = []
        for columns, n in zip(
            (slice(UNITS), slice(UNITS, None)), self.config.steadying, strict=True
        ):
            held = before[..., before.shape[-2] + 1 - n :, columns]
            parts.append(trailing(raw[..., columns], n, held, first))
        return torch.cat(parts, -1)

    def _controlled(self, understood: Understood, controls: Controls) -> Understood:
        """The condition with embeddings replaced or zeroed, and S left out."""
        unknown = {*controls.replaced, *controls.without} - {*REGIONS, *SWITCHES}
        if unknown:
            raise InputError(
                f"there is no {', '.join(sorted(unknown))} to control; there are "
                f"{', '.join((*REGIONS, *SWITCHES))}."
            )
        tokens, slots = understood.tokens, understood.slots
        changed = [n for n in REGIONS if n in controls.replaced or n in controls.without]
        if changed and understood.embeddings is None:
            raise InputError(f"{self.name} was configured without embeddings to control.")
        if changed and understood.embeddings is not None:
            parts = [understood.perceived.tokens.transpose(1, 2).flatten(2)]
            for name in REGIONS:
                mine = understood.embeddings[name]
                if name in controls.without:
                    mine = torch.zeros_like(mine)
                elif name in controls.replaced:
                    mine = controls.replaced[name].to(mine).expand_as(mine)
                parts.append(mine)
            tokens = self.condition(torch.cat(parts, -1))
        if "behaviour" in controls.without:
            tokens = torch.zeros_like(tokens)
        if "subjects" in controls.without:
            slots = None
        return dataclasses.replace(understood, tokens=tokens, slots=slots)

    def _known(self, understood: Understood, seeds: Tensor, samples: int) -> Known:
        elements, chosen = self.subject_sets(understood.slots, chances_of(seeds), samples)
        known: Known = self.denoiser.remember(
            understood.tokens, elements, chosen, samples, hidden=understood.hidden
        )
        return known

    def subject_sets(
        self, slots: Tensor | None, chances: Tensor, samples: int
    ) -> tuple[Tensor | None, Tensor | None]:
        """Vectors of S [B, N, slots, subject], and which of them each reaction has; `chances` as
        `chances_of` a seed."""
        if self.vectors is None or slots is None:
            return None, None
        number = torch.arange(samples, device=slots.device) if self.config.steering else None
        return self.vectors(slots), steered(slots, chances, number)

    def manner(self, seeds: Tensor, samples: int, controls: Controls) -> Manner:
        """v and the smoothness of K reactions; a conversation keeps them."""
        config = self.config
        variation = smoothness = None
        if config.variation and "variation" not in controls.without:
            variation = self.draw(seeds, samples, "mreactor/variation", 0, (config.variation,))
        if config.smoothness and "smoothness" not in controls.without:
            asked = self.usual_smoothness if controls.smoothness is None else controls.smoothness
            smoothness = torch.as_tensor(asked, device=seeds.device, dtype=torch.float32)
            smoothness = smoothness.expand(len(seeds), samples)
        return Manner(variation, smoothness)

    def start(self, seeds: Tensor, samples: int, first: Tensor | int, count: int) -> Tensor:
        """Noise of `count` tokens from number `first`, one or [B], on, [B, K, N, numbers]."""
        patch, length, past = self.config.patch, self.config.smooth_noise, self.config.noise_tokens
        index = torch.arange(past + count, device=seeds.device)
        if isinstance(first, Tensor):
            index = (first[:, None] + index)[:, None]
        else:
            index = (first + index)[None, None]
        which = torch.arange(samples, device=seeds.device)
        numbers = (patch * LISTENER,)
        drawn = noise.normal(
            seeds[:, None, None], which[None, :, None], "mreactor/start", index, numbers
        )
        if past:  # numbers count from the first token that is mixed into token 0
            frames = unpatched(drawn, patch, (past + count) * patch)
            before, here = frames.split([past * patch, count * patch], dim=-2)
            drawn = patched(smoothed(here, length, before), patch)
        return self.config.temperature * drawn

    def sampled(self, denoise: Callable[[Tensor, Tensor], Tensor], start: Tensor) -> Tensor:
        """From noise [R, N, numbers] to clean tokens."""
        levels = alpha_bars(cosine_betas(self.config.steps))
        steps = trailing_steps(self.config.steps, self.config.sampling_steps)
        return ddim(denoise, start, levels, steps, prediction="x0")

    def raw(self, scaled: Tensor) -> Tensor:
        """Standardised numbers [..., 83] in their own units."""
        return scaled * self.listener_scale.std + self.listener_scale.mean

    def frames(self, clean: Tensor, frames: int) -> Tensor:
        """Clean tokens [B, K, N, numbers] as frames in their own units, [B, K, T, 83]."""
        return self.raw(unpatched(clean, self.config.patch, frames))

    @staticmethod
    def channels(raw: Tensor) -> dict[str, Tensor]:
        """Frames [B, K, T, 83] as channels [B, K, T, ...] in their ranges."""
        attributes, coefficients = raw.split([25, 58], -1)
        return attribute_channels(attributes_in_range(attributes)) | coefficient_channels(
            coefficients
        )

    @property
    def looks_ahead(self) -> bool:
        """Whether a frame of a reaction attends to what comes after it."""
        return not self.config.online

    def attention_maps(
        self, speaker: Behaviour, *, seed: int = 0, window: int | None = None
    ) -> dict[str, Tensor]:
        """What one reaction to a clip [T] attends to, at the last denoising step.

        Returns:
            "heard", to the speaker, and "own", to the reaction itself, [heads, T, T] as far as the
            model has them: the mean over its layers; frames of a patch share their weights. Rows
            sum to 1, but for `decay = "post"`.

        Raises:
            InputError: several clips, or a `window`, which this model does not have.
        """
        if window is not None:
            raise InputError(f"{self.name} has no window between latents; leave it out.")
        read = self.check_speaker(speaker)
        if read.lead:
            raise InputError(f"attention maps are of one clip, not of {list(read.lead)}.")
        seeds = torch.tensor(seeds_of(seed, 1), device=read.device)
        watch: dict[str, list[Tensor]] = {}
        with self.sampling():
            self.react_with(read.unsqueeze(), seeds, 1, Controls(), watch=watch)
        frame = torch.arange(read.frames, device=read.device)
        token = frame // self.config.patch
        share = token.bincount()[token].to(torch.float32)  # frames that a token's weight is for
        maps = {}
        for name, parts in watch.items():
            if parts:
                mean = torch.stack(parts[-self.config.layers :]).mean(0)[0]
                maps[name] = mean[:, token][:, :, token] / share
        return maps

    def session(self, num_samples: int = 1) -> MReactorSession:
        """Streams the online variant: hop and latency are a patch, the same cost at any time.

        Raises:
            OfflineOnly: it is not configured online; guidance other than 1 is offline alone.
        """
        if not self.config.online or self.config.guidance != 1:
            return super().session(num_samples)  # type: ignore[return-value]
        return MReactorSession(self, hop=self.config.patch, num_samples=num_samples)

    # ------------------------------------------------------------------ training

    def smoothness_of(self, listeners: Tensor, known: Tensor) -> Tensor:
        """exp(-mean |second difference| / the corpus' mean), in [0, 1]; [..., T, 83] to [...]."""
        return torch.exp(-jerkiness(listeners, known) / self.listener_jerkiness)

    def fit(self, batches: Iterable[Batch]) -> None:
        """Means and deviations of what is read and made, and how smooth listeners are."""
        moments = {
            name: [RunningMoments(size) for size in source.sizes]
            for name, source in self._sources()
        }
        listener, jerks = RunningMoments(LISTENER), []
        for batch in batches:
            speaker = self.with_words(batch.speaker)
            for name, source in self._sources():
                for found, rows in zip(moments[name], source.rows(speaker), strict=True):
                    found.update(rows)
            values, mask = listener_rows(batch.listener)
            listener.update(values[mask])
            jerks.append(jerkiness(values, mask).cpu())
        with torch.no_grad():
            for name, source in self._sources():
                for found, scale in zip(moments[name], source.scales, strict=True):
                    assert isinstance(scale, Standardise)
                    if found.count:
                        found.write_to(scale)
            listener.write_to(self.listener_scale)
            if jerks:
                each = torch.cat(jerks)
                self.listener_jerkiness.copy_(each.mean().clamp(min=1e-6))
                usual = torch.exp(-each / self.listener_jerkiness.to(each))
                self.usual_smoothness.copy_(usual.median())

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        return terms(self, batch)


SWITCHES = ("behaviour", "subjects", "variation", "smoothness")
"""C, S, v and the smoothness control, each of which can be left out."""


@dataclasses.dataclass(frozen=True)
class Controls:
    """What of the condition is exchanged or left out in one generation."""

    without: tuple[str, ...] = ()
    """Names of embeddings (`lip`, ...) or of `SWITCHES`."""
    replaced: Mapping[str, Tensor] = dataclasses.field(default_factory=dict)
    """Embeddings [B, N, region] (or what expands to it) in place of the speaker's."""
    smoothness: float | None = None
    """In [0, 1]; None is the training listeners' median."""
