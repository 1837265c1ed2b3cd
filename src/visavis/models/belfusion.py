"""BeLFusion as the REACT challenge's baseline (Barquero et al., 2023; specification 3).

Two seconds of a listener's attributes are one code of 128 numbers; a diffusion of ten steps draws
the code of each window given the code of the speaker's same window (`online`: of the window
before). Coefficients are a regression of the attributes, frame by frame. Stages: "autoencoder",
then "diffusion", before which the codes' range is measured.

Where we differ from the released code, on purpose: the code is the posterior's mean, which the
decoder was trained with (released: the reader's raw state); windows come from the whole clip
(released: from its first 100 frames); coefficients are learned from real ones (released: from
zeros); attributes are in their ranges; only the final code is decoded, and the ten samples are one
batch. Ours, and off in the published configuration: `coder="convolutions"`, `listens="frames"`,
`blend`, `share`, `temperature`, and the objective "appropriate".
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from visavis.behaviour import Behaviour
from visavis.channels import STANDARD
from visavis.dyad import Batch, Persona
from visavis.models._appropriate_loss import real
from visavis.models._base import STRICT, Objective, ReactionConfig, ReactionModel
from visavis.models._belfusion_autoencoder import ATTRIBUTES, WindowAutoencoder
from visavis.models._belfusion_convolutions import ConvolvedAutoencoder
from visavis.models._belfusion_denoiser import SkipMLP
from visavis.models._belfusion_hearing import WindowHearing, past_windows
from visavis.models._belfusion_losses import autoencoder_terms, diffusion_terms, listener_codes
from visavis.models._belfusion_session import (
    AfterWindowSession,
    WholeWindowSession,
    WindowState,
)
from visavis.models._session import WindowSession
from visavis.nn.range_scale import RangeScale
from visavis.nn.samplers import ddim, dpm_solver
from visavis.nn.schedules import alpha_bars, cosine_betas, trailing_steps
from visavis.nn.standardise import RunningMoments, Standardise


@dataclass(frozen=True, kw_only=True, config=STRICT)
class BelfusionConfig(ReactionConfig):
    """The published sizes are the defaults."""

    online: bool = False
    """Answer each window from the windows before it."""
    window: int = Field(default=50, gt=0)
    """Frames a code stands for."""
    code: int = Field(default=128, gt=1)
    coder: Literal["recurrent", "convolutions"] = "recurrent"
    """The autoencoder: frame after frame, or, ours, all frames of a window at once."""
    hidden: int = Field(default=1024, gt=0)
    layers: int = Field(default=10, gt=1)
    steps: int = Field(default=10, gt=0)
    """Of the diffusion, as trained."""
    sampling_steps: int = Field(default=10, gt=0)
    solver: Literal["ddim", "dpm"] = "ddim"
    draws: int = Field(default=10, gt=0)
    """k: of so many draws of a window only the best is trained."""
    listens: Literal["code", "frames"] = "code"
    """What of the speaker is read: the attributes' code, or, ours, attributes and sound frame by
    frame."""
    context: int = Field(default=0, ge=0)
    """Ours, with "frames": windows of the speaker before the one that is answered."""
    blend: int = Field(default=0, ge=0)
    """Ours: frames over which a window's end fades into the next one."""
    share: float = Field(default=0.0, ge=0, le=1)
    """Ours: share of the noise's variance that is the same in all windows of a conversation."""
    objective: Literal["paper", "appropriate"] = "paper"
    """"appropriate", ours: any appropriate listener, and what sampling begins with beside all."""
    kl_weight: float = Field(default=1e-5, ge=0)
    code_weight: float = Field(default=10.0, ge=0)
    decoded_weight: float = Field(default=10.0, ge=0)
    temperature: float = Field(default=1.0, ge=0)
    """Ours: of the noise that codes are drawn from."""

    def __post_init__(self) -> None:
        if self.sampling_steps > self.steps:
            raise ValueError(
                f"sampling_steps must be at most the {self.steps} steps of the diffusion, not "
                f"{self.sampling_steps}"
            )
        if self.blend > self.window:
            raise ValueError(f"blend must be at most a window of {self.window}, not {self.blend}")
        if self.context and self.listens == "code":
            raise ValueError('context needs listens = "frames": a code stands for one window')


class Belfusion(ReactionModel[BelfusionConfig]):
    """See the module's text."""

    config_class = BelfusionConfig
    sampled_with: tuple[str, ...] = ("sampling_steps", "solver", "temperature")

    def __init__(self, config: BelfusionConfig) -> None:
        super().__init__(config)
        self.autoencoder: WindowAutoencoder | ConvolvedAutoencoder
        if config.coder == "recurrent":
            self.autoencoder = WindowAutoencoder(config.code)
        else:
            self.autoencoder = ConvolvedAutoencoder(
                config.code, window=config.window, blend=config.blend
            )
        self.denoiser = SkipMLP(config.code, config.hidden, config.layers)
        sound = STANDARD["mfcc78"].size if config.listens == "frames" else 0
        self.scale = Standardise(ATTRIBUTES + sound)
        self.hearing: WindowHearing | None = None
        if config.listens == "frames":
            frames = (1 + config.context) * config.window
            self.hearing = WindowHearing(ATTRIBUTES + sound + 1, frames, config.code)
        self.code_range = RangeScale(config.code)

    @property
    def inputs(self) -> tuple[str, ...]:
        return ("attributes",) if self.config.listens == "code" else ("attributes", "mfcc78")

    @property
    def outputs(self) -> tuple[str, ...]:
        return ("attributes", "coefficients")

    # ------------------------------------------------------------------ the speaker

    def heard(self, speaker: Behaviour) -> Tensor:
        """What is read of each frame, [B, T, F + 1]; the last column says that it is there.

        An unobserved frame is the average one.
        """
        values = torch.cat([speaker.filled(n, float("nan")) for n in self.reads], dim=-1)
        known = torch.where(values.isnan(), self.scale.mean, values)
        if self.hearing is not None:
            known = self.scale(known)
        inside = speaker.inside()[..., None]
        return torch.cat([torch.where(inside, known, 0.0), inside.to(known.dtype)], dim=-1)

    def condition(self, windows: Tensor) -> Tensor:
        """Heard windows [N, (1 + context) w, F + 1] to [N, C]."""
        if self.hearing is not None:
            out: Tensor = self.hearing(windows)
            return out
        counts = windows[..., -1].sum(1).long()
        return self.autoencoder.encode(windows[..., :-1], counts).mean

    def windows(self, heard: Tensor) -> Tensor:
        """[B, T, F + 1] to what each window's answer may know, [B, W, (1 + context) w, F + 1]."""
        config = self.config
        return past_windows(heard, config.window, config.context, late=config.online)

    # ------------------------------------------------------------------ the answer

    def codes(self, condition: Tensor, seeds: Tensor, windows: Tensor, num_samples: int) -> Tensor:
        """Drawn codes [N, K, C] for conditions [N, C], seeds [N] and numbers of windows [N]."""
        config, width = self.config, (self.config.code,)
        x = self.draw(seeds, num_samples, "belfusion/code", windows, width)
        if config.share:
            same = self.draw(seeds, num_samples, "belfusion/person", 0, width)
            x = config.share**0.5 * same + (1 - config.share) ** 0.5 * x
        x = config.temperature * x.to(condition.dtype)
        known = self.denoiser.heard(condition)

        def denoise(x: Tensor, steps: Tensor) -> Tensor:
            out: Tensor = self.denoiser(x, steps[:1], known)  # one step for all rows
            return out

        levels = alpha_bars(cosine_betas(config.steps))
        taken = trailing_steps(config.steps, config.sampling_steps)
        solver = ddim if config.solver == "ddim" else dpm_solver
        drawn = solver(denoise, x, levels, taken, prediction="x0", clip=1.0)
        return self.code_range.back(drawn)

    def decode(self, codes: Tensor) -> Tensor:
        """Codes [..., C] to attributes [..., window + blend, 25]: on into the next window."""
        frames = self.config.window + self.config.blend
        made: Tensor = self.autoencoder.decode(codes.flatten(0, -2), frames)
        apart: Tensor = made.unflatten(0, codes.shape[:-1])
        return apart

    def lay_out(self, codes: Tensor, frames: int) -> Tensor:
        """Codes of all windows [B, K, W, C] to attributes [B, K, T, 25]."""
        window = self.config.window
        parts = self.decode(codes)
        whole = parts[..., :window, :]
        if self.config.blend:
            tails = parts[:, :, :-1, window:]
            later = self.faded(tails, whole[:, :, 1:])
            whole = torch.cat([whole[:, :, :1], later], dim=2)
        return whole.flatten(2, 3)[:, :, :frames]

    def faded(self, tail: Tensor, window: Tensor) -> Tensor:
        """A window [..., w, 25] that begins in what the one before would have gone on with."""
        blend = self.config.blend
        weight = torch.arange(1, blend + 1, device=window.device, dtype=window.dtype) / (blend + 1)
        begun = torch.lerp(tail, window[..., :blend, :], weight[:, None])
        return torch.cat([begun, window[..., blend:, :]], dim=-2)

    def channels(self, attributes: Tensor) -> dict[str, Tensor]:
        """Attributes [..., 25] as named channels, and the coefficients that go with them."""
        au, va, expression = attributes.split([15, 2, 8], dim=-1)
        blendshapes, rotation, translation = self.autoencoder.coefficients(attributes).split(
            [52, 3, 3], dim=-1
        )
        return {
            "au": au,
            "va": va,
            "expression": expression,
            "blendshapes": blendshapes.clamp(0.0, 1.0),
            "rotation": rotation,
            "translation": translation,
        }

    def react(
        self, speaker: Behaviour, seeds: Tensor, num_samples: int, persona: Persona | None
    ) -> dict[str, Tensor]:
        windows = self.windows(self.heard(speaker))
        clips, count = windows.shape[:2]
        number = torch.arange(count, device=seeds.device).repeat(clips)
        codes = self.codes(
            self.condition(windows.flatten(0, 1)),
            seeds.repeat_interleave(count),
            number,
            num_samples,
        )
        codes = codes.unflatten(0, (clips, count)).transpose(1, 2)
        return self.channels(self.lay_out(codes, speaker.frames))

    def session(self, num_samples: int = 1) -> WindowSession[WindowState]:
        """Streams either form, exactly as `generate` answers the whole clip.

        Offline, a window is answered when it is over: latency `window - 1` frames. Online it is
        answered when it begins, from what was heard before: no latency.
        """
        if self.config.online:
            return AfterWindowSession(self, num_samples=num_samples)
        return WholeWindowSession(self, num_samples=num_samples)

    # ------------------------------------------------------------------ training

    def fit(self, batches: Iterable[Batch]) -> None:
        """Means and deviations of what is read of the speakers."""
        moments = RunningMoments(self.scale.mean.numel())
        for batch in batches:
            values, keep = real(batch.speaker, *self.reads)
            moments.update(values[keep])
        with torch.no_grad():
            moments.write_to(self.scale)

    def prepare(self, stage: str, batches: Iterable[Batch]) -> None:
        """Before "diffusion": the range of the listeners' codes."""
        if stage != "diffusion":
            return
        with torch.no_grad():
            self.code_range.fit(listener_codes(self, batch.listener).seen for batch in batches)

    def objectives(self, stage: str = "main") -> tuple[Objective, ...]:
        """The autoencoder's, the diffusion's, or ("main") both."""
        whole = tuple(self.autoencoder.parameters())
        mine = {id(p) for p in whole}
        rest = tuple(p for p in self.parameters() if id(p) not in mine)
        adam = torch.optim.AdamW
        stages = (
            Objective("autoencoder", whole, lambda batch: autoencoder_terms(self, batch), adam),
            Objective("diffusion", rest, lambda batch: diffusion_terms(self, batch), adam),
        )
        return tuple(o for o in stages if stage in (o.name, "main"))
