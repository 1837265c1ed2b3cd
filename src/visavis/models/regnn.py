"""REGNN, the reversible graph network of Xu et al. (2023, arXiv 2305.15270).

A perceptual processor fuses the speaker's face and voice in windows of two seconds, a cognitive
processor says a distribution over graphs (one node an attribute, its value a track over the window)
and their edges, and a motor processor, invertible by construction, maps every appropriate real
reaction to such a graph in training and, run backwards, graphs to reactions.

Where we differ from the released code, on purpose: windows overlap by half and any length is
answered; each node keeps its own five neighbours; the layer's slope is certified, and the inverse
iterates until it has settled instead of asserting that it has; noise has a stated deviation, where
the released one is rescaled by the largest number of the whole batch; attributes end in their
ranges; the speaker is read once for all samples. The mixture that the paper announces, and the
released code builds but never uses, is used by `distribution = "mixture"`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from visavis import noise
from visavis.behaviour import Behaviour
from visavis.dyad import Batch, Persona
from visavis.models._appropriate_loss import SHARE
from visavis.models._base import STRICT, ReactionConfig, ReactionModel, Samples, numbered
from visavis.models._outputs import attribute_channels, attributes_in_range
from visavis.models._regnn_cognitive import Cognitive, ReactionGraph, as_codes, as_tokens
from visavis.models._regnn_losses import (
    SIZES,
    Targets,
    appropriate_terms,
    likelihood_terms,
    point_terms,
    targets_of,
)
from visavis.models._regnn_motor import Motor
from visavis.models._regnn_perceptual import Perceptual
from visavis.models._sources import average_where_lost, observed_rows, size_of
from visavis.models._steady import steadied
from visavis.nn.invertible import signs
from visavis.nn.smooth_noise import way
from visavis.nn.standardise import RunningMoments, Standardise
from visavis.nn.windows import count, overlap_mean, unfold


@dataclass(frozen=True, kw_only=True, config=STRICT)
class REGNNConfig(ReactionConfig):
    """The published sizes are the defaults, but for what face and voice are read from."""

    face: str = "coefficients"
    """Channel or group. The paper reads a Swin transformer's 768 numbers."""
    face_size: int | None = Field(default=None, gt=0)
    """Numbers a frame, for a channel that is not a standard one."""
    speech: str = "mfcc78"
    """Channel or group. The paper reads VGGish's 128 numbers."""
    speech_size: int | None = Field(default=None, gt=0)
    width: int = Field(default=128, gt=0)
    heads: int = Field(default=4, gt=0)
    layers: int = Field(default=5, gt=0)
    """Of each of the perceptual processor's two stacks."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    window: int = Field(default=50, gt=1)
    stride: int = Field(default=25, gt=0)
    edge_channels: int = Field(default=8, gt=0)
    neighbours: int = Field(default=5, ge=0)
    """Of a node, beside itself; 24 is the whole graph, which the released code always has."""
    motor_layers: int = Field(default=2, gt=0)
    mapped: bool = False
    """Ours: a linear map behind each motor layer, which then uses all of its certified slope."""
    distribution: Literal["point", "mixture"] = "point"
    components: int = Field(default=6, gt=0)
    noise: float = Field(default=0.058, gt=0)
    """Deviation around the point: what the released rescaling amounts to on a 30 s clip."""
    smoothness: float = Field(default=0.0, ge=0, le=1)
    """Correlation of noise from frame to frame, shared by windows; 0 is the released white noise,
    1 one draw a clip."""
    redraw: int = Field(default=0, ge=0)
    """Frames between fresh noise when it generates, with a smooth way from each to the next; 0 goes
    by `smoothness`, as training does (ours)."""
    temperature: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Of the noise of AUs, of valence and arousal, and of expressions when it generates (ours)."""
    steady: int = Field(default=1, gt=0)
    """Frames (odd) over which generated AUs are averaged; learning sees them as they are (ours)."""
    objective: Literal["published", "likelihood", "appropriate"] = "published"
    """"published": the distance to the nearest reaction's code, and of all reactions' codes to
    their middle. "likelihood": of all appropriate reactions under the mixture, with the
    determinant. "appropriate": draws, decoded, against their nearest listeners (ours)."""
    draws: int = Field(default=2, gt=1)
    """Of "appropriate"."""
    variety_share: float = Field(default=SHARE, ge=0)
    """"appropriate": of the real listeners' variety that two draws must have."""
    variety_weight: float = Field(default=1.0, ge=0)
    motion_weight: float = Field(default=1.0, ge=0)
    """"appropriate": of the error of first differences."""
    coverage_weight: float = Field(default=0.0, ge=0)
    """"appropriate": of the cost of the draw nearest to each appropriate reaction."""

    def __post_init__(self) -> None:
        size_of(self.face, self.face_size), size_of(self.speech, self.speech_size)
        if self.width % (2 * self.heads):
            raise ValueError(
                f"width must be a multiple of twice the heads, not {self.width} of {self.heads}"
            )
        if self.steady % 2 == 0:
            raise ValueError(f"steady must be odd, not {self.steady}")
        if self.stride > self.window:
            raise ValueError(
                f"stride must be at most window, not {self.stride} of {self.window}: frames "
                "between windows would have no answer"
            )
        if self.objective == "likelihood" and self.distribution == "point":
            raise ValueError('objective "likelihood" needs distribution "mixture"')


class REGNN(ReactionModel[REGNNConfig]):
    """See the module's text; a `SplitModel` whose sequences are windows side by side."""

    config_class = REGNNConfig
    sampled_with = ("redraw", "steady", "temperature")
    usual: Tensor
    seen: Tensor

    def __init__(self, config: REGNNConfig) -> None:
        super().__init__(config)
        face = size_of(config.face, config.face_size)
        speech = size_of(config.speech, config.speech_size)
        self.d_face = self.d_speech = config.width
        self.face_scale, self.speech_scale = Standardise(face), Standardise(speech)
        self.reaction_scale = Standardise(25)
        self.perceptual = Perceptual(
            face, speech, config.width, config.heads, config.layers, dropout=config.dropout
        )
        self.cognitive = Cognitive(
            config.width // 2,
            config.window,
            config.edge_channels,
            config.neighbours,
            config.components if config.distribution == "mixture" else 0,
            config.noise,
        )
        self.motor = Motor(
            config.window, config.edge_channels, config.motor_layers, mapped=config.mapped
        )
        # the released objective lets a window be that is three times nearer than usual
        self.register_buffer("usual", torch.zeros(()))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.config.face, self.config.speech)

    @property
    def outputs(self) -> tuple[str, ...]:
        return ("attributes",)

    # ------------------------------------------------------------------ the parts (SplitModel)

    def encode_face(self, speaker: Behaviour) -> Tensor:
        """Speaker [B, T] to [B, T, C]; an unobserved frame is the average face."""
        known = average_where_lost(speaker, self.config.face, self.face_scale)
        out: Tensor = self.perceptual.face(known)
        return out

    def encode_speech(self, speaker: Behaviour) -> Tensor:
        """Speaker [B, T] to [B, T, C]; an unobserved frame is the average sound."""
        known = average_where_lost(speaker, self.config.speech, self.speech_scale)
        out: Tensor = self.perceptual.speech(known)
        return out

    def windows(self, x: Tensor) -> Tensor:
        """A sequence of frames [B, T, C] as windows side by side, [B, W * window, C]."""
        return unfold(x, self.config.window, self.config.stride).flatten(1, 2)

    def fuse(self, face: Tensor, speech: Tensor, mask: Tensor | None = None) -> Tensor:
        """Features [B, T, C] to fused windows side by side, [B, W * window, C / 2].

        Frames where mask bool [B, T] is False (padding) are not read; their windows' frames, and
        those beyond T, are zeros.
        """
        mask = face.new_ones(face.shape[:2], dtype=torch.bool) if mask is None else mask
        size, stride = self.config.window, self.config.stride
        cut = [unfold(x, size, stride).flatten(0, 1) for x in (face, speech)]
        inside = unfold(mask[..., None].to(face.dtype), size, stride).flatten(0, 1)[..., 0] > 0
        fused: Tensor = self.perceptual(*cut, inside)
        beside: Tensor = fused.unflatten(0, (len(face), -1)).flatten(1, 2)
        return beside

    def predict(self, fused: Tensor, mask: Tensor | None = None) -> ReactionGraph:
        """[B, W * window, C / 2] to graphs of the windows; `fuse` has dealt with the mask."""
        out: ReactionGraph = self.cognitive(fused.unflatten(1, (-1, self.config.window)))
        return out

    def sample(
        self,
        distribution: ReactionGraph,
        seeds: Tensor,
        num_samples: Samples,
        index: int = 0,
        *,
        learning: bool | None = None,
    ) -> Tensor:
        """K draws of codes as tokens, [B, K, W * window, 25]; `learning` draws as training does,
        whatever generation is set to (by default where the module is in training mode)."""
        learning = self.training if learning is None else learning
        total = distribution.over.means.shape[1]
        eps = self._noise(seeds, num_samples, total, index, learning)
        samples = numbered(num_samples, seeds.device)
        # one number a clip: neighbouring windows choose the same component
        chance = noise.uniform(seeds[:, None], samples, "regnn/component", index, ())
        chance = chance.T[..., None].expand(-1, -1, total)
        if not learning:
            heat = [
                t for t, n in zip(self.config.temperature, SIZES, strict=True) for _ in range(n)
            ]
            eps = eps * eps.new_tensor(heat)[:, None]
        return as_tokens(distribution.over.at(eps, chance).transpose(0, 1))

    def decode(
        self,
        latent: Tensor,
        frames: int,
        *,
        distribution: ReactionGraph | None = None,
        lengths: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Codes as tokens [B, K, W * window, 25] to attributes [B, K, T, 25] in their ranges."""
        assert distribution is not None, "REGNN's decoder reads the edges of the distribution"
        return {
            "attributes": attributes_in_range(self._decoded(latent, frames, distribution, lengths))
        }

    def base_loss(
        self, distribution: ReactionGraph, latent: Tensor, batch: Batch
    ) -> dict[str, Tensor]:
        """The configured objective; `latent` [B, K, W * window, 25] are draws, or one mean.

        "likelihood" asks the distribution alone; the others what became of the latent.
        """
        if self.config.objective == "appropriate":
            frames, lengths = batch.listener.frames, batch.lengths
            drawn = self._decoded(latent, frames, distribution, lengths)
            return appropriate_terms(
                drawn,
                batch,
                share=self.config.variety_share,
                variety=self.config.variety_weight,
                motion=self.config.motion_weight,
                coverage=self.config.coverage_weight,
            )
        targets = targets_of(
            batch, self.reaction_scale.mean, self.config.window, self.config.stride
        )
        if self.config.objective == "likelihood":
            return self._likelihood(distribution, targets)
        code = as_codes(latent.mean(1), self.config.window)
        made, _ = self.motor(targets.values, distribution.edges)
        terms, distance = point_terms(code, targets, made, self._enough())
        if self.training:
            self._remember(distance)
        return terms | {"log/distance": distance}

    # ------------------------------------------------------------------ generation

    def react(
        self, speaker: Behaviour, seeds: Tensor, num_samples: int, persona: Persona | None
    ) -> dict[str, Tensor]:
        distribution = self._read(speaker)
        latent = self.sample(distribution, seeds, num_samples)
        raw = self._decoded(latent, speaker.frames, distribution, speaker.lengths)
        inside = None if speaker.lengths is None else speaker.inside()
        return self.channels_of(attributes_in_range(raw), inside)

    def channels_of(self, attributes: Tensor, inside: Tensor | None = None) -> dict[str, Tensor]:
        """Attributes [B, K, T, 25] in their ranges, by channel, AUs steadied."""
        channels = attribute_channels(attributes)
        return channels | {"au": steadied(channels["au"], self.config.steady, inside)}

    def _read(self, speaker: Behaviour) -> ReactionGraph:
        inside = None if speaker.lengths is None else speaker.inside()
        face, speech = self.encode_face(speaker), self.encode_speech(speaker)
        return self.predict(self.fuse(face, speech, inside))

    def _decoded(
        self, latent: Tensor, frames: int, distribution: ReactionGraph, lengths: Tensor | None
    ) -> Tensor:
        """Codes as tokens to raw attributes [B, K, T, 25]."""
        size, stride = self.config.window, self.config.stride
        codes = as_codes(latent, size).transpose(1, 2)  # [B, W, K, 25, D]
        made = self.motor.inverse(codes, distribution.edges).transpose(1, 2).transpose(-1, -2)
        own = None if lengths is None else count(lengths, size, stride)
        assert not isinstance(own, int)
        return overlap_mean(made, stride, frames, own)

    def _noise(
        self, seeds: Tensor, num_samples: Samples, windows: int, index: int, learning: bool = False
    ) -> Tensor:
        """Standard normal [K, B, W, 25, D]; a longer clip begins with the same numbers."""
        size, stride, keep = self.config.window, self.config.stride, self.config.smoothness
        if self.config.redraw and not learning:
            smooth = self._smooth(seeds, num_samples, (windows - 1) * stride + size, index)
            rows = unfold(smooth.flatten(0, 1), size, stride)
            apart: Tensor = rows.unflatten(0, (len(seeds), -1))
            return apart.permute(1, 0, 2, 4, 3)
        if not keep:
            white = self.draw(seeds, num_samples, "regnn/noise", index, (windows, size, 25))
            return white.permute(1, 0, 2, 4, 3)
        shape = ((windows - 1) * stride + size, 25)
        steps = self.draw(seeds, num_samples, "regnn/noise", index, shape).unbind(2)
        track = [steps[0]]
        for step in steps[1:]:
            track.append(keep * track[-1] + (1 - keep**2) ** 0.5 * step)
        cut = unfold(torch.stack(track, 2).flatten(0, 1), size, stride)
        parts: Tensor = cut.unflatten(0, (len(seeds), -1))
        return parts.permute(1, 0, 2, 4, 3)

    def _smooth(self, seeds: Tensor, num_samples: Samples, frames: int, index: int) -> Tensor:
        """[B, K, T, 25], fresh every `redraw` frames."""
        every = self.config.redraw
        clock = torch.arange(frames, device=seeds.device)
        knots = self.draw(seeds, num_samples, "regnn/noise", index, (frames // every + 2, 25))
        one, other = (knots[:, :, clock // every + i] for i in (0, 1))
        a, b = way((clock % every)[:, None].to(knots.dtype) / every)
        return a * one + b * other

    # ------------------------------------------------------------------ training

    def fit(self, batches: Iterable[Batch]) -> None:
        """Moments of what is read; the first motor layer begins with the listeners' own."""
        face = RunningMoments(self.face_scale.mean.numel())
        speech = RunningMoments(self.speech_scale.mean.numel())
        listener = RunningMoments(25)
        for batch in batches:
            face.update(observed_rows(batch.speaker, self.config.face))
            speech.update(observed_rows(batch.speaker, self.config.speech))
            listener.update(observed_rows(batch.listener, "attributes"))
        with torch.no_grad():
            face.write_to(self.face_scale)
            speech.write_to(self.speech_scale)
            listener.write_to(self.reaction_scale, least=1e-2)
            self.motor.norms[0].seed(self.reaction_scale.mean, self.reaction_scale.std)  # type: ignore[operator]

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        distribution = self._read(batch.speaker)
        latent = distribution.mean[:, None]
        if self.config.objective == "appropriate":
            seeds = torch.randint(2**31, (len(batch),), device=latent.device)
            latent = self.sample(distribution, seeds, self.config.draws)
        return self.base_loss(distribution, latent, batch)

    def _likelihood(self, distribution: ReactionGraph, targets: Targets) -> dict[str, Tensor]:
        probes = signs(targets.values, 1)
        made, logdet = self.motor(targets.values, distribution.edges, probes)
        over = distribution.over
        rows = type(over)(over.means[:, :, None], over.log_std, over.logits[:, :, None])
        known = targets.known.expand_as(made)
        return likelihood_terms(rows.log_prob(made, known), logdet, targets)

    def _enough(self) -> Tensor:
        """A third of the usual distance, once a hundred batches have told what is usual."""
        return torch.where(self.seen < 100, torch.full_like(self.usual, -1.0), self.usual / 3)

    @torch.no_grad()
    def _remember(self, distance: Tensor) -> None:
        weight = 1.0 / (min(int(self.seen), 99) + 1)
        self.usual.lerp_(distance.to(self.usual.dtype), weight)
        self.seen += 1
