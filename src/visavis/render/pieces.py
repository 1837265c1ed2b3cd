"""The parts of the head besides its skin: eyeballs, lashes, brows, teeth, tongue."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from visavis.render import face
from visavis.render.sculpt import (
    Array,
    cast,
    grid_triangles,
    smoothstep,
)
from visavis.render.shading import EYE, PLAIN


class Part(IntEnum):
    """What a vertex belongs to; a `Look` gives each part its colour."""

    SKIN = 0
    LID = 1
    MOUTH = 2
    EYEBALL = 3
    LASH = 4
    BROW = 5
    TEETH = 6
    TONGUE = 7
    HAIR = 8
    SHIRT = 9


@dataclass(frozen=True)
class Piece:
    """One part's mesh, cm.

    Attributes:
        points: [N, 3]; triangles: [F, 3].
        part: its `Part`; kind: how the rasteriser colours it.
        paint: [N, 3], see `shading.shade`.
        shadow: [N] occlusion known by construction, multiplied onto the baked one; 1 is none.
        bound: [N] vertex of the skin whose motion each vertex copies, or -1.
        eye: 0 for the left eye, 1 for the right, -1 for neither.
        follow: [N] share of the head's pose.
    """

    points: Array
    triangles: NDArray[np.int32]
    part: Part
    kind: int = PLAIN
    paint: Array | None = None
    shadow: Array | None = None
    bound: NDArray[np.int32] | None = None
    eye: int = -1
    follow: Array | None = None


def unit(v: Array) -> Array:
    """Vectors [..., 3] scaled to length 1."""
    return np.asarray(v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-12))


def mirrored(piece: Piece) -> Piece:
    """The same piece on the subject's right."""
    eye = 1 - piece.eye if piece.eye >= 0 else -1
    paint = piece.paint
    return Piece(
        piece.points * np.array([-1.0, 1.0, 1.0]),
        np.ascontiguousarray(piece.triangles[:, ::-1]),
        piece.part,
        piece.kind,
        None if paint is None else paint * np.array([-1.0, 1.0, 1.0]),
        piece.shadow,
        piece.bound,
        eye,
        piece.follow,
    )


def eyeball() -> Piece:
    """The left eyeball, pole towards +Z, down to a little behind its equator."""
    rings = np.radians(np.concatenate([[0.0], np.linspace(8, 100, 13)]))
    around = np.arange(28) / 28 * 2 * np.pi
    ring, turn = np.meshgrid(rings, around, indexing="ij")
    sphere = np.stack(
        [np.sin(ring) * np.cos(turn), np.sin(ring) * np.sin(turn), np.cos(ring)], axis=-1
    ).reshape(-1, 3)
    triangles = grid_triangles(len(rings), 28, closed=True)[:, ::-1]
    shadow = 0.42 + 0.58 * smoothstep(0.62, 0.05, sphere[:, 1]) * smoothstep(
        1.05, 0.75, np.abs(sphere[:, 0])
    )
    return Piece(
        face.EYE + face.EYE_RADIUS * sphere,
        np.ascontiguousarray(triangles),
        Part.EYEBALL,
        EYE,
        paint=sphere,
        shadow=shadow,
        eye=0,
    )


def lid_margin(
    points: Array, edges: tuple[NDArray[np.int32], NDArray[np.int32]], eye: int
) -> list[Piece]:
    """Thickness of both lids of an eye, and lashes on the upper one; edges run towards +X."""
    centre = face.EYE * np.array([1.0 if eye == 0 else -1.0, 1.0, 1.0])
    pieces = []
    for edge, upper in zip(edges, (False, True), strict=True):
        rim = points[edge]
        away = unit(rim - centre)
        inner = centre + away * (face.EYE_RADIUS - 0.25)
        across = np.concatenate([rim, inner])
        triangles = grid_triangles(2, len(edge))
        if not upper:
            triangles = triangles[:, ::-1]
        shade = 0.0 if upper else 0.95
        pieces.append(
            Piece(
                across,
                np.ascontiguousarray(triangles[:, ::-1]),
                Part.LASH if upper else Part.LID,
                shadow=np.full(len(across), shade),
                bound=np.concatenate([edge, edge]),
            )
        )
    rim = points[edges[1]]
    t = np.linspace(0.0, 1.0, len(rim))
    if eye == 1:
        t = t[::-1]
    length = (0.05 + 0.26 * smoothstep(0.15, 0.95, t)) * np.sin(
        np.pi * np.clip(t * 0.94 + 0.06, 0, 1)
    ) ** 0.35
    length = length * smoothstep(1.02, 0.9, t)
    outward = unit(rim - centre) + np.array([0.45 if eye == 0 else -0.45, 0.5, 0.3]) * t[:, None]
    tip = rim + unit(outward) * length[:, None] + np.array([0.0, 0.03, 0.0])
    thick = (
        rim
        + unit(rim - centre) * 0.05
        + np.array([0.0, 0.11, 0.0]) * np.sin(np.pi * t)[:, None] ** 0.5
    )
    below = rim - np.array([0.0, 0.03, 0.0])
    strip = np.concatenate([below, tip, thick])
    triangles = grid_triangles(3, len(rim))
    pieces.append(
        Piece(
            strip,
            np.concatenate([triangles, triangles[:, ::-1]]).astype(np.int32),
            Part.LASH,
            shadow=np.zeros(len(strip)),
            bound=np.tile(edges[1], 3),
        )
    )
    return pieces


def mouth_lining(points: Array, edges: tuple[NDArray[np.int32], NDArray[np.int32]]) -> Piece:
    """The bag behind the lips, from the lower edge round the back to the upper edge."""
    lower, upper = points[edges[0]], points[edges[1]]
    x = lower[:, 0] / np.abs(lower[:, 0]).max()
    arch = np.sqrt(np.clip(1.0 - x * x, 0.0, 1.0))
    rows, bound = [], []
    steps = ((0.0, 0.0), (0.28, 0.12), (0.6, 0.55), (1.1, 1.15), (2.6, 1.5), (4.4, 1.2), (5.2, 0.1))
    for sign, rim, edge in ((-1.0, lower, edges[0]), (1.0, upper, edges[1])):
        side = []
        for back, apart in steps:
            shift = np.stack(
                [-0.03 * back * rim[:, 0], sign * apart * arch, -back * (0.35 + 0.65 * arch)],
                axis=1,
            )
            side.append(rim + shift)
        rows.extend(side if sign < 0 else side[::-1])
        bound.extend([edge] * len(steps))
    deep = np.array([s[0] for s in steps])
    deep = np.concatenate([deep, deep[::-1]])
    shadow = np.repeat(0.7 * np.exp(-deep / 0.8) + 0.05, len(lower))
    triangles = grid_triangles(len(rows), len(lower))
    return Piece(
        np.concatenate(rows),
        triangles,
        Part.MOUTH,
        shadow=shadow,
        bound=np.concatenate(bound).astype(np.int32),
    )


def teeth(*, upper: bool) -> Piece:
    """A row of teeth on an arch, grooves between them."""
    columns = 57
    s = np.linspace(-1.0, 1.0, columns)
    angle = s * 1.25
    wide, deep = (2.5, 2.5) if upper else (2.2, 2.4)
    front = 7.75 if upper else 7.5
    arch = np.stack(
        [wide * np.sin(angle), np.zeros(columns), front - deep + deep * np.cos(angle)], axis=1
    )
    outward = unit(
        np.stack([np.sin(angle) / wide, np.zeros(columns), np.cos(angle) / deep], axis=1)
    )
    count = 10 if upper else 12
    phase = (s + 1.0) / 2.0 * count
    groove = np.exp(-(((phase - np.round(phase)) / 0.1) ** 2))
    scallop = 0.10 * np.abs(np.sin(np.pi * phase)) ** 0.5
    sign = 1.0 if upper else -1.0
    edge = -6.22 if upper else -6.2
    canine = 0.1 * np.abs(s) ** 2
    profile = ((-0.28, 0.0), (-0.06, -0.02), (0.02, 0.08), (0.04, 0.4), (0.0, 0.95), (-0.3, 1.2))
    rows = []
    for out, rise in profile:
        lift = rise + (0.1 - scallop + canine if rise < 0.2 else 0.0)
        row = arch + outward * (out - 0.06 * groove)[:, None]
        row[:, 1] = edge + sign * lift
        rows.append(row)
    shadow = np.concatenate(
        [
            (1.0 - 0.30 * groove)
            * (0.9 if 0.0 < rise < 0.9 else 0.6)
            * (0.45 + 0.55 * np.cos(angle) ** 2)
            for _, rise in profile
        ]
    )
    triangles = grid_triangles(len(rows), columns)
    if not upper:
        triangles = triangles[:, ::-1]
    return Piece(np.concatenate(rows), np.ascontiguousarray(triangles), Part.TEETH, shadow=shadow)


def tongue() -> Piece:
    """The tongue at rest behind the lower teeth; row 0 is the tip."""
    rows, columns = 14, 17
    along = np.linspace(0.0, 1.0, rows)
    around = np.linspace(0.0, 2 * np.pi, columns)[:-1]
    width = 1.45 * np.clip(1.0 - (1.0 - along) ** 3.2, 0.02, None) ** 0.6
    thick = 0.55 * np.clip(1.0 - (1.0 - along) ** 3.0, 0.02, None) ** 0.55
    points, shadow = [], []
    for a, w, h in zip(along, width, thick, strict=True):
        crease = (
            0.16 * np.exp(-((np.cos(around) / 0.22) ** 2)) * (np.sin(around) > 0) * min(1.0, 3 * a)
        )
        y = (
            -7.0
            + h * np.sin(around)
            - crease
            - 0.5 * a * a
            + 0.35 * np.sin(np.pi * min(1.0, 1.3 * a))
        )
        z = np.full(len(around), 6.95 - 4.6 * a)
        points.append(np.stack([w * np.cos(around), y, z], axis=1))
        shadow.append(np.full(len(around), 0.95 - 0.75 * a))
    triangles = grid_triangles(rows, columns - 1, closed=True)
    return Piece(
        np.concatenate(points),
        np.ascontiguousarray(triangles[:, ::-1]),
        Part.TONGUE,
        shadow=np.concatenate(shadow),
    )


def brow() -> Piece:
    """The left eyebrow: a soft ridge laid on the skin."""
    along = np.linspace(0.0, 1.0, 21) ** 1.25
    x = 1.25 + 3.95 * along
    y = 2.35 + 0.62 * np.sin(np.pi * (0.12 + 0.62 * along)) - 0.55 * along**2.2
    ends = np.sqrt(1.0 - (1.0 - np.clip(along / 0.14, 0.0, 1.0)) ** 2)
    height = 0.42 * np.clip(1.0 - along**2.6, 0.0, None) ** 0.7 * (0.2 + 0.8 * ends) + 0.03
    rows, across = [], np.linspace(-1.0, 1.0, 7)
    start = np.array([0.0, -0.5, 0.0])
    for step in across:
        target = np.stack([x, y + step * height, 7.6 - 0.09 * x * x], axis=1)
        direction = unit(target - start)
        skin = cast(face.clay, start, direction)
        raised = 0.24 * np.sqrt(max(1.0 - step * step, 0.0)) * (height / 0.43) ** 0.5 - 0.05
        rows.append(skin + direction * raised[:, None])
    triangles = grid_triangles(len(rows), len(x))
    return Piece(np.concatenate(rows), triangles, Part.BROW)
