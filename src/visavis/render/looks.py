"""Who is drawn: palettes of skin, hair, eyes, shirt and background, so that listeners differ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from visavis.errors import InputError
from visavis.render.pieces import Part

Colour = str
"""sRGB as "#rrggbb"."""


def linear(colour: Colour) -> NDArray[np.float32]:
    """Linear-light RGB [3] of an sRGB colour.

    Raises:
        InputError: not of the form "#rrggbb".
    """
    try:
        if len(colour) != 7 or colour[0] != "#":
            raise ValueError(colour)
        code = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255.0
    except ValueError as error:
        raise InputError(f"A colour is written '#rrggbb', not {colour!r}.") from error
    return np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4).astype(
        np.float32
    )


@dataclass(frozen=True, kw_only=True)
class Look:
    """Colours and hair of one drawn person. All colours are "#rrggbb"."""

    name: str
    skin: Colour
    lips: Colour
    """What full lips look like on this skin."""
    hair: Colour
    brows: Colour
    eyes: Colour
    shirt: Colour
    sky: Colour
    """Background at the top."""
    ground: Colour
    """Background at the bottom."""
    style: str = "short"
    """Hair style, a key of `hair.STYLES`."""


LOOKS: tuple[Look, ...] = (
    Look(name="Ada", style="bob", skin="#e9b899", lips="#c8685f",
         hair="#5a3524", brows="#4c2d1f", eyes="#6b4a2b",
         shirt="#2f6f7e", sky="#dfe9ec", ground="#b3c7cd"),
    Look(name="Ben", style="short", skin="#f0c6a6", lips="#cf7d6d",
         hair="#8a5a33", brows="#6f4728", eyes="#4d7ea8",
         shirt="#3d5a80", sky="#e6eaf1", ground="#bac6d8"),
    Look(name="Chidi", style="crop", skin="#7a4a32", lips="#854233",
         hair="#1d1614", brows="#1a1311", eyes="#3a2417",
         shirt="#c98a2b", sky="#f1e8d8", ground="#d8c5a4"),
    Look(name="Dara", style="bun", skin="#d9a178", lips="#b45a50",
         hair="#241a18", brows="#221816", eyes="#4a2f1c",
         shirt="#8f4a66", sky="#f1e5ea", ground="#d6bcc7"),
    Look(name="Elif", style="curls", skin="#c68a62", lips="#a65046",
         hair="#3a231a", brows="#2d1b14", eyes="#5a3a1e",
         shirt="#4f7a4b", sky="#e7eee3", ground="#bccdb5"),
    Look(name="Finn", style="short", skin="#f4cfb4", lips="#d98673",
         hair="#c88b45", brows="#a06d38", eyes="#5b8a6b",
         shirt="#7a5c9e", sky="#ebe7f3", ground="#c8bfdb"),
    Look(name="Grace", style="curls", skin="#8a5638", lips="#934838",
         hair="#191413", brows="#17110f", eyes="#33201a",
         shirt="#c2573f", sky="#f4e6e0", ground="#dcbfb3"),
    Look(name="Hana", style="bob", skin="#f0c8a4", lips="#cc6a66",
         hair="#1c1a20", brows="#242027", eyes="#38261c",
         shirt="#d9a5a0", sky="#f4eceb", ground="#dccccb"),
    Look(name="Ivan", style="crop", skin="#eabf9f", lips="#c6786a",
         hair="#6d6a68", brows="#5b5450", eyes="#5f7d8f",
         shirt="#44505c", sky="#e5e8ea", ground="#bcc4ca"),
    Look(name="Juno", style="bun", skin="#e2ab86", lips="#c25f58",
         hair="#9a3f22", brows="#7a341e", eyes="#4f7f5c",
         shirt="#25695a", sky="#e2eee9", ground="#b4cfc5"),
    Look(name="Kofi", style="short", skin="#5c3826", lips="#6c382e",
         hair="#141011", brows="#120e0e", eyes="#2e1c14",
         shirt="#5f84b8", sky="#e3eaf3", ground="#b7c7de"),
)  # fmt: skip
"""Eleven people: ten listeners and a speaker all look different."""

DEFAULT = LOOKS[1]


def look(number: int) -> Look:
    """The look of person `number`; numbers past the last begin again."""
    return LOOKS[number % len(LOOKS)]


def palette(of: Look) -> NDArray[np.float32]:
    """Linear-light colour of every `Part`, [10, 3]."""
    skin, lips, brows = linear(of.skin), linear(of.lips), linear(of.brows)
    base = {
        Part.SKIN: skin,
        Part.LID: skin * np.array([0.92, 0.74, 0.72]),
        Part.MOUTH: lips * np.array([0.7, 0.45, 0.45]),
        Part.EYEBALL: linear("#f4f1ee"),
        Part.LASH: brows * 0.5 + 0.006,
        Part.BROW: brows,
        Part.TEETH: linear("#f6f1e6"),
        Part.TONGUE: linear("#cf6a68"),
        Part.HAIR: linear(of.hair),
        Part.SHIRT: linear(of.shirt),
    }
    return np.stack([base[part] for part in Part]).astype(np.float32)
