"""How panels share a picture: a large one at the left, the rest in a grid, captions on all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from visavis.render import text

U8 = NDArray[np.uint8]

CANVAS = (22, 25, 31)
"""Colour behind the panels."""


@dataclass(frozen=True)
class Box:
    """Where a square panel lies, pixels."""

    x: int
    y: int
    size: int


@dataclass(frozen=True)
class Layout:
    """A picture of `width` by `height` with a panel for the speaker (or None) and K more."""

    width: int
    height: int
    speaker: Box | None
    listeners: tuple[Box, ...]


def arrange(listeners: int, size: int, *, speaker: bool) -> Layout:
    """K listener panels of `size` pixels, and a speaker panel as high as all their rows.

    One listener sits beside the speaker at the same size; up to three share a row, up to ten two
    rows.
    """
    gap = max(2, size // 32)
    rows = 1 if listeners <= 3 else 2 if listeners <= 10 else math.ceil(math.sqrt(listeners / 2))
    columns = math.ceil(listeners / rows)
    inner = rows * size + (rows - 1) * gap
    left = gap + ((inner + gap) if speaker else 0)
    boxes = tuple(
        Box(left + (i % columns) * (size + gap), gap + (i // columns) * (size + gap), size)
        for i in range(listeners)
    )
    width = left + columns * (size + gap)
    height = inner + 2 * gap
    return Layout(
        width + width % 2, height + height % 2, Box(gap, gap, inner) if speaker else None, boxes
    )


def paste(
    canvas: U8, panel: U8, box: Box, caption: str | None, *, letters: int | None = None
) -> None:
    """Put a panel [size, size, 3] into its box: round corners, caption at the lower left."""
    area = canvas[box.y : box.y + box.size, box.x : box.x + box.size]
    area[:] = panel
    radius = max(2, box.size // 26)
    _round(area, radius)
    height = letters or caption_height(box.size)
    if caption and height >= text.SMALLEST:
        text.write(area, caption, radius, -radius, height)


def caption_height(size: int) -> int:
    """Height of letters on a panel of `size` pixels."""
    return min(22, round(size * 0.055))


def _round(area: U8, radius: int) -> None:
    y, x = np.mgrid[0:radius, 0:radius] + 0.5
    cover = np.clip(np.hypot(radius - x, radius - y) - radius + 0.5, 0.0, 1.0)[..., None]
    for rows, columns, mask in (
        (slice(0, radius), slice(0, radius), cover),
        (slice(0, radius), slice(-radius, None), cover[:, ::-1]),
        (slice(-radius, None), slice(0, radius), cover[::-1]),
        (slice(-radius, None), slice(-radius, None), cover[::-1, ::-1]),
    ):
        corner = area[rows, columns]
        corner[:] = (corner * (1 - mask) + np.array(CANVAS) * mask).astype(np.uint8)


def blank(layout: Layout) -> U8:
    """An empty canvas [height, width, 3]."""
    return np.full((layout.height, layout.width, 3), CANVAS, np.uint8)


def captions(listeners: int, labels: Sequence[str] | None) -> tuple[str, ...]:
    """Captions of K listener panels: `labels`, or "listener 1" and so on ("listener" for one)."""
    if labels is not None:
        return tuple(labels)
    if listeners == 1:
        return ("listener",)
    return tuple(f"listener {i + 1}" for i in range(listeners))
