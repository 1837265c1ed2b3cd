"""The head as one mesh with 52 morphs, put together once a process and hair style."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.channels import BLENDSHAPES
from visavis.errors import InputError
from visavis.render import face, morphs, pieces
from visavis.render.body import body
from visavis.render.ear import ear
from visavis.render.hair import STYLES, covered, hair
from visavis.render.looks import DEFAULT, palette
from visavis.render.morphs_mouth import JAW_ANGLE, turned
from visavis.render.occlusion import bake
from visavis.render.pieces import Part, Piece
from visavis.render.place import Place, place
from visavis.render.sculpt import Array, smoothstep
from visavis.render.shading import PAINTED, PLAIN

F32 = NDArray[np.float32]
I32 = NDArray[np.int32]
U8 = NDArray[np.uint8]

PIVOT = np.array([0.0, -0.072, -0.022], np.float32)
"""The point about which the head turns (the top of the neck), metres."""


@dataclass(frozen=True)
class Head:
    """A head of V vertices and F triangles, in metres.

    Axes as in glTF: +X to the subject's left, +Y up, +Z out of the face.

    Attributes:
        vertices: [V, 3] at rest, float32.
        triangles: [F, 3] int32, counter-clockwise seen from outside.
        parts: [V] uint8, the `Part` of each vertex.
        colours: [V, 3] float32 in [0, 1], sRGB, of the default `Look`, for exporters.
        deltas: [52, V, 3] float32, shift of each vertex at weight 1, in `BLENDSHAPES` order.
        follow: [V] float32, share of the head's pose that a vertex takes.
        paint: [V, 3] float32 and kind: [F] uint8, see `shading.shade`.
        group: [F] uint8, number of the piece, for smoothing edges between pieces.
        occlusion: [V] float32, share of the surroundings' light.
        blush: [V] float32, where skin is redder.
        balls: [2, 3] float32 centres of the left and the right eyeball.
        on_ball, ball: [M] int32 vertices kept at a distance from a ball in [low, high] [M] float32.
    """

    vertices: F32
    triangles: I32
    parts: U8
    colours: F32
    deltas: F32
    follow: F32
    paint: F32
    kind: U8
    group: U8
    occlusion: F32
    blush: F32
    balls: F32
    on_ball: I32
    ball: I32
    low: F32
    high: F32

    def sparse(self) -> tuple[I32, I32, F32]:
        """Deltas without zeros: starts [53], vertex of each entry [E], shift [E, 3]."""
        moved = np.abs(self.deltas).max(axis=2) > 1e-5
        starts = np.concatenate([[0], np.cumsum(moved.sum(axis=1))]).astype(np.int32)
        shape, vertex = np.nonzero(moved)
        return starts, vertex.astype(np.int32), np.ascontiguousarray(self.deltas[shape, vertex])


def _skin_deltas(sheet: face.Sheet, rest: Array, at: Place) -> Array:
    """Shift of every vertex of the sheet under every shape, [52, N, 3] cm."""
    out = np.zeros((len(BLENDSHAPES), len(rest), 3))
    for number, name in enumerate(BLENDSHAPES):
        if name in morphs.FIELDS:
            out[number] += morphs.FIELDS[name](at)
        stem, left = name.removesuffix("Left").removesuffix("Right"), name.endswith("Left")
        if stem in morphs.LIDS:
            lids = morphs.LIDS[stem]
            both = (lids, face.LidPose()) if left else (face.LidPose(), lids)
            posed = face.with_lids(sheet, rest, *both)
            side = at.p[:, 0] if left else -at.p[:, 0]
            out[number] += (posed - rest) * (side > 0)[:, None]
    return out


def _piece_deltas(piece: Piece, skin: Array) -> Array:
    """Shift of every vertex of a piece, [52, N, 3] cm."""
    out = np.zeros((len(BLENDSHAPES), len(piece.points), 3))
    if piece.bound is not None:
        bound = piece.bound >= 0
        out[:, bound] = skin[:, piece.bound[bound]]
    at = place(piece.points)
    for number, name in enumerate(BLENDSHAPES):
        if (
            piece.part == Part.BROW
            and name in morphs.FIELDS
            and not name.startswith(("jaw", "mouth"))
        ):
            out[number] = morphs.FIELDS[name](at)
        if piece.part == Part.EYEBALL:
            out[number] = _gaze(piece, name)
        lower = piece.part == Part.TEETH and piece.points[:, 1].mean() < -6.4
        if piece.part == Part.TONGUE or lower:
            out[number] = _with_jaw(piece, name)
    return out


def _gaze(piece: Piece, name: str) -> Array:
    stem, left = name.removesuffix("Left").removesuffix("Right"), name.endswith("Left")
    if stem not in morphs.GAZE or left != (piece.eye == 0):
        return np.zeros_like(piece.points)
    pitch, yaw = morphs.GAZE[stem]
    yaw = yaw if left else -yaw
    centre = face.EYE * np.array([1.0 if left else -1.0, 1.0, 1.0])
    c, s = np.cos(pitch), np.sin(pitch)
    nod = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    c, s = np.cos(yaw), np.sin(yaw)
    turn = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    d = piece.points - centre
    return np.asarray(d @ (turn @ nod).T - d)


def _with_jaw(piece: Piece, name: str) -> Array:
    p = piece.points
    if name == "jawOpen":
        return turned(p, JAW_ANGLE)
    if name in ("jawLeft", "jawRight"):
        return np.tile([1.05 if name == "jawLeft" else -1.05, 0.0, -0.05], (len(p), 1))
    if name == "jawForward":
        return np.tile([0.0, -0.18, 1.05], (len(p), 1))
    if name == "tongueOut" and piece.part == Part.TONGUE:
        tip = smoothstep(3.6, 6.9, p[:, 2])
        return np.stack([0.12 * p[:, 0] * tip, 0.95 - 0.55 * tip**2, 0.6 + 2.9 * tip], axis=1)
    return np.zeros_like(p)


def _pieces(sheet: face.Sheet, skin: Array, depth: Array, style: str) -> list[Piece]:
    eye, brow, left_ear = pieces.eyeball(), pieces.brow(), ear()
    paint = np.zeros((len(skin), 3))
    paint[:, 0] = depth
    out = [Piece(skin, sheet.triangles, Part.SKIN, PAINTED, paint)]
    out += [eye, pieces.mirrored(eye), brow, pieces.mirrored(brow)]
    out += [left_ear, pieces.mirrored(left_ear)]
    out += pieces.lid_margin(skin, sheet.left_lids, 0) + pieces.lid_margin(
        skin, sheet.right_lids, 1
    )
    out += [
        pieces.mouth_lining(skin, sheet.lips),
        pieces.teeth(upper=True),
        pieces.teeth(upper=False),
    ]
    out += [pieces.tongue(), *body(), *hair(style)]
    return out


def _blush(p: Array) -> Array:
    x = np.abs(p[:, 0])
    cheeks = np.exp(-(((x - 4.0) / 1.7) ** 2) - ((p[:, 1] + 2.9) / 1.5) ** 2) * (p[:, 2] > 0)
    nose = 0.7 * np.exp(
        -((x / 1.3) ** 2) - ((p[:, 1] + 3.1) / 1.0) ** 2 - ((p[:, 2] - 9.4) / 1.5) ** 2
    )
    ears = 0.6 * smoothstep(7.2, 8.2, x) * (p[:, 1] > -5)
    lids = 0.35 * np.exp(-(((x - 3.4) / 1.7) ** 2) - ((p[:, 1] - 1.6) / 0.7) ** 2) * (p[:, 2] > 0)
    return np.asarray(np.maximum(np.maximum(cheeks, nose), np.maximum(ears, lids)))


@lru_cache(maxsize=len(STYLES))
def head(style: str = "short") -> Head:
    """The head with hair `style` (one of `hair.STYLES`), made once and kept; read-only arrays.

    Raises:
        InputError: there is no such style.
    """
    if style not in STYLES:
        raise InputError(f"No hair style {style!r}. There are: {', '.join(STYLES)}.")
    sheet = face.sheet()
    skin, depth = face.positions(sheet)
    q = (sheet.elevation - face.MOUTH_ROW) * np.radians(1.0) * 9.4
    above = (q > 1e-9) | ((np.abs(q) <= 1e-9) & (sheet.side > 0))
    at = place(skin, sheet.azimuth / face.MOUTH_CORNER, q, above)
    skin_deltas = _skin_deltas(sheet, skin, at)
    parts = _pieces(sheet, skin, depth, style)

    starts = np.cumsum([0] + [len(piece.points) for piece in parts])
    points = np.concatenate([piece.points for piece in parts])
    triangles = np.concatenate([p.triangles + s for p, s in zip(parts, starts, strict=False)])
    deltas = np.concatenate(
        [skin_deltas] + [_piece_deltas(p, skin_deltas) for p in parts[1:]], axis=1
    )
    label = np.repeat([int(p.part) for p in parts], np.diff(starts)).astype(np.uint8)
    inside = np.isin(label, [Part.MOUTH, Part.TEETH, Part.TONGUE, Part.EYEBALL])
    baked = bake(points, triangles.astype(np.int32))
    made = Head(
        vertices=(points * 0.01).astype(np.float32),
        triangles=triangles.astype(np.int32),
        parts=label,
        colours=_srgb(palette(DEFAULT)[label]),
        deltas=(deltas * 0.01).astype(np.float32),
        follow=_joined([p.follow for p in parts], parts, np.ones(1)),
        paint=_joined([p.paint for p in parts], parts, np.zeros((1, 3))),
        kind=np.repeat([p.kind for p in parts], [len(p.triangles) for p in parts]).astype(np.uint8),
        group=np.repeat(np.arange(len(parts)), [len(p.triangles) for p in parts]).astype(np.uint8),
        occlusion=_joined([p.shadow for p in parts], parts, np.ones(1))
        * np.where(inside, 1.0, baked).astype(np.float32),
        blush=_blush(points).astype(np.float32),
        balls=(np.stack([face.EYE, face.EYE * [-1, 1, 1]]) * 0.01).astype(np.float32),
        **_ball_limits(points, label, parts, starts),
    )
    hidden = np.zeros(len(points), bool)
    hidden[: len(skin)] = covered(style, skin)
    made = _without(made, np.asarray(hidden[made.triangles].all(axis=1)))
    for value in vars(made).values():
        value.flags.writeable = False
    return made


def _srgb(light: F32) -> F32:
    code = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.asarray(code, np.float32)


def _joined(values: list[Array | None], parts: list[Piece], default: Array) -> F32:
    """One array over all vertices, with `default` where a piece says nothing."""
    filled = [
        np.repeat(default, len(piece.points), axis=0) if value is None else value
        for value, piece in zip(values, parts, strict=True)
    ]
    return np.concatenate(filled).astype(np.float32)


def _without(made: Head, dropped: NDArray[np.bool_]) -> Head:
    """The head less some triangles and what only they used; lip paint only where there are lips."""
    triangles = made.triangles[~dropped]
    used, numbers = np.unique(triangles, return_inverse=True)
    number = np.full(len(made.vertices), -1)
    number[used] = np.arange(len(used))
    bound = number[made.on_ball] >= 0
    kind = made.kind[~dropped]
    far = (made.paint[triangles, 0] < -0.3).all(axis=1)
    return replace(
        made,
        triangles=np.ascontiguousarray(numbers.reshape(-1, 3).astype(np.int32)),
        kind=np.where((kind == PAINTED) & far, PLAIN, kind).astype(np.uint8),
        group=made.group[~dropped],
        deltas=np.ascontiguousarray(made.deltas[:, used]),
        on_ball=number[made.on_ball][bound].astype(np.int32),
        ball=made.ball[bound],
        low=made.low[bound],
        high=made.high[bound],
        **{
            name: getattr(made, name)[used]
            for name in ("vertices", "parts", "colours", "follow", "paint", "occlusion", "blush")
        },
    )


def _ball_limits(
    points: Array, label: U8, parts: list[Piece], starts: NDArray[np.int64]
) -> dict[str, Any]:
    """Vertices near the eyeballs and the distances they must keep, metres."""
    members, balls, lows, highs = [], [], [], []
    for eye, sign in enumerate((1.0, -1.0)):
        distance = np.linalg.norm(points - face.EYE * np.array([sign, 1.0, 1.0]), axis=1)
        outer = np.isin(label, [Part.SKIN, Part.LID, Part.LASH])
        above = outer & (distance > face.EYE_RADIUS) & (distance < face.EYE_RADIUS + 0.9)
        under = np.isin(label, [Part.LID, Part.LASH]) & (distance <= face.EYE_RADIUS)
        itself = np.zeros(len(points), bool)
        for piece, start in zip(parts, starts, strict=False):
            if piece.part == Part.EYEBALL and piece.eye == eye:
                itself[start : start + len(piece.points)] = True
        for chosen, low, high in (
            (above, face.EYE_RADIUS + 0.08, 99.0),
            (under, 0.0, face.EYE_RADIUS - 0.12),
            (itself, face.EYE_RADIUS, face.EYE_RADIUS),
        ):
            found = np.nonzero(chosen)[0]
            members.append(found)
            balls.append(np.full(len(found), eye))
            lows.append(np.full(len(found), low * 0.01))
            highs.append(np.full(len(found), high * 0.01))
    return {
        "on_ball": np.concatenate(members).astype(np.int32),
        "ball": np.concatenate(balls).astype(np.int32),
        "low": np.concatenate(lows).astype(np.float32),
        "high": np.concatenate(highs).astype(np.float32),
    }
