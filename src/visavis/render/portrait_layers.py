"""What lies behind the openings of the mesh: the mouth's inside and the eyeballs.

A photograph rarely shows them, so the mouth is painted: a dark cavity, a tongue and lower teeth
that go with the jaw, upper teeth that stay with the skull. Teeth that the photograph does show are
used. Eyeballs are the photograph's, continued under the lids, and glide with the gaze.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from visavis.channels import BLENDSHAPES
from visavis.errors import require
from visavis.render import portrait_shapes as shapes
from visavis.render.portrait_mesh import Mesh, inside, loops
from visavis.render.portrait_photo import MARGIN, Photo

Doubles = NDArray[np.float64]
F32 = NDArray[np.float32]

_PER_MM = 3.0  # pixels of the painted mouth
_WIDE_MM, _UP_MM, _DOWN_MM = 46.0, 16.0, 40.0  # the painted patch around the middle of the mouth
_BEHIND_MM = 9.0  # how far teeth lie behind the lips
_PARTED_MM = 3.0  # from here the photograph's own teeth are used
_LUMINANCE = np.array([0.299, 0.587, 0.114])
_SKIN = np.array([205.0, 165.0, 145.0])  # of skin in daylight; its hue hardly differs by its tone
TWO = np.array([(0, 1, 2), (0, 2, 3)], dtype=np.int64)
"""The triangles of a patch with four corners."""
_JAW = BLENDSHAPES.index("jawOpen")
_JAW_SIDES = (BLENDSHAPES.index("jawLeft"), BLENDSHAPES.index("jawRight"))


@dataclass(frozen=True)
class Layer:
    """A textured patch behind the mesh.

    Attributes:
        head: [4, 3] corners in the head's frame, mm, clockwise from the upper left.
        texture_at: [4, 2] the same in the texture, pixels.
        texture: float32 [h, w, 3] or [h, w, 4] (with opacity).
        moves: [52, 3] mm by which each shape moves it.
    """

    head: Doubles
    texture_at: Doubles
    texture: F32
    moves: Doubles


def mouth_layers(photo: Photo, mesh: Mesh) -> tuple[Layer, ...]:
    """Cavity, then tongue and lower teeth, then upper teeth."""
    corners = mesh.rest[list(shapes.INNER_CORNERS)]
    line = mesh.rest[[*shapes.INNER_UPPER, *shapes.INNER_LOWER]]
    middle = (corners[0] + corners[1]) / 2
    middle[1] = line[:, 1].mean()
    half = float(corners[1, 0] - corners[0, 0]) / 2
    x, y = _patch()
    lit = _light(photo)
    tint = 0.0 if photo.grey else 1.0
    plane = np.array([middle[0], middle[1], line[:, 2].mean() - _BEHIND_MM])
    still = np.zeros((len(BLENDSHAPES), 3))
    with_jaw = still.copy()
    with_jaw[_JAW] = [0.0, -19.0, -3.0]
    with_jaw[_JAW_SIDES[0], 0], with_jaw[_JAW_SIDES[1], 0] = 7.0, -7.0
    upper = _upper_teeth(x, y, half, lit)
    if mesh.parted_mm > _PARTED_MM:
        upper = _with_own_teeth(upper, x, y, plane, photo, mesh)
    painted = (
        (_cavity(x, y, half, lit), -6.0, still),
        (_lower(x, y, half, lit), -2.0, with_jaw),
        (upper, 0.0, still),
    )
    return tuple(
        Layer(_corners(plane + np.array([0.0, 0.0, depth])), _ends(x), _toned(texture, tint), moves)
        for texture, depth, moves in painted
    )


def eye_layers(photo: Photo, mesh: Mesh, texture: F32) -> tuple[Layer, ...]:
    """The photograph's eyeballs. `texture` float32 [n, n, 3] is the plate at the size drawn."""
    side = len(texture) / (1 + 2 * MARGIN)
    return tuple(
        _eye(loop, name, mesh, texture, side)
        for name, loop in zip(("Left", "Right"), loops()[1:], strict=True)
    )


def _eye(loop: list[int], side: str, mesh: Mesh, texture: F32, pixels: float) -> Layer:
    ndimage = require("scipy.ndimage", extra="track")
    at = (mesh.texture_at[loop] + MARGIN) * pixels
    low, high = at.min(axis=0), at.max(axis=0)
    reach = 0.35 * float((high - low).max()) + 2.0
    x0, y0 = np.maximum(np.floor(low - reach), 0).astype(int)
    x1, y1 = np.minimum(np.ceil(high + reach), len(texture) - 1).astype(int)
    cut = texture[y0 : y1 + 1, x0 : x1 + 1]
    y, x = np.mgrid[: cut.shape[0], : cut.shape[1]]
    middle = at.mean(axis=0)
    shrunk = middle + (at - middle) * [0.96, 0.84] - [x0, y0]
    ball = inside(np.stack([x.ravel(), y.ravel()], axis=1).astype(float), shrunk).reshape(x.shape)
    if ball.any():
        nearest = ndimage.distance_transform_edt(~ball, return_distances=False, return_indices=True)
        filled = cut[nearest[0], nearest[1]]
        soft = ndimage.gaussian_filter(filled, (1.0 + 0.01 * pixels, 1.0 + 0.01 * pixels, 0))
        away = ndimage.gaussian_filter((~ball).astype(np.float32), 0.7 + 0.002 * pixels)[..., None]
        cut = filled + away * (0.92 * soft - filled)
    ends = np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], dtype=float)
    pose = mesh.pose
    depth = pose.origin[2] + pose.scale * float(mesh.rest[loop, 2].mean() - 4.0)
    shown = ends / pixels - MARGIN
    head = pose.to_head(np.column_stack([shown[:, 0], -shown[:, 1], np.full(4, depth)]))
    moves = np.zeros((len(BLENDSHAPES), 3))
    out = 1.0 if side == "Left" else -1.0
    for name, move in (
        ("eyeLookOut", (5.5 * out, 0.0, 0.0)),
        ("eyeLookIn", (-5.5 * out, 0.0, 0.0)),
        ("eyeLookUp", (0.0, 3.5, 0.0)),
        ("eyeLookDown", (0.0, -3.5, 0.0)),
    ):
        moves[BLENDSHAPES.index(name + side)] = move
    at_corner = ends - [x0, y0]
    return Layer(head, at_corner, np.ascontiguousarray(cut, dtype=np.float32), moves)


@dataclass(frozen=True)
class Lashes:
    """The dark line along an upper lid that a blink brings into view.

    Attributes:
        edge: indices along the lid, corner to corner.
        texture: float32 [h, w, 4]: across the line from above to below, fainter to the ends.
    """

    side: str
    edge: tuple[int, ...]
    texture: F32


def lashes(photo: Photo) -> tuple[Lashes, ...]:
    """Both eyes' lash lines, in the darkest colour along the lids of the photograph."""
    side = len(photo.plate) / (1 + 2 * MARGIN)
    lines = []
    for name, upper in shapes.UPPER_LIDS.items():
        outer, inner = shapes.EYE_CORNERS[name]
        edge = (outer, *upper, inner)
        at = (photo.landmarks[list(upper), :2] * [1, -1] + MARGIN) * side
        column, row = at.astype(int).clip(0, len(photo.plate) - 1).T
        colours = photo.plate[row, column].astype(float)
        dark = colours[np.argsort(colours.sum(axis=1))[:3]].mean(axis=0) * 0.6
        down, along = np.meshgrid(np.linspace(0, 1, 24), np.linspace(0, 1, 64), indexing="ij")
        cover = np.exp(-(((down - 0.55) / 0.2) ** 2)) * (1 - (2 * along - 1) ** 4)
        colour = np.broadcast_to(dark, (*cover.shape, 3))
        texture = np.concatenate([colour, 0.6 * cover[..., None]], axis=2)
        lines.append(Lashes(name, edge, np.ascontiguousarray(texture, dtype=np.float32)))
    return tuple(lines)


def _patch() -> tuple[Doubles, Doubles]:
    """x (to the subject's left, so to the right in the picture) and y (up) of each pixel, mm."""
    across = round(2 * _WIDE_MM * _PER_MM)
    down = round((_UP_MM + _DOWN_MM) * _PER_MM)
    x, y = np.meshgrid(
        np.linspace(-_WIDE_MM, _WIDE_MM, across), np.linspace(_UP_MM, -_DOWN_MM, down)
    )
    return x, y


def _corners(middle: Doubles) -> Doubles:
    ends = ((-_WIDE_MM, _UP_MM), (_WIDE_MM, _UP_MM), (_WIDE_MM, -_DOWN_MM), (-_WIDE_MM, -_DOWN_MM))
    return np.array([middle + np.array([x, y, 0.0]) for x, y in ends])


def _ends(x: Doubles) -> Doubles:
    high, wide = x.shape[0] - 1.0, x.shape[1] - 1.0
    return np.array([(0.0, 0.0), (wide, 0.0), (wide, high), (0.0, high)])


def _light(photo: Photo) -> Doubles:
    """[3] how light and how coloured the photograph is, told from its skin: 1 is daylight."""
    at = (photo.landmarks[:468, :2] * [1, -1] + MARGIN) / (1 + 2 * MARGIN) * len(photo.plate)
    column, row = at.astype(int).clip(0, len(photo.plate) - 1).T
    skin = np.percentile(photo.plate[row, column].astype(float), 70, axis=0) + 1.0
    bright = float(np.clip(skin @ _LUMINANCE / 185.0, 0.25, 1.1))
    cast = (skin / (skin @ _LUMINANCE)) / (_SKIN / (_SKIN @ _LUMINANCE))
    light: Doubles = bright * np.clip(cast, 0.6, 1.6) ** 0.7
    return light


def _cavity(x: Doubles, y: Doubles, half: float, lit: Doubles) -> Doubles:
    deep = np.exp(-((x / (0.9 * half)) ** 2) - ((y + 9.0) / 13.0) ** 2)
    red = np.array([92.0, 38.0, 36.0]) - deep[..., None] * np.array([56.0, 26.0, 24.0])
    return np.concatenate([red * lit, np.ones((*x.shape, 1))], axis=2)


def _upper_teeth(x: Doubles, y: Doubles, half: float, lit: Doubles) -> Doubles:
    """Incisors to molars: an arch that rises and darkens to the sides."""
    edge = -4.2 + 3.6 * (x / (0.62 * half)) ** 2
    bite = 0.5 * np.abs(np.sin(np.pi * x / 8.3))
    cover = _step(y - edge + bite - 0.5, 0.8) * _step(0.86 * half - np.abs(x), 2.5)
    gap = np.exp(-((np.mod(x + 4.15, 8.3) - 4.15) ** 2) / (2 * 0.35**2))
    gap = np.where(np.abs(x) < 0.8 * half, gap, 0.0)
    shade = 1.0 - 0.5 * (x / (0.86 * half)).clip(-1, 1) ** 2 - 0.14 * gap
    shade = shade * (0.98 - 0.30 * _step(y - 2.5, 5.0))
    colour = np.array([236.0, 226.0, 212.0]) * lit * shade[..., None]
    return np.concatenate([colour, cover[..., None]], axis=2)


def _lower(x: Doubles, y: Doubles, half: float, lit: Doubles) -> Doubles:
    """Tongue behind the lower teeth, as they lie with the jaw closed."""
    top = 6.0 - 6.0 * (x / (0.7 * half)) ** 2
    tongue = _step(top - y, 3.5) * _step(0.75 * half - np.abs(x), 5.0)
    groove = 0.16 * np.exp(-((x / 1.8) ** 2))
    pink = np.array([176.0, 92.0, 90.0]) * lit * (0.80 - groove - 0.02 * np.abs(x))[..., None]
    teeth_top = -2.4 - 2.6 * (x / (0.6 * half)) ** 2 - 0.35 * np.abs(np.sin(np.pi * x / 5.4))
    teeth = _step(teeth_top - y, 0.8) * _step(0.72 * half - np.abs(x), 3.0)
    shade = 0.76 - 0.42 * (x / (0.72 * half)).clip(-1, 1) ** 2
    ivory = np.array([214.0, 203.0, 188.0]) * lit * shade[..., None]
    colour = pink + teeth[..., None] * (ivory - pink)
    cover = np.maximum(0.9 * tongue, teeth)
    return np.concatenate([colour, cover[..., None]], axis=2)


def _with_own_teeth(
    upper: Doubles, x: Doubles, y: Doubles, plane: Doubles, photo: Photo, mesh: Mesh
) -> Doubles:
    """The painted teeth, with what the photograph shows between its parted lips over them."""
    ndimage = require("scipy.ndimage", extra="track")
    head = np.stack([x, y, np.zeros_like(x)], axis=-1).reshape(-1, 3) + plane
    at = mesh.pose.scale * head @ mesh.pose.matrix.T + mesh.pose.origin
    at = at[:, :2] * [1, -1]
    within = inside(at, mesh.texture_at[loops()[0]]).reshape(x.shape)
    core = ndimage.binary_erosion(within, iterations=round(1.1 * _PER_MM))
    weight = ndimage.gaussian_filter(core.astype(float), 0.5 * _PER_MM)[..., None]
    rows, columns = ((at[:, ::-1] + MARGIN) / (1 + 2 * MARGIN) * len(photo.plate) - 0.5).T
    own = np.stack(
        [
            ndimage.map_coordinates(
                photo.plate[..., k].astype(float), [rows, columns], order=1, mode="nearest"
            ).reshape(x.shape)
            for k in range(3)
        ],
        axis=-1,
    )
    mixed: Doubles = upper.copy()
    # the painted teeth stop where the photograph's begin: those decide where teeth end
    mixed[..., :3] = upper[..., :3] + weight * (0.92 * own - upper[..., :3])
    below = ndimage.maximum_filter(core, size=3).any(axis=0)
    cover = np.where(below[None] & ~core, upper[..., 3] * (y > 0), upper[..., 3])
    mixed[..., 3] = np.maximum(cover, weight[..., 0])
    return mixed


def _toned(texture: Doubles, tint: float) -> F32:
    """Colours of a painted texture taken out for a grey photograph."""
    grey = (texture[..., :3] @ _LUMINANCE)[..., None]
    texture = texture.copy()
    texture[..., :3] = grey + tint * (texture[..., :3] - grey)
    return np.ascontiguousarray(texture, dtype=np.float32)


def _step(distance: Doubles, soft: float) -> Doubles:
    """0 to 1 over `soft` mm around 0."""
    t = np.clip(distance / soft + 0.5, 0.0, 1.0)
    step: Doubles = t * t * (3 - 2 * t)
    return step
