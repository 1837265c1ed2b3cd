"""Draws that deviate more where less of the speaker is known (ours; the paper has nothing of it).

A draw's deviation from the middle of its distribution is multiplied by a number that goes by how
long ago face and voice were seen: with x and y from 0 (now) to 1 (long ago, or never), it is the
bilinear mean of four numbers, those of the whole speaker, without face, without voice, and without
both. They belong to sampling alone, and are chosen so that samples differ as far as they err.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from visavis.models._emc_layers import NEVER


def unseen(there: Tensor, before: Tensor | None = None, *, causal: bool) -> tuple[Tensor, Tensor]:
    """Frames since a modality was seen, [R, T], from where it is, bool [R, T]: 0 where it is there,
    `NEVER` or more where it never was; not causal: or until it is seen next, whichever is less.

    `before` [R, 1] goes on from a stretch before this one; the second value is for the next.
    """
    before = torch.full_like(there[:, :1], NEVER, dtype=torch.float32) if before is None else before
    since = _since(there, before)
    after = since[:, -1:] if there.shape[1] else before
    if not causal:
        never = torch.full_like(before, NEVER)
        since = torch.minimum(since, _since(there.flip(1), never).flip(1))
    return since, after


def _since(there: Tensor, before: Tensor) -> Tensor:
    clock = torch.arange(there.shape[1], device=there.device).expand_as(there)
    last = torch.where(there, clock, -1).cummax(1).values if there.shape[1] else clock
    return torch.where(last >= 0, (clock - last).to(before.dtype), before + clock + 1)


def deviation(face: Tensor, voice: Tensor, numbers: Sequence[float], frames: float) -> Tensor:
    """What deviations are multiplied by, of frames since face and voice were seen, [R, T].

    `numbers` are those of the module's text, in its order; in `frames` what was seen last is worth
    1 / e.
    """
    x, y = (-torch.expm1(-age / frames) for age in (face, voice))
    whole, no_face, no_voice, neither = numbers
    seen, mute = (1 - x) * whole + x * no_face, (1 - x) * no_voice + x * neither
    return (1 - y) * seen + y * mute


def spread(draws: Tensor, middle: Tensor | float, by: Tensor) -> Tensor:
    """Draws as far again from the middle as `by` says; bit for bit themselves where it says 1."""
    return torch.where(by == 1, draws, middle + by * (draws - middle))
