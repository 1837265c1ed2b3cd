"""Attention maps as a picture: a row of panels a module, the mean over heads large, then each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from visavis.files import atomic_path

if TYPE_CHECKING:
    from PIL.Image import Image

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]

_ANCHORS = np.array(
    [(247, 250, 253), (198, 219, 239), (107, 174, 214), (33, 113, 181), (8, 48, 107), (3, 18, 43)]
)
"""Pale to dark blue: lightness falls evenly, so that prints and the colour-blind read it too."""
_UNSEEN = (226, 222, 216)
_INK, _SOFT = (24, 26, 32), (106, 110, 120)
_LARGE, _SMALL, _GAP, _LEFT, _TOP, _ROW = 380, 176, 26, 78, 96, 84


def draw(
    maps: Mapping[str, F32], path: Path, *, title: str, start_s: float, fps: float = 25.0
) -> Path:
    """Write a .png.

    Args:
        maps: caption to weights [heads, T, S], S a whole multiple of T, NaN where a key cannot be
            seen; rows are frames of the reaction, columns moments of the speaker.
        title: of the picture.
        start_s: time of the first row and column in the clip.
    """
    from PIL import Image

    heads = max(len(m) for m in maps.values())
    across = -(-heads // 2)
    wide = _LEFT + _LARGE + 2 * _GAP + across * (_SMALL + _GAP) + _GAP
    tall = _TOP + len(maps) * (_LARGE + _ROW)
    sheet = Image.new("RGB", (wide, tall), (255, 255, 255))
    _text(sheet, (_LEFT, 18), title, 21, _INK)
    about = "down: the reaction's time; across: the speaker's; a row sums to 1 over all it sees"
    _text(sheet, (_LEFT, 48), f"{about}; grey: not seen", 14, _SOFT)
    for i, (caption, weights) in enumerate(maps.items()):
        _module(sheet, weights, _TOP + i * (_LARGE + _ROW), caption, start_s, fps)
    with atomic_path(path) as temporary:
        sheet.save(temporary, format="PNG")
    return path


def _module(sheet: Image, weights: F32, top: int, caption: str, start_s: float, fps: float) -> None:
    """The mean over heads, as the paper's Fig. 9 has it, its scale, and each head."""
    mean = weights.mean(axis=0)
    highest = _highest(mean)
    _text(sheet, (_LEFT, top), caption, 15, _INK)
    top += 24
    _panel(sheet, mean, highest, (_LEFT, top), _LARGE)
    _axes(sheet, (_LEFT, top), start_s, start_s + len(mean) / fps)
    _scale(sheet, highest, (_LEFT, top + _LARGE + 24))
    left = _LEFT + _LARGE + 2 * _GAP
    across = -(-len(weights) // 2)
    for h, one in enumerate(weights):
        x = left + (h % across) * (_SMALL + _GAP)
        y = top + (h // across) * (_SMALL + _GAP + 2)
        own = _highest(one)
        _panel(sheet, one, own, (x, y), _SMALL)
        _text(sheet, (x, y + _SMALL + 3), f"head {h + 1}: up to {own:.2g}", 12, _SOFT)


def _highest(weights: F32) -> float:
    """Where the colours end: all but the topmost 0.5 % lie below: early rows have few keys."""
    seen = weights[np.isfinite(weights)]
    return float(np.quantile(seen, 0.995)) or 1.0


def _panel(sheet: Image, weights: F32, highest: float, at: tuple[int, int], size: int) -> None:
    from PIL import Image, ImageDraw

    picture = Image.fromarray(_coloured(weights / highest))
    # a moment is a hard square where there is room for it, and an average where there is not
    filter = Image.Resampling.NEAREST if max(weights.shape) <= size else Image.Resampling.BOX
    sheet.paste(picture.resize((size, size), filter), at)
    box = (at[0] - 1, at[1] - 1, at[0] + size, at[1] + size)
    ImageDraw.Draw(sheet).rectangle(box, outline=_SOFT)


def _coloured(shares: F32) -> U8:
    """Shares of the scale [H, W], NaN where unseen, to colours [H, W, 3]."""
    places = np.clip(np.nan_to_num(shares), 0.0, 1.0) * (len(_ANCHORS) - 1)
    low = np.minimum(places.astype(int), len(_ANCHORS) - 2)
    part = (places - low)[..., None]
    colours = _ANCHORS[low] * (1 - part) + _ANCHORS[low + 1] * part
    colours[~np.isfinite(shares)] = _UNSEEN
    return np.asarray(colours, np.uint8)


def _axes(sheet: Image, at: tuple[int, int], start_s: float, stop_s: float) -> None:
    """Times at both ends, down and across."""
    x, y = at
    for share, moment in ((0.0, start_s), (0.5, (start_s + stop_s) / 2), (1.0, stop_s)):
        place = round(share * (_LARGE - 1))
        text = f"{moment:.1f} s"
        _text(sheet, (x - 8, y + place), text, 12, _SOFT, anchor="rm")
        _text(sheet, (x + place, y + _LARGE + 4), text, 12, _SOFT, anchor="ma")


def _scale(sheet: Image, highest: float, at: tuple[int, int]) -> None:
    from PIL import Image

    ramp = np.linspace(0.0, 1.0, 128, dtype=np.float32)[None].repeat(10, axis=0)
    sheet.paste(Image.fromarray(_coloured(ramp)), at)
    _text(sheet, (at[0] + 136, at[1] + 5), f"0 to {highest:.2g}", 12, _SOFT, anchor="lm")


def _text(
    sheet: Image,
    at: tuple[int, int],
    text: str,
    height: int,
    colour: tuple[int, int, int],
    *,
    anchor: str = "la",
) -> None:
    from PIL import ImageDraw, ImageFont

    font = ImageFont.load_default(height)
    ImageDraw.Draw(sheet).text(at, text, fill=colour, font=font, anchor=anchor)
