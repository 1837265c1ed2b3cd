"""The skin of the head: one sheet over the sphere, slit at eyes and mouth, cast onto a clay face.

The sheet is a grid of azimuth and elevation seen from a point inside the skull. Along each eye and
the mouth a row of vertices is doubled, so that the lower and the upper edge may part; rows beside a
slit make way for the opening and lie still further off. Lid margins and the lining of the mouth
begin at the edges and are pieces of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from visavis.render.sculpt import (
    Array,
    ball,
    carve,
    cast,
    cone,
    ellipsoid,
    grid_triangles,
    smoothstep,
    union,
)

ORIGIN = np.array([0.0, -1.0, -0.5])
"""Where the sheet is seen from, cm."""

EYE = np.array([3.3, 0.3, 5.55])
"""Centre of the left eyeball; the right one mirrors it."""
EYE_RADIUS = 1.92
LID_RADIUS = EYE_RADIUS + 0.13

EYE_ROW, MOUTH_ROW = 8.6, -28.5
EYE_INNER, EYE_OUTER, MOUTH_CORNER = 13.0, 35.6, 16.6
"""Elevation of the slits and azimuth of their ends, degrees."""

_AZIMUTHS = (
    (0.0, 0),
    (EYE_INNER, 9),
    (MOUTH_CORNER, 3),
    (EYE_OUTER, 14),
    (55.0, 8),
    (90.0, 8),
    (180.0, 8),
)
_ELEVATIONS = (
    (-90.0, 0), (-62.0, 4), (-45.0, 6), (-36.0, 5), (MOUTH_ROW, 8), (-23.0, 7), (-14.0, 7),
    (0.0, 8), (EYE_ROW, 6), (16.0, 7), (28.0, 7), (50.0, 5), (90.0, 5),
)  # fmt: skip


def _spread(stops: tuple[tuple[float, int], ...]) -> Array:
    """Values from stop to stop, each stretch cut into the stated number of steps."""
    values = [stops[0][0]]
    for (low, _), (high, steps) in pairwise(stops):
        values.extend(np.linspace(low, high, steps + 1)[1:])
    return np.asarray(values)


def clay(p: Array) -> Array:
    """Signed distance of points [N, 3] (cm) to the face without lips and hair, [N]."""
    q = p.copy()
    q[..., 0] = np.abs(q[..., 0])
    skull = ellipsoid(q, (0.0, 3.0, -1.2), (7.5, 8.4, 8.9))
    face = ellipsoid(q, (0.0, -2.6, 1.3), (6.35, 6.9, 6.6))
    jaw = ellipsoid(q, (0.0, -5.5, 1.7), (4.9, 4.4, 5.9))
    shape = union(union(skull, face, 2.5), jaw, 2.5)
    shape = union(shape, ball(q, (3.9, -3.1, 4.3), 2.75), 2.0)
    shape = union(shape, ball(q, (0.0, -8.35, 5.6), 1.7), 2.4)
    shape = union(shape, ellipsoid(q, (0.0, -5.8, 5.4), (3.2, 2.7, 2.7)), 1.7)
    shape = carve(shape, ball(q, (3.3, 0.2, 9.2), 2.3), 1.3)
    shape = union(shape, cone(q, (0.6, 2.7, 6.3), (4.6, 2.9, 4.8), 1.15, 0.95), 1.4)
    shape = union(shape, ball(q, (EYE[0], EYE[1], EYE[2]), LID_RADIUS), 0.55)
    shape = union(shape, cone(q, (0.0, 1.2, 6.6), (0.0, -2.4, 8.4), 0.72, 0.78), 1.3)
    shape = union(shape, ellipsoid(q, (0.0, -2.75, 8.75), (1.15, 0.95, 1.1)), 0.9)
    shape = union(shape, ellipsoid(q, (1.08, -3.05, 7.85), (0.78, 0.7, 0.85)), 0.45)
    return carve(shape, ellipsoid(q, (0.62, -3.72, 8.35), (0.36, 0.42, 0.55)), 0.35)


def lip_height(t: Array, *, upper: bool) -> Array:
    """Height of a lip (cm) at `t` in [-1, 1] from corner to corner."""
    arch = np.clip(1.0 - t * t, 0.0, None)
    if upper:
        bow = (
            1.0
            - 0.2 * np.exp(-((t / 0.13) ** 2))
            + 0.06 * np.exp(-(((np.abs(t) - 0.27) / 0.15) ** 2))
        )
        return 0.56 * arch**0.62 * bow
    return 0.78 * arch**0.6


@dataclass(frozen=True)
class LidPose:
    """How far the lids of one eye stand from the slit, degrees as seen from the sheet's origin."""

    upper: float = 6.5
    lower: float = 4.9
    closed: float = 0.0
    """Share by which the upper edge has come down onto the lower one."""


@dataclass(frozen=True)
class Sheet:
    """Topology of the skin; positions come from `positions`.

    Attributes:
        azimuth, elevation: [N] degrees, of each vertex.
        side: [N] +1 above a slit's edge, -1 below it or not at a slit.
        triangles: [F, 3].
        left_lids, right_lids, lips: (lower edge, upper edge) vertex numbers from one corner to the
            other (towards +X), corners included in both.
    """

    azimuth: Array
    elevation: Array
    side: Array
    triangles: NDArray[np.int32]
    left_lids: tuple[NDArray[np.int32], NDArray[np.int32]]
    right_lids: tuple[NDArray[np.int32], NDArray[np.int32]]
    lips: tuple[NDArray[np.int32], NDArray[np.int32]]


def sheet() -> Sheet:
    """The grid with its three slits."""
    half = _spread(_AZIMUTHS)
    azimuths = np.concatenate([-half[:0:-1], half[:-1]])
    elevations = _spread(_ELEVATIONS)
    rows, columns = len(elevations), len(azimuths)
    elevation, azimuth = (m.ravel() for m in np.meshgrid(elevations, azimuths, indexing="ij"))
    triangles = grid_triangles(rows, columns, closed=True)
    side = -np.ones(len(azimuth))
    extra_a: list[Array] = []
    extra_b: list[Array] = []

    def slit(at: float, low: float, high: float) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        row = int(np.argmin(np.abs(elevations - at)))
        first, last = (int(np.argmin(np.abs(azimuths - edge))) for edge in (low, high))
        lower = (row * columns + np.arange(first, last + 1)).astype(np.int32)
        upper = lower.copy()
        start = rows * columns + sum(map(len, extra_a))
        upper[1:-1] = start + np.arange(len(lower) - 2)
        extra_a.append(azimuth[lower[1:-1]])
        extra_b.append(elevation[lower[1:-1]])
        swap = np.arange(start + len(lower))
        swap[lower[1:-1]] = upper[1:-1]
        above = (triangles >= (row + 1) * columns) & (triangles < (row + 2) * columns)
        touched = above.any(axis=1)
        triangles[touched] = swap[triangles[touched]]
        return lower, upper

    left = slit(EYE_ROW, EYE_INNER, EYE_OUTER)
    right = slit(EYE_ROW, -EYE_OUTER, -EYE_INNER)
    lips = slit(MOUTH_ROW, -MOUTH_CORNER, MOUTH_CORNER)
    added = np.concatenate(extra_a)
    return Sheet(
        np.concatenate([azimuth, added]),
        np.concatenate([elevation, np.concatenate(extra_b)]),
        np.concatenate([side, np.ones(len(added))]),
        triangles,
        left,
        right,
        lips,
    )


def _almond(t: Array, *, upper: bool) -> Array:
    """Relative opening of a lid at `t` in [-1, 1] from inner to outer corner."""
    arch = np.clip(1.0 - t * t, 0.0, None)
    if upper:
        return arch**0.62 * (1.0 - 0.10 * t)
    return arch**0.72 * (1.0 + 0.12 * t)


def _elevations(of: Sheet, left: LidPose, right: LidPose) -> Array:
    """Elevation of every vertex once its row has made way for lids and mouth, [N] degrees."""
    elevation = of.elevation.copy()
    for pose, sign in ((left, 1.0), (right, -1.0)):
        middle, reach = (EYE_INNER + EYE_OUTER) / 2.0, (EYE_OUTER - EYE_INNER) / 2.0
        t = (sign * of.azimuth - middle) / reach
        q = of.elevation - EYE_ROW
        above = (q > 1e-9) | ((np.abs(q) <= 1e-9) & (of.side > 0))
        # Past the full opening the shift fades with the square of the distance: rows make way.
        down = pose.lower * _almond(t, upper=False)
        up = (1.0 - pose.closed) * pose.upper * _almond(t, upper=True) - pose.closed * down
        opened = np.sqrt(np.maximum(q, 0.0) ** 2 + np.maximum(up, 0.0) ** 2)
        lowered = np.maximum(q, 0.0) + np.minimum(up, 0.0) * np.exp(-np.maximum(q, 0.0) / 5.0)
        edge_up = np.where(up >= 0.0, opened, lowered)
        edge_down = -np.sqrt(q * q + down * down)
        near = np.abs(t) < 1.0
        fade = smoothstep(24.0, 12.0, np.abs(q))
        moved = EYE_ROW + q + fade * (np.where(above, edge_up, edge_down) - q)
        tilt = 0.9 * t * np.exp(-((q / 12.0) ** 2)) * np.clip(1.6 - np.abs(t), 0.0, 0.6) / 0.6
        elevation = np.where(near, moved, elevation) + np.where(sign * of.azimuth > 0, tilt, 0.0)
    t = of.azimuth / MOUTH_CORNER
    q = of.elevation - MOUTH_ROW
    return np.asarray(elevation - 1.55 * np.clip(t * t, 0.0, 1.6) * np.exp(-((q / 7.0) ** 2)))


def _directions(azimuth: Array, elevation: Array) -> Array:
    a, b = np.radians(azimuth), np.radians(elevation)
    return np.stack([np.sin(a) * np.cos(b), np.sin(b), np.cos(a) * np.cos(b)], axis=1)


def with_lids(of: Sheet, rest: Array, left: LidPose, right: LidPose) -> Array:
    """Positions [N, 3] with the lids posed; `rest` are the positions at rest."""
    before = _elevations(of, LidPose(), LidPose())
    after = _elevations(of, left, right)
    moved = np.abs(after - before) > 1e-6
    out = rest.copy()
    out[moved] = cast(clay, ORIGIN, _directions(of.azimuth[moved], after[moved]))
    return out


def positions(of: Sheet) -> tuple[Array, Array]:
    """Rest positions [N, 3] (cm) and depth inside the lips' border [N] (cm, negative outside)."""
    t = of.azimuth / MOUTH_CORNER
    q = of.elevation - MOUTH_ROW
    directions = _directions(of.azimuth, _elevations(of, LidPose(), LidPose()))
    points = cast(clay, ORIGIN, directions)

    centimetres = q * np.radians(1.0) * 9.4
    above = (q > 1e-9) | ((np.abs(q) <= 1e-9) & (of.side > 0))
    front = np.abs(t) < 1.0
    high, low = lip_height(t, upper=True), lip_height(t, upper=False)
    height = np.where(above, high, low)
    depth = np.where(
        front,
        height - np.abs(centimetres),
        -np.hypot(np.maximum(np.abs(t) - 1, 0) * 2.6, centimetres),
    )
    ratio = np.clip(np.abs(centimetres) / np.maximum(height, 1e-3), 0.0, 1.3)
    bump = np.where(ratio < 1.0, np.sin(np.pi * np.clip(ratio, 0.0, 1.0) ** 0.72), 0.0)
    full = np.where(above, 0.36, 0.46) * np.clip(height / np.where(above, 0.56, 0.78), 0.0, 1.0)
    crease = np.exp(-((centimetres / 0.16) ** 2)) * np.where(
        front, np.clip(1.0 - t * t, 0, 1) ** 0.3, 0.0
    )
    corner = np.exp(-(((np.abs(t) - 1.03) / 0.13) ** 2) - (centimetres / 0.35) ** 2)
    philtrum = np.exp(-((of.azimuth / 2.4) ** 2) - ((centimetres - 1.7) / 0.8) ** 2)
    under = np.exp(-((of.azimuth / 9.0) ** 2) - ((centimetres + 1.65) / 0.5) ** 2)
    push = (
        np.where(front, full * bump, 0.0)
        - 0.16 * crease
        - 0.2 * corner
        - 0.12 * philtrum
        - 0.16 * under
    )
    points = points + push[:, None] * directions
    return points, np.where(np.abs(q) < 40.0, depth, -9.0)
