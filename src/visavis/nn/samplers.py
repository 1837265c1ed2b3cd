"""Samplers: from noise to data in a few evaluations of a denoiser.

How a model uses them:

    levels = alpha_bars(cosine_betas(10))                        # nn.schedules
    x = self.draw(seeds, K, "model/start", w, shape).flatten(0, 1)   # [B K, ...], standard normal
    x0 = ddim(lambda x, t: network(x, t, condition), x, levels, leading_steps(10, 10),
              prediction="x0", clip=1.0)                         # [B K, ...]

- A denoiser is `(x, t) -> prediction`: x [N, ...], t [N], one a row. In discrete schedules t is the
  step, int64; for EDM the noise level sigma; for flow matching the time in [0, 1]. What it predicts
  is said by `prediction` ("epsilon", "x0", "v"), is x_0 for EDM (`nn.diffusion.edm_denoiser`), the
  velocity for flow matching. Conditions are its own business (a closure); so is guidance
  (`nn.guidance.guided`).
- x is standard normal noise; a sampler scales it to its first level itself.
- Noise on the way comes from `noise(i)`, asked once for each i-th step that adds noise, in order,
  and returns a tensor like x. No sampler draws by itself: equal noise gives equal data, rows do not
  touch each other, and K samples are K rows of one batch.
- The return is x_0 after the last step. Coefficients are computed in float64.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import torch
from torch import Tensor

from visavis.errors import InputError
from visavis.nn.diffusion import Prediction, to_epsilon, to_x0
from visavis.nn.guidance import Denoiser

Noise = Callable[[int], Tensor]
"""Number of the sampling step, 0 first, to standard normal noise like x."""


def ddpm(
    denoiser: Denoiser,
    x: Tensor,
    alpha_bars: Tensor,
    steps: Tensor,
    *,
    noise: Noise,
    prediction: Prediction = "epsilon",
    clip: float | None = None,
) -> Tensor:
    """Ancestral sampling (Ho et al., 2020, Algorithm 2), posterior variance, [N, ...].

    Where `steps` leaves some out, the betas are those of the schedule that is left (Nichol and
    Dhariwal, 2021, Eq. 19).

    Args:
        denoiser: (x, step) -> prediction.
        x: standard normal, [N, ...].
        alpha_bars: [T].
        steps: int64 [S], falling (`nn.schedules`).
        noise: for each step but the last.
        prediction: what the denoiser gives.
        clip: predicted data are clamped to [-clip, clip]; None leaves them.
    """
    levels = _levels(alpha_bars, steps)
    for i, (now, after) in enumerate(itertools.pairwise(levels)):
        clean = _clean(denoiser, x, int(steps[i]), now, prediction, clip)
        alpha = now / after  # 1 - beta of the step
        mean = after**0.5 * (1 - alpha) / (1 - now) * clean
        mean = mean + alpha**0.5 * (1 - after) / (1 - now) * x
        variance = (1 - after) / (1 - now) * (1 - alpha)
        x = mean + variance**0.5 * noise(i) if after < 1 else mean
    return x


def ddim(
    denoiser: Denoiser,
    x: Tensor,
    alpha_bars: Tensor,
    steps: Tensor,
    *,
    prediction: Prediction = "epsilon",
    eta: float = 0.0,
    clip: float | None = None,
    rederive: bool = True,
    last: float = 1.0,
    noise: Noise | None = None,
) -> Tensor:
    """Denoising diffusion implicit model (Song et al., 2021, Eq. 12 and 16), [N, ...].

    Args:
        denoiser: (x, step) -> prediction.
        x: standard normal, [N, ...].
        alpha_bars: [T].
        steps: int64 [S], falling.
        prediction: what the denoiser gives.
        eta: 0 is deterministic, 1 has the variance of `ddpm`.
        clip: predicted data are clamped to [-clip, clip]; None leaves them.
        rederive: take the noise anew from the clamped data, as guided-diffusion does; otherwise the
            denoiser's own goes on, which no longer fits the data.
        last: alpha-bar after the last step; 1 returns the data themselves.
        noise: where eta is not 0.

    Raises:
        InputError: eta without noise, or steps that do not fit the schedule.
    """
    if eta and noise is None:
        raise InputError(f"eta {eta:g} needs noise; give it, or take eta 0.")
    levels = _levels(alpha_bars, steps, last)
    for i, (now, after) in enumerate(itertools.pairwise(levels)):
        alpha, sigma = now**0.5, (1 - now) ** 0.5
        free = _clean(denoiser, x, int(steps[i]), now, prediction, None)
        clean = free if clip is None else free.clamp(-clip, clip)
        direction = to_epsilon(clean if rederive else free, x, alpha, sigma)
        spread = eta * ((1 - after) / (1 - now) * (1 - now / after)) ** 0.5
        x = after**0.5 * clean + (1 - after - spread**2) ** 0.5 * direction
        if spread and noise is not None:
            x = x + spread * noise(i)
    return x


def dpm_solver(
    denoiser: Denoiser,
    x: Tensor,
    alpha_bars: Tensor,
    steps: Tensor,
    *,
    prediction: Prediction = "epsilon",
    clip: float | None = None,
    noise: Noise | None = None,
) -> Tensor:
    """DPM-Solver++(2M) (Lu et al., 2022b, Algorithm 2) on a discrete schedule, [N, ...].

    With `noise` it is SDE-DPM-Solver++(2M) (the paper's appendix; midpoint), without it the ODE.
    The last step is of first order and returns the data. Arguments as in `ddim`.
    """
    levels = _levels(alpha_bars, steps)

    def clean(x: Tensor, i: int) -> Tensor:
        return _clean(denoiser, x, int(steps[i]), levels[i], prediction, clip)

    alphas = [level**0.5 for level in levels]
    sigmas = [(1 - level) ** 0.5 for level in levels]
    return _multistep(clean, x, alphas, sigmas, noise)


def edm_dpm_solver(
    denoiser: Denoiser, x: Tensor, sigmas: Tensor, *, noise: Noise | None = None
) -> Tensor:
    """DPM-Solver++(2M), or with `noise` its SDE, over noise levels, [N, ...].

    Args:
        denoiser: (x, sigma) -> x_0 (`nn.diffusion.edm_denoiser`).
        x: standard normal, [N, ...]; scaled by the first level here.
        sigmas: [S + 1], falling to 0 (`nn.schedules.karras_sigmas`).
        noise: for each step but the last.
    """
    levels = _falling_to_zero(sigmas)

    def clean(x: Tensor, i: int) -> Tensor:
        return denoiser(x, _row(x, levels[i]))

    return _multistep(clean, x * levels[0], [1.0] * len(levels), levels, noise)


def edm_heun(
    denoiser: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    churn: float = 0.0,
    churn_range: tuple[float, float] = (0.0, float("inf")),
    noise: Noise | None = None,
) -> Tensor:
    """EDM's sampler (Karras et al., 2022, Algorithm 1; with `churn`, Algorithm 2), [N, ...].

    Two evaluations a step, one at the last. Arguments as in `edm_dpm_solver`; `churn` is S_churn,
    `churn_range` S_tmin and S_tmax, S_noise is 1.
    """
    levels = _falling_to_zero(sigmas)
    if churn and noise is None:
        raise InputError(f"churn {churn:g} needs noise; give it, or take churn 0.")
    x = x * levels[0]
    for i, (now, after) in enumerate(itertools.pairwise(levels)):
        if noise is not None and churn and churn_range[0] <= now <= churn_range[1]:
            raised = now * (1 + min(churn / (len(levels) - 1), 2**0.5 - 1))
            x = x + (raised**2 - now**2) ** 0.5 * noise(i)
            now = raised
        slope = (x - denoiser(x, _row(x, now))) / now
        guess = x + (after - now) * slope
        if after:
            second = (guess - denoiser(guess, _row(x, after))) / after
            guess = x + (after - now) * (slope + second) / 2
        x = guess
    return x


def flow_euler(denoiser: Denoiser, x: Tensor, times: Tensor) -> Tensor:
    """Euler along the velocity (Liu et al., Rectified Flow, 2023, Algorithm 1), [N, ...].

    Args:
        denoiser: (x, t) -> velocity, noise - x_0.
        x: standard normal, [N, ...].
        times: [S + 1], falling from 1 to 0 (`nn.schedules.flow_times`).
    """
    levels = _falling_to_zero(times)
    for now, after in itertools.pairwise(levels):
        x = x + (after - now) * denoiser(x, _row(x, now))
    return x


def flow_heun(denoiser: Denoiser, x: Tensor, times: Tensor) -> Tensor:
    """Heun's second-order rule along the velocity: two evaluations a step, one at the last.

    Arguments as in `flow_euler`.
    """
    levels = _falling_to_zero(times)
    for now, after in itertools.pairwise(levels):
        velocity = denoiser(x, _row(x, now))
        if after:
            guess = x + (after - now) * velocity
            velocity = (velocity + denoiser(guess, _row(x, after))) / 2
        x = x + (after - now) * velocity
    return x


# ---------------------------------------------------------------------- pieces


def _multistep(
    clean: Callable[[Tensor, int], Tensor],
    x: Tensor,
    alphas: list[float],
    sigmas: list[float],
    noise: Noise | None,
) -> Tensor:
    """DPM-Solver++(2M) over x = alpha x_0 + sigma noise; the last sigma is 0."""
    before: Tensor | None = None
    for i in range(len(sigmas) - 2):
        now = clean(x, i)
        decay = alphas[i] * sigmas[i + 1] / (alphas[i + 1] * sigmas[i])  # exp(-h), h of Eq. 7
        best = now
        if before is not None:
            h = -math.log(decay)
            ratio = alphas[i] * sigmas[i - 1] / (alphas[i - 1] * sigmas[i])
            last_h = math.log(ratio)
            best = now + (now - before) * (h / last_h / 2)
        if noise is None:
            x = sigmas[i + 1] / sigmas[i] * x + alphas[i + 1] * (1 - decay) * best
        else:
            gone = 1 - decay**2
            x = sigmas[i + 1] / sigmas[i] * decay * x + alphas[i + 1] * gone * best
            x = x + sigmas[i + 1] * gone**0.5 * noise(i)
        before = now
    return clean(x, len(sigmas) - 2)


def _clean(
    denoiser: Denoiser,
    x: Tensor,
    step: int,
    level: float,
    prediction: Prediction,
    clip: float | None,
) -> Tensor:
    """x_0 as predicted at a step whose alpha-bar is `level`."""
    given = denoiser(x, torch.full((len(x),), step, device=x.device))
    clean = to_x0(prediction, given, x, level**0.5, (1 - level) ** 0.5)
    return clean if clip is None else clean.clamp(-clip, clip)


def _levels(alpha_bars: Tensor, steps: Tensor, last: float = 1.0) -> list[float]:
    """Alpha-bar at each of the steps [S] and after the last, S + 1 numbers."""
    if not len(steps):
        raise InputError("sampling needs at least one step; none came.")
    wrong = bool((steps < 0).any() or (steps >= len(alpha_bars)).any())
    if wrong or bool((steps.diff() >= 0).any()):
        raise InputError(
            f"sampling steps must fall within 0 and {len(alpha_bars) - 1}, the schedule's last; "
            f"came {steps.tolist()}."
        )
    return [*alpha_bars.double()[steps.to(alpha_bars.device)].tolist(), last]


def _falling_to_zero(levels: Tensor) -> list[float]:
    """Levels [S + 1] as numbers, checked."""
    if len(levels) < 2 or bool((levels.diff() >= 0).any()) or float(levels[-1]) != 0:
        raise InputError(
            f"sampling levels must be at least two, fall, and end with 0; came {levels.tolist()}."
        )
    return [float(level) for level in levels]


def _row(x: Tensor, value: float) -> Tensor:
    """The value once a row of x, [N]."""
    return torch.full((len(x),), value, dtype=x.dtype, device=x.device)
