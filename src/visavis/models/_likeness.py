"""Is this reaction like its listener? Directions in which people differ more than their clips do.

A signature says how somebody moves and not when: mean, deviation and mean speed of each channel
over time. Linear discriminants of signatures (Fisher, 1936) are the combinations of these numbers
in which two clips of one person differ little and two people much. Ours; no paper has it.
"""

from __future__ import annotations

import torch
from torch import Tensor

SHRINKAGE = 0.3
"""Share of the identity in the correlations within people: there are fewer clips than numbers."""
SEEN = 0.01
"""What differs by less cannot be seen: a model's smallest flaws are not what makes a person."""
_LEAST = 1e-6


def signature(values: Tensor, inside: Tensor) -> Tensor:
    """Mean, deviation and mean speed of channels [..., T, C] over the frames that are inside, bool
    [..., T], as [..., 3 C]."""
    weight = inside[..., None].to(values.dtype)
    count = weight.sum(-2).clamp(min=1)
    mean = (values * weight).sum(-2) / count
    variance = ((values - mean.unsqueeze(-2)) ** 2 * weight).sum(-2) / count
    both = weight[..., 1:, :] * weight[..., :-1, :]
    # a square root and no absolute value: both have a slope at rest
    steps = (values.diff(dim=-2) ** 2 + _LEAST).sqrt()
    speed = (steps * both).sum(-2) / both.sum(-2).clamp(min=1)
    return torch.cat([mean, (variance + _LEAST).sqrt(), speed], dim=-1)


def directions(first: Tensor, second: Tensor, count: int) -> Tensor:
    """What tells people apart, from signatures [N, S] of N people in two clips each: [S, count].

    Signatures times these have a deviation of about 1 within a person, and vary between people the
    more, the earlier the direction. Rows are people met by chance, the same one several times too.
    """
    within = (first - second).double() / 2**0.5
    unit = (within.pow(2).mean(0) + SEEN**2).sqrt()
    inner = _shrunk(within / unit)
    middle = (first + second).double() / 2 / unit
    outer = torch.cov(middle.T)
    root = torch.linalg.cholesky(inner)
    half = torch.linalg.solve_triangular(root, outer, upper=False)
    around = torch.linalg.solve_triangular(root, half.T, upper=False)
    _, vectors = torch.linalg.eigh(0.5 * (around + around.T))
    best = vectors[:, -count:].flip(1)
    found = torch.linalg.solve_triangular(root.T, best, upper=True)
    scaled: Tensor = found / unit[:, None]
    return scaled.to(first.dtype)


def _shrunk(rows: Tensor) -> Tensor:
    """Correlations of rows [N, S], shrunk towards none; what cannot be seen has none."""
    found = (1 - SHRINKAGE) * rows.T @ rows / len(rows)
    return found.fill_diagonal_(1.0)
