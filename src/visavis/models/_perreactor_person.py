"""What PerReactor's personal stages learn of a person beside the game (ours, off as published).

Stage "person": a history, or Big Five, tells how its listener moves in another clip; that is what
makes a pattern. Stage "personal": two personas' reactions to one speaker differ as their patterns
tell. Without these, 200 steps of the personal game leave every persona the same (docs/personal.md).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from visavis.behaviour import Behaviour
from visavis.channels import GROUPS
from visavis.dyad import Batch
from visavis.errors import InputError
from visavis.models._appropriate_loss import real
from visavis.models._history import first_windows
from visavis.models._likeness import directions, signature

if TYPE_CHECKING:
    from visavis.models.perreactor import PerReactor

CHANNELS = (*GROUPS["coefficients"], *GROUPS["attributes"])
SIGNATURE = 3 * (58 + 25)


def what_tells_apart(batches: Iterable[Batch], count: int) -> tuple[Tensor, Tensor]:
    """Of whole clips and histories: the average signature [249] and `count` directions [249, N].

    Clips are as long as the histories, and so are those of the stage "person" (its `crop`). The
    personal stage compares shorter windows, but only with one another.

    Raises:
        InputError: the batches have no histories.
    """
    first: list[Tensor] = []
    second: list[Tensor] = []
    for batch in batches:
        past = _history(batch)
        # equally long, for a longer clip deviates more
        frames = min(batch.listener.frames, past.frames)
        signed, seen = [], []
        for person in (batch.listener, past):
            values, inside = real(person, *CHANNELS)
            signed.append(signature(values[:, :frames], inside[:, :frames]))
            seen.append(inside[:, :frames].sum(1) > 1)
        both = seen[0] & seen[1]
        first.append(signed[0][both])
        second.append(signed[1][both])
    one, two = torch.cat(first), torch.cat(second)
    return 0.5 * (one.mean(0) + two.mean(0)), directions(one, two, count)


def person_terms(model: PerReactor, batch: Batch) -> dict[str, Tensor]:
    """How a listener moves, told from a clip of another script, and from Big Five."""
    values, inside = real(batch.listener, *CHANNELS)
    wanted = (signature(values, inside) - model.average) @ model.likeness
    windows = first_windows(_history(batch), model.remembered, model.config.history)
    terms = {"history": (model.tells(model.pattern(windows)) - wanted).pow(2).mean()}
    if model.from_traits is not None and batch.traits is not None:
        known = ~batch.traits.isnan().any(-1)
        if bool(known.any()):
            told = model.tells(model.from_traits(batch.traits[known]))
            terms["traits"] = (told - wanted[known]).pow(2).mean()
    return terms | {"log/told_nothing": wanted.pow(2).mean()}


def unlike(
    model: PerReactor,
    draws: dict[str, Tensor],
    others: dict[str, Tensor],
    pattern: Tensor,
    inside: Tensor,
) -> Tensor:
    """How far a listener's draws differ from those of the next listener of the batch, to the same
    speaker and of the same latents, otherwise than the two patterns tell.

    Args:
        draws, others: {"coefficients": [B, K, T, 58], "attributes": [B, K, T, 25]}.
        pattern: [B, C], of `draws`; that of `others` is the next row's.
        inside: bool [B, T].

    Returns:
        Mean square over directions, halved, where 1 is how far two clips of one person differ; and
        by how much a person's draws vary more than that.
    """
    own, other = (
        signature(
            torch.cat([x["coefficients"], x["attributes"]], -1),
            inside[:, None].expand(-1, x["attributes"].shape[1], -1),
        )
        @ model.likeness
        for x in (draws, others)
    )
    told = model.config.likeness_gain * model.tells(pattern).detach()
    apart: Tensor = (own - other).mean(1) - (told - following(told))
    return 0.5 * apart.pow(2).mean() + (own.var(1) - 1).relu().mean()


def following(rows: Tensor) -> Tensor:
    """Each row's next one, the last row's the first."""
    return rows.roll(-1, 0)


def _history(batch: Batch) -> Behaviour:
    if batch.history is None:
        raise InputError("who listens is learned from histories; set corpus.history=480.")
    return batch.history
