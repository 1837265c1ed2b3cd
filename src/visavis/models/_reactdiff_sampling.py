"""From noise to a clip's latents, by any sampler, over windows blended or in turn."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from visavis.models._reactdiff_config import DiffusionSpec
from visavis.nn import samplers
from visavis.nn.guidance import Denoiser
from visavis.nn.schedules import alpha_bars, cosine_betas, flow_times, trailing_steps

FLOW_SCALE = 20.0
"""Flow times in [0, 1] are steps of 20 to the denoiser."""


def levels(spec: DiffusionSpec) -> Tensor:
    """Alpha-bar of the cosine schedule, [T]."""
    return alpha_bars(cosine_betas(spec.steps))


def sample(spec: DiffusionSpec, denoiser: Denoiser, noise: Callable[[str], Tensor]) -> Tensor:
    """Clean rows from standard normal ones.

    Args:
        denoiser: (x, t) -> the prediction that the specification names; t is a step, of flows too.
        noise: a stream's name to standard normal numbers like the rows.
    """
    x = spec.temperature * noise("start")
    if spec.prediction == "flow":
        integrate = samplers.flow_heun if spec.sampler == "flow_heun" else samplers.flow_euler
        return integrate(lambda x, t: denoiser(x, t * FLOW_SCALE), x, flow_times(spec.taken))
    bars, steps = levels(spec), trailing_steps(spec.steps, spec.taken)
    if spec.sampler == "ddim":
        return samplers.ddim(denoiser, x, bars, steps, prediction=spec.prediction, clip=spec.clip)
    return samplers.dpm_solver(
        denoiser,
        x,
        bars,
        steps,
        prediction=spec.prediction,
        clip=spec.clip,
        noise=(lambda i: noise(f"step{i}")) if spec.sampler == "dpm_solver_sde" else None,
    )
