"""Modelling clay: signed distances of round shapes, blended, and the surface they enclose.

Lengths in this module and in all that builds on it are centimetres until `mesh.head` scales them.
A distance is negative inside. Smooth unions follow the polynomial `smin` that is common in
distance-field modelling: two shapes closer than `k` flow into each other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]
Distance: TypeAlias = Callable[[Array], Array]


def ellipsoid(
    p: Array, centre: tuple[float, float, float], radii: tuple[float, float, float]
) -> Array:
    """Approximate signed distance of points [..., 3] to an axis-aligned ellipsoid, [...]."""
    q = p - np.asarray(centre)
    k0 = np.linalg.norm(q / np.asarray(radii), axis=-1)
    k1 = np.linalg.norm(q / np.asarray(radii) ** 2, axis=-1)
    return np.asarray(k0 * (k0 - 1.0) / np.maximum(k1, 1e-6))


def ball(p: Array, centre: tuple[float, float, float], radius: float) -> Array:
    """Signed distance of points [..., 3] to a sphere, [...]."""
    return np.asarray(np.linalg.norm(p - np.asarray(centre), axis=-1) - radius)


def cone(
    p: Array,
    start: tuple[float, float, float],
    end: tuple[float, float, float],
    radius_start: float,
    radius_end: float,
) -> Array:
    """Signed distance of points [..., 3] to a rounded rod with a radius at each end, [...]."""
    a, b = np.asarray(start), np.asarray(end)
    axis = b - a
    t = np.clip(((p - a) @ axis) / (axis @ axis), 0.0, 1.0)
    nearest = a + t[..., None] * axis
    return np.asarray(
        np.linalg.norm(p - nearest, axis=-1) - (radius_start + t * (radius_end - radius_start))
    )


def union(first: Array, second: Array, k: float) -> Array:
    """Smooth union of two distances; `k` (cm) is the width of the blend."""
    h = np.maximum(k - np.abs(first - second), 0.0) / k
    return np.minimum(first, second) - h * h * k / 4.0


def carve(first: Array, second: Array, k: float) -> Array:
    """The first shape with the second taken away, with an edge rounded over `k` cm."""
    return -union(-first, second, k)


def smoothstep(low: float, high: float, x: Array) -> Array:
    """0 below `low`, 1 above `high`, a cubic between; `low` may exceed `high`."""
    t = np.clip((x - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def cast(distance: Distance, origin: Array, directions: Array, *, far: float = 24.0) -> Array:
    """Where rays first meet a shape when they are followed from far away towards `origin`.

    Args:
        distance: signed distance of points [N, 3].
        origin: [3] or [N, 3], the point inside which all rays aim at.
        directions: [N, 3] unit vectors out of `origin`.
        far: how far out the rays begin.

    Returns:
        [N, 3] surface points; the origin itself where a ray meets nothing.
    """
    origins = np.broadcast_to(origin, directions.shape)
    t = np.full(len(directions), far)
    going = np.arange(len(directions))
    for _ in range(90):
        d = distance(origins[going] + t[going, None] * directions[going])
        t[going] = np.maximum(t[going] - 0.85 * d, 0.0)
        going = going[(np.abs(d) > 3e-4) & (t[going] > 0.0)]
        if len(going) == 0:
            break
    return origins + t[:, None] * directions


def grid_triangles(rows: int, columns: int, *, closed: bool = False) -> NDArray[np.int32]:
    """Triangles [F, 3] over a row-major grid; `closed` joins the last column to the first."""
    last = columns if closed else columns - 1
    r, c = np.meshgrid(np.arange(rows - 1), np.arange(last), indexing="ij")
    a = (r * columns + c).ravel()
    b = (r * columns + (c + 1) % columns).ravel()
    d, e = a + columns, b + columns
    return np.concatenate([np.stack([a, b, e], 1), np.stack([a, e, d], 1)]).astype(np.int32)
