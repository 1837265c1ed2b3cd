"""BeLFusion's two losses (specification 3.3), masked, on windows from anywhere in the clip."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from visavis.behaviour import Behaviour
from visavis.channels import GROUPS
from visavis.dyad import Batch
from visavis.models._appropriate_loss import mean_terms, one_of, real
from visavis.nn.diffusion import best_of, draw_noised, row_errors
from visavis.nn.losses import squared_error
from visavis.nn.schedules import alpha_bars, cosine_betas

if TYPE_CHECKING:
    from visavis.models.belfusion import Belfusion


class Windows(NamedTuple):
    """A person's frames as windows, N = B W; padded with zeros."""

    values: Tensor
    """[N, w + tail, C]; an unobserved frame is the average of the observed ones."""
    mask: Tensor
    """bool [N, w + tail]: observed."""
    counts: Tensor
    """int64 [N]: frames before padding, of the first w."""


class Codes(NamedTuple):
    """A batch of listeners' codes."""

    codes: Tensor
    """[B, W, C]"""
    there: Tensor
    """bool [B, W]: windows with frames that were observed."""
    windows: Windows

    @property
    def seen(self) -> Tensor:
        """Codes of those windows, [M, C]."""
        chosen: Tensor = self.codes[self.there]
        return chosen


def cut(person: Behaviour, names: tuple[str, ...], window: int, tail: int = 0) -> Windows:
    """A batch [B, T] of people as windows, each with so many frames of the next one."""
    values, mask = real(person, *names)
    rows = values[mask]
    average = rows.mean(0) if len(rows) else values.new_zeros(values.shape[-1])
    inside = person.inside()
    values = torch.where(mask[..., None], values, average)
    values = torch.where(inside[..., None], values, 0.0)
    short = -values.shape[1] % window

    def windows(x: Tensor, size: int) -> Tensor:
        """[B, n w + tail, C] to [B n, size, C]"""
        apart: Tensor = x.unfold(1, size, window)
        return apart.transpose(2, 3).flatten(0, 1)

    there = torch.stack([mask, inside], dim=-1)
    values, there = (F.pad(x, (0, 0, 0, short + tail)) for x in (values, there))
    return Windows(
        windows(values, window + tail),
        windows(there, window + tail)[..., 0],
        windows(there, window + tail)[:, :window, 1].sum(1),
    )


def listener_codes(model: Belfusion, listener: Behaviour) -> Codes:
    """Codes of a batch of listeners, without gradient."""
    windows = cut(listener, GROUPS["attributes"], model.config.window)
    with torch.no_grad():
        codes = model.autoencoder.encode(windows.values, windows.counts).mean
    clips = len(listener)
    there = windows.mask.any(1)
    return Codes(codes.unflatten(0, (clips, -1)), there.unflatten(0, (clips, -1)), windows)


def autoencoder_terms(model: Belfusion, batch: Batch) -> dict[str, Tensor]:
    """Attributes of both people through the code, and the listener's coefficients from real
    attributes: MSE + KL (a sum over the code) + MSE."""
    config, coder = model.config, model.autoencoder
    attributes = GROUPS["attributes"]
    both = [
        cut(person, attributes, config.window, config.blend)
        for person in (batch.listener, batch.speaker)
    ]
    values, mask, counts = (torch.cat(x) for x in zip(*both, strict=True))
    there = counts > 0
    values, mask = values[there], mask[there]
    posterior = coder.encode(values[:, : config.window], counts[there])
    made = coder.decode(posterior.at(torch.randn_like(posterior.mean)), values.shape[1])

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
    """The clean code from a noisy one.

    "paper": k draws a clip at one step, each error's best draw. "appropriate": one of the
    appropriate listeners, drawn anew each time, with squared errors, and what is answered to pure
    noise beside all of them (`mean_terms`).
    """
    config = model.config
    windows = model.windows(model.heard(batch.speaker)).flatten(0, 1)
    heard = model.denoiser.heard(model.condition(windows))
    if config.objective == "paper":
        return _best_of_draws(model, batch, heard)
    codes = listener_codes(model, one_of(batch))
    given, shown, there = _denoised(model, codes, heard, draws=1)
    error = row_errors(given.flatten(0, 1), shown.flatten(0, 1), "mse")
    return {"code": config.code_weight * error[there].mean()} | _begun(model, batch, codes, heard)


def _best_of_draws(model: Belfusion, batch: Batch, heard: list[Tensor]) -> dict[str, Tensor]:
    config = model.config
    codes = listener_codes(model, batch.listener)
    given, shown, there = _denoised(model, codes, heard, draws=config.draws)
    error = row_errors(given.flatten(0, 1), shown.flatten(0, 1), "l1").unflatten(
        0, (-1, config.draws)
    )
    made = model.autoencoder.decode(
        model.code_range.back(given)[there].flatten(0, 1), config.window
    )
    values, mask = (x[there].repeat_interleave(config.draws, 0) for x in codes.windows[:2])
    decoded = row_errors(made, values, "mse", mask).unflatten(0, (-1, config.draws))
    return {
        "code": config.code_weight * best_of(error[there].T),
        "decoded": config.decoded_weight * best_of(decoded.T),
        "log/code": error.detach().mean(),
    }


def _noise(model: Belfusion, clips: int, windows: int, like: Tensor) -> Tensor:
    """Noise of clips' windows [N, W, C], as much of it shared as when they are drawn."""
    share, width = model.config.share, model.config.code
    own = torch.randn(clips, windows, width, device=like.device)
    same = torch.randn(clips, 1, width, device=like.device)
    noise: Tensor = same.mul_(share**0.5) + own.mul_((1 - share) ** 0.5)
    return noise


def _denoised(
    model: Belfusion, real_codes: Codes, heard: list[Tensor], *, draws: int
) -> tuple[Tensor, Tensor, Tensor]:
    """What the denoiser makes of `draws` noisy codes a window, [B W, k, C], what it should make,
    and which windows there are, [B W]. Windows of a clip share their step."""
    wanted = model.code_range(real_codes.codes)
    clips, count, _ = wanted.shape
    levels = alpha_bars(cosine_betas(model.config.steps))
    noise = _noise(model, draws * clips, count, wanted)
    shown = draw_noised(wanted, levels, prediction="x0", draws=draws, noise=noise)

    def by_window(x: Tensor) -> Tensor:
        """[k B, W, ...] to [B W, k, ...]"""
        apart: Tensor = x.unflatten(0, (draws, clips))
        return apart.movedim(0, 2).flatten(0, 1)

    steps = shown.steps[:clips].repeat_interleave(count)
    given = model.denoiser(by_window(shown.x), steps, heard)
    return given, by_window(shown.wanted), real_codes.there.flatten()


def _begun(model: Belfusion, batch: Batch, codes: Codes, heard: list[Tensor]) -> dict[str, Tensor]:
    """What the first step of sampling aims at, decoded, beside all appropriate listeners."""
    clips, count = codes.there.shape
    noise = _noise(model, clips, count, codes.codes).flatten(0, 1)[:, None]
    last = torch.tensor([model.config.steps - 1], device=noise.device)
    given = model.code_range.back(model.denoiser(noise, last, heard))
    laid = given.unflatten(0, (clips, count)).transpose(1, 2)
    attributes = model.lay_out(laid, batch.listener.frames)[:, 0]
    faces = model.autoencoder.coefficients(attributes)
    return mean_terms({"attributes": attributes, "coefficients": faces}, batch, prefix="begun")
