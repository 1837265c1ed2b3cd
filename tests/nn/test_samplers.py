"""Samplers against `diffusers`, against what they must recover, and on bad input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from visavis.errors import InputError
from visavis.nn.diffusion import edm_denoiser, target
from visavis.nn.samplers import (
    ddim,
    ddpm,
    dpm_solver,
    edm_dpm_solver,
    edm_heun,
    flow_euler,
    flow_heun,
)
from visavis.nn.schedules import (
    alpha_bars,
    cosine_betas,
    flow_times,
    karras_sigmas,
    leading_steps,
    trailing_steps,
)

N, C = 3, 6
LEVELS = alpha_bars(cosine_betas(20))
ALL = leading_steps(20, 20)
KINDS = ("epsilon", "x0", "v")
THEIRS = {"epsilon": "epsilon", "x0": "sample", "v": "v_prediction"}


def normal(seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(N, C, generator=generator, dtype=torch.float64)


def noise(i: int) -> Tensor:
    return normal(100 + i)


def network(x: Tensor, t: Tensor) -> Tensor:
    """A smooth made-up denoiser that needs both of its arguments."""
    return torch.tanh(x.roll(1, -1) * 0.7 + torch.sin(t.to(x.dtype))[:, None] * 0.3)


def close(made: Tensor, wanted: Tensor, within: float = 1e-6) -> None:
    torch.testing.assert_close(made.double(), wanted.double(), atol=within, rtol=0.0)


def followed(scheduler: Any, x: Tensor, **kwargs: Any) -> Tensor:
    """x taken through a scheduler of diffusers with our made-up denoiser."""
    for i, t in enumerate(scheduler.timesteps):
        extra = {n: f(i) if callable(f) else f for n, f in kwargs.items()}
        given = network(x, torch.full((N,), float(t)))
        x = scheduler.step(given, t, x, **extra).prev_sample
    return x


# ---------------------------------------------------------------------- diffusers as oracle


def reactdiff_scheduler(kind: str, **changes: Any) -> Any:
    """The specification's arguments, with our float64 table in place of its float32 one."""
    from diffusers import DDIMScheduler

    made = DDIMScheduler(
        num_train_timesteps=20,
        beta_schedule="squaredcos_cap_v2",
        prediction_type=THEIRS[kind],
        **{
            "clip_sample": True,
            "clip_sample_range": 1.0,
            "set_alpha_to_one": True,
            "steps_offset": 0,
            "timestep_spacing": "leading",
        }
        | changes,
    )
    torch.testing.assert_close(made.alphas_cumprod.double(), LEVELS, atol=0.0, rtol=2e-5)
    made.alphas_cumprod = LEVELS
    return made


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("taken", [20, 5])
def test_ddim_with_clipped_data_is_that_of_diffusers(kind: Any, taken: int) -> None:
    scheduler = reactdiff_scheduler(kind)
    scheduler.set_timesteps(taken)
    steps = leading_steps(20, taken)
    assert scheduler.timesteps.tolist() == steps.tolist()
    theirs = followed(scheduler, normal(), eta=0.0, use_clipped_model_output=True)
    close(ddim(network, normal(), LEVELS, steps, prediction=kind, clip=1.0), theirs)


def test_without_rederiving_the_noise_clipping_leads_elsewhere() -> None:
    scheduler = reactdiff_scheduler("epsilon")
    scheduler.set_timesteps(20)
    theirs = followed(scheduler, normal(), eta=0.0, use_clipped_model_output=False)
    ours = ddim(network, normal(), LEVELS, ALL, clip=1.0, rederive=False)
    close(ours, theirs)
    assert float((ours - ddim(network, normal(), LEVELS, ALL, clip=1.0)).abs().max()) > 0.1


def test_ddim_with_noise_on_the_way_is_that_of_diffusers() -> None:
    scheduler = reactdiff_scheduler("epsilon", clip_sample=False)
    scheduler.set_timesteps(20)
    theirs = followed(scheduler, normal(), eta=0.6, variance_noise=noise)
    close(ddim(network, normal(), LEVELS, ALL, eta=0.6, noise=noise), theirs, 1e-5)


def test_the_motion_baseline_s_fifty_of_a_thousand_steps_are_those_of_diffusers() -> None:
    from diffusers import DDIMScheduler

    levels = alpha_bars(cosine_betas(1000))
    scheduler = DDIMScheduler(
        num_train_timesteps=1000,
        beta_schedule="squaredcos_cap_v2",
        prediction_type="sample",
        clip_sample=True,
        set_alpha_to_one=False,
        steps_offset=0,
        timestep_spacing="leading",
    )
    scheduler.alphas_cumprod, scheduler.final_alpha_cumprod = levels, levels[0]
    scheduler.set_timesteps(50)
    theirs = followed(scheduler, normal(), eta=0.0)
    steps, last = leading_steps(1000, 50), float(levels[0])
    ours = ddim(network, normal(), levels, steps, prediction="x0", clip=1.0, last=last)
    close(ours, theirs)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("taken", [20, 5])
def test_ddpm_is_that_of_diffusers(kind: Any, taken: int) -> None:
    from diffusers import DDPMScheduler

    scheduler = DDPMScheduler(
        20,
        beta_schedule="squaredcos_cap_v2",
        prediction_type=THEIRS[kind],
        clip_sample=True,
        variance_type="fixed_small",
        timestep_spacing="leading",
    )
    scheduler.alphas_cumprod = LEVELS
    scheduler.set_timesteps(taken)
    theirs = followed(scheduler, normal(), generator=torch.Generator().manual_seed(7))
    generator = torch.Generator().manual_seed(7)

    def drawn(i: int) -> Tensor:
        return torch.randn(N, C, generator=generator, dtype=torch.float64)

    steps = leading_steps(20, taken)
    close(ddpm(network, normal(), LEVELS, steps, noise=drawn, prediction=kind, clip=1.0), theirs)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sde", [False, True])
def test_dpm_solver_is_that_of_diffusers(kind: Any, sde: bool) -> None:
    from diffusers import DPMSolverMultistepScheduler

    levels = alpha_bars(cosine_betas(1000))
    scheduler = DPMSolverMultistepScheduler(
        1000,
        beta_schedule="squaredcos_cap_v2",
        prediction_type=THEIRS[kind],
        algorithm_type="sde-dpmsolver++" if sde else "dpmsolver++",
        solver_order=2,
        solver_type="midpoint",
        timestep_spacing="trailing",
        final_sigmas_type="zero",
    )
    scheduler.alphas_cumprod = levels
    scheduler.set_timesteps(8)
    steps = trailing_steps(1000, 8)
    assert scheduler.timesteps.tolist() == steps.tolist()
    bars = levels[steps]
    scheduler.sigmas = torch.cat([((1 - bars) / bars).sqrt(), bars.new_zeros(1)])
    extra = {"variance_noise": noise} if sde else {}
    theirs = followed(scheduler, normal(), **extra)
    ours = dpm_solver(
        network, normal(), levels, steps, prediction=kind, noise=noise if sde else None
    )
    # unclipped, an error at the first of these steps grows by 1 / sqrt(alpha bar) = 20,000
    torch.testing.assert_close(ours, theirs.double(), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("sde", [False, True])
def test_dpm_solver_over_edm_levels_is_that_of_diffusers(sde: bool) -> None:
    from diffusers import EDMDPMSolverMultistepScheduler

    scheduler = EDMDPMSolverMultistepScheduler(
        sigma_min=0.01,
        sigma_max=80.0,
        sigma_data=0.5,
        sigma_schedule="karras",
        rho=7,
        solver_order=2,
        algorithm_type="sde-dpmsolver++" if sde else "dpmsolver++",
        solver_type="midpoint",
        prediction_type="epsilon",
        final_sigmas_type="zero",
    )
    scheduler.set_timesteps(50)
    sigmas = karras_sigmas(50, low=0.01, high=80.0)
    torch.testing.assert_close(scheduler.sigmas.double(), sigmas, atol=1e-8, rtol=1e-6)
    scheduler.sigmas = sigmas
    x = normal() * 80.0
    generator = torch.Generator().manual_seed(7)
    for i, t in enumerate(scheduler.timesteps):
        scaled = scheduler.scale_model_input(x, t)
        given = network(scaled, torch.full((N,), float(sigmas[i])))
        x = scheduler.step(given, t, x, generator=generator).prev_sample
    generator = torch.Generator().manual_seed(7)

    def drawn(i: int) -> Tensor:
        return torch.randn(N, C, generator=generator, dtype=torch.float64)

    made = edm_dpm_solver(edm_denoiser(network), normal(), sigmas, noise=drawn if sde else None)
    close(made, x, 2e-6)


@pytest.mark.parametrize(("churn", "span"), [(0.0, (0.0, float("inf"))), (8.0, (0.05, 50.0))])
def test_edm_s_sampler_is_the_paper_s_algorithm_written_out(
    churn: float, span: tuple[float, float]
) -> None:
    """Algorithm 2 of Karras et al. (2022), line by line."""
    t = karras_sigmas(9).tolist()
    x = normal() * t[0]
    model = edm_denoiser(network)
    for i in range(9):
        gamma = min(churn / 9, 2**0.5 - 1) if span[0] <= t[i] <= span[1] else 0.0
        t_hat = t[i] + gamma * t[i]
        x_hat = x + (t_hat**2 - t[i] ** 2) ** 0.5 * noise(i)
        d = (x_hat - model(x_hat, torch.full((N,), t_hat, dtype=x.dtype))) / t_hat
        x = x_hat + (t[i + 1] - t_hat) * d
        if t[i + 1] != 0:
            d2 = (x - model(x, torch.full((N,), t[i + 1], dtype=x.dtype))) / t[i + 1]
            x = x_hat + (t[i + 1] - t_hat) * (d / 2 + d2 / 2)
    made = edm_heun(model, normal(), karras_sigmas(9), churn=churn, churn_range=span, noise=noise)
    close(made, x, 1e-9)


def test_edm_s_first_order_is_that_of_diffusers() -> None:
    """Heun with equal slopes is Euler: a denoiser that knows the data, on both sides."""
    from diffusers import EDMEulerScheduler

    scheduler = EDMEulerScheduler(sigma_min=0.01, sigma_max=80.0, sigma_data=0.5)
    scheduler.set_timesteps(12)
    x0 = normal(5) / 3
    x = normal() * 80.0
    for t in scheduler.timesteps:
        x = scheduler.step(x, t, x, pred_original_sample=x0).prev_sample
    made = edm_heun(lambda x, s: x0, normal(), karras_sigmas(12, low=0.01))
    close(made, x, 1e-5)


@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_flow_matching_by_euler_is_that_of_diffusers(shift: float) -> None:
    from diffusers import FlowMatchEulerDiscreteScheduler

    scheduler = FlowMatchEulerDiscreteScheduler(1000, shift=shift)
    scheduler.set_timesteps(sigmas=flow_times(7)[:-1].tolist())
    close(scheduler.sigmas, flow_times(7, shift=shift))
    scheduler.sigmas = flow_times(7, shift=shift)
    x = normal()
    for i, t in enumerate(scheduler.timesteps):
        given = network(x, torch.full((N,), float(scheduler.sigmas[i])))
        x = scheduler.step(given, t, x).prev_sample
    close(flow_euler(network, normal(), flow_times(7, shift=shift)), x)


def test_flow_matching_by_heun_is_that_of_diffusers() -> None:
    from diffusers import FlowMatchHeunDiscreteScheduler

    scheduler = FlowMatchHeunDiscreteScheduler(1000)
    scheduler.set_timesteps(7)
    times = torch.cat([scheduler.sigmas[0:1], scheduler.sigmas[1::2]]).double()
    x = normal()
    for i, t in enumerate(scheduler.timesteps):
        given = network(x, torch.full((N,), float(scheduler.sigmas[i])))
        x = scheduler.step(given, t, x).prev_sample
    close(flow_heun(network, normal(), times), x)


# ---------------------------------------------------------------------- what must come out


def data() -> Tensor:
    return normal(9).clamp(-1, 1)


def oracle(kind: Any, levels: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    """A denoiser that knows the data."""

    def denoise(x: Tensor, t: Tensor) -> Tensor:
        bar = levels[t][:, None]
        noise = (x - bar.sqrt() * data()) / (1 - bar).sqrt()
        return target(kind, data(), noise, levels[t])

    return denoise


Sampled = Callable[[Any], Tensor]
DISCRETE: dict[str, Callable[[Any, Tensor, Any], Tensor]] = {
    "ddpm": lambda d, x, k: ddpm(d, x, LEVELS, ALL, noise=noise, prediction=k, clip=1.0),
    "ddim": lambda d, x, k: ddim(d, x, LEVELS, ALL, prediction=k, clip=1.0),
    "ddim 4": lambda d, x, k: ddim(d, x, LEVELS, trailing_steps(20, 4), prediction=k),
    "ddim eta": lambda d, x, k: ddim(d, x, LEVELS, ALL, prediction=k, eta=1.0, noise=noise),
    "dpm": lambda d, x, k: dpm_solver(d, x, LEVELS, ALL, prediction=k),
    "dpm 1": lambda d, x, k: dpm_solver(d, x, LEVELS, trailing_steps(20, 1), prediction=k),
    "dpm sde": lambda d, x, k: dpm_solver(d, x, LEVELS, ALL, prediction=k, noise=noise),
}
CONTINUOUS: dict[str, Callable[[Any, Tensor], Tensor]] = {
    "edm dpm": lambda d, x: edm_dpm_solver(d, x, karras_sigmas(9)),
    "edm dpm sde": lambda d, x: edm_dpm_solver(d, x, karras_sigmas(9), noise=noise),
    "edm heun": lambda d, x: edm_heun(d, x, karras_sigmas(9)),
    "edm heun 1": lambda d, x: edm_heun(d, x, karras_sigmas(1)),
    "edm churn": lambda d, x: edm_heun(d, x, karras_sigmas(9), churn=4.0, noise=noise),
    "flow euler": lambda d, x: flow_euler(d, x, flow_times(4)),
    "flow heun": lambda d, x: flow_heun(d, x, flow_times(4)),
}


@pytest.mark.parametrize("name", DISCRETE)
@pytest.mark.parametrize("kind", KINDS)
def test_an_oracle_denoiser_returns_the_data(name: str, kind: Any) -> None:
    close(DISCRETE[name](oracle(kind, LEVELS), normal(), kind), data(), 1e-9)


@pytest.mark.parametrize("name", CONTINUOUS)
def test_an_oracle_of_continuous_levels_returns_the_data(name: str) -> None:
    def velocity(x: Tensor, t: Tensor) -> Tensor:
        return (x - data()) / t[:, None]

    denoise = velocity if "flow" in name else lambda x, sigma: data()
    close(CONTINUOUS[name](denoise, normal()), data(), 1e-9)


def ran(name: str, x: Tensor) -> Tensor:
    if name in DISCRETE:
        return DISCRETE[name](network, x, "v")
    return CONTINUOUS[name](network, x)


@pytest.mark.parametrize("name", [*DISCRETE, *CONTINUOUS])
def test_equal_noise_gives_equal_data_and_other_noise_other(name: str) -> None:
    one = ran(name, normal())
    assert one.isfinite().all()
    assert torch.equal(one, ran(name, normal()))
    assert float((one - ran(name, normal(1))).abs().max()) > 1e-6


@pytest.mark.parametrize("name", [*DISCRETE, *CONTINUOUS])
def test_a_row_does_not_depend_on_its_neighbours(name: str) -> None:
    one, other = normal(), normal(1)
    mixed = torch.cat([one[:1], other[1:]])
    close(ran(name, mixed)[:1], ran(name, one)[:1], 1e-12)


@pytest.mark.parametrize("name", ["ddim", "dpm", "edm dpm", "edm heun", "flow euler", "flow heun"])
def test_single_precision_stays_single(name: str) -> None:
    assert ran(name, normal().float()).dtype == torch.float32


def test_where_the_noise_depends_on_the_step_alone_sampling_can_be_turned_round() -> None:
    """Forward and reverse DDIM over all 20 steps (specification 1.5, test 4)."""
    table = normal(3)[:1].repeat(20, 1) * torch.linspace(0.1, 1, 20)[:, None]
    x = x0 = normal()
    bars = [1.0, *LEVELS.tolist()]
    for t in range(20):
        before, after = bars[t], bars[t + 1]
        clean = (x - (1 - before) ** 0.5 * table[t]) / before**0.5
        x = after**0.5 * clean + (1 - after) ** 0.5 * table[t]
    close(ddim(lambda x, t: table[t], x, LEVELS, ALL), x0, 1e-9)


def test_of_the_motion_baseline_s_fifty_evaluations_the_last_changes_nothing() -> None:
    levels = alpha_bars(cosine_betas(1000))
    steps, last = leading_steps(1000, 50), float(levels[0])
    all_of_them = ddim(network, normal(), levels, steps, prediction="x0", clip=1.0, last=last)
    but_one = ddim(network, normal(), levels, steps[:-1], prediction="x0", clip=1.0, last=last)
    close(all_of_them, but_one, 1e-6)


# ---------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: ddim(network, x, LEVELS, ALL[:0]), "at least one step"),
        (lambda x: ddim(network, x, LEVELS, ALL.flip(0)), "must fall"),
        (lambda x: ddim(network, x, LEVELS, ALL + 1), "0 and 19"),
        (lambda x: ddim(network, x, LEVELS, ALL, eta=0.5), "needs noise"),
        (lambda x: dpm_solver(network, x, LEVELS, ALL[:0]), "at least one step"),
        (lambda x: edm_dpm_solver(network, x, karras_sigmas(3)[:-1]), "end with 0"),
        (lambda x: edm_heun(network, x, karras_sigmas(3), churn=1.0), "needs noise"),
        (lambda x: flow_euler(network, x, torch.tensor([0.0])), "at least two"),
    ],
)
def test_what_does_not_fit_is_refused(call: Callable[[Tensor], Tensor], message: str) -> None:
    with pytest.raises(InputError, match=message):
        call(normal())
