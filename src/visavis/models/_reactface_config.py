"""ReactFace's settings."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from visavis.models._appropriate_loss import SHARE
from visavis.models._base import STRICT, ReactionConfig


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ReactFaceConfig(ReactionConfig):
    """The released sizes are the defaults, but for `face` and `speech`, which are "pixels" and
    "wav2vec2" in the paper."""

    face: Literal["coefficients", "pixels", "none"] = "coefficients"
    """What the speaker's face is given as; "none" is the row "speech only" of Table 3."""
    speech: Literal["mfcc78", "wav2vec2", "none"] = "mfcc78"
    """What the speech is given as; "none" is the row "face only" of Table 3."""
    width: int = Field(default=128, gt=0)
    heads: int = Field(default=8, gt=0)
    latent_heads: int = Field(default=4, gt=0)
    latent_hidden: int = Field(default=1024, gt=0)
    """Of the interaction encoder's feed-forward layers."""
    latent_layers: int = Field(default=2, gt=0)
    """Of the interaction encoder: 2 as released, 3 in the paper."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    window: int = Field(default=8, gt=0)
    """w, frames between two latents."""
    training_windows: tuple[int, ...] = (64,)
    """w in training; each batch takes one of them. Validation takes `window`."""
    period: int = Field(default=8, gt=0)
    """p of Eq. 17, and of the periodic positions."""
    horizon: int = Field(default=80, gt=0)
    """Frames that biased attention reaches back, the present one included."""
    past: int = Field(default=250, gt=0)
    """Own frames that the interaction encoder, whose attention has no bias, reaches back."""
    bias: Literal["paper", "slopes"] = "paper"
    """"slopes" multiplies the bias of each head by a slope of its own, as released."""
    visual: bool = True
    """Whether there is a VIM (Table 4)."""
    modality: Literal["interaction", "point", "none"] = "interaction"
    """MIM, point-to-point alignment in its place (Table 5), or none (Table 4)."""
    momentum: float = Field(default=0.9, ge=0, le=1)
    """Of the latent (Eq. 10): 0.9 is what the released weights saw, 0.999 the paper's."""
    interpolation: Literal["paper", "half_pixel"] = "paper"
    """Eq. 11, or the released code's resize."""
    redraw: int = Field(default=1, ge=0)
    """Windows between fresh draws of noise; 0 keeps one draw for the conversation, so that a
    listener stays who they are (momentum averages fresh draws away)."""
    temperature: float = Field(default=1.0, ge=0)
    """What noise is multiplied by when reactions are drawn; training draws at 1. Ours: it moves a
    trained model between the likeliest listener and all sorts of them (docs/models.md)."""
    subspace: float | None = Field(default=None, gt=0, le=1)
    """Ours: reactions stay in the principal components of the training listeners' coefficients that
    hold this share of their variance (each channel in its own deviations). None as published."""
    objective: Literal["paper", "appropriate"] = "paper"
    """"paper": Eq. 18. "appropriate": ours (`_appropriate_loss`), with the other terms beside."""
    reconstruction: Literal["joint", "separate", "paired"] = "joint"
    """Which of the appropriate reactions Eq. 20 takes: one nearest in all channels, one each for
    expression and pose (released), or the paired one (Table 7)."""
    draws: int = Field(default=3, gt=1)
    """M of Eq. 21, and of "appropriate"."""
    variety_share: float = Field(default=SHARE, ge=0)
    """"appropriate": of the real listeners' variety that draws must have."""
    coverage_weight: float = Field(default=0.0, ge=0)
    """"appropriate": of the cost of the draw nearest to each appropriate reaction."""
    speaker_weight: float = Field(default=1.0, ge=0)
    """Of the speaker's own coefficients (Eq. 19); at 0 their head is not built."""
    kl_weight: float = Field(default=1e-5, ge=0)
    smooth_weight: float = Field(default=10.0, ge=0)
    diversity_weight: float = Field(default=100.0, ge=0)
    pose_weight: float = Field(default=10.0, ge=0)

    def __post_init__(self) -> None:
        for name, heads in (("heads", self.heads), ("latent_heads", self.latent_heads)):
            if self.width % heads:
                raise ValueError(f"width must be a multiple of {name}, not {self.width} of {heads}")
        if self.face == self.speech == "none":
            raise ValueError("face and speech cannot both be none: nothing would be read")
        if not self.training_windows or min(self.training_windows) < 1:
            raise ValueError("training_windows must hold at least one positive number of frames")
