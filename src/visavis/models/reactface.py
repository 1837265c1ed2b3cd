"""ReactFace (Luo et al., IEEE TVCG 2024): online reactions from a latent that drifts.

Speaker's face and speech become a motion sequence (SpeakFormer). Every `window` frames two
distribution tokens read the listener's own past, fused with the speaker's, and give a Gaussian; a
draw, blended with the last window's latent by momentum, is laid over the window's frames and
decoded; two cross-attentions with alignment biases synchronise the result with the speaker.

Truly causal, hop 1, latency 0: a window's latent comes from the frames before it, and within a
window frame t sees speaker and own frames up to t, at whatever chunks they come. Attention reaches
back over `horizon` frames whatever the window is (the published window of 8 frames at inference
would see a third of a second), so memory is bounded and a step costs the same at any time.

Where we differ from the released code, on purpose: nothing sees the future (released: the encoder's
padding and normalisation, SpeakFormer's first cross-attention, the audio mask of the past branch);
the bias is Eq. 17 (released: times slopes, and for speech another alignment); the first latent is
drawn before anything was seen (released: from the window it is to answer); own tokens get their
position once; coefficients are scaled by the listeners' deviations inside; positions begin again
after 5000 frames, and training begins at a random one; a stack that is built and never called
(397,568 parameters) is not built. VIM comes before MIM, as Eq. 14 and 15 have it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor, nn

from visavis.behaviour import Behaviour
from visavis.channels import GROUPS, STANDARD
from visavis.dyad import Batch, Persona
from visavis.errors import InputError
from visavis.models._base import Objective, ReactionModel, Samples
from visavis.models._checks import seeds_of
from visavis.models._outputs import coefficient_channels
from visavis.models._reactface_clip import laid_out, motion_of, roll_out, speaker_of
from visavis.models._reactface_config import ReactFaceConfig
from visavis.models._reactface_layers import (
    COEFFICIENTS,
    POSITIONS,
    Heard,
    Interaction,
    Moment,
    ReactionDecoder,
    SpeakerHead,
    SpeakFormer,
    Synchroniser,
    interpolated,
    projected,
)
from visavis.models._reactface_losses import reaction_terms, speaker_error
from visavis.models._reactface_session import ReactFaceSession
from visavis.models._sources import average_where_lost, observed_rows
from visavis.nn.alignment import interaction_bias, slopes
from visavis.nn.attention import DecoderLayer
from visavis.nn.causal_conv3d import CausalVideoEncoder
from visavis.nn.gaussian import Gaussian, TokenGaussian
from visavis.nn.positions import periodic
from visavis.nn.standardise import RunningMoments, Standardise
from visavis.nn.subspace import RunningCovariance, Subspace

_NO_PERIOD = 1 << 40
"""Frames of a unit in which all keys weigh the same."""


@dataclasses.dataclass
class Prospect:
    """A speaker to answer, and the Gaussians of the windows answered so far."""

    fused: Tensor
    """[B, T, (1 + k) C]"""
    gaussians: list[Gaussian]
    """Of the windows, [B K, C] each; before an answer the first one alone, [B, C]."""

    @property
    def mean(self) -> Tensor:
        """[windows, B K, C]"""
        return torch.stack([g.mean for g in self.gaussians])

    def kl(self, other: Prospect | None = None) -> Tensor:
        """To the standard normal, or window by window to another's, [windows, B K, C]."""
        pairs = zip(self.gaussians, other.gaussians, strict=True) if other else None
        if pairs is None:
            return torch.stack([g.kl() for g in self.gaussians])
        return torch.stack([mine.kl(theirs) for mine, theirs in pairs])


class ReactFace(ReactionModel[ReactFaceConfig]):
    """See the module's text; a `SplitModel`."""

    config_class = ReactFaceConfig
    sampled_with = ("temperature",)

    def __init__(self, config: ReactFaceConfig) -> None:
        super().__init__(config)
        width, heads, drop = config.width, config.heads, config.dropout
        self.rate = STANDARD[config.speech].rate if config.speech != "none" else 1
        """k, speech ticks a frame."""
        self.d_face, self.d_speech = width, width * self.rate
        self.face_scale = Standardise(COEFFICIENTS)
        """Of the speaker's coefficients: what is read, or what the auxiliary head returns."""
        self.face: CausalVideoEncoder | nn.Linear | None = None
        if config.face == "pixels":
            self.face = CausalVideoEncoder(width)
        elif config.face == "coefficients":
            self.face = nn.Linear(COEFFICIENTS, width)
        self.nobody = None if self.face is not None else nn.Parameter(torch.zeros(width))
        speech_width = STANDARD[config.speech].size if config.speech != "none" else 0
        self.speech_scale = Standardise(speech_width)
        self.speech: nn.Linear | None = nn.Linear(speech_width, width) if speech_width else None
        self.silence = None if self.speech is not None else nn.Parameter(torch.zeros(width))
        self.drop = nn.Dropout(drop)
        self.speaker = SpeakFormer(width, heads, drop)
        self.speaker_head = SpeakerHead(width, heads, drop) if config.speaker_weight else None
        latent = TokenGaussian(
            width,
            config.latent_heads,
            config.latent_hidden,
            layers=config.latent_layers,
            dropout=drop,
        )
        self.interaction = Interaction(width, heads, latent, dropout=drop)
        self.decoder = ReactionDecoder(width, heads, drop)
        self.synchroniser = Synchroniser(
            width, heads, drop, visual=config.visual, modality=config.modality
        )
        self.listener_scale = Standardise(COEFFICIENTS)
        """Of the listener's coefficients, which the network makes and reads standardised."""
        self.listener_space = None if config.subspace is None else Subspace(COEFFICIENTS)
        """Where they stay when they leave; the network reads its own ones as it made them."""
        self.inert = self._inert()

    def _inert(self) -> tuple[str, ...]:
        """With one speech tick a frame, point-to-point attention is over one key: neither query
        nor key changes its weight, 1."""
        if self.rate > 1:
            return ()
        layers = ["speaker.layers.1.cross_attention", "speaker.layers.2.cross_attention"]
        if self.config.modality == "point":
            layers.append("synchroniser.modality.cross_attention")
        return tuple(f"{layer}.{part}" for layer in layers for part in ("query", "key"))

    @property
    def inputs(self) -> tuple[str, ...]:
        return tuple(n for n in (self.config.face, self.config.speech) if n != "none")

    @property
    def outputs(self) -> tuple[str, ...]:
        return ("coefficients",)

    # ------------------------------------------------------------------ the speaker

    def encode_face(self, speaker: Behaviour) -> Tensor:
        """Speaker [B, T] to face tokens [B, T, C]; an unobserved frame is the average face, or a
        grey picture."""
        return self.face_tokens(speaker, None)[0]

    def face_tokens(
        self, speaker: Behaviour, tail: tuple[Tensor, ...] | None
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Face tokens [B, t, C] of frames that go on after `tail`, and the tail of the next ones;
        only pictures need one."""
        if self.face is None:
            assert self.nobody is not None
            nobody: Tensor = self.nobody.expand(*speaker.lead, speaker.frames, -1)
            return nobody, ()
        if isinstance(self.face, CausalVideoEncoder):
            tokens: Tensor
            tokens, tail = self.face(speaker.filled("pixels", 128), tail)
            return tokens, tail
        out: Tensor = self.face(average_where_lost(speaker, "coefficients", self.face_scale))
        return out, ()

    def tail_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Of what `face_tokens` hands on, without B."""
        if not isinstance(self.face, CausalVideoEncoder):
            return ()
        with torch.no_grad():
            frame = self.face.linear.weight.new_zeros(1, 1, *STANDARD["pixels"].shape)
            _, tail = self.face(frame)
        return tuple(tuple(x.shape[1:]) for x in tail)

    def encode_speech(self, speaker: Behaviour) -> Tensor:
        """Speaker [B, T] to speech tokens, k side by side, [B, T, k C]; an unobserved frame is the
        average sound."""
        if self.speech is None:
            assert self.silence is not None
            silence: Tensor = self.silence.expand(*speaker.lead, speaker.frames, -1)
            return silence
        known = average_where_lost(speaker, self.config.speech, self.speech_scale)
        tokens: Tensor = self.speech(known)
        side_by_side: Tensor = tokens.unflatten(-2, (-1, self.rate)).flatten(-2)
        return side_by_side

    def ticks(self, speech: Tensor) -> Tensor:
        """Speech tokens [B, T, k C] to [B, T k, C]."""
        ticks: Tensor = speech.unflatten(-1, (self.rate, -1)).flatten(-3, -2)
        return ticks

    def places(self, frames: Tensor) -> Tensor:
        """Periodic positions of frame numbers, [..., t, C]."""
        return periodic(frames, self.config.width, self.config.period)

    def moment(self, frames: Tensor, held: Tensor, ticks: Tensor, past: Tensor) -> Moment:
        """Biases of frames [1 or B, t] over the numbers of held frames [.., S], speech ticks
        [.., k S] and own past frames [.., P]."""
        period, horizon = self.config.period, self.config.horizon
        frame = interaction_bias(frames, held, period=period, horizon=horizon)[:, None]
        tick = frame
        if self.rate > 1:
            tick = interaction_bias(frames, ticks, period=period, rate=self.rate, horizon=horizon)
            tick = tick[:, None]
        if self.config.bias == "slopes":
            each = slopes(self.config.heads).to(frames.device)[:, None, None]
            frame, tick = frame * each, tick * each
        own = interaction_bias(frames, past, period=_NO_PERIOD, horizon=self.config.past)
        return Moment(frame, tick, own[:, None], self.places(frames))

    def fuse(self, face: Tensor, speech: Tensor) -> Tensor:
        """Tokens of a whole clip to motion and speech side by side, [B, T, (1 + k) C]."""
        return torch.cat([motion_of(self, face, speech)[0], speech], dim=-1)

    # ------------------------------------------------------------------ the listener

    @property
    def own_caches(self) -> tuple[str, ...]:
        """Names of what is kept of each sample's own past."""
        return (*self.synchroniser.caches, *self.interaction.caches)

    def hear(self, motion: Tensor, speech: Tensor) -> Heard:
        """Keys and values of the speaker's motion [B, t, C] and speech [B, t, k C]."""
        tokens = self.ticks(speech)
        visual, modality = self.synchroniser.visual, self.synchroniser.modality
        of_speech, of_motion = self.interaction.fusion
        assert isinstance(of_speech, DecoderLayer) and isinstance(of_motion, DecoderLayer)
        if self.synchroniser.pointwise:
            modality = None
        return Heard(
            None if visual is None else projected(visual.cross_attention, motion),
            None if modality is None else projected(modality.cross_attention, tokens),
            projected(of_speech.cross_attention, tokens),
            projected(of_motion.cross_attention, motion),
            tokens,
        )

    def next_latent(
        self, draw: Tensor, before: Tensor | None, window: int
    ) -> tuple[Tensor, Tensor]:
        """A window's latent (Eq. 10) and those of its frames (Eq. 11).

        Args:
            draw: z*, [N, C].
            before: the last window's latent [N, C]; None before the first window, whose latent is
                the draw itself, all over it.

        Returns:
            [N, C] and [N, w, C].
        """
        last = draw if before is None else before
        latent = torch.lerp(draw, last, self.config.momentum)
        return latent, interpolated(last, latent, window, self.config.interpolation)

    def roll(
        self,
        fused: Tensor,
        samples: int,
        noise: Callable[[int], Tensor],
        *,
        window: int | None = None,
        offset: int = 0,
        watch: dict[str, list[Tensor]] | None = None,
    ) -> tuple[Tensor, list[Gaussian]]:
        """Reactions to a whole clip: `_reactface_clip.roll_out`, by default in `config.window`."""
        window = window or self.config.window
        return roll_out(self, fused, samples, noise, window=window, offset=offset, watch=watch)

    def coefficients(self, raw: Tensor) -> Tensor:
        """Standardised coefficients [..., 58] in their own units, unclamped."""
        if self.listener_space is not None:
            raw = self.listener_space(raw)
        return raw * self.listener_scale.std + self.listener_scale.mean

    # ------------------------------------------------------------------ generation

    def encode(self, speaker: Behaviour) -> Tensor:
        """Speaker [B, T] to what `roll` reads, [B, T, (1 + k) C]."""
        return self.fuse(self.encode_face(speaker), self.encode_speech(speaker))

    def predict(self, fused: Tensor, mask: Tensor | None = None) -> Prospect:
        """What is to be answered. A window's Gaussian depends on what was drawn before it, so the
        later ones come with `decode`; padding, which is behind a clip, changes nothing."""
        first = self.interaction.distribution({}, len(fused))
        return Prospect(fused, [first])

    def sample(
        self, distribution: Prospect, seeds: Tensor, num_samples: Samples, index: int = 0
    ) -> Tensor:
        """Noise of every window from number `index` on, [B, K, windows, C]: its draw is mean +
        deviation x noise, but mean and deviation are known when the window begins."""
        noise = self.noise_of(seeds, num_samples)
        windows = -(-distribution.fused.shape[1] // self.config.window)
        return torch.stack([noise(index + i) for i in range(windows)], dim=2)

    def decode(
        self,
        latent: Tensor,
        frames: int,
        *,
        distribution: Prospect | None = None,
        window: int | None = None,
    ) -> dict[str, Tensor]:
        """Noise [B, K, windows, C] to coefficients [B, K, T, 58]; adds the Gaussians of the windows
        to `distribution`, which says what is answered. `window` is the config's by default.

        Raises:
            InputError: without `distribution`.
        """
        if distribution is None:
            raise InputError("reactface decodes an answer to somebody: give the distribution.")
        raw, gaussians = self.roll(
            distribution.fused[:, :frames],
            latent.shape[1],
            lambda i: latent[:, :, i],
            window=window,
        )
        distribution.gaussians[:] = gaussians
        return {"coefficients": self.coefficients(raw)}

    def base_loss(
        self, distribution: Prospect, latent: Tensor, batch: Batch, *, window: int | None = None
    ) -> dict[str, Tensor]:
        """The configured objective for draws [B, M, windows, C]; M is 2 or `draws` or more."""
        frames = batch.speaker.frames
        made = self.decode(latent, frames, distribution=distribution, window=window)
        return self._terms(made["coefficients"], distribution, batch)

    def _terms(self, draws: Tensor, prospect: Prospect, batch: Batch) -> dict[str, Tensor]:
        kl = prospect.kl().mean()
        terms = reaction_terms(self.config, draws, batch)
        return terms | {"kl": self.config.kl_weight * kl, "log/kl": kl.detach()}

    def react(
        self, speaker: Behaviour, seeds: Tensor, num_samples: int, persona: Persona | None
    ) -> dict[str, Tensor]:
        raw, _ = self.roll(self.encode(speaker), num_samples, self.noise_of(seeds, num_samples))
        return coefficient_channels(self.coefficients(raw))

    def noise_of(self, seeds: Tensor, samples: Samples) -> Callable[[Tensor | int], Tensor]:
        """Window numbers, one or [B], to the noise of their draws [B, K, C]."""

        def noise(window: Tensor | int) -> Tensor:
            redraw = self.config.redraw
            index = window // redraw if redraw else window * 0
            drawn = self.draw(seeds, samples, "reactface/latent", index, (self.config.width,))
            return self.config.temperature * drawn

        return noise

    def attention_maps(
        self, speaker: Behaviour, *, seed: int = 0, window: int | None = None
    ) -> dict[str, Tensor]:
        """What one reaction to a clip [T] attends to (the paper's Fig. 9, head by head).

        Args:
            window: w; the config's by default.

        Returns:
            "visual" (VIM) [heads, T, T] and "modality" (MIM) [heads, T, k T], as far as the model
            has them: row t is frame t of the reaction, column j the speaker's tick j. Rows sum to
            1; 0 ahead of a frame and behind its horizon.

        Raises:
            InputError: several clips, or `window` below 1.
        """
        if window is not None and window < 1:
            raise InputError(f"window must be at least 1 frame, not {window}.")
        read = self.check_speaker(speaker)
        if read.lead:
            raise InputError(f"attention maps are of one clip, not of {list(read.lead)}.")
        watch: dict[str, list[Tensor]] = {"visual": [], "modality": []}
        seeds = torch.tensor(seeds_of(seed, 1), device=read.device)
        with self.sampling():
            fused = self.encode(read.unsqueeze())
            self.roll(fused, 1, self.noise_of(seeds, 1), window=window, watch=watch)
        rates = {"visual": 1, "modality": self.rate}
        return {name: laid_out(parts, rates[name]) for name, parts in watch.items() if parts}

    def session(self, num_samples: int = 1) -> ReactFaceSession:
        """Streams the model: hop 1, latency 0, the same cost at any time."""
        return ReactFaceSession(self, num_samples)

    # ------------------------------------------------------------------ training

    def fit(self, batches: Iterable[Batch]) -> None:
        """Means and deviations of the speakers' inputs and of both sides' coefficients."""
        face, listener = RunningMoments(COEFFICIENTS), RunningMoments(COEFFICIENTS)
        speech = RunningMoments(self.speech_scale.mean.numel())
        together = RunningCovariance(COEFFICIENTS)
        for batch in batches:
            rows = observed_rows(batch.listener, "coefficients")
            listener.update(rows)
            if self.listener_space is not None:
                together.update(rows)
            if all(n in batch.speaker for n in GROUPS["coefficients"]):
                face.update(observed_rows(batch.speaker, "coefficients"))
            if self.speech is not None:
                speech.update(observed_rows(batch.speaker, self.config.speech))
        with torch.no_grad():
            listener.write_to(self.listener_scale)
            if self.listener_space is not None and self.config.subspace is not None:
                std = self.listener_scale.std
                together.write_to(self.listener_space, share=self.config.subspace, std=std)
            if face.count:
                face.write_to(self.face_scale)
            if self.speech is not None:
                speech.write_to(self.speech_scale)

    def objectives(self, stage: str = "main") -> tuple[Objective, ...]:
        """One objective; that of the stage "mean", which learns when to move, asks no variety."""
        (whole,) = super().objectives(stage)
        if stage != "mean":
            return (whole,)

        def alike(batch: Batch) -> Mapping[str, Tensor]:
            unasked = ("variety", "coverage", "diversity")
            return {n: x for n, x in self._loss(batch, 2).items() if n not in unasked}

        return (dataclasses.replace(whole, loss=alike),)

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        return self._loss(batch, self.config.draws)

    def _loss(self, batch: Batch, samples: int) -> dict[str, Tensor]:
        config = self.config
        window, offset = config.window, 0
        if self.training:
            choice = int(torch.randint(len(config.training_windows), ()))
            window = config.training_windows[choice]
            offset = config.period * int(torch.randint(POSITIONS // config.period, ()))
        speech = self.encode_speech(batch.speaker)
        motion, second = motion_of(self, self.encode_face(batch.speaker), speech, offset)
        fused = torch.cat([motion, speech], dim=-1)
        noise = self._training_noise(len(fused), samples, fused)
        raw, gaussians = self.roll(fused, samples, noise, window=window, offset=offset)
        terms = self._terms(self.coefficients(raw), Prospect(fused, gaussians), batch)
        if self.speaker_head is not None:
            made = speaker_of(self, second, offset)
            terms["speaker"] = config.speaker_weight * speaker_error(made, batch)
        return terms

    def _training_noise(self, clips: int, samples: int, like: Tensor) -> Callable[[int], Tensor]:
        kept: dict[int, Tensor] = {}

        def noise(window: int) -> Tensor:
            redraw = self.config.redraw
            index = window // redraw if redraw else 0
            if index not in kept:
                kept.clear()
                kept[index] = torch.randn(
                    clips, samples, self.config.width, device=like.device, dtype=like.dtype
                )
            return kept[index]

        return noise
