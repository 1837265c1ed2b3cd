"""Small text and marks on pictures."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]

SMALLEST = 9
"""Letters below this height (pixels) cannot be read; a dot takes their place."""


@lru_cache(maxsize=256)
def pill(text: str, height: int) -> tuple[U8, F32]:
    """White text on a dark rounded plate: colours [h, w, 3] and opacity [h, w, 1] in [0, 1]."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(height)
    left, top, right, bottom = font.getbbox(text)
    pad = max(3, round(height * 0.5))
    wide = int(right - left) + 2 * pad
    tall = round(height * 1.25) + pad
    plate = Image.new("L", (wide * 2, tall * 2), 0)
    ImageDraw.Draw(plate).rounded_rectangle(
        (0, 0, wide * 2 - 1, tall * 2 - 1), radius=tall * 0.7, fill=168
    )
    plate = plate.resize((wide, tall))
    letters = Image.new("L", (wide, tall), 0)
    base = (tall - (bottom - top)) / 2 - top
    ImageDraw.Draw(letters).text((pad - left, base), text, fill=255, font=font)
    ink = np.asarray(letters, np.float32)[..., None] / 255.0
    back = np.asarray(plate, np.float32)[..., None] / 255.0
    colours = np.array([18, 21, 27]) * (1 - ink) + np.array([255, 255, 255]) * ink
    return colours.astype(np.uint8), np.maximum(back, ink).astype(np.float32)


def write(picture: U8, text: str, x: int, y: int, height: int) -> None:
    """Lay a plate of text on `picture` [H, W, 3] in place, its upper left corner at (x, y).

    Negative `x` or `y` count from the right or the bottom edge.
    """
    colours, opacity = pill(text, height)
    tall, wide = opacity.shape[:2]
    x = x if x >= 0 else picture.shape[1] + x - wide
    y = y if y >= 0 else picture.shape[0] + y - tall
    x, y = max(x, 0), max(y, 0)
    part = picture[y : y + tall, x : x + wide]
    colours, opacity = (
        colours[: part.shape[0], : part.shape[1]],
        opacity[: part.shape[0], : part.shape[1]],
    )
    part[:] = (part * (1 - opacity) + colours * opacity).astype(np.uint8)


def greyed(picture: U8, mark: str | None = "no data") -> U8:
    """A desaturated, dimmed copy of `picture` [H, W, 3] with a mark in the corner."""
    grey = picture.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    dim = (0.55 * (0.82 * grey[..., None] + 0.18 * picture) + 48).astype(np.uint8)
    if mark is None:
        return dim
    height = round(min(picture.shape[:2]) * 0.055)
    if height >= SMALLEST:
        gap = max(4, height // 2)
        write(dim, mark, -gap, gap, height)
    else:
        _dot(dim)
    return dim


def _dot(picture: U8) -> None:
    """An orange dot in the upper right corner, for pictures too small for letters."""
    radius = max(1.5, min(picture.shape[:2]) * 0.045)
    y, x = np.mgrid[0 : picture.shape[0], 0 : picture.shape[1]]
    inside = np.hypot(x - (picture.shape[1] - 2 * radius), y - 2 * radius) <= radius
    picture[inside] = (255, 150, 40)
