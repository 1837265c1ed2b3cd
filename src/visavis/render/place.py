"""Where a point of the resting face lies, and the smooth falloffs that morphs are made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from visavis.render import face
from visavis.render.sculpt import Array, smoothstep

Sides: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True)
class Place:
    """Resting points and where they lie about the mouth.

    Attributes:
        p: [N, 3] cm.
        t: [N] across the mouth, -1 at the right corner, 1 at the left.
        q: [N] cm above the line between the lips (negative below).
        above: [N] whether a point belongs to the upper side of that line.
    """

    p: Array
    t: Array
    q: Array
    above: Sides

    def mirrored(self) -> Place:
        """As seen in a mirror."""
        return replace(self, p=self.p * np.array([-1.0, 1.0, 1.0]), t=-self.t)


Field = Callable[[Place], Array]


def place(
    p: Array, t: Array | None = None, q: Array | None = None, above: Sides | None = None
) -> Place:
    """A `Place` for points off the sheet, with mouth coordinates from their direction."""
    d = p - face.ORIGIN
    azimuth = np.degrees(np.arctan2(d[:, 0], d[:, 2]))
    elevation = np.degrees(np.arctan2(d[:, 1], np.hypot(d[:, 0], d[:, 2])))
    t = azimuth / face.MOUTH_CORNER if t is None else t
    q = (elevation - face.MOUTH_ROW) * np.radians(1.0) * 9.4 if q is None else q
    return Place(p, t, q, np.asarray(q > 0) if above is None else above)


def shift(amount: Array, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Array:
    return np.asarray(np.asarray(amount)[:, None] * np.array([x, y, z]))


def bump(
    at: Place, centre: tuple[float, float, float], radius: float | tuple[float, float, float]
) -> Array:
    """A Gaussian round a point, [N]."""
    d = (at.p - np.asarray(centre)) / np.asarray(radius)
    return np.asarray(np.exp(-np.sum(d * d, axis=1)))


def left_side(at: Place, width: float = 0.9) -> Array:
    """0 on the subject's right half, rising to 1 over `width` cm on the left."""
    return smoothstep(0.0, width, at.p[:, 0])


def left_half(at: Place) -> Array:
    """1 on the left half, blending across the middle so that both halves make a whole."""
    return smoothstep(-0.6, 0.6, at.p[:, 0])


def front(at: Place) -> Array:
    return smoothstep(1.0, 4.0, at.p[:, 2])
