"""What the two mean baselines share: sums over the frames of all training people."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from visavis.behaviour import Behaviour
from visavis.channels import GROUPS
from visavis.dyad import Batch
from visavis.errors import InputError

NAMES = (*GROUPS["attributes"], *GROUPS["coefficients"])
WIDTHS = (15, 2, 8, 52, 3, 3)


def frame_sums(batches: Iterable[Batch], frames: int) -> tuple[Tensor, Tensor]:
    """Sums [frames, 83] and counts [frames, 1] over training speakers and listeners, float64.

    Both roles are averaged, as in the challenge's code; longer clips count up to `frames`.
    """
    sums = torch.zeros(frames, sum(WIDTHS), dtype=torch.float64)
    counts = torch.zeros(frames, 1, dtype=torch.float64)
    for batch in batches:
        for person in (batch.speaker, batch.listener):
            keep, values = _rows(person)
            size = min(frames, person.frames)
            sums[:size] += torch.where(keep[..., None], values, 0.0).double().sum(0).cpu()[:size]
            counts[:size] += keep.double().sum(0).cpu()[:size, None]
    return sums, counts


def _rows(person: Behaviour) -> tuple[Tensor, Tensor]:
    keep = person.inside()
    for n in NAMES:
        keep = keep & person.mask(n)
    return keep, torch.cat([person.filled(n) for n in NAMES], dim=-1)


def fitted(mean: Tensor, name: str) -> Tensor:
    """The mean [..., 83] as it is, unless it was never made.

    Raises:
        InputError: it is all zeros, which no mean of expressions that sum to 1 can be.
    """
    if not bool(mean.any()):
        raise InputError(f"{name} has no mean to give; fit it or load its weights.")
    return mean


def channels(values: Tensor, samples: int) -> dict[str, Tensor]:
    """One sequence a clip, [B, T, 83], as output channels of all samples."""
    parts = torch.split(values[:, None].expand(-1, samples, -1, -1), list(WIDTHS), dim=-1)
    return {n: part.clone() for n, part in zip(NAMES, parts, strict=True)}
