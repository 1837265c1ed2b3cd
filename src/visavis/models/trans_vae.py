"""Trans-VAE, the REACT challenge's baseline (Song et al., REACT2023 and REACT2024).

A speaker encoder (face and MFCC features, fused a frame at a time), a transformer head that turns
the sequence into one Gaussian, and a transformer decoder that lays a draw out over time. Offline
one latent answers a whole clip; online (`online=True`) a fresh latent answers every window, drawn
from the prefix heard so far and the listener's own past (see `_trans_vae_online`).

Where we differ from the released code, on purpose: attributes pass through sigmoid, tanh and
softmax (released: raw); inputs are standardised by statistics kept with the weights; pixels are
normalised a frame at a time, so that no frame sees another; the last, shorter window is generated
(released: zeros); the clip is encoded once for all samples; the `fusion` layer, which the released
offline model builds and never calls (27,136 parameters), exists only online. What is ours (`timed`,
`recency`, the objective "appropriate", how draws are made) is off by default.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from visavis.behaviour import Behaviour
from visavis.channels import GROUPS, STANDARD
from visavis.dyad import Batch, Persona
from visavis.models._base import Objective, ReactionModel, Samples
from visavis.models._clip_decoder import HeardGaussian, Hearing
from visavis.models._outputs import attribute_channels, coefficient_channels
from visavis.models._personal import expressed, rest_of
from visavis.models._speaker_face import COEFFICIENTS, FaceCoefficients, FrameConvolutions
from visavis.models._steady import steadied
from visavis.models._trans_vae_config import TransVAEConfig
from visavis.models._trans_vae_losses import objective_terms
from visavis.models._trans_vae_online import OnlineBranch, OnlineState, TransVAESession
from visavis.nn.attention import DecoderLayer
from visavis.nn.gaussian import Gaussian, TokenGaussian
from visavis.nn.positions import sinusoid
from visavis.nn.standardise import RunningMoments, Standardise

ATTRIBUTES = 25


class TransVAE(ReactionModel[TransVAEConfig]):
    """See the module's text; a `SplitModel`."""

    config_class = TransVAEConfig
    sampled_with = ("temperature", "steady", "vividness")
    # the first decoder layer attends to one token, the latent: no query or key changes that
    inert = ("decoder.0.cross_attention.query", "decoder.0.cross_attention.key")
    rest_coefficients: Tensor
    rest_attributes: Tensor

    def __init__(self, config: TransVAEConfig) -> None:
        super().__init__(config)
        width, heads, drop = config.width, config.heads, config.dropout
        self.d_face = self.d_speech = width
        self.face: FaceCoefficients | FrameConvolutions = (
            FrameConvolutions(width) if config.face == "pixels" else FaceCoefficients(width)
        )
        self.speech_scale = Standardise(STANDARD["mfcc78"].size)
        self.speech = nn.Linear(STANDARD["mfcc78"].size, width)
        self.fusion = nn.Linear(2 * width, width)
        self.hearing: Hearing | None = None
        if config.timed:
            self.hearing = Hearing(width)
            self.register_buffer("rest_coefficients", torch.zeros(COEFFICIENTS))
            self.register_buffer("rest_attributes", torch.zeros(ATTRIBUTES))
        self.latent = TokenGaussian(width, heads, 2 * width, dropout=drop)
        self.decoder = nn.ModuleList(
            DecoderLayer(width, heads, 2 * width, dropout=drop) for _ in range(2)
        )
        self.drop = nn.Dropout(drop)
        self.to_coefficients = nn.Linear(width, COEFFICIENTS)
        self.to_attributes = nn.Sequential(
            nn.Linear(width + COEFFICIENTS, width), nn.Linear(width, ATTRIBUTES)
        )
        self.online: OnlineBranch | None = None
        if config.online:
            self.online = OnlineBranch(width, heads, drop, config.past, recency=config.recency)

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.config.face, "mfcc78")

    @property
    def outputs(self) -> tuple[str, ...]:
        return ("attributes", "coefficients")

    # ------------------------------------------------------------------ the parts (SplitModel)

    def encode_face(self, speaker: Behaviour) -> Tensor:
        """Speaker [B, T] to [B, T, C]; an unobserved frame is the average face, or black."""
        if isinstance(self.face, FrameConvolutions):
            out: Tensor = self.face(speaker.filled("pixels", 0))
            return out
        names = GROUPS["coefficients"]
        values = torch.cat([speaker.filled(n, float("nan")) for n in names], dim=-1)
        known = torch.where(values.isnan(), self.face.scale.mean, values)
        features: Tensor = self.face(known)
        return features

    def encode_speech(self, speaker: Behaviour) -> Tensor:
        """Speaker [B, T] to [B, T, C]; an unobserved frame is the average sound."""
        values = speaker.filled("mfcc78", float("nan"))
        known = torch.where(values.isnan(), self.speech_scale.mean, values)
        out: Tensor = self.speech(self.speech_scale(known))
        return out

    def fuse(self, face: Tensor, speech: Tensor) -> Tensor:
        out: Tensor = self.fusion(torch.cat([face, speech], dim=-1))
        return out

    def predict(self, fused: Tensor, mask: Tensor | None = None) -> Gaussian:
        """[B, T, C] to one Gaussian [B, C] for the clip, with `timed` a `HeardGaussian`; mask bool
        [B, T]."""
        out: Gaussian = self.latent(fused, mask)
        if self.hearing is None:
            return out
        return HeardGaussian(out.mean, out.log_variance, self.hearing(fused, mask))

    def sample(
        self, distribution: Gaussian, seeds: Tensor, num_samples: Samples, index: int = 0
    ) -> Tensor:
        """K latents [B, K, 1, C]; `index` is the number of the window."""
        eps = self.draw(seeds, num_samples, "trans_vae/latent", index, (self.config.width,))
        return self._at(distribution, self.config.temperature * eps)

    def draws(self, distribution: Gaussian, count: int | None = None) -> Tensor:
        """The latents that the objective scores, [B, K, 1, C], K `config.draws` by default."""
        mean = distribution.mean
        shape = (len(mean), count or self.config.draws, mean.shape[-1])
        return self._at(distribution, torch.randn(shape, device=mean.device, dtype=mean.dtype))

    @staticmethod
    def _at(distribution: Gaussian, noise: Tensor) -> Tensor:
        """Noise [B, K, C] to latents [B, K, 1, C]."""
        apart = Gaussian(distribution.mean[:, None], distribution.log_variance[:, None])
        return apart.at(noise)[:, :, None]

    def decode(
        self,
        latent: Tensor,
        frames: int,
        *,
        distribution: Gaussian | None = None,
        inside: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Latents [B, K, 1, C] to raw coefficients [B, K, T, 58] and attributes [B, K, T, 25]."""
        heard = None
        if self.hearing is not None:
            assert isinstance(distribution, HeardGaussian), "the timed decoder reads what was heard"
            heard = distribution.heard
        hidden = self.unroll(latent, frames, heard=heard, inside=inside)
        coefficients = self.to_coefficients(hidden)
        return {"coefficients": coefficients, "attributes": self.attributes(coefficients, hidden)}

    def base_loss(self, distribution: Gaussian, latent: Tensor, batch: Batch) -> dict[str, Tensor]:
        """The configured objective for what `draws` drew (`_trans_vae_losses`)."""
        inside = None if batch.lengths is None else batch.listener.inside()

        def decoded(latent: Tensor) -> dict[str, Tensor]:
            frames = batch.listener.frames
            return self.decode(latent, frames, distribution=distribution, inside=inside)

        if self.config.objective == "appropriate":
            draws = decoded(latent)
        else:  # the second draw has no gradient, as in the released code
            first = decoded(latent[:, :1])
            with torch.no_grad():
                second = decoded(latent[:, 1:])
            draws = {n: torch.cat([first[n], second[n]], 1) for n in first}
        return objective_terms(self.config, draws, distribution.kl().mean(), batch)

    # ------------------------------------------------------------------ decoder

    def unroll(
        self,
        latent: Tensor,
        frames: int,
        *,
        heard: Tensor | None = None,
        inside: Tensor | None = None,
    ) -> Tensor:
        """Latents [B, K, 1, C] laid out over time, [B, K, T, C].

        The queries are positions alone, or what was heard [B, T, C] in their place (no clip is then
        longer than those in training were), so the first layer's self-attention is the same for
        every sample, and for every clip without `heard`; without dropout it is computed once.
        `inside` bool [B, T].
        """
        clips, samples = latent.shape[:2]
        memory = latent.flatten(0, 1)

        def each(x: Tensor) -> Tensor:
            """[1 or B or B * K, T, C] to [B * K, T, C]."""
            if len(x) == clips:
                return x.repeat_interleave(samples, dim=0)
            return x.expand(len(memory), -1, -1)

        queries = heard
        if queries is None:
            queries = sinusoid(torch.arange(frames, device=latent.device), self.config.width)[None]
        if self.training and self.drop.p:
            queries = each(queries)
        first, second = self.decoder
        assert isinstance(first, DecoderLayer) and isinstance(second, DecoderLayer)
        queries = self.drop(queries)
        queries = first.after_self(queries, first.self_attention(queries, queries, causal=True))
        x = first.after_cross(each(queries), first.cross_attention.of_one(memory))
        seen = None
        if inside is not None:
            seen = inside.repeat_interleave(samples, dim=0)[:, None, None]
        x = second(x, x, causal=True, memory_mask=seen)
        apart: Tensor = x.unflatten(0, (clips, samples))
        return apart

    def attributes(self, coefficients: Tensor, hidden: Tensor) -> Tensor:
        """[..., 58] and [..., C] to AU probabilities, V/A and expressions, [..., 25]."""
        one, two = self.to_attributes
        assert isinstance(one, nn.Linear) and isinstance(two, nn.Linear)
        if not torch.is_grad_enabled():  # two linear maps in a row are one, and cheaper
            weight, bias = two.weight @ one.weight, two.bias + two.weight @ one.bias
            raw = nn.functional.linear(coefficients, weight[:, :COEFFICIENTS], bias)
            raw = raw + nn.functional.linear(hidden, weight[:, COEFFICIENTS:])
        else:
            raw = self.to_attributes(torch.cat([coefficients, hidden], dim=-1))
        au, va, expression = raw.split([15, 2, 8], dim=-1)
        return torch.cat([au.sigmoid(), va.tanh(), expression.softmax(-1)], dim=-1)

    # ------------------------------------------------------------------ generation

    def encode(self, speaker: Behaviour) -> Tensor:
        """Speaker [B, T] to fused features [B, T, C]."""
        return self.fuse(self.encode_face(speaker), self.encode_speech(speaker))

    def react(
        self, speaker: Behaviour, seeds: Tensor, num_samples: int, persona: Persona | None
    ) -> dict[str, Tensor]:
        return self.react_to_features(
            self.encode(speaker), seeds, num_samples, lengths=speaker.lengths
        )

    def react_to_features(
        self, features: Tensor, seeds: Tensor, num_samples: int, *, lengths: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Fused speaker features [B, T, C] to output channels [B, K, T, ...]."""
        frames = features.shape[1]
        inside = None
        if lengths is not None:
            inside = torch.arange(frames, device=features.device) < lengths[:, None]
        if self.online is None:
            distribution = self.predict(features, inside)
            latent = self.sample(distribution, seeds, num_samples)
            raw = self.decode(latent, frames, distribution=distribution, inside=inside)
            return self.channels_of(raw, inside)
        state = self.online.start(self, len(seeds), num_samples)
        parts = []
        for start in range(0, frames, self.config.window):
            stop = min(start + self.config.window, frames)
            mask = None if inside is None else inside[:, start:stop]
            state, out, _ = self.step(features[:, start:stop], state, seeds, num_samples, mask)
            parts.append(out)
        return as_channels({n: torch.cat([p[n] for p in parts], dim=2) for n in parts[0]})

    def channels_of(
        self, raw: Mapping[str, Tensor], inside: Tensor | None = None
    ) -> dict[str, Tensor]:
        """What `decode` gave by channel, AUs steadied and all as vivid as is asked; `inside` bool
        [B, T]."""
        channels = as_channels(raw)
        channels["au"] = steadied(channels["au"], self.config.steady, inside)
        if self.config.vividness == 1:
            return channels
        rest = rest_of(self.rest_coefficients, self.rest_attributes)
        return expressed(channels, rest, self.config.vividness)

    def step(
        self,
        features: Tensor,
        state: OnlineState,
        seeds: Tensor,
        num_samples: int,
        inside: Tensor | None = None,
    ) -> tuple[OnlineState, dict[str, Tensor], Gaussian]:
        """One online window: features [B, t, C], state, out raw channels [B, K, t, ...]."""
        assert self.online is not None

        def noise(window: Tensor) -> Tensor:
            width, redraw = (self.config.width,), self.config.redraw
            index = window // redraw if redraw else torch.zeros_like(window)
            eps = self.draw(seeds, num_samples, "trans_vae/latent", index, width)
            return self.config.temperature * eps

        return self.online.step(self, features, state, noise, inside)

    def session(self, num_samples: int = 1) -> TransVAESession:
        """Streams the online model, a window at a time; offline models raise `OfflineOnly`."""
        if self.online is None:
            super().session(num_samples)
        return TransVAESession(self, hop=self.config.window, num_samples=num_samples)

    # ------------------------------------------------------------------ training

    def fit(self, batches: Iterable[Batch]) -> None:
        """Means and deviations of the speakers' inputs, and the average listener's face."""
        face, speech = RunningMoments(COEFFICIENTS), RunningMoments(self.speech_scale.mean.numel())
        listener, attributes = RunningMoments(COEFFICIENTS), RunningMoments(ATTRIBUTES)
        for batch in batches:
            speech.update(_observed_rows(batch.speaker, ("mfcc78",)))
            listener.update(_observed_rows(batch.listener, GROUPS["coefficients"]))
            if self.hearing is not None:
                attributes.update(_observed_rows(batch.listener, GROUPS["attributes"]))
            if isinstance(self.face, FaceCoefficients):
                face.update(_observed_rows(batch.speaker, GROUPS["coefficients"]))
        with torch.no_grad():
            speech.write_to(self.speech_scale)
            if isinstance(self.face, FaceCoefficients):
                face.write_to(self.face.scale)
            self.to_coefficients.bias.copy_(listener.mean)  # start from the average face
            if self.hearing is not None:
                self.rest_coefficients.copy_(listener.mean)
                self.rest_attributes.copy_(attributes.mean)

    def objectives(self, stage: str = "main") -> tuple[Objective, ...]:
        """One objective; that of the stage "mean", which learns when to move, asks no variety."""
        (whole,) = super().objectives(stage)
        if stage != "mean":
            return (whole,)

        def alike(batch: Batch) -> Mapping[str, Tensor]:
            unasked = ("variety", "diversity", "coverage")
            return {n: x for n, x in self._terms(batch, 2).items() if n not in unasked}

        return (replace(whole, loss=alike),)

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        return self._terms(batch, self.config.draws)

    def _terms(self, batch: Batch, draws: int) -> dict[str, Tensor]:
        features = self.encode(batch.speaker)
        if self.online is not None:
            return self._online_loss(features, batch)
        inside = None if batch.lengths is None else batch.speaker.inside()
        distribution = self.predict(features, inside)
        return self.base_loss(distribution, self.draws(distribution, draws), batch)

    def _online_loss(self, features: Tensor, batch: Batch) -> dict[str, Tensor]:
        if self.config.objective == "appropriate":
            draws, kl = self._unrolled(features, 2)
        else:
            first, kl = self._unrolled(features, 1)
            with torch.no_grad():
                second, _ = self._unrolled(features, 1)
            draws = {n: torch.cat([first[n], second[n]], 1) for n in first}
        return objective_terms(self.config, draws, kl, batch)

    def _unrolled(self, features: Tensor, samples: int) -> tuple[dict[str, Tensor], Tensor]:
        """Draws of every window in turn, [B, K, T, ...], and the mean KL over windows."""
        assert self.online is not None
        shape = (len(features), samples, self.config.width)
        kept = torch.randn(shape, device=features.device)

        def noise(window: Tensor) -> Tensor:
            nonlocal kept
            redraw = self.config.redraw
            if redraw and int(window[0]) % redraw == 0:
                kept = torch.randn(shape, device=features.device)
            return kept

        state, parts, kls = self.online.start(self, len(features), samples), [], []
        for chunk in features.split(self.config.window, dim=1):
            state, out, distribution = self.online.step(self, chunk, state, noise, None)
            parts.append(out)
            kls.append(distribution.kl().mean())
        joined = {n: torch.cat([p[n] for p in parts], dim=2) for n in parts[0]}
        return joined, torch.stack(kls).mean()


def _observed_rows(behaviour: Behaviour, names: tuple[str, ...]) -> Tensor:
    """Frames that are inside the clips and observed in all of the channels, [N, C]."""
    keep = behaviour.inside()
    for n in names:
        keep = keep & behaviour.mask(n)
    return torch.cat([behaviour.filled(n) for n in names], dim=-1)[keep]


def as_channels(raw: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Raw outputs [..., 58] and [..., 25] as named channels; blendshapes end in [0, 1]."""
    return attribute_channels(raw["attributes"]) | coefficient_channels(raw["coefficients"])
