"""Fewer steps by distillation: a network that gives at once what many steps would come to.

Without noise on the way, sampling is a function of the noise it begins with. The teacher, the
denoiser as the stages before have left it, follows that function in many steps; the student learns
its end from its beginning and from where a sampler of few steps would stand on the way (in the
spirit of Luhman and Luhman, 2021, and of progressive distillation, Salimans and Ho, 2022, in one
round).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from visavis.dyad import Batch
from visavis.models._reactdiff_config import FEW, DiffusionSpec
from visavis.models._reactdiff_denoiser import Condition, WindowDenoiser
from visavis.models._reactdiff_losses import DIFFUSION, Windows, cut_windows, front_of
from visavis.models._reactdiff_sampling import levels, sample
from visavis.nn.diffusion import noised, row_errors
from visavis.nn.schedules import trailing_steps
from visavis.nn.smooth_noise import drawn_like

if TYPE_CHECKING:
    from visavis.models.reactdiff import ReactDiff

TEACHER_STEPS = 20


def distil_terms(
    model: ReactDiff, teacher: WindowDenoiser, student: WindowDenoiser, batch: Batch
) -> dict[str, Tensor]:
    """The student's error on the teacher's ends, at a random one of the steps that `FEW` take.

    Where the student stands at that step: the end, noised as far by the noise that it came from.
    """
    spec = model.config.diffusion
    cut = cut_windows(model, batch)
    front = front_of(spec)
    noise = spec.temperature * drawn_like(cut.clean[:, front:], spec.smooth_noise)
    end = followed(teacher, spec, cut, noise)
    taken = trailing_steps(spec.steps, min(max(FEW), spec.steps)).to(noise.device)
    steps = taken[torch.randint(len(taken), (len(noise),), device=noise.device)]
    on_the_way = noised(end, noise, levels(spec).to(noise.device)[steps])
    x = torch.where((steps == spec.steps - 1)[:, None, None], noise, on_the_way)
    condition = Condition(student.vector(cut.shown), cut.guess)
    given = student(torch.cat([cut.clean[:, :front], x], dim=1), steps, condition)
    seen = cut.seen[:, front:]
    errors = row_errors(given, end, spec.error, seen)
    full = seen.any(1)
    return {"distil": DIFFUSION * (errors * full).sum() / full.sum().clamp(min=1)}


@torch.no_grad()
def followed(teacher: WindowDenoiser, spec: DiffusionSpec, cut: Windows, noise: Tensor) -> Tensor:
    """Where the teacher's DDIM ends from noise [N, t, d], a window by itself, [N, t, d]."""
    condition = Condition(teacher.vector(cut.shown), cut.guess)
    known = cut.clean[:, : front_of(spec)]

    def denoise(x: Tensor, steps: Tensor) -> Tensor:
        given: Tensor = teacher(torch.cat([known, x], dim=1), steps, condition)
        return given

    many = replace(spec, sampler="ddim", taken=min(TEACHER_STEPS, spec.steps), temperature=1.0)
    return sample(many, denoise, lambda _: noise)
