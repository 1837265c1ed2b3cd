"""The conditional denoiser: a window's behaviour vector z_bc, and a U-Net over its latents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from visavis.models._reactdiff_config import DenoiserSpec, DiffusionSpec
from visavis.nn.low_rank import Shift
from visavis.nn.unet1d import UNet1d, groups_of


class Condition(NamedTuple):
    """What the denoiser knows of N windows."""

    vector: Tensor
    """z_bc, [N, C]."""
    guess: Tensor | None
    """A first guess of the clean latents, [N, w, d]."""

    def repeat(self, times: int) -> Condition:
        """Every row `times` times in a row."""
        guess = self.guess
        return Condition(
            self.vector.repeat_interleave(times, 0),
            None if guess is None else guess.repeat_interleave(times, 0),
        )


class WindowDenoiser(nn.Module):
    """Noisy windows to predictions; where windows follow each other, of their new frames alone.

    The input is as long as the window: a known past, where there is one, stands before the new,
    noisy frames.
    """

    def __init__(
        self, spec: DenoiserSpec, diffusion: DiffusionSpec, latent: int, *, guess: bool
    ) -> None:
        super().__init__()
        self.time_first = spec.layout == "time"
        self.new = diffusion.hop if diffusion.seams == "past" else diffusion.window
        copies = 2 if guess else 1
        into, out = (latent, latent) if self.time_first else (diffusion.window, self.new)
        self.flat = nn.Linear(diffusion.window * latent, spec.condition)
        self.norm = nn.GroupNorm(groups_of(spec.condition), spec.condition)
        self.unet = UNet1d(
            copies * into,
            out,
            width=spec.width,
            multipliers=spec.multipliers,
            blocks=spec.blocks,
            condition=spec.condition,
            zero_start=spec.zero_start,
        )

    def vector(self, speaker: Tensor) -> Tensor:
        """The speaker's scaled latents [N, w, d] to z_bc [N, C] (Eq. 6)."""
        return F.silu(self.norm(self.flat(speaker.flatten(1))))

    def forward(
        self,
        x: Tensor,
        steps: Tensor,
        condition: Condition,
        shifts: Mapping[str, Shift] | None = None,
    ) -> Tensor:
        """x [N, w, d] at steps [N] to [N, new, d]; shifts as `UNet1d` takes them."""
        shown = [x] if condition.guess is None else [x, condition.guess]
        if self.time_first:
            given = self.unet(torch.cat(shown, dim=2), steps, condition.vector, shifts)
            given = given[:, -self.new :]
        else:
            rows = torch.cat(shown, dim=1).transpose(1, 2)
            given = self.unet(rows, steps, condition.vector, shifts).transpose(1, 2)
        out: Tensor = given
        return out
