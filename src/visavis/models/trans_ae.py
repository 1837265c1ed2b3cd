"""Trans-AE, the deterministic control of ReactFace's tables (Luo et al., IEEE TVCG 2024, Table 2).

The paper says of it only that it is ReactFace's speaker encoder and alignment followed by a decoder
straight to reactions. Here that is: SpeakFormer's motion of the whole clip, then two decoder layers
whose queries are positions and whose memory is the motion under the bias of VIM (Eq. 17), then 58
coefficients; the distance to the paired listener alone is learned. It has no latent, so all its
reactions to a speaker are one and the same, and learning the mean of what listeners do, it hardly
moves: FRDiv exactly 0 and FRVar near 0 are what it is there to show.

As in our ReactFace nothing sees the future, and coefficients are scaled by the listeners'
deviations inside.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from visavis.behaviour import Behaviour
from visavis.channels import GROUPS, STANDARD
from visavis.dyad import Batch, Persona
from visavis.models._appropriate_loss import real
from visavis.models._base import STRICT, ReactionConfig, ReactionModel
from visavis.models._outputs import coefficient_channels
from visavis.models._reactface_layers import COEFFICIENTS, Moment, SpeakFormer
from visavis.models._sources import average_where_lost, observed_rows
from visavis.nn.alignment import interaction_bias
from visavis.nn.attention import DecoderLayer
from visavis.nn.cache import Tape
from visavis.nn.causal_conv3d import CausalVideoEncoder
from visavis.nn.losses import masked_mean
from visavis.nn.positions import periodic, sinusoid
from visavis.nn.standardise import RunningMoments, Standardise

EXPRESSION = 52


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TransAEConfig(ReactionConfig):
    """ReactFace's sizes; `face` and `speech` are "pixels" and "wav2vec2" in the paper."""

    face: Literal["coefficients", "pixels"] = "coefficients"
    """What the speaker's face is given as."""
    speech: Literal["mfcc78", "wav2vec2"] = "mfcc78"
    """What the speech is given as."""
    width: int = Field(default=128, gt=0)
    heads: int = Field(default=8, gt=0)
    layers: int = Field(default=2, gt=0)
    """Of the decoder."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    period: int = Field(default=8, gt=0)
    """p of Eq. 17, and of the periodic positions."""
    pose_weight: float = Field(default=10.0, ge=0)

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ValueError(f"width must be a multiple of heads, not {self.width} of {self.heads}")


class TransAE(ReactionModel[TransAEConfig]):
    """See the module's text."""

    config_class = TransAEConfig
    stochastic = False

    def __init__(self, config: TransAEConfig) -> None:
        super().__init__(config)
        width, heads, drop = config.width, config.heads, config.dropout
        self.rate = STANDARD[config.speech].rate
        """k, speech ticks a frame."""
        self.face_scale = Standardise(COEFFICIENTS)
        self.face: CausalVideoEncoder | nn.Linear = (
            CausalVideoEncoder(width) if config.face == "pixels" else nn.Linear(COEFFICIENTS, width)
        )
        self.speech_scale = Standardise(STANDARD[config.speech].size)
        self.speech = nn.Linear(STANDARD[config.speech].size, width)
        self.drop = nn.Dropout(drop)
        self.speaker = SpeakFormer(width, heads, drop)
        self.decoder = nn.ModuleList(
            DecoderLayer(width, heads, 2 * width, dropout=drop) for _ in range(config.layers)
        )
        self.head = nn.Linear(width, COEFFICIENTS)
        self.listener_scale = Standardise(COEFFICIENTS)
        """Of the listener's coefficients, which the network makes standardised."""
        if self.rate == 1:  # a frame's speech is one key: neither query nor key changes its weight
            layers = (f"speaker.layers.{i}.cross_attention" for i in (1, 2))
            self.inert = tuple(f"{layer}.{part}" for layer in layers for part in ("query", "key"))

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.config.face, self.config.speech)

    @property
    def outputs(self) -> tuple[str, ...]:
        return ("coefficients",)

    def encode_face(self, speaker: Behaviour) -> Tensor:
        """Speaker [B, T] to tokens [B, T, C]; an unobserved frame is the average face, or grey."""
        if isinstance(self.face, CausalVideoEncoder):
            seen: Tensor = self.face(speaker.filled("pixels", 128))[0]
            return seen
        out: Tensor = self.face(average_where_lost(speaker, "coefficients", self.face_scale))
        return out

    def encode_speech(self, speaker: Behaviour) -> Tensor:
        """Speaker [B, T] to tokens [B, k T, C]; an unobserved frame is the average sound."""
        known = average_where_lost(speaker, self.config.speech, self.speech_scale)
        out: Tensor = self.speech(known)
        return out

    def decode(self, face: Tensor, speech: Tensor) -> Tensor:
        """Tokens of a whole clip to its one reaction, [B, T, 58], unclamped."""
        config, frames = self.config, torch.arange(face.shape[1], device=face.device)
        bias = interaction_bias(frames, frames, period=config.period)[None, None]
        places = periodic(frames, config.width, config.period)[None]
        moment = Moment(bias, bias, bias, places)
        nothing = {name: Tape(0) for name in self.speaker.caches}
        motion, _ = self.speaker(self.drop(face + places), speech, nothing, moment)
        # positions are alike for all clips until the motion comes in
        x = self.drop(sinusoid(frames, config.width)[None])
        for layer in self.decoder:
            assert isinstance(layer, DecoderLayer)
            own, cross = layer.self_attention, layer.cross_attention
            x = layer.after_self(x, own.biased(x, own.key(x), own.value(x), bias))
            x = x.expand(len(face), -1, -1)
            x = layer.after_cross(x, cross.biased(x, cross.key(motion), cross.value(motion), bias))
        raw: Tensor = self.head(x)
        return raw * self.listener_scale.std + self.listener_scale.mean

    def react(
        self, speaker: Behaviour, seeds: Tensor, num_samples: int, persona: Persona | None
    ) -> dict[str, Tensor]:
        made = self.decode(self.encode_face(speaker), self.encode_speech(speaker))
        return coefficient_channels(made[:, None].expand(-1, num_samples, -1, -1))

    def fit(self, batches: Iterable[Batch]) -> None:
        """Means and deviations of the speakers' inputs and the listeners' coefficients."""
        face, listener = RunningMoments(COEFFICIENTS), RunningMoments(COEFFICIENTS)
        speech = RunningMoments(self.speech_scale.mean.numel())
        for batch in batches:
            listener.update(observed_rows(batch.listener, "coefficients"))
            speech.update(observed_rows(batch.speaker, self.config.speech))
            if self.config.face == "coefficients":
                face.update(observed_rows(batch.speaker, "coefficients"))
        with torch.no_grad():
            listener.write_to(self.listener_scale)
            speech.write_to(self.speech_scale)
            if face.count:
                face.write_to(self.face_scale)

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        """Smooth L1 to the paired listener, the pose `pose_weight` times."""
        speaker = batch.speaker
        made = self.decode(self.encode_face(speaker), self.encode_speech(speaker))
        values, mask = real(batch.listener, *GROUPS["coefficients"])
        error = F.smooth_l1_loss(made, values, reduction="none")
        return {
            "expression": masked_mean(error[..., :EXPRESSION], mask),
            "pose": self.config.pose_weight * masked_mean(error[..., EXPRESSION:], mask),
        }
