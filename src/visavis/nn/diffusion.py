"""What a denoiser predicts, how predictions turn into each other, and what it is trained on.

With a = sqrt(alpha_bar), s = sqrt(1 - alpha_bar): x_t = a x_0 + s noise, and a network may give the
noise ("epsilon"; Ho et al., 2020), the clean data ("x0"), or v = a noise - s x_0 ("v"; Salimans and
Ho, 2022, section 4). EDM (Karras et al., 2022) has a = 1 and scales a network so that x_0 comes
out; flow matching (Lipman et al., 2023; Liu et al., 2023) has x_t = (1 - t) x_0 + t noise and gives
the velocity noise - x_0.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from visavis.errors import InputError
from visavis.nn.guidance import Denoiser

Prediction = Literal["epsilon", "x0", "v"]
Error = Literal["l1", "mse", "huber"]


def rows(values: Tensor, like: Tensor) -> Tensor:
    """Values [N], one a row, shaped to multiply `like` [N, ...], in its dtype."""
    return values.to(like).reshape(-1, *[1] * (like.dim() - 1))


def noised(x0: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
    """x_t for rows of alpha-bar [N] (Ho et al., 2020, Eq. 4)."""
    level = alpha_bar.double()
    return rows(level.sqrt(), x0) * x0 + rows((1 - level).sqrt(), x0) * noise


def target(prediction: Prediction, x0: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
    """What the network is to give for x_t."""
    if prediction == "x0":
        return x0
    if prediction == "epsilon":
        return noise
    level = alpha_bar.double()
    return rows(level.sqrt(), x0) * noise - rows((1 - level).sqrt(), x0) * x0


def to_x0(prediction: Prediction, given: Tensor, x: Tensor, alpha: float, sigma: float) -> Tensor:
    """A prediction for x = alpha x_0 + sigma noise as x_0."""
    if prediction == "x0":
        return given
    if prediction == "epsilon":
        return (x - sigma * given) / alpha
    return (alpha * x - sigma * given) / (alpha**2 + sigma**2)


def to_epsilon(x0: Tensor, x: Tensor, alpha: float, sigma: float) -> Tensor:
    """The noise in x = alpha x_0 + sigma noise, for an x_0."""
    return (x - alpha * x0) / sigma


# ---------------------------------------------------------------------- EDM


class Scalings(NamedTuple):
    """Of EDM's Table 1, one a row [N]: D(x) = skip x + out F(into x, c_noise)."""

    skip: Tensor
    out: Tensor
    into: Tensor


def edm_scalings(sigma: Tensor, data: float = 0.5) -> Scalings:
    """For noise levels [N] and data of standard deviation `data` (Karras et al., Table 1)."""
    total = sigma**2 + data**2
    return Scalings(data**2 / total, sigma * data / total.sqrt(), total.rsqrt())


def edm_denoiser(network: Denoiser, data: float = 0.5) -> Denoiser:
    """The network F(c_in x, sigma) as a denoiser (x, sigma) -> x_0 (Karras et al., Eq. 7).

    F is given sigma itself; `nn.step_embedding.log_noise` is the c_noise to embed.
    """

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        skip, out, into = (rows(c, x) for c in edm_scalings(sigma, data))
        return skip * x + out * network(into * x, sigma)

    return denoise


def v_diffusion_sigmas(
    uniform: Tensor, *, low: float = 1e-3, high: float = 1e3, data: float = 1.0
) -> Tensor:
    """Noise levels [N] for uniform numbers [N] in (0, 1): tan(pi u / 2) data between low and high.

    The density that training for v with a cosine schedule has (Salimans and Ho, 2022), truncated.
    """
    ends = torch.tensor([low, high], dtype=torch.float64) / data
    first, last = (torch.atan(ends) * 2 / torch.pi).tolist()
    return torch.tan((first + uniform * (last - first)) * torch.pi / 2) * data


def log_normal_sigmas(normal: Tensor, *, mean: float = -1.2, std: float = 1.2) -> Tensor:
    """Noise levels [N] for standard normal numbers [N] (Karras et al., Table 1, training)."""
    return torch.exp(mean + std * normal)


# ---------------------------------------------------------------------- losses


def row_errors(
    given: Tensor, wanted: Tensor, kind: Error = "mse", mask: Tensor | None = None
) -> Tensor:
    """The error a row: [N, ..., C] to [N].

    Args:
        given: [N, ..., C].
        wanted: the same shape.
        kind: "l1", "mse", or "huber" (quadratic up to 1).
        mask: bool [N, ...] without the last axis; where False, `wanted` is not read. A row that is
            wholly masked costs 0.
    """
    if mask is not None:
        wanted = torch.where(mask[..., None], wanted, given.detach())
    errors = _error(kind, given - wanted).flatten(1)
    if mask is None:
        return errors.mean(1)
    seen = mask.flatten(1).sum(1) * given.shape[-1]
    return errors.sum(1) / seen.clamp(min=1)


def _error(kind: Error, apart: Tensor) -> Tensor:
    if kind == "mse":
        return apart**2
    size = apart.abs()
    return size if kind == "l1" else torch.where(size < 1, apart**2 / 2, size - 0.5)


def best_of(errors: Tensor) -> Tensor:
    """Mean over rows of the least of k draws, [k, N] to a scalar (BeLFusion, 2023).

    Only the best draw has a gradient, so draws need not all be the average answer.
    """
    return errors.min(0).values.mean()


class Draws(NamedTuple):
    """k noisy versions of N rows, k-major: row i of draw j is number j N + i."""

    x: Tensor
    """[k N, ...]"""
    steps: Tensor
    """int64 [k N], equal for all draws of a row."""
    wanted: Tensor
    """What the network is to give, [k N, ...]."""


def draw_noised(
    x0: Tensor,
    alpha_bars: Tensor,
    *,
    prediction: Prediction,
    draws: int = 1,
    steps: Tensor | None = None,
    noise: Tensor | None = None,
) -> Draws:
    """What a training step shows the network (Ho et al., 2020, Algorithm 1, lines 2 to 5).

    Args:
        x0: [N, ...].
        alpha_bars: [T].
        prediction: what `wanted` is.
        draws: k.
        steps: int64 [N]; uniform over the T steps where not given.
        noise: [k N, ...]; standard normal where not given.
    """
    if draws < 1:
        raise InputError(f"draws must be at least 1, not {draws}.")
    if steps is None:
        steps = torch.randint(len(alpha_bars), (len(x0),), device=x0.device)
    many, steps = torch.cat([x0] * draws), steps.repeat(draws)
    if noise is None:
        noise = torch.randn_like(many)
    level = alpha_bars.to(x0.device)[steps]
    return Draws(noised(many, noise, level), steps, target(prediction, many, noise, level))


def denoising_loss(
    denoiser: Denoiser,
    x0: Tensor,
    alpha_bars: Tensor,
    *,
    prediction: Prediction = "epsilon",
    error: Error = "mse",
    draws: int = 1,
    mask: Tensor | None = None,
) -> Tensor:
    """The simple loss (Ho et al., 2020, Eq. 14) with the best of k draws; a scalar.

    The denoiser gets k N rows, k-major, so its condition is `torch.cat([condition] * k)`. Masked
    frames (bool [N, T]) cost nothing; the denoiser itself must not read them.
    """
    shown = draw_noised(x0, alpha_bars, prediction=prediction, draws=draws)
    given = denoiser(shown.x, shown.steps)
    seen = None if mask is None else torch.cat([mask] * draws)
    return best_of(row_errors(given, shown.wanted, error, seen).unflatten(0, (draws, -1)))


def edm_loss(
    network: Denoiser,
    x0: Tensor,
    sigma: Tensor,
    noise: Tensor,
    *,
    data: float = 0.5,
    error: Error = "mse",
    mask: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """EDM's loss a row [N], and the denoised x_0 (Karras et al., 2022, Eq. 8).

    With the weight 1 / c_out^2 it is the error of F to (x_0 - c_skip x) / c_out.
    """
    x = x0 + rows(sigma, x0) * noise
    skip, out, into = (rows(c, x) for c in edm_scalings(sigma, data))
    given = network(into * x, sigma)
    errors = row_errors(given, (x0 - skip * x) / out, error, mask)
    return errors, skip * x + out * given


def flow_loss(
    denoiser: Denoiser,
    x0: Tensor,
    times: Tensor,
    noise: Tensor,
    *,
    error: Error = "mse",
    mask: Tensor | None = None,
) -> Tensor:
    """Conditional flow matching a row [N] at times [N] in [0, 1] (Lipman et al., 2023, Eq. 23).

    The velocity is noise - x_0, with data at time 0 as in rectified flow turned round (Liu et al.,
    2023, Eq. 1; Esser et al., 2024).
    """
    t = rows(times, x0)
    given = denoiser((1 - t) * x0 + t * noise, times)
    return row_errors(given, noise - x0, error, mask)
