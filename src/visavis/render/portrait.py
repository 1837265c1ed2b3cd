"""One photograph, moved by coefficients and head pose: a listener with a face of their own.

The tracked mesh of the photograph is brought to rest, moved in the head's frame, and drawn with
the photograph as its texture; around the face the motion fades into the background, which stands
still. Mouth and eyeballs are layers behind the mesh, closing lids are covered with their own skin.
No weights, no light: it is a warp, good for conversational motion (docs/portrait.md says how far).
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from visavis.channels import BLENDSHAPES
from visavis.errors import InputError
from visavis.features.face_pose import PIVOT_MM, matrix_of
from visavis.render import portrait_shapes as shapes
from visavis.render.motion import Motion
from visavis.render.portrait_layers import TWO, Lashes, Layer, eye_layers, lashes, mouth_layers
from visavis.render.portrait_mesh import mesh_of
from visavis.render.portrait_photo import MARGIN, Photo, find_face, read_photo
from visavis.render.portrait_warp import draw, halve
from visavis.render.rig import settle

if TYPE_CHECKING:
    from visavis.features.face import FaceTracker

logger = logging.getLogger("visavis")

Doubles = NDArray[np.float64]
F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]

SMALLEST, LARGEST = 16, 1024
"""Allowed sizes of a picture, pixels."""
TURN = np.array([0.40, 0.55, 0.40])
"""Pitch, yaw and roll that are never exceeded, rad; half of each is followed exactly."""
MOVE_MM = np.array([40.0, 40.0, 90.0])
"""The same of translation, mm."""
_PROFILE = 0.6  # rad: a photograph turned further away has too little of one side
_LYING = 0.8  # rad: a photograph on its side, without EXIF to say so
_CLOSED_MM = 2.5  # eyes less open than this show no iris
_UNFOLDS = 1.5  # how much sooner than the eye shuts, its lid shows skin alone
_EDGE_FROM, _FOLD_FROM = 0.2, 0.8  # a shut lid's edge and fold: on the way up from the fold
_CORNER_FROM = 0.3  # the eye's corners: on the way to the fold's ends
_LASHES = (0.25, 0.75)  # of a blink: lashes begin, and are whole
_DISTANCE_MM = 600.0  # to the camera, for coming nearer and going away


class Portrait:
    """A photograph that can be moved. `Portrait.from_photo` makes one.

    Rotation and translation are relative to the photograph, whose own pose counts as rest; a mouth
    that smiles or stands open in it is closed at rest. Safe to draw from several threads.
    """

    def __init__(self, photo: Photo) -> None:
        self._photo = photo
        self._mesh = mesh_of(photo.landmarks)
        self._mouth = mouth_layers(photo, self._mesh)
        self._lashes = lashes(photo)
        self._plates: dict[int, tuple[F32, tuple[Layer, ...]]] = {}
        self._lock = threading.Lock()

    @classmethod
    def from_photo(
        cls, photo: str | Path | NDArray[Any], tracker: FaceTracker | None = None
    ) -> Portrait:
        """The portrait of the largest face in a photograph.

        Args:
            photo: a file that Pillow reads (turned as its EXIF says; transparency is laid over
                white), or uint8 [H, W], [H, W, 3] or [H, W, 4].
            tracker: finds the 478 points of the face; mediapipe's by default.

        Raises:
            InputError: no picture, smaller than 32 pixels, or no face in it.
            MissingExtra: mediapipe is not installed (`visavis[track]`).
        """
        name = "the photograph" if isinstance(photo, np.ndarray) else str(photo)
        portrait = cls(find_face(read_photo(photo), tracker, name=name))
        mesh = portrait._mesh
        if np.abs(mesh.pose.angles[:2]).max() > _PROFILE:
            logger.warning(
                "%s shows the face turned away by %.0f degrees: a frontal one animates better.",
                name,
                np.degrees(np.abs(mesh.pose.angles[:2]).max()),
            )
        if abs(mesh.pose.angles[2]) > _LYING:
            logger.warning(
                "%s shows a face that is tilted by %.0f degrees: turn the picture upright first.",
                name,
                np.degrees(abs(mesh.pose.angles[2])),
            )
        if min(mesh.eyes_mm) < _CLOSED_MM:
            logger.warning("%s shows closed eyes: they cannot be opened.", name)
        return portrait

    def draw(
        self,
        blendshapes: ArrayLike,
        rotation: ArrayLike = (0.0, 0.0, 0.0),
        translation: ArrayLike = (0.0, 0.0, 0.0),
        size: int = 256,
    ) -> U8:
        """One picture.

        Args:
            blendshapes: [52] in `BLENDSHAPES` order; cut to [0, 1], NaN counts as 0.
            rotation: [3] pitch, yaw, roll in radians from the photograph's pose, held below
                `TURN`.
            translation: [3] metres, held below `MOVE_MM`.
            size: pixels along a side, 16 to 1024.

        Returns:
            [size, size, 3] uint8 sRGB. Equal arguments give equal bytes.

        Raises:
            InputError: a shape or the size does not fit.
        """
        weights = np.asarray(blendshapes, np.float32)
        if weights.shape != (len(BLENDSHAPES),):
            raise InputError(
                f"blendshapes must have shape [52], but came as {list(weights.shape)}."
            )
        if not SMALLEST <= size <= LARGEST:
            raise InputError(f"size must lie in {SMALLEST} to {LARGEST} pixels, not {size}.")
        turn = matrix_of(_held(_three(rotation, "rotation"), TURN))
        shift = _held(1000.0 * _three(translation, "translation"), MOVE_MM)
        values = settle(weights).astype(np.float64)
        texture, eyes = self._plate(size)
        side = 2 * size
        edge = round(MARGIN * side)
        canvas = np.ascontiguousarray(texture[edge : edge + side, edge : edge + side])
        depth = np.empty((side, side), np.float32)
        mesh = self._mesh
        for layer in (*eyes, *self._mouth):
            depth.fill(-np.inf)
            head = layer.head + values @ layer.moves
            points = self._placed(head, turn, shift, np.ones(len(head)), side)
            draw(canvas, depth, points, layer.texture_at, TWO, layer.texture)
        moved = self._moved(values)
        points = self._placed(moved, turn, shift, mesh.hold, side)
        depth.fill(-np.inf)
        draw(canvas, depth, points, self._skin(values) * side + edge, mesh.triangles, texture)
        for line in self._lashes:
            self._draw_lashes(canvas, depth, line, values, points)
        out = np.empty((size, size, 3), np.uint8)
        halve(canvas, out)
        return out

    def _draw_lashes(
        self, canvas: F32, depth: F32, line: Lashes, values: Doubles, points: Doubles
    ) -> None:
        """Lashes over a closing lid: they come as the photograph's own leave its texture."""
        blink = values[BLENDSHAPES.index("eyeBlink" + line.side)]
        shut = min((blink - _LASHES[0]) / (_LASHES[1] - _LASHES[0]), 1.0)
        if shut <= 0.0:
            return
        edge = points[list(line.edge)]
        across = 1.3 * self._mesh.pose.scale * len(canvas)
        down = np.zeros_like(edge)
        down[:, 1] = across
        count = len(edge)
        strip = np.concatenate([edge - down, edge + down])
        high, wide = line.texture.shape[0] - 1.0, line.texture.shape[1] - 1.0
        along = np.linspace(0.0, wide, count)
        at = np.concatenate([np.column_stack([along, np.full(count, y)]) for y in (0.0, high)])
        i = np.arange(count - 1)
        triangles = np.concatenate(
            [np.stack([i, i + 1, i + 1 + count], 1), np.stack([i, i + 1 + count, i + count], 1)]
        )
        texture = line.texture.copy()
        texture[..., 3] *= shut
        depth.fill(-np.inf)
        draw(canvas, depth, strip, at, triangles, texture)

    def picture(self, motion: Motion, frame: int, size: int) -> U8:
        """Frame `frame` of a motion, [size, size, 3] uint8 (`FrameSource`)."""
        return self.draw(
            motion.blendshapes[frame], motion.rotation[frame], motion.translation[frame], size
        )

    def _plate(self, size: int) -> tuple[F32, tuple[Layer, ...]]:
        """The photograph with its margin at twice the size drawn, and the eyeballs cut from it."""
        from PIL import Image

        with self._lock:
            if size not in self._plates:
                if len(self._plates) >= 4:
                    self._plates.clear()
                side = 2 * size + 2 * round(MARGIN * 2 * size)
                scaled = Image.fromarray(self._photo.plate).resize(
                    (side, side), Image.Resampling.BICUBIC
                )
                texture = np.ascontiguousarray(np.asarray(scaled, np.float32))
                self._plates[size] = (texture, eye_layers(self._photo, self._mesh, texture))
            return self._plates[size]

    def _moved(self, values: Doubles) -> Doubles:
        """The mesh [N, 3] in the head's frame; lids and lips meet, and do not pass each other."""
        active = np.flatnonzero(values)
        mesh = self._mesh
        moved = mesh.rest + np.tensordot(values[active], mesh.basis[active], axes=1)
        for upper, lower in _MEETING:
            crossed = moved[upper, 1] < moved[lower, 1]
            middle = (moved[upper] + moved[lower]) / 2
            moved[upper] = np.where(crossed[:, None], middle, moved[upper])
            moved[lower] = np.where(crossed[:, None], middle, moved[lower])
        return moved

    def _skin(self, values: Doubles) -> Doubles:
        """Where the mesh takes its texture: a closing lid unfolds the skin above its fold.

        An open eye's lid is a strip of lashes and shadow: stretched over the eye it would streak.
        """
        whole = self._mesh.texture_at
        at = whole.copy()
        for side, upper in shapes.UPPER_LIDS.items():
            blink = min(_UNFOLDS * values[BLENDSHAPES.index("eyeBlink" + side)], 1.0)
            edge, fold = list(upper), list(shapes.LID_FOLDS[side])
            skin = whole[list(shapes.ABOVE_FOLDS[side])] - whole[fold]
            at[edge] += blink * (whole[fold] + _EDGE_FROM * skin - whole[edge])
            at[fold] += blink * _FOLD_FROM * skin
            corners = list(shapes.EYE_CORNERS[side])
            at[corners] += blink * _CORNER_FROM * (whole[[fold[0], fold[-1]]] - whole[corners])
        return at

    def _placed(
        self, head: Doubles, turn: Doubles, shift: Doubles, hold: Doubles, side: int
    ) -> Doubles:
        """Head frame, mm [N, 3] -> the square, pixels [N, 3] (y down). `hold` 0 leaves a point."""
        pose = self._mesh.pose
        moved = (head - PIVOT_MM) @ turn.T + PIVOT_MM + shift
        moved[:, :2] *= _DISTANCE_MM / (_DISTANCE_MM - shift[2])
        mixed = head + hold[:, None] * (moved - head)
        placed: Doubles = side * (pose.scale * mixed @ pose.matrix.T + pose.origin)
        placed[:, 1] *= -1
        return placed


_MEETING = tuple(
    (list(upper), list(lower))
    for upper, lower in (
        (shapes.INNER_UPPER, shapes.INNER_LOWER),
        *((shapes.UPPER_LIDS[s], shapes.LOWER_LIDS[s]) for s in ("Left", "Right")),
    )
)
"""Points above and below an opening that must not pass each other."""


def _held(values: Doubles, limit: Doubles) -> Doubles:
    """Values within half the limit as they are, beyond it easing towards the limit."""
    over = np.maximum(np.abs(values) - limit / 2, 0.0)
    eased = np.minimum(np.abs(values), limit / 2) + limit / 2 * np.tanh(over / (limit / 2))
    held: Doubles = np.sign(values) * eased
    return held


def _three(values: ArrayLike, name: str) -> Doubles:
    given = np.asarray(values, np.float64)
    if given.shape != (3,):
        raise InputError(f"{name} must have shape [3], but came as {list(given.shape)}.")
    return np.nan_to_num(given, nan=0.0, posinf=0.0, neginf=0.0)
