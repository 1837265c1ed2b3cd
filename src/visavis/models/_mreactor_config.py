"""MReactor's settings."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from visavis.models._base import STRICT, ReactionConfig
from visavis.nn.relative_attention import Decay, Direction
from visavis.nn.smooth_noise import reach

AttentionKind = Literal["relative_subject", "self", "cross", "self_cross"]
"""The kinds of Fig. 2 of the supplementary: (d), (a), (b), (c)."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class MReactorConfig(ReactionConfig):
    """Six layers and thresholds of 0.5 are the supplementary's; every other number is ours."""

    # what is read of the speaker; the face (coefficients and attributes) always is
    speech: Literal["wav2vec2", "mfcc78", "none"] = "wav2vec2"
    words: Literal["roberta", "text", "none"] = "roberta"
    """"text" is the offline letter embedding, made of the words where the channel is not there."""
    patch: int = Field(default=1, gt=0)
    """Frames a token."""

    # perception
    perception_width: int = Field(default=256, gt=0)
    perception_heads: int = Field(default=4, gt=0)
    perception_layers: int = Field(default=2, gt=0)
    masked: float = Field(default=0.2, ge=0, le=0.5)
    """Share of a clip's tokens that the temporal mask takes from each modality; 0: no mask."""
    closing: int = Field(default=5, gt=0)
    """Frames over which the mask is closed; offline alone, since it looks ahead."""
    erased: float = Field(default=0.1, ge=0, le=0.5)
    """Share of the most salient tokens that training takes out ..."""
    erasing: float = Field(default=0.3, ge=0, le=1)
    """... of so many clips."""

    # hierarchical disentanglement
    disentangled: bool = True
    region: int = Field(default=64, gt=0)
    """Width of each of the six embeddings."""
    alignment: int = Field(default=64, gt=0)
    """Width in which coarse expression is compared with speech and words."""
    decorrelation_weight: float = Field(default=0.01, ge=0)
    reconstruction_weight: float = Field(default=0.1, ge=0)
    alignment_weight: float = Field(default=0.05, ge=0)

    # generation
    width: int = Field(default=512, gt=0)
    heads: int = Field(default=8, gt=0)
    hidden: int = Field(default=1024, gt=0)
    layers: int = Field(default=6, gt=0)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    attention: AttentionKind = "relative_subject"
    decay: Decay = "scores"
    direction: Direction = "both"
    timed: bool = False
    """Ours: what the speaker did at each moment is added to that moment's token."""
    subjects: bool = True
    """S: emotion priors modulate values. Without them the words' vectors are all there is."""
    steering: bool = True
    """Each reaction follows one of an utterance's subjects; else all of them."""
    subject: int = Field(default=64, gt=0)
    variation: int = Field(default=16, ge=0)
    """Width of v, a reaction's own noise beside the noise that is denoised; 0: none."""
    smoothness: bool = True
    """How smooth a reaction is to be, as a control."""

    # diffusion
    steps: int = Field(default=1000, gt=0)
    sampling_steps: int = Field(default=50, gt=0)
    guidance: float = Field(default=1.0, ge=0)
    condition_dropout: float = Field(default=0.1, ge=0, lt=1)
    """Of behaviour and of subjects, each by itself."""
    temperature: float = Field(default=1.0, gt=0)
    """Of the noise that a reaction begins with; training does not read it."""
    smooth_noise: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """Ours: frames over which the noise is alike, in training and sampling (`nn.smooth_noise`)."""
    steady: int = Field(default=1, gt=0)
    """Ours: frames of a reaction that each of its frames is the mean of, around it or, online, up
    to it; odd."""
    steady_units: int = Field(default=1, gt=0)
    """Ours: the same of the 15 action units, which are told as yes or no, where it is more."""

    # the objective
    listener: Literal["paired", "appropriate"] = "paired"
    """Whom Eq. 5 is about: the recorded listener, or appropriate ones, drawn anew each step."""
    draws: int = Field(default=1, gt=0)
    """Listeners a clip and step."""
    coefficient_weight: float = Field(default=1.0, ge=0)
    """Of the 58 coefficients' squared error, beside that of the 25 attributes."""
    smooth_weight: float = Field(default=0.1, ge=0)
    agreement_weight: float = Field(default=0.0, ge=0)
    """Ours: 1 - CCC of the denoised attributes with the listener's."""

    # online, which the paper leaves as future work
    online: bool = False
    """Nothing sees ahead; hop and latency are a patch."""
    memory: int = Field(default=250, gt=0)
    """Frames that attention reaches back then."""

    def __post_init__(self) -> None:
        for name, width, heads in (
            ("width", self.width, self.heads),
            ("perception_width", self.perception_width, self.perception_heads),
        ):
            if width % heads:
                raise ValueError(f"{name} must be a multiple of its heads, not {width} of {heads}")
        if self.sampling_steps > self.steps:
            raise ValueError(
                f"sampling_steps must be at most steps, not {self.sampling_steps} of {self.steps}"
            )
        if self.steady % 2 == 0:
            raise ValueError(f"steady must be odd, not {self.steady}")
        if self.steady_units % 2 == 0:
            raise ValueError(f"steady_units must be odd, not {self.steady_units}")
        if self.online and self.memory < self.patch:
            raise ValueError(f"memory must hold a patch, not {self.memory} of {self.patch}")
        if self.guidance != 1 and not self.condition_dropout:
            raise ValueError("guidance other than 1 wants condition_dropout in training")

    @property
    def steadying(self) -> tuple[int, int]:
        """Frames that action units and everything else are the means of."""
        return max(self.steady, self.steady_units), self.steady

    @property
    def noise_tokens(self) -> int:
        """Tokens before the first whose white noise is mixed into its own."""
        return -(-reach(self.smooth_noise) // self.patch)

    @property
    def span(self) -> int | None:
        """Tokens that attention reaches back, its own included; None offline."""
        return max(1, self.memory // self.patch) if self.online else None

    @property
    def facing(self) -> Direction:
        """Where attention looks."""
        return "back" if self.online else self.direction

    @property
    def modalities(self) -> tuple[str, ...]:
        """Face first, then what is heard."""
        heard = {"speech": self.speech, "words": self.words}
        return ("face", *(n for n, source in heard.items() if source != "none"))
