"""Neck, chest and a shirt with a round collar. The body stays; the neck bends to the head."""

from __future__ import annotations

import numpy as np

from visavis.render.pieces import Part, Piece, unit
from visavis.render.sculpt import Array, cast, cone, ellipsoid, grid_triangles, smoothstep, union

_ORIGIN = np.array([0.0, -22.0, -2.6])
_COLUMNS = 52


def _flesh(p: Array) -> Array:
    """Signed distance to neck, shoulders and chest."""
    q = p.copy()
    q[..., 0] = np.abs(q[..., 0])
    shape = cone(q, (0.0, -5.0, -1.5), (0.0, -15.0, -2.6), 3.55, 3.8)
    shape = union(shape, ellipsoid(q, (0.0, -22.6, -2.4), (9.4, 8.4, 5.2)), 3.5)
    shape = union(shape, cone(q, (2.5, -15.2, -3.0), (8.6, -17.2, -3.0), 2.0, 3.0), 3.0)
    return union(shape, cone(q, (9.3, -17.7, -3.0), (11.2, -27.0, -2.6), 3.1, 3.0), 2.0)


def _cloth(p: Array) -> Array:
    return _flesh(p) - 0.32


def _rays(elevation: Array, azimuth: Array) -> Array:
    flat = np.cos(elevation)
    return np.stack([np.sin(azimuth) * flat, np.sin(elevation), np.cos(azimuth) * flat], axis=-1)


def _neckline(azimuth: Array) -> Array:
    """Elevation at which the collar lies, for each azimuth, radians."""
    steps = np.radians(np.linspace(25.0, 80.0, 111))
    e, a = np.meshgrid(steps, azimuth, indexing="ij")
    points = cast(_cloth, _ORIGIN, _rays(e, a).reshape(-1, 3), far=30.0).reshape(*e.shape, 3)
    over = points[..., 1] + 0.34 * (points[..., 2] + 2.7) + 13.45
    return np.asarray(steps[np.argmax(over > 0.0, axis=0)])


def body() -> list[Piece]:
    """Neck in skin; shirt; collar."""
    azimuth = np.arange(_COLUMNS) / _COLUMNS * 2 * np.pi
    neckline = _neckline(azimuth)
    kernel = np.array([1, 2, 3, 2, 1]) / 9.0
    neckline = np.convolve(np.concatenate([neckline[-2:], neckline, neckline[:2]]), kernel, "valid")

    along = np.linspace(0.0, 1.0, 15)[:, None]
    elevations = (neckline - 0.16) * (1 - along) + np.radians(83.0) * along
    neck = _cast(_flesh, elevations, azimuth)
    follow = 0.9 * smoothstep(-15.0, -8.0, neck[:, 1])
    shadow = 0.58 + 0.42 * smoothstep(-9.5, -15.5, neck[:, 1])
    skin = Piece(
        neck, grid_triangles(15, _COLUMNS, closed=True), Part.SKIN, shadow=shadow, follow=follow
    )

    along = np.linspace(0.0, 1.0, 22)[:, None]
    elevations = np.radians(-45.0) * (1 - along) + neckline * along
    shirt = _cast(_cloth, elevations, azimuth)
    cloth = Piece(
        shirt, grid_triangles(22, _COLUMNS, closed=True), Part.SHIRT, follow=np.zeros(len(shirt))
    )
    ring = shirt[-_COLUMNS:]
    return [skin, cloth, _collar(ring), _lining(ring)]


def _cast(distance: object, elevations: Array, azimuth: Array) -> Array:
    a = np.broadcast_to(azimuth, elevations.shape)
    assert callable(distance)
    return cast(distance, _ORIGIN, _rays(elevations, a).reshape(-1, 3), far=30.0)


def _collar(ring: Array) -> Piece:
    """A tube along the ring of points [N, 3]."""
    middle = ring.mean(axis=0)
    outward = unit((ring - middle) * np.array([1.0, 0.0, 1.0]))
    along = unit(np.roll(ring, -1, axis=0) - np.roll(ring, 1, axis=0))
    up = unit(np.cross(along, outward))
    up = up * np.sign(up[:, 1:2])
    turns = np.arange(9) / 9 * 2 * np.pi
    rows = [ring + 0.36 * np.cos(t) * outward + 0.46 * np.sin(t) * up for t in turns]
    points = np.concatenate([*rows, rows[0]])
    triangles = grid_triangles(10, len(ring), closed=True)
    return Piece(
        points,
        triangles,
        Part.SHIRT,
        shadow=np.full(len(points), 0.86),
        follow=np.zeros(len(points)),
    )


def _lining(ring: Array) -> Piece:
    """What is seen inside the collar when the neck bends away from it."""
    middle = ring.mean(axis=0) - np.array([0.0, 1.2, 0.0])
    points = np.concatenate([ring, middle + 0.25 * (ring - middle)])
    return Piece(
        points,
        grid_triangles(2, len(ring), closed=True),
        Part.SHIRT,
        shadow=np.full(len(points), 0.3),
        follow=np.zeros(len(points)),
    )
