"""Time-lagged cross-correlation of one clip on any torch device, float64: all samples, all lags.

The block products of `lagged`, without its compiled loops. Where a window holds so little of a
sequence's energy that rounding could tell, nothing is promised and the caller computes anew, so
that no lag ever depends on the device.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from visavis.metrics._torch_moments import on_device

F64 = NDArray[np.float64]
Real = NDArray[np.floating]

BLOCK = 16
FRAGILE = 1e-3
"""A window with less than this share of the energy is left to the caller; above it the curves of
both ways are within 1e-11 of each other."""


def torch_lagged(
    pred: Real, speaker: Real, lags: int, device: torch.device
) -> tuple[F64, NDArray[np.bool_]]:
    """Pearson's r [M, 2 lags + 1, D] of finite `pred` [M, T, D] and `speaker` [T, D].

    T is at least lags + 2. The second array, [M], marks samples that are to be computed anew.
    """
    ours, theirs = on_device(pred, device), on_device(speaker[None], device)
    frames = ours.shape[1]
    p, s = ours - ours.mean(1, keepdim=True), theirs - theirs.mean(1, keepdim=True)
    lag = torch.arange(-lags, lags + 1, device=device)
    shift, n = lag.abs()[:, None], frames - lag.abs()[:, None]
    ahead = lag[:, None] >= 0
    still = torch.where(ahead, _last(ours) <= shift, _first(ours) >= n)
    still = still | torch.where(ahead, _first(theirs) >= n, _last(theirs) <= shift)
    p_sum, p_var = _windows(p, lag, n)
    s_sum, s_var = _windows(s, -lag, n)
    energy = (p_var < FRAGILE * p.square().sum(1)[:, None]) | (
        s_var < FRAGILE * s.square().sum(1)[:, None]
    )
    r = (_crossed(p, s[0], lags) - p_sum * s_sum / n) / (p_var * s_var).sqrt()
    r = torch.where(still, torch.nan, r.clamp(-1.0, 1.0))
    anew = (energy & ~still).any(2).any(1)
    return r.cpu().numpy(), anew.cpu().numpy()


def _windows(x: Tensor, lag: Tensor, n: Tensor) -> tuple[Tensor, Tensor]:
    """Sum and squared deviation of the frames lag.. (or ..lag from the end), [S, lags, D] each."""
    reach = int(lag.abs().max())
    sums = []
    for values in (x, x.square()):
        total = values.sum(1, keepdim=True)
        none = torch.zeros_like(total)
        head = torch.cat([none, values[:, :reach].cumsum(1)], 1)
        tail = torch.cat([none, values.flip(1)[:, :reach].cumsum(1)], 1)
        cut = torch.where((lag >= 0)[:, None], head[:, lag.abs()], tail[:, lag.abs()])
        sums.append(total - cut)
    return sums[0], sums[1] - sums[0].square() / n


def _crossed(p: Tensor, s: Tensor, lags: int) -> Tensor:
    """Sum over t of p[t] s[t - L] of centred [M, T, D] and [T, D], [M, 2 lags + 1, D]."""
    samples, frames, width = p.shape
    blocks = -(-frames // BLOCK)
    span = 2 * lags + 1
    ours = p.new_zeros((width, samples, blocks * BLOCK))
    ours[:, :, :frames] = p.permute(2, 0, 1)
    theirs = p.new_zeros((width, blocks * BLOCK + 2 * lags))
    theirs[:, lags : lags + frames] = s.T
    rows = theirs.unfold(1, BLOCK + 2 * lags, BLOCK)  # [D, U, B + 2 lags]
    lanes = ours.view(width, samples, blocks, BLOCK).transpose(2, 3)
    lanes = lanes.reshape(width, samples * BLOCK, blocks)
    product = torch.bmm(lanes, rows).view(width, samples, BLOCK, BLOCK + 2 * lags)
    step = product.stride()
    diagonals = product.as_strided(
        (width, samples, BLOCK, span), (step[0], step[1], step[2] + 1, 1)
    )
    return diagonals.sum(2).flip(2).permute(1, 2, 0)


def _first(x: Tensor) -> Tensor:
    """First frame that differs from the one before, or T: [S, 1, D]."""
    moves = x[:, 1:] != x[:, :-1]
    first = moves.to(torch.uint8).argmax(1, keepdim=True) + 1
    return torch.where(moves.any(1, keepdim=True), first, x.shape[1])


def _last(x: Tensor) -> Tensor:
    """Last frame that differs from the one before, or 0: [S, 1, D]."""
    moves = (x[:, 1:] != x[:, :-1]).flip(1)
    last = x.shape[1] - 1 - moves.to(torch.uint8).argmax(1, keepdim=True)
    return torch.where(moves.any(1, keepdim=True), last, 0)
