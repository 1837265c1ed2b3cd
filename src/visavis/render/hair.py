"""Hair as sculpted caps: a hairline, and how far the hair stands off the skin inside it.

A cap is a polar grid round the crown whose last row lies exactly on the hairline, so its edge is a
smooth curve at any size. Styles differ by hairline, thickness and a few extra shapes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from visavis.render import face
from visavis.render.pieces import Part, Piece
from visavis.render.sculpt import (
    Array,
    ball,
    cast,
    cone,
    ellipsoid,
    grid_triangles,
    smoothstep,
    union,
)

CENTRE = np.array([0.0, 0.0, -1.0])
"""Where the polar grid is seen from, cm."""

_TURNS = (0.0, 14.0, 28.0, 42.0, 54.0, 64.0, 72.0, 79.0, 87.0, 95.0, 104.0, 118.0, 140.0, 180.0)
"""Azimuths of hairline stops, degrees."""
_EARS = (44.0, 44.0, 46.0, 51.0, 58.0, 70.0, 88.0, 98.0, 90.0, 84.0, 98.0, 112.0, 122.0, 126.0)
"""Hairline above the ears: angle from straight up at each stop, degrees."""
_LONG = (44.0, 44.0, 46.0, 52.0, 60.0, 84.0, 122.0, 132.0, 136.0, 138.0, 139.0, 140.0, 140.0, 140.0)
"""Hairline of hair that falls to the chin."""


@dataclass(frozen=True)
class _Style:
    """One way to wear hair.

    Attributes:
        hairline: angle from straight up at each of `_TURNS`, degrees.
        thickness: points on the skin [N, 3] -> how far the hair stands off, cm.
        round_off: width over which the edge rounds down to the skin, cm.
        strands: depth of combed grooves, cm.
        curtain: shape that the hair must cover even where it leaves the skin, or None.
        left, right: how much lower the front hairline is on that side (a fringe), degrees.
    """

    hairline: tuple[float, ...]
    thickness: Callable[[Array], Array]
    round_off: float = 1.0
    strands: float = 0.06
    curtain: Callable[[Array], Array] | None = None
    left: float = 0.0
    right: float = 0.0


def _lump(
    p: Array, centre: tuple[float, float, float], radius: tuple[float, float, float]
) -> Array:
    d = (p - np.asarray(centre)) / np.asarray(radius)
    return np.asarray(np.exp(-np.sum(d * d, axis=-1)))


def _short(p: Array) -> Array:
    top = smoothstep(2.0, 9.0, p[:, 1])
    quiff = _lump(p, (2.2, 9.6, 4.6), (3.6, 3.0, 3.2))
    other = _lump(p, (-4.2, 8.8, 3.2), (2.6, 2.6, 3.4))
    return 0.5 + 0.75 * top + 1.25 * quiff + 0.5 * other


def _crop(p: Array) -> Array:
    return 0.22 + 0.22 * smoothstep(1.0, 8.0, p[:, 1])


def _bun(p: Array) -> Array:
    return 0.42 + 0.3 * smoothstep(3.0, 10.0, p[:, 1])


def _bob(p: Array) -> Array:
    top = smoothstep(3.0, 10.0, p[:, 1])
    fringe = _lump(p, (2.6, 8.4, 5.0), (4.0, 2.6, 3.0))
    return 0.75 + 0.55 * top + 0.75 * fringe


def _curtain(p: Array) -> Array:
    q = p.copy()
    q[..., 0] = np.abs(q[..., 0])
    side = ellipsoid(q, (6.3, -3.2, -2.2), (2.3, 7.2, 4.6))
    back = ellipsoid(q, (0.0, -2.4, -5.4), (6.6, 8.0, 5.0))
    upper = ellipsoid(q, (0.0, 2.6, -2.2), (8.3, 7.4, 8.4))
    shape = union(union(side, back, 2.5), upper, 2.5)
    return np.asarray(np.maximum(shape, -(p[..., 1] + 8.4)))


def _curls(p: Array) -> Array:
    volume = 0.9 + 0.9 * smoothstep(0.0, 9.0, p[:, 1])
    number = np.arange(190) + 0.5
    y = 1.0 - 1.62 * number / 190
    turn = np.pi * (1.0 + 5.0**0.5) * number
    flat = np.sqrt(np.clip(1.0 - y * y, 0.0, None))
    knots = np.stack([flat * np.cos(turn), y, flat * np.sin(turn)], axis=1)
    d = p - CENTRE
    d = d / np.linalg.norm(d, axis=1, keepdims=True)
    nearest = np.arccos(np.clip((d @ knots.T).max(axis=1), -1.0, 1.0))
    return np.asarray(volume + 0.95 * np.sqrt(np.clip(1.0 - (nearest / 0.135) ** 2, 0.0, None)))


_STYLES: dict[str, _Style] = {
    "short": _Style(_EARS, _short, round_off=1.3, left=2.0, right=-1.0),
    "crop": _Style(_EARS, _crop, round_off=0.5, strands=0.0),
    "bob": _Style(_LONG, _bob, round_off=1.5, curtain=_curtain, left=6.0, right=1.0),
    "bun": _Style(_EARS, _bun, round_off=0.9, strands=0.05),
    "curls": _Style(_EARS, _curls, round_off=1.2, strands=0.0),
}

STYLES: tuple[str, ...] = tuple(_STYLES)
"""Names of the hair styles."""


def _hairline(style: _Style, azimuth: Array) -> Array:
    """Angle of the hairline from straight up, at `azimuth` in [-180, 180) degrees, radians."""
    fine = np.arange(-540.0, 540.0, 1.0)
    wrapped = (fine + 180.0) % 360.0 - 180.0
    line = np.interp(np.abs(wrapped), _TURNS, style.hairline)
    front = smoothstep(62.0, 18.0, np.abs(wrapped))
    line = line + front * (
        style.left * smoothstep(-12, 34, wrapped) + style.right * smoothstep(12, -34, wrapped)
    )
    kernel = np.exp(-((np.arange(-12, 13) / 4.5) ** 2))
    smooth = np.convolve(line, kernel / kernel.sum(), "same")
    return np.radians(np.interp(azimuth, fine, smooth))


def covered(name: str, points: Array) -> NDArray[np.bool_]:
    """Which points [N, 3] of the skin lie well inside the hairline of `name`, never to be seen."""
    d = points - CENTRE
    azimuth = np.degrees(np.arctan2(d[:, 0], d[:, 2]))
    polar = np.arctan2(np.hypot(d[:, 0], d[:, 2]), d[:, 1])
    return np.asarray(polar < _hairline(_STYLES[name], azimuth) - np.radians(14.0))


def hair(name: str) -> list[Piece]:
    """The meshes of the hair style `name`, one of `STYLES`."""
    style = _STYLES[name]
    columns = 104
    rows = 32 if name == "curls" else 22
    azimuth = np.degrees(np.arange(columns) / columns * 2 * np.pi) - 180.0
    edge = _hairline(style, azimuth)
    along = 1.0 - (1.0 - np.linspace(0.0, 1.0, rows)) ** 1.0
    # Rows crowd at the hairline, where the edge rounds off.
    along = along**1.55 if name != "curls" else along**1.15
    polar = edge[None, :] * (1.0 - along[:, None]) + 1e-3
    phi = np.radians(azimuth)[None, :] + 0.0 * polar
    direction = np.stack(
        [np.sin(phi) * np.sin(polar), np.cos(polar), np.cos(phi) * np.sin(polar)], axis=-1
    ).reshape(-1, 3)
    skin = cast(face.clay, CENTRE, direction)
    radius = np.linalg.norm(skin - CENTRE, axis=1)
    inside = ((edge[None, :] - polar) * 8.5).ravel()
    u = np.clip(inside / style.round_off, 0.0, 1.0)
    rounded = np.sqrt(1.0 - (1.0 - u) ** 2)
    off = style.thickness(skin)
    if style.curtain is not None:
        cover = np.linalg.norm(cast(style.curtain, CENTRE, direction) - CENTRE, axis=1)
        off = np.maximum(off, cover - radius)
    turn = np.repeat(np.radians(azimuth)[None, :], rows, axis=0).ravel()
    swirl = turn + 0.5 * np.sin(turn) * along.repeat(columns)
    groove = np.sin(23 * swirl) + 0.6 * np.sin(37 * swirl + 1.3)
    fade = np.repeat(1.0 - along**2, columns)
    radius = radius - 0.15 + (off + 0.15) * rounded + style.strands * groove * rounded * fade
    points = CENTRE + direction * radius[:, None]
    tone = 1.0 + (0.10 * np.sin(31 * swirl + 0.7) + 0.07 * np.sin(53 * swirl)) * fade * (
        style.strands > 0
    )
    pieces = [Piece(points, grid_triangles(rows, columns, closed=True), Part.HAIR, shadow=tone)]
    if name == "bun":
        pieces.append(_knot())
    return pieces


def _knot() -> Piece:
    """A bun on the crown."""
    middle = np.array([0.0, 11.6, -5.4])
    rows, columns = 12, 24
    polar, phi = np.meshgrid(
        np.linspace(3.0, 0.02, rows), np.arange(columns) / columns * 2 * np.pi, indexing="ij"
    )
    direction = np.stack(
        [np.sin(phi) * np.sin(polar), np.cos(polar), np.cos(phi) * np.sin(polar)], axis=-1
    ).reshape(-1, 3)

    def shape(p: Array) -> Array:
        return union(
            ball(p, (0.0, 11.6, -5.4), 2.6),
            cone(p, (0.0, 9.0, -4.0), (0.0, 11.0, -5.0), 2.2, 1.8),
            0.6,
        )

    points = cast(shape, middle, direction)
    groove = np.sin(9.0 * phi.ravel() + 3.0 * polar.ravel())
    points = points + direction * (0.09 * groove)[:, None]
    return Piece(
        points, grid_triangles(rows, columns, closed=True), Part.HAIR, shadow=1.0 + 0.08 * groove
    )
