"""PerReactor's settings."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from visavis.models._appropriate_loss import SHARE
from visavis.models._base import STRICT, ReactionConfig


@dataclass(frozen=True, kw_only=True, config=STRICT)
class PerReactorConfig(ReactionConfig):
    """The published values are the defaults, but for `face`, which the paper has as "pixels"."""

    face: Literal["coefficients", "pixels"] = "coefficients"
    modalities: tuple[Literal["face", "speech"], ...] = ("face", "speech")
    """What of the speaker is read (Table 3)."""
    width: int = Field(default=128, gt=0)
    heads: int = Field(default=4, gt=0)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    history: int = Field(default=480, gt=0)
    """Frames of history that the pattern encoder reads at once (Table 4)."""
    rounds: int = Field(default=2, ge=1)
    """K: the history is cut into 2^K segments. 1, a pair of neighbours, only in the sweep."""
    beta: float = Field(default=0.1, ge=0)
    fusion: Literal["sum", "learned", "concatenation", "token", "token_residual"] = "sum"
    """How a pattern p joins a latent z: z + beta p; beta learned (begun at `beta`, below 1); a
    linear map of both; p as a second token for the decoder, beside z or z + beta p."""
    critics: tuple[Literal["realism", "appropriateness"], ...] = ("realism", "appropriateness")
    """Those that are left out are replaced by a reconstruction loss (Table 2)."""
    draws: int = Field(default=2, ge=2)
    """Reactions drawn a speaker and step."""
    adversarial: Literal["released", "paper", "least_squares", "hinge", "relativistic"] = "released"
    """"released": cross-entropy for frames, least squares on a sigmoid for reactions; "paper":
    cross-entropy for both (Eqs. 9, 10, 12); the others are for both, on raw scores."""
    realism_weight: float = Field(default=1e-5, ge=0)
    appropriateness_weight: float = Field(default=1.0, ge=0)
    kl_weight: float = Field(default=2e-4, ge=0)
    motion_weight: float = Field(default=1e-2, ge=0)
    """lambda_m; released 2e-3."""
    diversity_weight: float = Field(default=10.0, ge=0)
    """lambda_d."""
    anchor: Literal["va", "appropriate"] = "va"
    """What holds the generator beside its critics: valence and arousal to the nearest appropriate
    reaction (released, not in the paper), or the objective of docs/models.md (ours)."""
    variety_weight: float = Field(default=1.0, ge=0)
    """Of the shortfall of variety that "appropriate" counts."""
    variety_share: float = Field(default=SHARE, ge=0)
    """"appropriate": of the real listeners' variety that draws must have."""
    coverage_weight: float = Field(default=0.0, ge=0)
    """"appropriate": of the cost of the draw nearest to each appropriate reaction."""
    smooth_weight: float = Field(default=1.0, ge=0)
    """"appropriate": of the squared error of first differences."""
    temperature: float = Field(default=1.0, ge=0)
    """Ours: what the latent's noise is multiplied by when reactions are drawn; training draws at
    1."""
    steady: int = Field(default=1, gt=0)
    """Ours: AUs that are drawn are means over so many frames, an odd number."""
    vividness: float = Field(default=1.0, ge=0)
    """Ours: reactions are taken so many times as far from the average listener's face; what learns
    from squared errors is calmer than people."""
    pose_weight: float = Field(default=10.0, ge=0)
    persona_scale: float = Field(default=1e-5, ge=0)
    """Of the pattern among the speaker's tokens in the personal critic (released: 1e-5)."""
    hard_negatives: bool = False
    """Ours: critics also meet real appropriate reactions at the wrong time (generic stage), and
    those of other listeners (personal stage)."""
    spectral: bool = False
    """Ours: spectral norm on the critics' linear maps."""
    r1: float = Field(default=0.0, ge=0)
    """Ours: gamma of the R1 penalty on both critics."""
    crisp: bool = False
    """Ours: critics see the generator's AUs rounded (gradients pass), as real labels are 0 or 1."""
    momentum: float = Field(default=0.9, ge=0, lt=1)
    """Beta 1 of AdamW."""
    critic_every: int = Field(default=1, gt=0)
    critic_stride: int = Field(default=1, gt=0)
    timed: bool = False
    """Ours: generator and critic know when the speaker did what (`Hearing`)."""
    pooled: bool = False
    """Ours: the pattern is pooled over time (`PatternEncoder`)."""
    remembers: Literal["attributes", "everything"] = "attributes"
    """What of a history is read: attributes, or (ours) coefficients too, in which people blink and
    nod."""
    likeness_weight: float = Field(default=0.0, ge=0)
    """Ours: of how two personas' reactions to one speaker differ, beside how their histories say
    that they do (`_perreactor_person`); above 0 there is a stage "person" too."""
    likeness_gain: float = Field(default=1.0, ge=0)
    """"likeness": how many times as far apart as is told. A history tells a tenth of what
    distinguishes a person, so that 1 leaves people too alike."""
    likeness_size: int = Field(default=16, gt=0, le=249)
    """Directions in which people are told apart."""
    traits: bool = False
    """Ours, after MARS 2026: personas can be made from Big Five, alone or beside a history."""

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ValueError(f"width must be a multiple of heads, not {self.width} of {self.heads}")
        if self.history % 2**self.rounds:
            raise ValueError(
                f"history must be a multiple of 2^rounds = {2**self.rounds}, not {self.history}"
            )
        if self.steady % 2 == 0:
            raise ValueError(f"steady must be odd, not {self.steady}")
        if not self.modalities:
            raise ValueError("modalities must name face, speech or both")
