"""Which channel a model reads its face or voice from: a standard one, or one of the user's own."""

from __future__ import annotations

import torch
from torch import Tensor

from visavis.behaviour import Behaviour
from visavis.channels import GROUPS, STANDARD
from visavis.nn.standardise import Standardise


def size_of(source: str, declared: int | None) -> int:
    """Numbers a tick of a channel or group.

    Raises:
        ValueError: it is no standard one and no size is declared, or another than it has.
    """
    known = None
    if all(n in STANDARD for n in names_of(source)):
        known = sum(STANDARD[n].size for n in names_of(source))
    if known is None and declared is None:
        raise ValueError(
            f"{source!r} is not a standard channel or group; a channel of your own needs its size "
            "beside it."
        )
    if known is not None and declared not in (None, known):
        raise ValueError(f"{source!r} has {known} numbers, not {declared}.")
    return known if declared is None else declared  # type: ignore[return-value]


def names_of(source: str) -> tuple[str, ...]:
    return GROUPS.get(source, (source,))


def average_where_lost(speaker: Behaviour, source: str, scale: Standardise) -> Tensor:
    """Values [B, T * rate, C], standardised; what was not observed is the average, 0."""
    values = torch.cat([speaker.filled(n, float("nan")) for n in names_of(source)], dim=-1)
    known: Tensor = scale(values)
    return torch.where(known.isnan(), 0.0, known)


def observed_rows(behaviour: Behaviour, source: str) -> Tensor:
    """Ticks that are inside the clips and observed in all channels of the source, [N, C]."""
    keep = behaviour.inside()
    for n in names_of(source):
        keep = keep & behaviour.mask(n)
    values = torch.cat([behaviour.filled(n) for n in names_of(source)], dim=-1)
    rate = values.shape[-2] // behaviour.frames
    return values[keep.repeat_interleave(rate, dim=-1)]
