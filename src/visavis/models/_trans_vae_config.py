"""Trans-VAE's settings."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from visavis.models._appropriate_loss import SHARE
from visavis.models._base import STRICT, ReactionConfig


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TransVAEConfig(ReactionConfig):
    """The published sizes are the defaults, but for `face`, which the paper has as "pixels"."""

    face: Literal["coefficients", "pixels"] = "coefficients"
    """What the speaker's face is given as."""
    width: int = Field(default=128, gt=0)
    heads: int = Field(default=4, gt=0)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    online: bool = False
    window: int = Field(default=8, gt=0)
    """Frames a window, online."""
    past: int = Field(default=750, gt=0)
    """Own past frames that an online window attends; longer conversations forget older ones."""
    redraw: int = Field(default=1, ge=0)
    """Online, windows between fresh draws of noise; 0 keeps one draw for the conversation."""
    recency: bool = False
    """Online, ours: add averages of what was heard lately to each frame's features. The published
    head attends to the whole past without positions, and cannot tell what just happened from what
    happened long ago (docs/models.md)."""
    timed: bool = False
    """Offline, ours: the decoder's queries are what was heard when (`Hearing`), not positions. The
    published decoder knows the speaker by one latent a clip, and so not when anything happened."""
    objective: Literal["paper", "appropriate"] = "paper"
    """"paper": the paired listener alone, a diversity pooled over channels. "appropriate": every
    draw against the appropriate listener nearest to it, agreement in time beside the squared
    error, and variety channel by channel up to that of the real appropriate listeners."""
    kl_weight: float = Field(default=1e-5, ge=0)
    pose_weight: float = Field(default=10.0, ge=0)
    diversity_weight: float = Field(default=10.0, ge=0)
    draws: int = Field(default=2, gt=1)
    """"appropriate": reactions drawn a speaker and step, offline; the paper's objective has 2."""
    by_group: bool = False
    """"appropriate": AUs, valence and arousal, and expressions count a third each."""
    variety_weight: float = Field(default=1.0, ge=0)
    """"appropriate": of what draws lack of variety."""
    variety_share: float = Field(default=SHARE, ge=0)
    """"appropriate": of the real listeners' variety that draws must have."""
    coverage_weight: float = Field(default=0.0, ge=0)
    """"appropriate": of the cost of the draw nearest to each appropriate reaction."""
    motion_weight: float = Field(default=1.0, ge=0)
    """"appropriate": of the error of first differences."""
    temperature: float = Field(default=1.0, ge=0)
    """What the latent's noise is multiplied by when reactions are drawn; training draws at 1."""
    steady: int = Field(default=1, gt=0)
    """Offline: frames (odd) over which generated AUs are averaged; learning sees them as they
    are."""
    vividness: float = Field(default=1.0, ge=0)
    """With `timed`: reactions are taken so many times as far from the average listener's face; what
    learns from squared errors is calmer than people."""

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ValueError(f"width must be a multiple of heads, not {self.width} of {self.heads}")
        if self.steady % 2 == 0:
            raise ValueError(f"steady must be odd, not {self.steady}")
        if self.draws != 2 and (self.online or self.objective == "paper"):
            raise ValueError(f'draws is of the offline objective "appropriate", not {self.draws}')
        if self.online and (self.timed or self.steady > 1):
            raise ValueError("timed and steady see the future: they are of the offline model")
        if self.vividness != 1 and not self.timed:
            raise ValueError("vividness asks for timed: only that model keeps an average face")
