"""PerFRDiff's settings."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from visavis.models._appropriate_loss import SHARE
from visavis.models._base import STRICT, ReactionConfig
from visavis.models._perfrdiff_denoiser import TABLE


@dataclass(frozen=True, kw_only=True, config=STRICT)
class PerFRDiffConfig(ReactionConfig):
    """The published values are the defaults, but for `hypernetwork`."""

    width: int = Field(default=512, gt=0)
    heads: int = Field(default=4, gt=0)
    hidden: int = Field(default=1024, gt=0)
    layers: int = Field(default=7, gt=0)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    window: int = Field(default=50, gt=0)
    sees: Literal["previous", "both"] = "previous"
    """Which of the speaker's windows a reaction window is made from: the one before it, or, as in
    the 2025 and 2026 baselines, that one and its own."""
    timed: bool = False
    """Ours: what the speaker did at each moment is added to that frame's token (`Hearing`)."""
    pool: int = Field(default=1, gt=0)
    """Ours: so many frames of the speaker are averaged to one token of the memory."""
    steps: int = Field(default=1000, gt=0)
    """T of the diffusion."""
    sampling_steps: int = Field(default=50, gt=0)
    guidance: float = Field(default=7.5, ge=0)
    condition_dropout: float = Field(default=0.2, ge=0, le=1)
    """Of audio, face and speaker latent, each by itself."""
    va_weight: float = Field(default=1.0, gt=0)
    """2025 and 2026: 5."""
    expression_weight: float = Field(default=1.0, gt=0)
    """2025 and 2026: 2."""
    skip: float = Field(default=0.0, ge=0)
    """Ours: the noisy window goes past the network with the share of it that is signal, for data of
    this deviation (as Karras et al., 2022, Eq. 7, have it), so that the steps keep what the first
    one chose. 0, as published: the network gives all."""
    objective: Literal["published", "appropriate"] = "published"
    """"published": the denoiser's squared error alone. "appropriate": ours, with the objective over
    all appropriate listeners (`_appropriate_loss`) of what the sampler makes of noise."""
    draws: int = Field(default=4, ge=2)
    """"appropriate": reactions drawn a clip and step."""
    denoising_weight: float = Field(default=1.0, ge=0)
    """"appropriate": of the denoiser's squared error beside it."""
    variety_weight: float = Field(default=1.0, ge=0)
    variety_share: float = Field(default=SHARE, ge=0)
    coverage_weight: float = Field(default=0.0, ge=0)
    smooth_weight: float = Field(default=1.0, ge=0)
    """"appropriate": of variety that lacks, the share of the real listeners' that is asked for, the
    cost of the draw nearest to each listener, and the error of first differences."""
    persistence: float = Field(default=0.0, ge=0, le=1)
    """Ours: share of the noise's variance that is one draw a channel for all frames of a clip, so
    that a listener stays who they are from window to window. Published: 0."""
    temperature: float = Field(default=1.0, ge=0)
    """Ours: what the noise is multiplied by when reactions are drawn."""
    sharpness: float = Field(default=1.0, gt=0)
    """Ours: expressions are raised to this power when reactions are drawn, and sum to 1 again."""
    au_sharpness: float = Field(default=1.0, gt=0)
    """Ours: the same for each AU and its absence: logits times this; what is 0.5 stays."""
    steady: int = Field(default=1, gt=0)
    """Ours: reactions are means over so many frames of their window, an odd number."""
    style: int = Field(default=512, gt=0)
    style_hidden: int = Field(default=1024, gt=0)
    style_layers: int = Field(default=4, gt=0)
    history: int = Field(default=750, gt=0)
    """Frames of history that the person encoder reads at once."""
    hypernetwork: Literal["low_rank", "published"] = "low_rank"
    rank: int = Field(default=8, gt=0)
    hypernetwork_hidden: int = Field(default=1024, gt=0)
    """Two ReLU layers before the heads."""
    scope: Literal["all", "memory"] = "all"
    """Whether cross-attention's queries are shifted too, or keys and values alone."""
    shift_weight: float = Field(default=1e-3, ge=0)
    """Of the shifts' mean squared norm in the personal stage."""

    def __post_init__(self) -> None:
        for width in (self.width, self.style):
            if width % self.heads:
                raise ValueError(f"widths must be multiples of heads, not {width} of {self.heads}")
        if self.sampling_steps > self.steps:
            raise ValueError(
                f"sampling_steps must be at most steps, not {self.sampling_steps} of {self.steps}"
            )
        if self.steady % 2 == 0:
            raise ValueError(f"steady must be odd, not {self.steady}")
        if self.window % self.pool:
            raise ValueError(f"window must be a multiple of pool, not {self.window} of {self.pool}")
        if self.tokens >= TABLE:
            raise ValueError(f"window is too long: {self.tokens} tokens, at most {TABLE - 1}")

    @property
    def heard(self) -> int:
        """Frames of the speaker behind one window."""
        return self.window * (2 if self.sees == "both" else 1)

    @property
    def tokens(self) -> int:
        """Of the memory, without the step's."""
        return 2 * (self.heard // self.pool) + 1
