"""Hair: clay caps and curtains over the skull, one function a style, each in its own mesh."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from visavis.render import face
from visavis.render.pieces import Part, Piece
from visavis.render.sculpt import Array, ball, carve, cast, cone, ellipsoid, grid_triangles, union

_CENTRE = np.array([0.0, 0.5, -1.3])


def _cap(p: Array, grow: float = 0.0) -> Array:
    shape = ellipsoid(p, (0.0, 3.3, -1.6), (8.25 + grow, 9.0 + grow, 9.35 + grow))
    low = ellipsoid(p, (0.0, -2.5, -3.4), (7.3 + grow, 6.5, 6.6 + grow))
    return union(shape, low, 1.5)


def _forehead(p: Array, top: float = 6.0, wide: float = 6.3) -> Array:
    """What is cut away for the face: an oval tube along z, narrowing upwards."""
    q = p - np.array([0.0, top - 9.0, 0.0])
    oval = (np.hypot(q[..., 0] / wide, q[..., 1] / 9.0) - 1.0) * wide
    return np.maximum(oval, -(p[..., 2] - 1.2 - 0.02 * p[..., 1]))


def short(p: Array) -> Array:
    """Short sides, a swept fringe."""
    shape = _cap(p)
    shape = np.maximum(shape, -(p[..., 1] + 3.2 + 0.42 * (p[..., 2] + 2.0)))
    shape = carve(shape, _forehead(p), 0.6)
    swept = cone(p, (-3.4, 9.6, 4.6), (4.6, 8.9, 4.3), 2.3, 2.0)
    swept = union(swept, cone(p, (-3.6, 8.8, 4.4), (-5.9, 5.0, 3.4), 1.9, 1.0), 1.2)
    swept = union(swept, cone(p, (3.4, 9.2, 4.6), (6.2, 5.6, 2.8), 1.7, 1.0), 1.2)
    return union(shape, swept, 1.3)


def crop(p: Array) -> Array:
    """Close cropped, with a straight hairline."""
    q = p.copy()
    shape = ellipsoid(q, (0.0, 3.1, -1.25), (7.78, 8.85, 9.15))
    shape = union(shape, ellipsoid(q, (0.0, -2.5, -3.2), (6.9, 5.5, 6.1)), 1.5)
    shape = np.maximum(shape, -(q[..., 1] + 2.6 + 0.4 * (q[..., 2] + 2.0)))
    return carve(shape, _forehead(q, 6.9, 6.5), 0.3)


def bob(p: Array) -> Array:
    """Chin long, with a fringe to one side."""
    q = p.copy()
    q[..., 0] = np.abs(q[..., 0])
    shape = _cap(p, 0.35)
    side = ellipsoid(q, (6.6, -3.4, -1.6), (2.3, 7.0, 5.2))
    back = ellipsoid(p, (0.0, -2.6, -5.2), (6.8, 7.6, 5.2))
    shape = union(union(shape, side, 2.0), back, 2.0)
    shape = np.maximum(shape, -(p[..., 1] + 8.6))
    shape = carve(shape, _forehead(p, 5.6, 6.2), 0.8)
    fringe = cone(p, (-2.6, 9.2, 4.8), (5.6, 5.2, 3.6), 2.3, 1.3)
    fringe = union(fringe, cone(p, (-2.8, 9.0, 4.6), (-6.2, 4.6, 2.9), 2.0, 1.2), 1.0)
    return union(shape, fringe, 1.0)


def bun(p: Array) -> Array:
    """Combed back into a knot on the crown."""
    q = p.copy()
    shape = ellipsoid(q, (0.0, 3.2, -1.4), (8.0, 8.95, 9.3))
    shape = union(shape, ellipsoid(q, (0.0, -2.2, -3.4), (7.1, 5.6, 6.2)), 1.5)
    shape = np.maximum(shape, -(q[..., 1] + 2.4 + 0.55 * (q[..., 2] + 2.0)))
    shape = carve(shape, _forehead(q, 6.5, 6.5), 0.7)
    return union(shape, ball(p, (0.0, 13.6, -3.4), 3.0), 0.5)


def curls(p: Array) -> Array:
    """A round cloud of curls."""
    shape = ellipsoid(p, (0.0, 4.4, -2.2), (9.9, 9.6, 9.6))
    shape = union(shape, ellipsoid(p, (0.0, -1.4, -3.6), (9.2, 6.6, 6.6)), 2.0)
    shape = carve(shape, _forehead(p, 6.3, 6.6), 1.2)
    k = 1.75
    lumps = np.sin(k * p[..., 0] + 0.8 * np.sin(p[..., 1])) * np.sin(k * p[..., 1] + 0.5)
    lumps = lumps * np.sin(k * p[..., 2] + 0.7 * np.sin(p[..., 0]))
    return shape - 0.42 * lumps


STYLES: dict[str, Callable[[Array], Array]] = {
    "short": short, "crop": crop, "bob": bob, "bun": bun, "curls": curls,
}  # fmt: skip

_STRANDS = {"short": 0.10, "crop": 0.0, "bob": 0.10, "bun": 0.06, "curls": 0.0}


def _parting(p: Array) -> Array:
    """A coordinate that is constant along strands: the turn round an axis through the parting."""
    q = p - np.array([-1.6, 4.0, 0.0])
    return (
        np.arctan2(q[..., 0] + 0.25 * q[..., 1], np.abs(q[..., 2]) + 3.0) * 6.0 + 0.05 * q[..., 1]
    )


def hair(style: str) -> Piece:
    """The hair named `style` (a key of `STYLES`) as a mesh; what lies under the skin is left out."""
    shape = STYLES[style]
    elevations = np.radians(np.concatenate([np.linspace(-78, -20, 16), np.linspace(-16, 90, 37)]))
    columns = 100
    azimuths = np.arange(columns) / columns * 2 * np.pi
    b, a = np.meshgrid(elevations, azimuths, indexing="ij")
    direction = np.stack([np.sin(a) * np.cos(b), np.sin(b), np.cos(a) * np.cos(b)], axis=-1)
    direction = direction.reshape(-1, 3)
    points = cast(shape, _CENTRE, direction)
    groove = np.sin(7.0 * _parting(points)) + 0.5 * np.sin(17.0 * _parting(points) + 1.0)
    points = points + direction * (_STRANDS[style] * groove)[:, None]
    triangles = grid_triangles(len(elevations), columns, closed=True)
    outside = face.clay(points) > -0.25
    triangles = triangles[outside[triangles].any(axis=1)]
    used, numbers = np.unique(triangles, return_inverse=True)
    return Piece(points[used], numbers.reshape(-1, 3).astype(np.int32), Part.HAIR)
