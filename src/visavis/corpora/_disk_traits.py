"""Personality as questionnaires give it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def scored(cells: Sequence[str]) -> Tensor | None:
    """Scores from 1 to 5 as numbers in [0, 1], (x - 1) / 4; None if one is no such score."""
    try:
        scores = torch.tensor([float(cell) for cell in cells])
    except ValueError:
        return None
    return (scores - 1) / 4 if bool(((scores >= 1) & (scores <= 5)).all()) else None
