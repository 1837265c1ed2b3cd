"""The objective that uses all appropriate listeners: what bundled weights are trained with.

The papers' objectives, measured on simulated dyads, answer every speaker with the mean of all
listeners (docs/models.md). This one compares each draw with the appropriate listener nearest to
it, counts agreement in time beside the squared error, and asks for variety channel by channel up
to that of the real appropriate listeners.
"""

from __future__ import annotations

import torch
from torch import Tensor

from visavis.behaviour import Behaviour
from visavis.channels import GROUPS
from visavis.dyad import Batch
from visavis.nn.losses import concordance, masked_mean, nearest, spread_hinge, velocity_error

AGREEMENT, ERROR, VARIETY, MOTION = 6.0, 5.0, 0.5, 2.0
"""Weights: 1 - CCC, squared error, shortfall of variety, squared error of first differences. With
MOTION at 25 a face that never moves is the better answer at first, and online training stays there
(docs/models.md)."""
SHARE = 0.7
"""Of the real listeners' variety that two draws must have: each step beyond costs FRDist."""
AU_SHARE = 1.4
"""A model's AUs are intensities and those of corpora labels: without this they vary least."""


def real(person: Behaviour, *names: str) -> tuple[Tensor, Tensor]:
    """Values [..., T, C], zero where unobserved, and the frames to learn from, bool [..., T]."""
    mask = person.inside()
    for n in names:
        mask = mask & person.mask(n)
    return torch.cat([person.filled(n) for n in names], dim=-1), mask


def appropriate_terms(
    draws: dict[str, Tensor],
    batch: Batch,
    *,
    pose_weight: float = 1.0,
    share: float = SHARE,
    coverage: bool = False,
    by_group: bool = False,
    only: Tensor | None = None,
) -> dict[str, Tensor]:
    """Each draw against its nearest appropriate listener; variety as among those listeners.

    Args:
        draws: K draws, {"coefficients": [B, K, T, 58], "attributes": [B, K, T, 25]}; at least two.
            A model that returns coefficients alone completes them
            (`attributes_from_coefficients`); one that returns attributes alone leaves them out.
        pose_weight: of the pose's squared error; the other weights stand above.
        share: of the real listeners' variety that two draws must have.
        coverage: adds the term "coverage".
        by_group: squared errors and shortfalls of attributes count as AUs, valence and arousal, and
            expressions, a third each. (In FRDist valence and arousal count most, and each group
            is to vary.) AUs are asked `AU_SHARE` times the share.
        only: bool [B, N], the targets that draws are compared with; all that are there by default.
            Variety is that of all.

    Returns:
        Weighted terms: attributes, motion, with coefficients also blendshapes and pose; "variety",
        the shortfall of the first two draws; "coverage", the cost of the draw nearest to each
        listener, so that the draws become listeners of all kinds instead of one that is near to
        most.
    """
    attributes, mask = real(batch.targets, *GROUPS["attributes"])  # [B, N, T, 25]
    only = batch.target_mask if only is None else only
    there = only[:, None].expand(-1, draws["attributes"].shape[1], -1)

    drawn = draws["attributes"][:, :, None]  # [B, K, 1, T, 25]
    wanted, seen = attributes[:, None], mask[:, None]
    agreement = concordance(drawn, wanted, seen).nan_to_num(1.0).mean(-1)  # [B, K, N]
    squares = (drawn - wanted) ** 2
    groups = [15, 2, 8] if by_group else [25]
    squares = torch.stack([x.mean(-1) for x in squares.split(groups, dim=-1)], dim=-1)
    error = (squares.mean(-1) * seen).sum(-1) / seen.sum(-1).clamp(min=1)
    costs = AGREEMENT * (1 - agreement) + ERROR * error
    cost, chosen = nearest(costs, there)

    rows = torch.arange(len(chosen), device=chosen.device)[:, None]
    motion = velocity_error(draws["attributes"], attributes[rows, chosen], mask[rows, chosen])
    lacking = [
        shortfall(drawn, wanted, batch.target_mask, asked * share)
        for drawn, wanted, asked in zip(
            draws["attributes"].split(groups, dim=-1),
            attributes.split(groups, dim=-1),
            (AU_SHARE, 1.0, 1.0) if by_group else (1.0,),
            strict=True,
        )
    ]
    lack = torch.stack(lacking).mean()
    terms = {"attributes": cost.mean()}
    if "coefficients" in draws:
        coefficients, pose_mask = real(batch.targets, *GROUPS["coefficients"])
        nearest_real, kept = coefficients[rows, chosen], pose_mask[rows, chosen]
        difference = (draws["coefficients"] - nearest_real) ** 2
        motion = velocity_error(draws["coefficients"], nearest_real, kept) + motion
        terms["blendshapes"] = ERROR * masked_mean(difference[..., :52], kept)
        terms["pose"] = pose_weight * masked_mean(difference[..., 52:], kept)
        shapes = draws["coefficients"][..., :52], coefficients[..., :52]
        lack = lack + shortfall(*shapes, batch.target_mask, share)
    terms |= {"motion": MOTION * motion, "variety": VARIETY * lack}
    if coverage:
        weights = only.to(costs.dtype)
        terms["coverage"] = (costs.min(1).values * weights).sum() / weights.sum()
    return terms


def mean_terms(
    answer: dict[str, Tensor],
    batch: Batch,
    *,
    agreement_weight: float = 0.2 * AGREEMENT,
    prefix: str = "guess",
) -> dict[str, Tensor]:
    """One answer beside all appropriate listeners, for what a diffusion is told or begins from.

    The error is to every one of them, whose least is their mean, and 1 - CCC likewise: an answer
    need not choose, the diffusion does.

    Args:
        answer: {"coefficients": [B, T, 58], "attributes": [B, T, 25]}.
        agreement_weight: of 1 - CCC.
        prefix: of the terms' names, PREFIX/agreement, PREFIX/attributes, PREFIX/coefficients.
    """
    attributes, seen = real(batch.targets, *GROUPS["attributes"])
    coefficients, known = real(batch.targets, *GROUPS["coefficients"])
    there = batch.target_mask
    drawn = answer["attributes"][:, None]
    agreement = concordance(drawn, attributes, seen).nan_to_num(1.0).mean(-1)
    weights = there.to(agreement.dtype) / there.sum(1, keepdim=True)
    errors = (drawn - attributes) ** 2
    apart = (answer["coefficients"][:, None] - coefficients) ** 2
    return {
        f"{prefix}/agreement": agreement_weight * ((1 - agreement) * weights).sum(1).mean(),
        f"{prefix}/attributes": 5 * ERROR * masked_mean(errors, seen & there[..., None]),
        f"{prefix}/coefficients": 5 * ERROR * masked_mean(apart, known & there[..., None]),
    }


def one_of(batch: Batch) -> Behaviour:
    """One of the appropriate listeners of each clip, at random, [B, T, ...]."""
    weights = batch.target_mask.to(torch.float32)
    number = torch.multinomial(weights, 1)[:, 0]
    clip = torch.arange(len(number), device=number.device)
    return Behaviour(
        {n: x[clip, number] for n, x in batch.targets.channels.items()},
        batch.targets.layout,
        observed={n: m[clip, number] for n, m in batch.targets.observed.items()},
        lengths=batch.lengths,
    )


def shortfall(drawn: Tensor, targets: Tensor, there: Tensor, share: float = SHARE) -> Tensor:
    """How far two draws, the first of [B, K, T, C], vary less than a share of the variety of the
    listeners [B, N, T, C]."""
    return spread_hinge(drawn[:, 0], drawn[:, 1], share * variety(targets, there))


def variety(targets: Tensor, there: Tensor) -> Tensor:
    """Mean squared difference a channel between two appropriate listeners, [B, N, T, C] to [C]."""
    weights = there[..., None, None].to(targets.dtype)
    count = weights.sum(1, keepdim=True)
    mean = (targets * weights).sum(1, keepdim=True) / count.clamp(min=1)
    variance = (((targets - mean) ** 2) * weights).sum(1) / (count[:, 0] - 1).clamp(min=1)
    return 2 * variance.mean((0, 1))
