"""One head, one frame: coefficients to pixels."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from visavis.channels import BLENDSHAPES
from visavis.errors import InputError
from visavis.render import shading, vertices
from visavis.render.looks import DEFAULT, Look, linear, palette
from visavis.render.mesh import PIVOT, Head, head
from visavis.render.motion import Motion, motions
from visavis.render.pieces import Part
from visavis.render.rasteriser import rasterise
from visavis.render.rig import settle
from visavis.render.text import greyed

if TYPE_CHECKING:
    from visavis.behaviour import Behaviour
    from visavis.render.portrait_renderer import FrameSource

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]

EYE_Z = 0.92
"""Distance of the camera from the middle of the head, metres."""
FRAME = 0.345
"""Height of what the picture shows at the middle of the head, metres."""
DROP = -0.012
"""Height of the middle of the picture, metres."""
_REACH = np.array([0.12, 0.12, 0.25])
"""Translations are cut to these, metres: the head stays in sight."""
LARGEST, SMALLEST = 2048, 16
"""Allowed sizes of a picture, pixels."""


def _unit(*v: float) -> list[float]:
    return [float(x) for x in np.asarray(v) / np.linalg.norm(v)]


_LAMPS = np.array(
    [
        [*_unit(-0.62, 0.62, 0.75), 0.98, 0.92, 0.84],
        [*_unit(0.85, 0.05, 0.55), 0.15, 0.17, 0.21],
        [*_unit(0.55, 0.55, -0.65), 0.62, 0.66, 0.74],
        [*_unit(-0.45, 0.75, 0.65), 0.20, 0.19, 0.18],
    ],
    np.float32,
)
_CATCH = np.array([_unit(-0.27, 0.33, 0.9), _unit(0.26, -0.22, 0.94)], np.float32)
_SHEEN = {
    Part.SKIN: 0.32, Part.LID: 0.4, Part.MOUTH: 0.3, Part.EYEBALL: 0.0, Part.LASH: 0.0,
    Part.BROW: 0.1, Part.TEETH: 0.9, Part.TONGUE: 1.2, Part.HAIR: 0.5, Part.SHIRT: 0.05,
}  # fmt: skip
"""Strength of highlights."""
_SOFT = {
    Part.SKIN: 1.0, Part.LID: 1.0, Part.MOUTH: 1.0, Part.TONGUE: 1.0, Part.TEETH: 0.8,
    Part.EYEBALL: 0.7,
}  # fmt: skip
"""How far light creeps round the terminator; 0.15 elsewhere."""


@lru_cache(maxsize=1)
def _encode() -> U8:
    """sRGB code of 4096 steps of linear light."""
    x = np.linspace(0.0, 1.0, 4096)
    code = np.where(x <= 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055)
    return np.asarray(np.round(code * 255.0), np.uint8)


@lru_cache(maxsize=64)
def _background(size: int, sky: str, ground: str) -> tuple[F32, U8]:
    """A soft vertical gradient, lighter behind the head: linear and as codes, [size, size, 3]."""
    y, x = np.mgrid[0:size, 0:size] / max(size - 1, 1)
    fade = (y**1.2)[..., None]
    plain = linear(sky) * (1 - fade) + linear(ground) * fade
    halo = np.exp(-(((x - 0.5) / 0.42) ** 2) - ((y - 0.42) / 0.42) ** 2)[..., None]
    light = (plain * (0.9 + 0.16 * halo)).clip(0.0, 1.0)
    return light.astype(np.float32), _encode()[(light * 4095.0 + 0.5).astype(np.int32)]


class Dressed:
    """A head in the colours of one look."""

    def __init__(self, of: Look) -> None:
        self.head: Head = head(of.style)
        skin, lips = linear(of.skin), linear(of.lips)
        parts = self.head.parts
        albedo = palette(of)[parts]
        on_skin = (parts == Part.SKIN)[:, None]
        flush = np.array([1.02, 0.70, 0.66], np.float32)
        blush = self.head.blush[:, None] * 0.62
        self.albedo: F32 = np.where(on_skin, albedo * (1 - blush + blush * flush), albedo).astype(
            np.float32
        )
        self.sheen: F32 = np.array([_SHEEN[p] for p in Part], np.float32)[parts]
        self.sheen = self.sheen * np.where(
            (parts == Part.SKIN) & (self.head.paint[:, 0] > 0.0), 1.3, 1.0
        ).astype(np.float32)
        self.soft: F32 = np.array([_SOFT.get(p, 0.15) for p in Part], np.float32)[parts]
        iris = linear(of.eyes)
        ratio = lips / np.maximum(skin, 1e-3)
        self.inks: F32 = np.stack([ratio, iris, iris * 0.22, np.array([0.50, 0.225, 0.0])]).astype(
            np.float32
        )
        self.starts, self.rows, self.deltas = _sparse(of.style)


@lru_cache(maxsize=16)
def _sparse(style: str) -> tuple[NDArray[np.int32], NDArray[np.int32], F32]:
    return head(style).sparse()


@lru_cache(maxsize=64)
def dressed(of: Look) -> Dressed:
    return Dressed(of)


class _Room(threading.local):
    """Arrays that one thread draws into again and again."""

    def __init__(self) -> None:
        self.vertices = 0
        self.size = 0

    def fit(self, vertices: int, size: int) -> None:
        if vertices != self.vertices:
            self.points, self.normals, self.colours, self.screen = (
                np.zeros((vertices, 3), np.float32) for _ in range(4)
            )
            self.vertices = vertices
        if size != self.size:
            side = size * shading.SAMPLES
            self.near = np.zeros((side, side), np.float32)
            self.face = np.zeros((side, side), np.int32)
            self.size = size


_ROOM = _Room()


def turn(rotation: ArrayLike) -> F32:
    """R = Ry Rx Rz [3, 3] of (pitch, yaw, roll) radians; positive pitch is down, yaw left."""
    pitch, yaw, roll = np.asarray(rotation, np.float64)
    cx, sx, cy, sy, cz, sz = (f(a) for a in (pitch, yaw, roll) for f in (np.cos, np.sin))
    rx = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    ry = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    rz = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return np.asarray(ry @ rx @ rz, np.float32)


def _three(values: ArrayLike, name: str) -> NDArray[np.float64]:
    given = np.asarray(values, np.float64)
    if given.shape != (3,):
        raise InputError(f"{name} must have shape [3], but came as {list(given.shape)}.")
    return np.nan_to_num(given, nan=0.0, posinf=0.0, neginf=0.0)


def draw_head(
    blendshapes: ArrayLike,
    rotation: ArrayLike = (0.0, 0.0, 0.0),
    translation: ArrayLike = (0.0, 0.0, 0.0),
    *,
    size: int = 256,
    look: Look = DEFAULT,
    rasteriser: str = "numba",
) -> U8:
    """Draw one head as seen by a camera in front of it.

    Args:
        blendshapes: [52] in `BLENDSHAPES` order; values outside [0, 1] are cut, NaN counts as 0.
        rotation: [3] pitch, yaw, roll in radians.
        translation: [3] metres from rest, cut to 0.12 sideways and up, 0.25 in depth.
        size: pixels along a side, 16 to 2048.
        look: who is drawn.
        rasteriser: "numba", or "moderngl" for OpenGL over EGL: the same picture but for rounding
            where triangles meet.

    Returns:
        [size, size, 3] uint8 sRGB. Equal arguments give equal bytes.

    Raises:
        InputError: a shape, the size or the rasteriser's name does not fit.
        MissingExtra: moderngl is not installed.
    """
    weights = np.asarray(blendshapes, np.float32)
    if weights.shape != (len(BLENDSHAPES),):
        raise InputError(
            f"blendshapes must have shape [52], but came as {list(weights.shape)}. "
            "For a whole clip use `draw`."
        )
    _check_size(size)
    fill = rasterisers(rasteriser)
    shift = np.clip(_three(translation, "translation"), -_REACH, _REACH).astype(np.float32)
    who = dressed(look)
    mesh, room = who.head, _ROOM
    room.fit(len(mesh.vertices), size)
    weights = settle(weights)
    vertices.morph(mesh.vertices, weights, who.starts, who.rows, who.deltas, room.points)
    vertices.keep_on_balls(room.points, mesh.on_ball, mesh.ball, mesh.low, mesh.high, mesh.balls)
    vertices.pose(room.points, mesh.follow, turn(_three(rotation, "rotation")), PIVOT, shift)
    vertices.vertex_normals(room.points, mesh.triangles, room.normals)
    vertices.light(
        room.points, room.normals, who.albedo, mesh.occlusion, who.sheen, who.soft, _LAMPS,
        EYE_Z, room.colours,
    )  # fmt: skip
    side = float(size * shading.SAMPLES)
    vertices.project(room.points, EYE_Z, side * EYE_Z / FRAME, side / 2.0, DROP, room.screen)
    fill(room.screen, mesh.triangles, room.near, room.face)
    out = np.empty((size, size, 3), np.uint8)
    shading.shade(
        room.near, room.face, room.screen, mesh.triangles, mesh.kind, mesh.group, room.colours,
        mesh.paint, room.normals, who.inks, _CATCH, *_background(size, look.sky, look.ground),
        _encode(), 0.02, out,
    )  # fmt: skip
    return out


def rasterisers(name: str) -> Callable[[F32, NDArray[np.int32], F32, NDArray[np.int32]], None]:
    """The rasteriser called "numba" or "moderngl"."""
    if name == "numba":
        return rasterise
    if name != "moderngl":
        raise InputError(f"there is no rasteriser {name!r}; there are numba and moderngl.")
    from visavis.render.rasteriser_gl import rasterise_gl

    return rasterise_gl


def draw_motion(
    motion: Motion,
    frame: int,
    *,
    size: int = 256,
    look: Look = DEFAULT,
    rasteriser: str = "numba",
    portrait: FrameSource | None = None,
) -> U8:
    """Frame `frame` of a motion, [size, size, 3] uint8; greyed with a mark if not known.

    Drawn by `portrait` where there is one, else as a head in `look`.
    """
    if portrait is not None:
        picture = portrait.picture(motion, frame, size)
    else:
        picture = draw_head(
            motion.blendshapes[frame],
            motion.rotation[frame],
            motion.translation[frame],
            size=size,
            look=look,
            rasteriser=rasteriser,
        )
    return picture if motion.known[frame] else greyed(picture)


def draw(
    behaviour: Behaviour, *, size: int = 256, look: Look = DEFAULT, rasteriser: str = "numba"
) -> Iterator[U8]:
    """Draw one clip (no leading axes) frame by frame, [size, size, 3] uint8 each.

    Where coefficients were not observed the last known pose is held, greyed and marked "no data".
    Without `rotation` or `translation` the head does not move.

    Raises:
        MissingChannel: there are no blendshapes (the text says how to make them).
        InputError: leading axes, another convention, or a size out of range.
    """
    if behaviour.lead:
        raise InputError(
            f"the behaviour has leading axes {list(behaviour.lead)}; draw one clip, "
            "e.g. behaviour[0], or all at once with render_video."
        )
    _check_size(size)
    motion = motions(behaviour)[0]
    rasterisers(rasteriser)
    return (
        draw_motion(motion, frame, size=size, look=look, rasteriser=rasteriser)
        for frame in range(len(motion))
    )


def _check_size(size: int) -> None:
    if not SMALLEST <= size <= LARGEST:
        raise InputError(f"size must lie in {SMALLEST} to {LARGEST} pixels, not {size}.")
