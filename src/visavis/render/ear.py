"""The ears."""

from __future__ import annotations

import numpy as np

from visavis.render.pieces import Part, Piece
from visavis.render.sculpt import Array, carve, cast, ellipsoid, grid_triangles, union

_EAR = np.array([7.2, -0.7, -1.2])


def _ear_clay(p: Array) -> Array:
    """A flat pebble leaning out towards the back, with a bowl and a fold, about its own centre."""
    d = p - _EAR
    lean = 0.42
    x = np.cos(lean) * d[..., 0] + np.sin(lean) * d[..., 2]
    z = -np.sin(lean) * d[..., 0] + np.cos(lean) * d[..., 2]
    # Fuller above, narrow at the lobe, tilted back.
    local = np.stack([x, d[..., 1], z + 0.16 * d[..., 1]], axis=-1)
    shape = ellipsoid(local, (0.0, 0.35, -0.1), (0.72, 1.75, 1.35))
    shape = union(shape, ellipsoid(local, (-0.05, -1.25, 0.2), (0.55, 0.95, 0.8)), 0.5)
    bowl = ellipsoid(local, (0.95, 0.05, 0.05), (0.75, 1.1, 0.72))
    scoop = ellipsoid(local, (0.9, 0.95, -0.15), (0.5, 0.62, 0.75))
    return carve(carve(shape, bowl, 0.3), scoop, 0.35)


def ear() -> Piece:
    """The left ear: a shell with a rim, a bowl and a lobe."""
    rows, columns = 15, 22
    polar, turn = np.meshgrid(
        np.linspace(0.02, np.pi - 0.9, rows),
        np.arange(columns) / columns * 2 * np.pi,
        indexing="ij",
    )
    # The pole points outwards, where the detail is; the far side is inside the head.
    direction = np.stack(
        [np.cos(polar), np.sin(polar) * np.sin(turn), np.sin(polar) * np.cos(turn)], axis=-1
    ).reshape(-1, 3)
    origin = _EAR - np.array([0.15, 0.0, 0.0])
    points = cast(_ear_clay, origin, direction, far=5.0)
    triangles = grid_triangles(rows, columns, closed=True)
    return Piece(points, triangles, Part.SKIN)
