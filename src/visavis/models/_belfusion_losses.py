"""BeLFusion's two losses (specification 3.3), masked, on windows from anywhere in the clip."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from visavis.behaviour import Behaviour
from visavis.channels import GROUPS
from visavis.dyad import Batch
from visavis.models._appropriate_loss import appropriate_terms, real
from visavis.nn.diffusion import best_of, draw_noised, row_errors
from visavis.nn.losses import squared_error
from visavis.nn.schedules import alpha_bars, cosine_betas

if TYPE_CHECKING:
    from visavis.models.belfusion import Belfusion


class Windows(NamedTuple):
    """A person's frames as windows, N = B W; padded with zeros."""

    values: Tensor
    """[N, w, C]; an unobserved frame is the average of the observed ones."""
    mask: Tensor
    """bool [N, w]: observed."""
    counts: Tensor
    """int64 [N]: frames before padding."""


class Codes(NamedTuple):
    """A batch of listeners' codes."""

    codes: Tensor
    """[B, W, C]"""
    there: Tensor
    """bool [B, W]: windows with frames."""
    windows: Windows

    @property
    def seen(self) -> Tensor:
        """Codes of windows with frames, [M, C]."""
        chosen: Tensor = self.codes[self.there]
        return chosen


def cut(person: Behaviour, names: tuple[str, ...], window: int) -> Windows:
    """A batch [B, T] of people as windows."""
    values, mask = real(person, *names)
    rows = values[mask]
    average = rows.mean(0) if len(rows) else values.new_zeros(values.shape[-1])
    inside = person.inside()
    values = torch.where(mask[..., None], values, average)
    values = torch.where(inside[..., None], values, 0.0)
    short = -values.shape[1] % window

    def windows(x: Tensor) -> Tensor:
        apart: Tensor = x.unflatten(1, (-1, window))
        return apart.flatten(0, 1)

    return Windows(
        windows(F.pad(values, (0, 0, 0, short))),
        windows(F.pad(mask, (0, short))),
        windows(F.pad(inside, (0, short))).sum(1),
    )


def listener_codes(model: Belfusion, batch: Batch) -> Codes:
    """Codes of the paired listeners, without gradient."""
    windows = cut(batch.listener, GROUPS["attributes"], model.config.window)
    with torch.no_grad():
        codes = model.autoencoder.encode(windows.values, windows.counts).mean
    clips = len(batch)
    there = windows.counts > 0
    return Codes(codes.unflatten(0, (clips, -1)), there.unflatten(0, (clips, -1)), windows)


def autoencoder_terms(model: Belfusion, batch: Batch) -> dict[str, Tensor]:
    """Attributes of both people through the code, and the listener's coefficients from real
    attributes: MSE + KL (a sum over the code) + MSE."""
    config, coder = model.config, model.autoencoder
    attributes = GROUPS["attributes"]
    both = [cut(p, attributes, config.window) for p in (batch.listener, batch.speaker)]
    values, mask, counts = (torch.cat(x) for x in zip(*both, strict=True))
    there = counts > 0
    values, mask = values[there], mask[there]
    posterior = coder.encode(values, counts[there])
    made = coder.decode(posterior.at(torch.randn_like(posterior.mean)), config.window)

    faces, seen = real(batch.listener, *attributes, *GROUPS["coefficients"])
    given, wanted = faces.split([25, 58], dim=-1)
    kl = posterior.kl().sum(-1).mean()
    return {
        "attributes": squared_error(made, values, mask),
        "coefficients": squared_error(coder.coefficients(given), wanted, seen),
        "kl": config.kl_weight * kl,
        "log/kl": kl.detach(),
    }


def diffusion_terms(model: Belfusion, batch: Batch) -> dict[str, Tensor]:
    """The clean code from a noisy one: k draws a clip at one step, each error's best draw.

    Windows of a clip share their step, and as much of their noise as when they are drawn.
    """
    config, scale = model.config, model.code_range
    real_codes = listener_codes(model, batch)
    wanted = scale(real_codes.codes)
    clips, count, _ = wanted.shape
    draws = 2 if config.objective == "appropriate" else config.draws
    noise = torch.randn(draws * clips, count, config.code, device=wanted.device)
    same = torch.randn(draws * clips, 1, config.code, device=wanted.device)
    noise = config.share**0.5 * same + (1 - config.share) ** 0.5 * noise
    levels = alpha_bars(cosine_betas(config.steps))
    shown = draw_noised(wanted, levels, prediction="x0", draws=draws, noise=noise)

    def by_window(x: Tensor) -> Tensor:
        """[k B, W, ...] to [B W, k, ...]"""
        apart: Tensor = x.unflatten(0, (draws, clips))
        return apart.movedim(0, 2).flatten(0, 1)

    windows = model.windows(model.heard(batch.speaker)).flatten(0, 1)
    heard = model.denoiser.heard(model.condition(windows))
    steps = shown.steps[:clips].repeat_interleave(count)
    given = model.denoiser(by_window(shown.x), steps, heard)

    there = real_codes.there.flatten()
    error = row_errors(given.flatten(0, 1), by_window(shown.wanted).flatten(0, 1), "l1")
    terms = {
        "code": config.code_weight * best_of(error.unflatten(0, (-1, draws))[there].T),
        "log/code": error.detach().mean(),
    }
    codes = scale.back(given)
    if config.objective == "appropriate":
        laid = codes.unflatten(0, (clips, count)).transpose(1, 2)
        attributes = model.lay_out(laid, batch.listener.frames)
        faces = model.autoencoder.coefficients(attributes)
        both = {"attributes": attributes, "coefficients": faces}
        return terms | appropriate_terms(both, batch, pose_weight=config.pose_weight)
    made = model.autoencoder.decode(codes[there].flatten(0, 1), config.window)
    values, mask = (x[there].repeat_interleave(draws, 0) for x in real_codes.windows[:2])
    error = row_errors(made, values, "mse", mask).unflatten(0, (-1, draws))
    return terms | {"decoded": config.decoded_weight * best_of(error.T)}
