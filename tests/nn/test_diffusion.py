"""Schedules, predictions and losses, on the specification's numbers and worked examples."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from visavis.errors import InputError
from visavis.nn.diffusion import (
    best_of,
    denoising_loss,
    draw_noised,
    edm_denoiser,
    edm_loss,
    edm_scalings,
    flow_loss,
    log_normal_sigmas,
    noised,
    row_errors,
    target,
    to_epsilon,
    to_x0,
    v_diffusion_sigmas,
)
from visavis.nn.guidance import drop_rows, guided
from visavis.nn.schedules import (
    alpha_bars,
    cosine_betas,
    flow_times,
    karras_sigmas,
    leading_steps,
    linear_betas,
    scaled_linear_betas,
    trailing_steps,
)
from visavis.nn.step_embedding import FourierFeatures, log_noise, step_embedding

COSINE_20 = (
    *(0.992007, 0.972093, 0.940739, 0.898706, 0.847012, 0.786911, 0.719858, 0.647478, 0.571527),
    *(0.493844, 0.416312, 0.340810, 0.269168, 0.203121, 0.144272, 0.0940456, 0.0536592, 0.0240917),
    *(0.00605964, 6.05964e-6),
)
COSINE_10 = (
    *(0.972093, 0.898706, 0.786911, 0.647478, 0.493844, 0.340810, 0.203121, 0.0940456, 0.0240917),
    2.40917e-5,
)
BETAS_10 = (
    *(0.027907, 0.075494, 0.124396, 0.177190, 0.237282, 0.309883, 0.404003, 0.536998, 0.743829),
    0.999,
)


def close(made: Tensor, wanted: Tensor, within: float = 1e-6) -> None:
    torch.testing.assert_close(made.double(), wanted.double(), atol=within, rtol=0.0)


# ---------------------------------------------------------------------- schedules


@pytest.mark.parametrize(("steps", "table"), [(20, COSINE_20), (10, COSINE_10)])
def test_cosine_alpha_bars_are_the_published_tables(steps: int, table: tuple[float, ...]) -> None:
    made = alpha_bars(cosine_betas(steps))
    torch.testing.assert_close(made, torch.tensor(table).double(), atol=0.0, rtol=3e-6)


def test_cosine_betas_of_ten_steps_are_the_published_ones() -> None:
    close(cosine_betas(10), torch.tensor(BETAS_10), 5e-7)
    close(alpha_bars(cosine_betas(10))[:9], alpha_bars(cosine_betas(20))[1:18:2], 1e-12)


def test_a_thousand_cosine_steps_begin_and_end_as_the_motion_baseline_has_it() -> None:
    betas = cosine_betas(1000)
    assert float(alpha_bars(betas)[0]) == pytest.approx(0.99995872, abs=5e-9)
    assert float(betas[998]) == pytest.approx(0.75, abs=1e-4)


@pytest.mark.parametrize(
    ("name", "betas"),
    [("linear", linear_betas), ("scaled_linear", scaled_linear_betas)],
)
def test_other_schedules_are_those_of_diffusers(name: str, betas: object) -> None:
    from diffusers import DDPMScheduler

    assert callable(betas)
    ends = {"linear": (1e-4, 0.02), "scaled_linear": (0.00085, 0.012)}[name]
    theirs = DDPMScheduler(50, beta_start=ends[0], beta_end=ends[1], beta_schedule=name)
    close(alpha_bars(betas(50)), theirs.alphas_cumprod)


def test_karras_levels_are_the_published_ones_and_end_with_zero() -> None:
    made = karras_sigmas(50, low=0.01, high=80.0)
    close(made[:3], torch.tensor([80.0, 72.0936, 64.8667]), 1e-4)
    assert made[-2:].tolist() == pytest.approx([0.01, 0.0])
    assert karras_sigmas(1).tolist() == pytest.approx([80.0, 0.0])


def test_steps_are_taken_from_the_beginning_or_from_the_end() -> None:
    assert leading_steps(1000, 50)[[0, 1, -1]].tolist() == [980, 960, 0]
    assert trailing_steps(1000, 50)[[0, 1, -1]].tolist() == [999, 979, 19]
    assert leading_steps(10, 10).tolist() == trailing_steps(10, 10).tolist() == [*range(9, -1, -1)]
    assert trailing_steps(10, 4).tolist() == [9, 7, 4, 1]  # 7.5 and 2.5 round to even


def test_a_shifted_flow_lingers_near_the_noise() -> None:
    assert flow_times(4).tolist() == [1.0, 0.75, 0.5, 0.25, 0.0]
    assert flow_times(2, shift=3.0).tolist() == [1.0, 0.75, 0.0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cosine_betas(0), "diffusion steps must be at least 1"),
        (lambda: leading_steps(10, 0), "sampling steps must be at least 1"),
        (lambda: trailing_steps(10, 11), "at most 10"),
        (lambda: karras_sigmas(0), "at least 1"),
        (lambda: karras_sigmas(4, low=0.0), "0 < low"),
        (lambda: flow_times(0), "at least 1"),
    ],
)
def test_a_schedule_without_steps_is_refused(call: object, message: str) -> None:
    assert callable(call)
    with pytest.raises(InputError, match=message):
        call()


# ---------------------------------------------------------------------- predictions


def some(rows: int, *shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, *shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("kind", ["epsilon", "x0", "v"])
def test_every_prediction_gives_back_data_and_noise(kind: str) -> None:
    x0, noise, level = some(3, 5, 2), some(3, 5, 2, seed=1), 0.3
    bars = torch.full((3,), level)
    x = noised(x0, noise, bars)
    given = target(kind, x0, noise, bars)  # type: ignore[arg-type]
    alpha, sigma = float(bars[0]) ** 0.5, (1 - float(bars[0])) ** 0.5
    back = to_x0(kind, given, x, alpha, sigma)  # type: ignore[arg-type]
    close(back, x0, 1e-12)
    close(to_epsilon(back, x, alpha, sigma), noise, 1e-12)


def test_rows_have_noise_levels_of_their_own() -> None:
    x0, noise = some(2, 4), some(2, 4, seed=1)
    made = noised(x0, noise, torch.tensor([1.0, 0.0]))
    close(made, torch.stack([x0[0], noise[1]]), 1e-12)


def test_edm_scalings_are_the_published_ones() -> None:
    sigma = torch.tensor([0.5, 80.0, 0.01], dtype=torch.float64)
    made = edm_scalings(sigma)
    close(made.skip, torch.tensor([0.5, 3.906e-5, 0.999600]), 1e-6)
    close(made.out, torch.tensor([0.353553, 0.499990, 0.009998]), 1e-6)
    close(made.into, torch.tensor([1.414214, 0.0124998, 1.999600]), 1e-6)
    close(log_noise(sigma), torch.tensor([-0.173287, 1.095507, -1.151293]), 1e-6)


# ---------------------------------------------------------------------- losses


def test_errors_a_row_leave_out_what_is_masked_and_never_read_it() -> None:
    given = torch.zeros(2, 3, 2, requires_grad=True)
    wanted = torch.tensor([0.5, 2.0, 3.0])[None, :, None].repeat(2, 1, 2)
    wanted[0, 2] = torch.nan
    mask = torch.tensor([[True, True, False], [False, False, False]])
    assert row_errors(given, wanted, "l1", mask).tolist() == pytest.approx([1.25, 0.0])
    assert row_errors(given, wanted, "mse", mask).tolist() == pytest.approx([2.125, 0.0])
    huber = row_errors(given, wanted, "huber", mask)
    assert huber.tolist() == pytest.approx([(0.125 + 1.5) / 2, 0.0])
    huber.sum().backward()
    assert given.grad is not None and given.grad.isfinite().all()


def test_the_best_draw_alone_pays() -> None:
    errors = torch.tensor([[0.0, 5.0], [3.0, 2.0]], requires_grad=True)
    best_of(errors).backward()
    assert best_of(errors).item() == 1.0
    assert errors.grad is not None
    assert errors.grad.tolist() == [[0.5, 0.0], [0.0, 0.5]]


def test_draws_of_a_row_share_its_step_and_not_its_noise() -> None:
    torch.manual_seed(0)
    shown = draw_noised(some(6, 4), alpha_bars(cosine_betas(10)), prediction="x0", draws=3)
    steps = shown.steps.unflatten(0, (3, 6))
    assert torch.equal(steps[0], steps[1]) and len(steps[0].unique()) > 1
    x = shown.x.unflatten(0, (3, 6))
    assert float((x[0] - x[1]).abs().min(0).values.max()) > 0
    assert torch.equal(shown.wanted[:6], some(6, 4))


def test_one_right_draw_of_k_costs_nothing_and_k_of_one_is_the_plain_loss() -> None:
    x0, levels = some(4, 3), alpha_bars(cosine_betas(10))

    def first_right(x: Tensor, t: Tensor) -> Tensor:
        return torch.cat([x0, x0 + 1])

    free = denoising_loss(first_right, x0, levels, prediction="x0", draws=2)
    assert float(free) == 0.0
    plain = denoising_loss(lambda x, t: x0 + 1, x0, levels, prediction="x0", error="l1")
    assert float(plain) == pytest.approx(1.0)


def test_edm_s_loss_is_that_of_the_clean_data_weighted() -> None:
    x0, noise, sigma = some(3, 4), some(3, 4, seed=1), torch.tensor([0.2, 0.5, 9.0]).double()

    def network(x: Tensor, sigma: Tensor) -> Tensor:
        return torch.sin(x)

    errors, clean = edm_loss(network, x0, sigma, noise)
    noisy = x0 + sigma[:, None] * noise
    close(clean, edm_denoiser(network)(noisy, sigma), 1e-12)
    weight = (sigma**2 + 0.25) / (sigma * 0.5) ** 2
    close(errors, weight * ((clean - x0) ** 2).mean(1), 1e-9)


def test_noise_levels_for_training_have_their_medians_and_ends() -> None:
    u = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64)
    assert v_diffusion_sigmas(u, data=0.5).tolist() == pytest.approx([1e-3, 0.5, 1e3], rel=2e-3)
    assert float(log_normal_sigmas(torch.zeros(1))) == pytest.approx(0.3011942)


def test_the_flow_of_a_known_velocity_costs_nothing() -> None:
    x0, noise = some(3, 4), some(3, 4, seed=1)
    times = torch.tensor([0.0, 0.4, 1.0])
    assert flow_loss(lambda x, t: noise - x0, x0, times, noise).tolist() == [0.0] * 3
    seen: list[Tensor] = []
    flow_loss(lambda x, t: (seen.append(x), x)[1], x0, times, noise)
    close(seen[0][0], x0[0], 1e-12)
    close(seen[0][2], noise[2], 1e-12)


# ---------------------------------------------------------------------- guidance, embeddings


def test_guidance_has_its_limits_and_asks_only_what_it_needs() -> None:
    asked: list[str] = []

    def conditional(x: Tensor, t: Tensor) -> Tensor:
        asked.append("c")
        return x + 1

    def unconditional(x: Tensor, t: Tensor) -> Tensor:
        asked.append("u")
        return x - 1

    x = some(2, 3)
    t = torch.zeros(2)
    assert torch.equal(guided(conditional, unconditional, 1.0)(x, t), x + 1)
    assert asked == ["c"]
    assert torch.equal(guided(conditional, unconditional, 0.0)(x, t), x - 1)
    assert asked == ["c", "u"]
    close(guided(conditional, unconditional, 3.0)(x, t), x + 5, 1e-12)
    assert torch.equal(guided(conditional, None, 1.0)(x, t), x + 1)
    with pytest.raises(InputError, match="without its condition"):
        guided(conditional, None, 2.0)


def test_conditions_are_dropped_row_by_row() -> None:
    condition, nothing = torch.ones(4, 2, 3), torch.zeros(3)
    chance = torch.tensor([0.05, 0.2, 0.099, 0.9])
    made = drop_rows(condition, nothing, 0.1, chance)
    assert made.mean((1, 2)).tolist() == [0.0, 1.0, 0.0, 1.0]
    assert drop_rows(condition, nothing, 0.0) is condition
    torch.manual_seed(0)
    assert 0 < float(drop_rows(torch.ones(64, 1), nothing[:1], 0.5).mean()) < 1


def test_steps_are_embedded_cosines_first() -> None:
    made = step_embedding(torch.tensor([0, 3]), 4)
    assert made[0].tolist() == [1.0, 1.0, 0.0, 0.0]
    angles = torch.tensor([3.0, 3.0 / 100])
    close(made[1], torch.cat([angles.cos(), angles.sin()]))
    assert step_embedding(torch.tensor([5]), 5)[0, -1] == 0


def test_steps_are_embedded_as_diffusers_does() -> None:
    from diffusers.models.embeddings import get_timestep_embedding

    steps = torch.tensor([0, 7, 950])
    theirs = get_timestep_embedding(steps, 64, flip_sin_to_cos=True, downscale_freq_shift=0)
    close(step_embedding(steps, 64), theirs, 1e-5)


def test_fourier_features_tell_neighbouring_noise_levels_apart() -> None:
    torch.manual_seed(0)
    features = FourierFeatures(16)
    made = features(log_noise(torch.tensor([0.1, 0.11])))
    assert made.shape == (2, 16)
    close(made.square().sum(-1), torch.full((2,), 8.0), 1e-5)
    assert float((made[0] - made[1]).abs().max()) > 1e-3
    assert "frequencies" in features.state_dict()
