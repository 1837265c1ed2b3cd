"""What PerReactor's generators and critics minimise (Eqs. 9 to 13).

Groups of reactions are never told apart by how they come: real, made and inappropriate ones are
rows of one batch, each judged by itself.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from visavis.channels import GROUPS
from visavis.dyad import Batch
from visavis.errors import InputError
from visavis.models._appropriate_loss import appropriate_terms, real
from visavis.models._perreactor_person import following, unlike
from visavis.nn import adversarial
from visavis.nn.adversarial import Adversarial, gradient_penalty
from visavis.nn.gaussian import Gaussian
from visavis.nn.losses import least_error, motion_smoothness, pairwise_diversity

if TYPE_CHECKING:
    from visavis.models.perreactor import PerReactor

SIZES = [58, 25]
FAR_S = 2.0
"""A reaction moved by so much is at the wrong time: listeners answer within 0.4 to 1.4 s."""

JUDGED = 2
"""Draws of a clip that critics see in a step."""

FRAMES = 512
"""Real and made frames that the critic of frames sees in a step: neighbours are nearly equal, and
relativistic losses compare each real one with every made one."""


def pair_of(name: str, *, frames: bool) -> Adversarial:
    """The losses of a name in the configuration, for the critic of frames or of reactions."""
    if name in ("released", "paper"):
        return adversarial.CROSS_ENTROPY if frames or name == "paper" else _SQUASHED
    return {
        "least_squares": adversarial.LEAST_SQUARES,
        "hinge": adversarial.HINGE,
        "relativistic": adversarial.RELATIVISTIC,
    }[name]


_SQUASHED = Adversarial(
    critic=lambda a, b: adversarial.LEAST_SQUARES.critic(a.sigmoid(), b.sigmoid()),
    generator=lambda a, b: adversarial.LEAST_SQUARES.generator(a.sigmoid(), b.sigmoid()),
)
"""Least squares on a sigmoid's output, as released."""


@dataclass(frozen=True)
class Made:
    """Reactions to a batch's speakers, and what they came of."""

    draws: dict[str, Tensor]
    """[B, K, T, ...]"""
    distribution: Gaussian
    """Of the latents."""
    pattern: Tensor | None
    """[B, C], the listeners', in the personal stage."""
    again: Callable[[Tensor], dict[str, Tensor]]
    """The same latents decoded with other patterns [B, C]."""


def made(model: PerReactor, batch: Batch, *, personal: bool, count: int | None = None) -> Made:
    """Reactions, `count` a clip (default: `config.draws`).

    The generic generator is read without gradients in the personal stage, but for its decoder's
    hearing, which the personal decoder shares and no objective of that stage moves.
    """
    inside = None if batch.lengths is None else batch.speaker.inside()
    with torch.set_grad_enabled(torch.is_grad_enabled() and not personal):
        features = model.encode(batch.speaker)
        distribution = model.predict(features, inside)
    shape = (len(batch), count or model.config.draws, model.config.width)
    noise = torch.randn(shape, device=features.device, dtype=features.dtype)
    latent = Gaussian(distribution.mean[:, None], distribution.log_variance[:, None]).at(noise)
    pattern = model.patterns(batch) if personal else None

    def decoded(pattern: Tensor | None) -> dict[str, Tensor]:
        return model.decode(features, latent, pattern, inside)

    return Made(decoded(pattern), distribution, pattern, decoded)


def targets(batch: Batch, *, personal: bool) -> Tensor:
    """Which targets are appropriate in this stage, bool [B, N]: in the personal one the listener's
    own alone (Eq. 12)."""
    if not personal:
        return batch.target_mask
    if batch.personal_mask is None:
        raise InputError("the personal stage wants batches with a personal_mask (collate).")
    return batch.target_mask & batch.personal_mask


def mean_terms(model: PerReactor, batch: Batch) -> dict[str, Tensor]:
    """What the stage "mean" minimises, ours: when to move, without critics or variety."""
    found = made(model, batch, personal=False, count=2)
    terms = _anchor(model, found.draws, batch, batch.target_mask)
    terms["kl"] = model.config.kl_weight * found.distribution.kl().mean()
    return {n: x for n, x in terms.items() if n not in ("variety", "coverage")}


def generator_terms(model: PerReactor, batch: Batch, *, personal: bool) -> dict[str, Tensor]:
    """Terms of the generator of a stage (Eqs. 11, 13)."""
    config = model.config
    found = made(model, batch, personal=personal)
    draws, pattern = found.draws, found.pattern
    there = targets(batch, personal=personal)
    inside = batch.listener.inside()
    each = inside[:, None].expand(-1, config.draws, -1)
    terms = _anchor(model, draws, batch, there)
    if not personal:
        kl = found.distribution.kl().mean()
        terms |= {"kl": config.kl_weight * kl, "log/kl": kl.detach()}
    if pattern is not None and config.likeness_weight:
        if len(pattern) < 2:
            raise InputError(
                "likeness compares the listeners of a batch, but a piece of it has one clip; take "
                "a larger training.batch, a smaller training.accumulate, or likeness_weight=0."
            )
        others = found.again(following(pattern))
        apart = unlike(model, draws, others, pattern, inside)
        terms["likeness"] = config.likeness_weight * apart
    if config.motion_weight:
        still = motion_smoothness(draws["coefficients"], each)
        terms["still"] = config.motion_weight * still
    if config.diversity_weight:
        spread = [pairwise_diversity(x, inside) for x in draws.values()]
        terms["diversity"] = config.diversity_weight * torch.stack(spread).sum()
    if model.realism is None:
        terms["frames"] = config.pose_weight * _error(draws, batch, there, "coefficients")
    elif config.realism_weight:
        with _still(model.realism):
            scores = model.realism(_some(draws["coefficients"][each]))
            genuine = model.realism(_real_frames(batch, there)) if _relative(model) else scores
        pair = pair_of(config.adversarial, frames=True)
        terms["realism"] = config.realism_weight * pair.generator(genuine, scores)
    judge = _judge(model, personal)
    if judge is None:
        terms["reaction"] = _error(draws, batch, there, "attributes")
    elif config.appropriateness_weight:
        shown = _seen(model, {n: x[:, :JUDGED] for n, x in draws.items()})
        with _still(judge):
            scores = _judged(model, batch, shown, pattern, personal).flatten()
            genuine = scores
            if _relative(model):
                told = None if pattern is None else pattern.detach()
                first = [x[:, :JUDGED] for x in _targets(batch)]
                genuine = _judged(model, batch, tuple(first), told, personal)[there[:, :JUDGED]]
        pair = pair_of(config.adversarial, frames=False)
        terms["appropriateness"] = config.appropriateness_weight * pair.generator(genuine, scores)
    return terms


def realism_terms(model: PerReactor, batch: Batch, *, personal: bool) -> dict[str, Tensor]:
    """Terms of the critic of frames (Eq. 9)."""
    config, critic = model.config, model.realism
    assert critic is not None
    with torch.no_grad():
        draws = made(model, batch, personal=personal, count=JUDGED).draws
    inside = batch.listener.inside()[:, None].expand(-1, JUDGED, -1)
    genuine = _real_frames(batch, targets(batch, personal=personal))
    scores, fake = critic(genuine), critic(_some(draws["coefficients"][inside]))
    terms = {"critic": pair_of(config.adversarial, frames=True).critic(scores, fake)}
    if config.r1:
        terms["slope"] = config.r1 * gradient_penalty(critic, genuine)
    return terms | {"log/over_made": _above(scores, fake)}


def suits_terms(model: PerReactor, batch: Batch, *, personal: bool) -> dict[str, Tensor]:
    """Terms of the critic of reactions: real appropriate ones against made ones, and against real
    inappropriate ones, half each (Eqs. 10, 12)."""
    config = model.config
    there = targets(batch, personal=personal)
    with torch.no_grad():
        found = made(model, batch, personal=personal, count=JUDGED)
    draws, pattern = found.draws, found.pattern
    wrong, wrong_there = negatives(batch, personal=personal, hard=config.hard_negatives)
    genuine = _targets(batch)
    groups = (genuine, _seen(model, draws), wrong)
    joined = tuple(torch.cat(parts, 1) for parts in zip(*groups, strict=True))
    scores = _judged(model, batch, joined, pattern, personal)
    counts = [g[0].shape[1] for g in groups]
    suited, fake, unsuited = scores.split(counts, 1)
    suited, unsuited = suited[there], unsuited[wrong_there]
    pair = pair_of(config.adversarial, frames=False)
    terms = {
        "made": 0.5 * pair.critic(suited, fake.flatten()),
        "inappropriate": 0.5 * pair.critic(suited, unsuited),
    }
    if config.r1:

        def score(values: Tensor) -> Tensor:
            parts = values.split(SIZES, -1)
            return _judged(model, batch, (parts[0], parts[1]), pattern, personal)[there]

        with warnings.catch_warnings():
            # mkldnn's LSTM has no second derivative; its flags warn of Intel GPUs that are not here
            warnings.simplefilter("ignore")
            with torch.backends.mkldnn.flags(enabled=False):
                terms["slope"] = config.r1 * gradient_penalty(score, torch.cat(genuine, -1))
    return terms | {
        "log/over_made": _above(suited, fake.flatten()),
        "log/over_inappropriate": _above(suited, unsuited),
    }


def negatives(batch: Batch, *, personal: bool, hard: bool) -> tuple[tuple[Tensor, Tensor], Tensor]:
    """Real inappropriate reactions [B, M, T, ...] and which there are, bool [B, M].

    Generic: those that the label map does not call appropriate; hard ones are appropriate ones
    moved in time. Personal: the listener's own reactions to other scripts; hard ones are
    appropriate reactions of others.
    """
    if batch.negatives is None or batch.negative_mask is None or batch.negative_personal is None:
        raise InputError(
            "the appropriateness critic learns from inappropriate reactions too; set "
            "corpus.negatives=4."
        )
    values = tuple(real(batch.negatives, *GROUPS[g])[0] for g in ("coefficients", "attributes"))
    there = batch.negative_mask & (batch.negative_personal if personal else True)
    if personal and not bool(there.any()):
        there = batch.negative_mask  # nobody here met another script: anyone's will do
    if hard:
        genuine = _targets(batch)
        if personal:
            assert batch.personal_mask is not None
            more, more_there = genuine, batch.target_mask & ~batch.personal_mask
        else:
            frames = genuine[0].shape[2]
            far = min(int(FAR_S * 25), frames // 2)
            by = int(torch.randint(far, max(far + 1, frames - far + 1), ()))
            more = tuple(x.roll(by, dims=2) for x in genuine)  # type: ignore[assignment]
            more_there = batch.target_mask
        values = tuple(torch.cat([a, b], 1) for a, b in zip(values, more, strict=True))
        there = torch.cat([there, more_there], 1)
    return (values[0], values[1]), there


def _anchor(
    model: PerReactor, draws: dict[str, Tensor], batch: Batch, there: Tensor
) -> dict[str, Tensor]:
    config = model.config
    if config.anchor == "appropriate":
        kept = replace(batch, target_mask=there)
        terms = appropriate_terms(
            draws,
            kept,
            pose_weight=config.pose_weight,
            share=config.variety_share,
            coverage=config.coverage_weight > 0,
            by_group=True,
        )
        terms["motion"] = config.smooth_weight * terms["motion"]
        terms["variety"] = config.variety_weight * terms["variety"]
        if "coverage" in terms:
            terms["coverage"] = config.coverage_weight * terms["coverage"]
        return terms
    return {"anchor": _error(draws, batch, there, "attributes", columns=slice(15, 17))}


def _error(
    draws: dict[str, Tensor],
    batch: Batch,
    there: Tensor,
    group: str,
    *,
    columns: slice = slice(None),
) -> Tensor:
    """Squared error of each draw to the target nearest in these columns, mean over draws."""
    wanted, mask = real(batch.targets, *GROUPS[group])
    wanted, drawn = wanted[..., columns], draws[group][..., columns]
    errors = [least_error(x, wanted, there, mask)[0] for x in drawn.unbind(1)]
    return torch.stack(errors).mean()


@contextmanager
def _still(critic: nn.Module) -> Iterator[None]:
    """The critic as the generator meets it: its own weights ask for no gradient."""
    asked = [p for p in critic.parameters() if p.requires_grad]
    for p in asked:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in asked:
            p.requires_grad_(True)


def _relative(model: PerReactor) -> bool:
    return model.config.adversarial == "relativistic"


def _judge(model: PerReactor, personal: bool) -> nn.Module | None:
    return model.suits_person if personal else model.suits


def _judged(
    model: PerReactor,
    batch: Batch,
    reactions: tuple[Tensor, ...],
    pattern: Tensor | None,
    personal: bool,
) -> Tensor:
    """Scores [B, N] of the stage's critic."""
    critic = _judge(model, personal)
    assert critic is not None
    speaker = tuple(real(batch.speaker, *GROUPS[g])[0] for g in ("coefficients", "attributes"))
    scores: Tensor = critic(
        speaker, reactions, inside=batch.listener.inside(), pattern=pattern if personal else None
    )
    return scores


def _seen(model: PerReactor, draws: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Draws as a critic sees them: with `crisp`, AUs rounded, the gradient passing through."""
    attributes = draws["attributes"]
    if model.config.crisp:
        au = attributes[..., :15]
        crisp = (au > 0.5).to(au.dtype) + au - au.detach()
        attributes = torch.cat([crisp, attributes[..., 15:]], -1)
    return draws["coefficients"], attributes


def _targets(batch: Batch) -> tuple[Tensor, Tensor]:
    coefficients, _ = real(batch.targets, *GROUPS["coefficients"])
    attributes, _ = real(batch.targets, *GROUPS["attributes"])
    return coefficients, attributes


def _real_frames(batch: Batch, there: Tensor) -> Tensor:
    """At most `FRAMES` observed frames of the appropriate reactions, [F, 58]."""
    values, mask = real(batch.targets, *GROUPS["coefficients"])
    return _some(values[mask & there[..., None]])


def _some(frames: Tensor) -> Tensor:
    """At most `FRAMES` of frames [F, C], at random."""
    return frames[torch.randperm(len(frames), device=frames.device)[:FRAMES]]


def _above(first: Tensor, second: Tensor) -> Tensor:
    """How often a score of the first group is above one of the second: 0.5 is guessing."""
    return (first[:, None] > second[None]).float().mean().detach()
