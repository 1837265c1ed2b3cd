"""EMC's settings."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from visavis.models._base import STRICT, ReactionConfig
from visavis.models._emc_absence import Absence

Times = Annotated[float, Field(gt=0, allow_inf_nan=False)]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class EMCConfig(ReactionConfig):
    """The paper gives no sizes and no weights: every default is ours."""

    base: str = "trans_vae"
    """The model that it stands around: a bundled name, or a folder that was trained."""
    sampling: dict[str, Any] = Field(default_factory=dict)
    """Settings of the base's sampling (what its `sampled_with` names) in place of its own, which
    were chosen for the base alone."""
    joint: bool = False
    """Whether the base is trained with it; its weights are then stored with it, too."""
    width: int | None = Field(default=None, gt=0)
    """d, of emotions and attention; None takes the base's own width."""
    heads: int = Field(default=4, gt=0)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    compensation: Literal["cma", "zero", "mean", "last", "nearest"] = "cma"
    """What stands for frames of a lost modality: what the CMA makes of the other one, or plain
    imputation of the input (zeros, the training data's mean, the last frame that was observed, the
    nearest one, which may lie ahead)."""
    attention: bool = True
    """Whether there is emotion-aware attention (EA)."""
    emotion: Literal["face", "mean"] = "face"
    """Where face and voice both tell an emotion: the face's, as in the paper, or their mean."""
    latent: int = Field(default=64, gt=0)
    """Numbers of the CMA's z."""
    context: int = Field(default=5, gt=0)
    """Frames of the other modality that a compensated frame is made from: around it, or where the
    base is online up to it."""
    horizon: int = Field(default=50, gt=1)
    """Frames that EA reaches back where the base is online; elsewhere it sees the clip."""
    recall: bool = False
    """Ours: whether the CMA also knows what was last seen of the modality that is lost (around an
    offline base: or is seen next, whichever is nearer), and how long ago. The paper's knows the
    other modality alone."""
    z: Literal["prior", "mean", "aggregate"] = "prior"
    """Where z comes from when a modality is lost: N(0, 1), 0, or the moments of the posterior in
    training. The paper's "learned distribution" may be any of them."""
    z_shared: bool = False
    """One z for all samples; apart, what is not known makes samples differ."""
    z_frames: int = Field(default=25, gt=0)
    """Frames between fresh z, with a smooth way from each to the next; 1 draws every frame anew."""
    fade: int = Field(default=0, ge=0)
    """Ours, of generation alone and where the base is online: frames over which what is known and
    what stands for nothing fade into each other where both modalities are lost (`_emc_fade`)."""
    spread: tuple[Times, Times, Times, Times] = (1.0, 1.0, 1.0, 1.0)
    """Ours, of sampling alone: how many times as far as the base's draws deviate, to the whole
    speaker, without face, without voice, without both (`_emc_spread`)."""
    spread_frames: float = Field(default=100.0, gt=0)
    """In which what was seen last is worth 1 / e."""
    align_weight: float = Field(default=1.0, ge=0)
    kl_weight: float = Field(default=0.05, ge=0)
    """Of the CMA's KL, a number of z."""
    free_nats: float = Field(default=0.02, ge=0)
    """A number of z, that the KL does not ask for."""
    fusion_weight: float = Field(default=0.1, ge=0)
    """Of the KL over the three combinations."""
    detach_teacher: bool = True
    """Whether the whole speaker's distribution stays where it is in that KL; the paper says
    nothing of it, and without this what is heard in full is drawn towards what is heard in part."""
    absence: Absence = Absence()
    """How often modalities are dropped in training."""

    def __post_init__(self) -> None:
        if self.context % 2 == 0:
            raise ValueError(f"context must be odd, not {self.context}")
        if self.width is not None and self.width % self.heads:
            raise ValueError(f"width must be a multiple of heads, not {self.width} of {self.heads}")

    @property
    def learns(self) -> bool:
        """Whether there is anything to train beside the base."""
        return self.compensation == "cma" or self.attention
