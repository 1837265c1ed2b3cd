"""Fields of brows, cheeks and nose, cm. Sided ones are for the subject's left."""

from __future__ import annotations

import numpy as np

from visavis.render.morphs_mouth import lips_share
from visavis.render.place import Place, bump, left_side, shift
from visavis.render.sculpt import Array


def cheek_squint(at: Place) -> Array:
    """The cheek is raised towards the eye."""
    cheek = bump(at, (3.9, -2.0, 6.6), (2.1, 1.3, 3.0)) * left_side(at)
    return shift(cheek, 0.05, 0.62, 0.42)


def nose_sneer(at: Place) -> Array:
    """The wing of the nose rises and the skin beside it bunches."""
    wing = bump(at, (1.3, -3.2, 8.0), (0.85, 1.0, 1.6)) * left_side(at, 0.6)
    side = bump(at, (1.2, -1.0, 7.5), (0.8, 1.1, 1.6)) * left_side(at, 0.6)
    lip = (
        lips_share(at, above=1.7)
        * at.above
        * np.exp(-(((at.t - 0.4) / 0.4) ** 2))
        * left_side(at, 0.8)
    )
    inner = bump(at, (1.3, 2.2, 7.6), (1.0, 0.9, 2.0)) * left_side(at, 0.6)
    return (
        shift(wing, 0.22, 0.55, 0.12)
        + shift(side, 0.0, 0.15, 0.3)
        + shift(lip, 0.0, 0.3, 0.05)
        + shift(inner, -0.08, -0.22, 0.1)
    )


def brow_down(at: Place) -> Array:
    """The brow, its inner end most, comes down and together."""
    inner = bump(at, (1.6, 2.7, 7.6), (1.5, 1.35, 3.0))
    outer = bump(at, (3.8, 3.0, 6.8), (1.8, 1.2, 3.0))
    glabella = bump(at, (0.7, 2.2, 7.9), (0.6, 1.0, 2.0))
    side = left_side(at, 0.7)
    return (
        shift(inner * side, -0.30, -0.82, 0.12)
        + shift(outer * side, -0.05, -0.36, 0.1)
        + shift(glabella * side, -0.05, -0.1, 0.18)
    )


def brow_inner_up(at: Place) -> Array:
    """The inner ends of both brows rise; the forehead folds a little."""
    out = np.zeros((len(at.p), 3))
    for side in (-1.0, 1.0):
        inner = bump(at, (side * 1.4, 2.9, 7.6), (1.45, 1.5, 3.0))
        out += shift(inner, side * -0.1, 1.0, 0.05)
    return out


def brow_outer_up(at: Place) -> Array:
    """The outer half of the brow rises."""
    outer = bump(at, (4.2, 3.0, 6.6), (1.75, 1.5, 3.0))
    return shift(outer * left_side(at), 0.05, 1.0, 0.0)


def brow_wide(at: Place) -> Array:
    """What the brow does when an eye is opened wide."""
    return shift(bump(at, (3.3, 2.8, 7.0), (2.0, 1.0, 3.0)) * left_side(at), y=0.16)


def brow_squint(at: Place) -> Array:
    """What brow and cheek do when an eye is narrowed."""
    cheek = bump(at, (3.6, -1.9, 7.0), (1.8, 1.0, 3.0)) * left_side(at)
    return shift(cheek, y=0.22, z=0.18) + shift(
        bump(at, (3.4, 2.6, 7.0), (1.8, 0.9, 3.0)) * left_side(at), y=-0.14
    )
