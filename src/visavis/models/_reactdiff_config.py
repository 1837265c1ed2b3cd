"""What ReactDiff's recipes may say, in four parts: features, transformer, denoiser, diffusion."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from visavis.models._base import STRICT, ReactionConfig
from visavis.nn.smooth_noise import reach

SAMPLERS = {
    "ddim": "step",
    "dpm_solver": "step",
    "dpm_solver_sde": "step",
    "flow_euler": "flow",
    "flow_heun": "flow",
}
"""Sampler -> whether it steps through a discrete schedule or along a flow."""


FEW = (1, 2, 4)
"""Numbers of steps in which a distilled denoiser samples."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TransformerSpec:
    """The Multi-Modality Transformer (paper, section 3.3); released sizes."""

    features: Literal["attributes", "published"] = "attributes"
    """"published": the five feature channels of the paper, read from files (docs/reactdiff.md)."""
    video: bool = True
    """Whether the speaker's face is read; the listener's always is, in training."""
    audio: bool = True
    """Whether the speaker's voice is read."""
    attention: bool = True
    """False: features through one perceptron, the paper's ablation "w/o MMT"."""
    width: int = Field(default=1024, gt=0)
    latent: int = Field(default=256, gt=0)
    """Width of the latent reaction space; the paper says 128, the released code has 256."""
    heads: int = Field(default=4, gt=0)
    depth: int = Field(default=2, gt=0)
    """Rounds of cross-attention."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Of the decoder."""
    positions: Literal["off", "decay"] = "decay"
    """Ours: what lies nearer in time weighs more, head by head. Published: off, and so a shuffled
    clip gives shuffled latents."""
    activations: bool = True
    """Ours: attributes as probabilities, tanh and shares. Published: raw numbers."""

    def __post_init__(self) -> None:
        for name in ("width", "latent"):
            if getattr(self, name) % self.heads:
                raise ValueError(
                    f"transformer.{name} must be a multiple of heads, not "
                    f"{getattr(self, name)} of {self.heads}"
                )
        if not (self.video or self.audio):
            raise ValueError("transformer.video and transformer.audio cannot both be off")


@dataclass(frozen=True, kw_only=True, config=STRICT)
class DenoiserSpec:
    """The U-Net and its condition; released sizes."""

    layout: Literal["frames_as_channels", "time"] = "frames_as_channels"
    """Released: a window's frames are channels, and the latent axis is convolved. The paper does
    not say; "time" convolves over time."""
    width: int = Field(default=256, gt=0)
    multipliers: tuple[int, ...] = Field(default=(1, 2, 4, 8), min_length=1)
    blocks: int = Field(default=2, gt=0)
    condition: int = Field(default=1024, gt=0)
    """Width of the speaker's behaviour vector z_bc."""
    zero_start: bool = True
    """Begin with a prediction of 0."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class DiffusionSpec:
    """Windows, noise, training and sampling."""

    enabled: bool = True
    """False: the transformer answers by itself, the paper's ablation "w/o diffusion"."""
    window: int = Field(default=50, gt=0)
    """Frames."""
    overlap: int = Field(default=0, ge=0)
    """Frames that neighbouring windows share. Published: none, which leaves seams."""
    seams: Literal["blend", "past"] = "blend"
    """"blend": windows are denoised together, and averaged where they overlap at every step.
    "past": one after the other, each given the end of the one before."""
    steps: int = Field(default=20, gt=0)
    """T of the noise schedule."""
    taken: int = Field(default=20, gt=0)
    """Steps that a sampler takes."""
    sampler: Literal["ddim", "dpm_solver", "dpm_solver_sde", "flow_euler", "flow_heun"] = "ddim"
    prediction: Literal["epsilon", "x0", "v", "flow"] = "epsilon"
    error: Literal["l1", "mse", "huber"] = "l1"
    scale: Literal["range", "moments", "shared"] = "range"
    """How latents are normalised, a dimension: to [-1, 1], or to mean 0 and deviation 1; "shared"
    takes one deviation for all, so that dimensions that hardly matter stay small."""
    clip: float = Field(default=1.0, gt=0)
    """Clean latents are clamped to this at every step; flows are not."""
    smooth_noise: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """Ours: frames over which noise is alike, in training and sampling; 0 is white noise."""
    temperature: float = Field(default=1.0, ge=0)
    """Ours: of the noise that sampling begins with."""
    distilled: bool = False
    """Ours: a second denoiser, taught in the stage "distil" what the first comes to in 20 steps;
    sampling in `FEW` steps takes it, once it was taught."""
    guidance: float = Field(default=1.0, ge=0)
    """Classifier-free; 1 is none."""
    condition_dropout: float = Field(default=0.0, ge=0, lt=1)
    """Share of windows trained without a condition; guidance needs it."""

    def __post_init__(self) -> None:
        if self.overlap >= self.window:
            raise ValueError(
                f"diffusion.overlap must be below the window's {self.window} frames, not "
                f"{self.overlap}"
            )
        if self.seams == "past" and not self.overlap:
            raise ValueError('diffusion.seams = "past" needs an overlap of at least 1 frame')
        if self.smooth_noise and reach(self.smooth_noise) > self.hop:
            raise ValueError(
                f"diffusion.smooth_noise = {self.smooth_noise:g} reaches back "
                f"{reach(self.smooth_noise)} frames; at most a hop of {self.hop} frames is kept"
            )
        if self.taken > self.steps and self.prediction != "flow":
            raise ValueError(
                f"diffusion.taken must be at most the {self.steps} steps of the schedule, not "
                f"{self.taken}"
            )
        if (self.prediction == "flow") != (SAMPLERS[self.sampler] == "flow"):
            wanted = "flow" if self.prediction == "flow" else "step"
            fitting = [name for name, kind in SAMPLERS.items() if kind == wanted]
            raise ValueError(
                f'diffusion.prediction = "{self.prediction}" is sampled by '
                f'{", ".join(fitting)}, not by "{self.sampler}"'
            )
        if self.distilled and self.prediction != "x0":
            raise ValueError(
                "diffusion.distilled teaches a prediction of x0, and diffusion.prediction is "
                f'"{self.prediction}"'
            )
        if self.distilled and (self.guidance != 1 or self.sampler == "dpm_solver_sde"):
            raise ValueError(
                "diffusion.distilled follows sampling without guidance and without noise on the "
                f"way, not guidance = {self.guidance:g} with {self.sampler}"
            )
        if self.distilled and not self.enabled:
            raise ValueError("diffusion.distilled needs diffusion.enabled")
        if self.guidance != 1 and not self.condition_dropout:
            raise ValueError(
                f"diffusion.guidance = {self.guidance:g} needs a model that was also trained "
                "without its condition; set diffusion.condition_dropout and train, or leave it at 1"
            )

    @property
    def hop(self) -> int:
        """Frames from one window to the next."""
        return self.window - self.overlap


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ReactDiffConfig(ReactionConfig):
    """The released sizes are the defaults."""

    transformer: TransformerSpec = TransformerSpec()
    denoiser: DenoiserSpec = DenoiserSpec()
    diffusion: DiffusionSpec = DiffusionSpec()
    online: bool = False
    """Nothing looks ahead; conversations of any length are answered a hop at a time."""
    memory: int = Field(default=125, gt=0)
    """Online, frames that attention reaches back."""
    guess: bool = False
    """Ours: a perceptron turns the speaker's latents into a first guess of the listener's, which
    the transformer's decoder must find appropriate and the denoiser reads frame by frame."""
    objective: Literal["paper", "appropriate"] = "paper"
    """"paper": the paired listener. "appropriate": every appropriate listener."""
    coefficient_weight: float = Field(default=10.0, ge=0)
    """w1 of Eq. 5, of the coefficients' squared error."""
    attribute_weight: float = Field(default=10.0, ge=0)
    """w2 of Eq. 5, of the attributes' absolute error (squared under "appropriate")."""
    agreement_weight: float = Field(default=1.2, ge=0)
    """Under "appropriate", of 1 - CCC of the first guess."""
    begun_weight: float = Field(default=0.0, ge=0)
    """Ours: of what sampling aims at in its first step, decoded, beside all appropriate listeners.
    Needs a prediction of x0 or a flow."""
    latent_noise: float = Field(default=0.0, ge=0)
    """Ours: deviation of the noise that latents bear while the transformer is trained, so that
    nearby latents decode alike."""
    kl_weight: float = Field(default=0.0, ge=0)
    """Of latents' mean square, half of it: the divergence of such noisy latents from the standard
    normal as far as it depends on them. (Released: 1e-4 in the configuration, which nothing reads.)
    """

    def __post_init__(self) -> None:
        if self.online and self.diffusion.seams != "past":
            raise ValueError('online = true needs diffusion.seams = "past": windows in turn')
        if self.begun_weight and self.diffusion.prediction not in ("x0", "flow"):
            raise ValueError(
                "begun_weight reads clean latents off pure noise, which only a prediction of x0 or "
                f'a flow gives, not "{self.diffusion.prediction}"'
            )
        if self.online and not self.transformer.attention:
            raise ValueError("online = true needs transformer.attention = true")
