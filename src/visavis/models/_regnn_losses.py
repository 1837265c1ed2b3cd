"""REGNN's objectives: the released one, the likelihood that its paper announces, and ours."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from visavis.channels import GROUPS
from visavis.dyad import Batch
from visavis.models._appropriate_loss import (
    AGREEMENT,
    AU_SHARE,
    ERROR,
    MOTION,
    SHARE,
    VARIETY,
    real,
    shortfall,
)
from visavis.nn.losses import concordance, nearest, velocity_error
from visavis.nn.windows import unfold

SIZES = [15, 2, 8]
"""Of AUs, valence and arousal, and expressions."""


@dataclass(frozen=True)
class Targets:
    """The appropriate real reactions, cut in the speaker's windows."""

    values: Tensor
    """[B, W, N, 25, D], the average where nothing is known"""
    known: Tensor
    """bool [B, W, N, 1, D]"""
    there: Tensor
    """bool [B, W, N]: targets with a known frame in the window"""


def targets_of(batch: Batch, average: Tensor, window: int, stride: int) -> Targets:
    """`average` [25] stands where a target was not observed, or has ended."""
    values, mask = real(batch.targets, *GROUPS["attributes"])  # [B, N, T, 25]
    values = torch.where(mask[..., None], values, average)
    cut = unfold((values - average).flatten(0, 1), window, stride) + average
    kept = unfold(mask.flatten(0, 1)[..., None].to(values.dtype), window, stride) > 0
    shape = mask.shape[:2]
    codes = cut.transpose(-1, -2).unflatten(0, shape).transpose(1, 2)
    known = kept.transpose(-1, -2).unflatten(0, shape).transpose(1, 2)
    there = batch.target_mask[:, None] & known.flatten(-2).any(-1)
    return Targets(codes, known, there)


def apart(one: Tensor, other: Tensor, targets: Targets) -> Tensor:
    """Mean squared distance over known frames, [B, W, N]."""
    squares = torch.where(targets.known, (one - other) ** 2, 0.0)
    entries = targets.known.sum((-1, -2)) * squares.shape[-2]
    return squares.sum((-1, -2)) / entries.clamp(min=1)


def point_terms(
    code: Tensor, targets: Targets, made: Tensor, enough: Tensor
) -> tuple[dict[str, Tensor], Tensor]:
    """The released objective: the nearest reaction's code, and all of them together.

    Args:
        code: what the speaker's window says, [B, W, 25, D].
        made: the targets' codes, [B, W, N, 25, D].
        enough: a window whose nearest code is no farther than this asks for nothing more.

    Returns:
        The terms, and the mean distance to the nearest code.
    """
    there = targets.there.any(-1)
    distance, _ = nearest(apart(code[:, :, None], made, targets), targets.there)
    distance = torch.where(there, distance, 0.0)
    windows = there.sum().clamp(min=1)
    kept = torch.where(distance > enough, distance, 0.0)
    share = targets.there[..., None, None].to(made.dtype)
    middle = (made * share).sum(2, keepdim=True) / share.sum(2, keepdim=True).clamp(min=1)
    spread = torch.where(targets.there, apart(made, middle, targets), 0.0)
    return {
        "nearest": kept.sum() / windows,
        "middle": spread.sum() / targets.there.sum().clamp(min=1),
    }, distance.detach().sum() / windows


def likelihood_terms(log_prob: Tensor, logdet: Tensor, targets: Targets) -> dict[str, Tensor]:
    """-log p(reaction | speaker) an entry, by the change of variables; arguments [B, W, N].

    The released code adds the log-determinant, where a likelihood subtracts it from the loss.
    """
    entries = (targets.known.sum((-1, -2)) * targets.values.shape[-2]).clamp(min=1)
    # the determinant is over whole windows; of a window known in part it takes that part
    share = entries / (targets.values.shape[-2] * targets.values.shape[-1])
    each = -(log_prob + logdet * share) / entries
    weight = targets.there.to(each.dtype)
    return {"likelihood": (each * weight).sum() / weight.sum().clamp(min=1)}


def appropriate_terms(
    drawn: Tensor,
    batch: Batch,
    *,
    share: float = SHARE,
    variety: float = 1.0,
    motion: float = 1.0,
    coverage: float = 0.0,
) -> dict[str, Tensor]:
    """K draws [B, K, T, 25] against the appropriate listeners nearest to them.

    The shared objective (`_appropriate_loss`) of a model that has no coefficients: AUs, valence and
    arousal, and expressions count a third each.

    Args:
        share: of the real listeners' variety that two draws must have.
        variety: weight of what they lack of it.
        motion: weight of the error of first differences.
        coverage: weight of the cost of the draw nearest to each listener.
    """
    wanted, mask = real(batch.targets, *GROUPS["attributes"])
    there = batch.target_mask[:, None].expand(-1, drawn.shape[1], -1)
    one, all_, seen = drawn[:, :, None], wanted[:, None], mask[:, None]
    agreement = concordance(one, all_, seen).nan_to_num(1.0).mean(-1)
    squares = torch.stack([x.mean(-1) for x in ((one - all_) ** 2).split(SIZES, dim=-1)], dim=-1)
    error = (squares.mean(-1) * seen).sum(-1) / seen.sum(-1).clamp(min=1)
    costs = AGREEMENT * (1 - agreement) + ERROR * error
    cost, chosen = nearest(costs, there)
    rows = torch.arange(len(chosen), device=chosen.device)[:, None]
    moved = velocity_error(drawn, wanted[rows, chosen], mask[rows, chosen])
    groups = zip(drawn.split(SIZES, -1), wanted.split(SIZES, -1), (AU_SHARE, 1, 1), strict=True)
    lacking = [shortfall(x, y, batch.target_mask, asked * share) for x, y, asked in groups]
    terms = {
        "attributes": cost.mean(),
        "motion": MOTION * motion * moved,
        "variety": VARIETY * variety * torch.stack(lacking).mean(),
    }
    if coverage:
        weights = batch.target_mask.to(costs.dtype)
        terms["coverage"] = coverage * (costs.amin(1) * weights).sum() / weights.sum()
    return terms
