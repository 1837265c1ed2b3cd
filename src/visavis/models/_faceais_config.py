"""FaceAIS's settings."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from visavis.channels import STANDARD
from visavis.models._base import STRICT, ReactionConfig
from visavis.models._faceais_predictor import PredictorSizes
from visavis.models._sources import size_of


@dataclass(frozen=True, kw_only=True, config=STRICT)
class FaceAISConfig(ReactionConfig):
    """The published sizes are the defaults, but for what the voice is read from."""

    speech: str = "mfcc78"
    """Channel or group. The paper reads wav2vec 2.0's convolutions: 512 numbers, twice a frame."""
    speech_size: int | None = Field(default=None, gt=0)
    """Numbers a tick, for a channel that is not a standard one."""
    speech_rate: int | None = Field(default=None, gt=0)
    """Ticks a frame, likewise."""
    levels: tuple[Annotated[int, Field(gt=1)], ...] = (8, 5, 5, 5)
    """Of the code's dimensions; their product is the number of codes."""
    tokenizer_width: int = Field(default=252, gt=0)
    tokenizer_heads: int = Field(default=12, gt=0)
    tokenizer_layers: int = Field(default=12, gt=0)
    """Of the encoder and of each decoder."""
    width: int = Field(default=360, gt=0)
    heads: int = Field(default=12, gt=0)
    layers: int = Field(default=8, gt=0)
    """Of each of the predictor's six stacks."""
    patch: int = Field(default=32, gt=0)
    """Frames predicted at once."""
    window: int = Field(default=256, gt=0)
    """Frames that a patch is predicted from."""
    causal: bool = False
    dropout: float = Field(default=0.1, ge=0, lt=1)
    gate: float = 0.0
    """Where the cross-modal gates begin; at 0 the other stream is not heard at first."""
    temperature: float = Field(default=1.0, gt=0)
    top_k: int = Field(default=512, gt=0)
    redraw: int = Field(default=1, ge=0)
    """Frames between fresh random numbers, with a smooth way from each to the next (ours); 1 is the
    published independent draw of every frame, 0 keeps the numbers for the conversation."""
    steady: int = Field(default=1, gt=0)
    """Frames that a reaction is the mean of, itself and those before it (ours): codes jump."""
    past_drop: float = Field(default=0.5, ge=0, le=1)
    """Chance that a training batch sees only some of its last patches (published form)."""
    own_drop: float = Field(default=0.0, ge=0, le=1)
    """Chance that a clip's own past is hidden in training, so that the speaker is listened to; at 1
    nothing is learned of it, and it is hidden when the model generates, too."""
    embedding: float = Field(default=0.02, gt=0)
    """Deviation of the codes' embeddings at first. At GPT-2's 0.02 what a code says is small beside
    what a place adds, and few steps hardly listen."""
    attribute_weight: float = Field(default=0.0, ge=0)
    """Ours: beside the tokenizer's L1 errors, squared errors of AUs, valence and arousal, and
    expressions, a third each. For what is seldom there (most AUs) L1's best guess is nothing."""
    agreement_weight: float = Field(default=0.0, ge=0)
    """Ours, causal: beside the codes' cross-entropy, 1 - CCC of the face that is to be expected of
    their chances with all appropriate listeners."""
    error_weight: float = Field(default=0.0, ge=0)
    """Ours, causal: likewise its squared error, a third each as above."""

    def __post_init__(self) -> None:
        size_of(self.speech, self.speech_size)
        for width, heads, what in (
            (self.width, self.heads, "width"),
            (self.tokenizer_width, self.tokenizer_heads, "tokenizer_width"),
        ):
            if width % heads:
                raise ValueError(f"{what} must be a multiple of its heads, not {width} of {heads}")
        if self.causal and self.width // self.heads % 2:
            raise ValueError("causal turns pairs of numbers: width / heads must be even")
        for name in ("agreement_weight", "error_weight"):
            if getattr(self, name) and not self.causal:
                raise ValueError(f"{name} needs causal: the published form learns one patch")
        if self.window % self.patch:
            raise ValueError(
                f"window must be a multiple of patch, not {self.window} of {self.patch}"
            )

    @property
    def rate(self) -> int:
        """Ticks of the voice a frame."""
        if self.speech in STANDARD:
            return STANDARD[self.speech].rate
        return 1 if self.speech_rate is None else self.speech_rate

    def predictor_sizes(self, codes: int) -> PredictorSizes:
        return PredictorSizes(
            codes=codes,
            speech=size_of(self.speech, self.speech_size),
            rate=self.rate,
            width=self.width,
            heads=self.heads,
            layers=self.layers,
            patch=self.patch,
            window=self.window,
            causal=self.causal,
            dropout=self.dropout,
            gate=self.gate,
            embedding=self.embedding,
        )
