"""The demo's speaker: a public-domain portrait that talks.

The still is NASA's portrait of Eileen Collins, which scikit-image ships (`astronaut`, public
domain). Its face mesh is found once, brought to rest, moved by a scripted performance and drawn
with the portrait as texture; mouth interior and eyeballs are layers behind the mesh, hair and neck
follow the head, the rest of the picture holds still. The sound is synthesised from the script.

It is a test signal that looks like a person: no one ever said these words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.channels import BLENDSHAPES, FPS
from visavis.demo.performance import Performance, perform
from visavis.errors import InputError, VisavisError, require
from visavis.features.face_mediapipe import MediapipeTracker
from visavis.features.face_pose import PIVOT_MM, Pose, fit_pose, matrix_of
from visavis.render import portrait_shapes
from visavis.render.portrait_warp import draw

Doubles = NDArray[np.float64]
Picture = NDArray[np.uint8]

_LEFT, _TOP, _SIDE = 106, 0, 240  # the square of the still that is shown, in its pixels
# Outlines in pixels of the still, found by eye: (x, y), clockwise from the lower left.
_HAIR = (
    *((177, 122), (163, 112), (154, 92), (152, 70), (157, 50), (174, 36), (193, 26), (213, 18)),
    *((233, 15), (253, 18), (273, 27), (290, 41), (300, 62), (302, 88), (295, 115), (281, 132)),
    *((272, 137),),
)
_NECK = ((184, 182), (186, 190), (205, 194), (225, 198), (257, 202), (285, 196), (295, 188))
_UNDER_NECK = ((179, 205), (201, 222), (233, 232), (265, 230), (295, 216), (313, 200))
_STILL = (
    *((141, 150), (153, 170), (173, 168), (318, 175), (323, 150), (158, 205), (173, 240)),
    *((233, 270), (293, 255), (333, 225), (128, 120), (133, 60), (148, 20), (323, 20), (333, 70)),
    *((328, 115),),
)
_HAIR_DEPTH_MM, _NECK_DEPTH_MM = -50.0, -40.0
_DISTANCE_MM = 600.0  # to the camera, for coming nearer and going away


def make_speaker(
    path: str | Path,
    *,
    seconds: float = 20.0,
    seed: int = 0,
    size: int = 384,
    progress: Callable[[int, int | None], None] | None = None,
) -> Performance:
    """Write the demo speaker's video (H.264 and AAC) and return the script that it plays.

    The same arguments give the same frames and samples. Rotation in the script is relative to the
    still's own pose (level to a degree, rolled by -3 degrees).

    Raises:
        MissingExtra: mediapipe or scikit-image is missing (`visavis[track]`, `visavis[demo]`).
        InputError: `path` cannot be written, or a number makes no sense.
    """
    from visavis.media import Audio, VideoWriter
    from visavis.media.voice import synthesise

    script = perform(seconds, seed=seed)
    portrait = Portrait(size=size)
    rate = 16000
    samples = synthesise(
        script.pitch_hz,
        script.loudness,
        script.openness,
        rate=rate,
        fps=FPS,
        formant_shift=1.12,  # a woman's throat
        seed=seed,
    )
    audio = Audio(np.asarray(samples, dtype=np.float32).reshape(-1, 1), rate)
    total = script.behaviour.frames
    with VideoWriter(path, width=size, height=size, fps=FPS, audio=audio) as out:
        for number, frame in enumerate(portrait.frames(script), start=1):
            out.write(frame)
            if progress is not None:
                progress(number, total)
    return script


class Portrait:
    """The still, cut into a mesh that can be moved.

    Args:
        size: side of the square pictures, in pixels; even, at least 64.
    """

    def __init__(self, *, size: int = 384) -> None:
        if size < 64 or size % 2:
            raise InputError(f"size must be an even number of at least 64 pixels, not {size}.")
        self.size = size
        self._zoom = size / _SIDE
        still = _still(size)
        self._texture = still.astype(np.float32)
        landmarks = _landmarks(size)
        self._pose = fit_pose(landmarks)
        seen = portrait_shapes.flattened(self._pose.to_head(landmarks))
        self._rest = portrait_shapes.neutral_of(seen)
        self._basis = portrait_shapes.basis_of(self._rest)
        self._build_mesh(landmarks)
        self._build_layers(landmarks)

    def frames(self, script: Performance) -> Iterator[Picture]:
        """The pictures of a performance, uint8 [size, size, 3] RGB, one a frame."""
        shapes = script.behaviour["blendshapes"].numpy().astype(np.float64)
        rotation = script.behaviour["rotation"].numpy().astype(np.float64)
        translation = script.behaviour["translation"].numpy().astype(np.float64)
        for t in range(len(shapes)):
            yield self.picture(shapes[t], rotation[t], translation[t])

    def picture(self, shapes: Doubles, rotation: Doubles, translation: Doubles) -> Picture:
        """One picture of blendshapes [52], rotation [3] rad and translation [3] m."""
        face = self._rest + np.tensordot(shapes, self._basis, axes=1)
        canvas = self._texture.copy()
        for layer in self._layers:
            head = layer.head + layer.shift(shapes)
            points = self._placed(head, rotation, translation, np.ones(len(head)))
            self._draw(canvas, points, layer.texture_at, layer.triangles, layer.texture)
        head = np.concatenate([face, self._more])
        moved = self._placed(head, rotation, translation, self._hold)
        self._draw(canvas, moved, self._skin(shapes), self._triangles, self._texture)
        finished: Picture = np.clip(canvas + 0.5, 0, 255).astype(np.uint8)
        return finished

    def _skin(self, shapes: Doubles) -> Doubles:
        """Where the mesh takes its texture: a closing lid shows skin, not its stretched lashes."""
        at = self._texture_at.copy()
        for side, upper in portrait_shapes.UPPER_LIDS.items():
            blink = min(2.0 * shapes[BLENDSHAPES.index("eyeBlink" + side)], 1.0)
            edge, fold = list(upper), list(portrait_shapes.LID_FOLDS[side])
            at[edge] += 0.45 * blink * (at[fold] - at[edge])
        return at

    def _placed(
        self, head: Doubles, rotation: Doubles, translation: Doubles, hold: Doubles
    ) -> Doubles:
        """Head frame, mm [N, 3] -> picture, pixels [N, 3] (y down). `hold` 0 leaves a point."""
        moved = (head - PIVOT_MM) @ matrix_of(rotation).T + PIVOT_MM + 1000.0 * translation
        nearer = _DISTANCE_MM / (_DISTANCE_MM - 1000.0 * translation[2])
        moved[:, :2] *= nearer
        mixed = head + hold[:, None] * (moved - head)
        pixels = self._pose.scale * mixed @ self._pose.matrix.T + self._pose.origin
        pixels[:, 1] *= -1
        placed: Doubles = pixels
        return placed

    def _draw(
        self,
        canvas: NDArray[np.float32],
        points: Doubles,
        texture_at: Doubles,
        triangles: NDArray[np.int64],
        texture: NDArray[np.float32],
    ) -> None:
        depth = np.full(canvas.shape[:2], -np.inf, dtype=np.float32)
        draw(canvas, depth, points, texture_at, triangles, texture)

    def _build_mesh(self, landmarks: Doubles) -> None:
        from scipy.spatial import Delaunay

        size = float(self.size)
        steps = np.linspace(0, size, 9)
        border = np.array(
            [(x, y) for x in steps for y in steps if x in (0, size) or y in (0, size)]
        )
        groups = (  # points in pixels of the picture, depth in mm, how far they follow the head
            (self._in_picture(_HAIR), _HAIR_DEPTH_MM, 1.0),
            (self._in_picture(_NECK), _NECK_DEPTH_MM, 0.35),
            (self._in_picture(_UNDER_NECK), _NECK_DEPTH_MM, 0.08),
            (self._in_picture(_STILL), _HAIR_DEPTH_MM, 0.0),
            (border, _HAIR_DEPTH_MM, 0.0),
        )
        face = landmarks[:, :2] * [1, -1]
        self._texture_at = np.concatenate([face, *(points for points, _, _ in groups)])
        self._more = np.concatenate([self._to_head(points, depth) for points, depth, _ in groups])
        self._hold = np.concatenate(
            [np.ones(len(face)), *(np.full(len(points), hold) for points, _, hold in groups)]
        )
        # the last ten points are irises: they belong to the eyeballs, which are layers
        left_out = [*range(468, 478), *portrait_shapes.CROWDED]
        used = np.delete(np.arange(len(self._texture_at)), left_out)
        triangles = used[Delaunay(self._texture_at[used]).simplices].astype(np.int64)
        middles = self._texture_at[triangles].mean(axis=1)
        hole = np.zeros(len(triangles), dtype=bool)
        for loop in self._loops():
            hole |= _inside(middles, face[loop])
        self._triangles = np.ascontiguousarray(triangles[~hole])

    def _loops(self) -> tuple[list[int], ...]:
        return (
            portrait_shapes.mouth_loop(),
            portrait_shapes.eye_loop("Left"),
            portrait_shapes.eye_loop("Right"),
        )

    def _build_layers(self, landmarks: Doubles) -> None:
        face = landmarks[:, :2] * [1, -1]
        mouth, left, right = self._loops()
        inside_mouth = self._mask(face[mouth])
        self._layers = (
            self._layer(face[mouth], 6.0, self._mouth_texture(inside_mouth), None),
            self._layer(face[left], -2.0, self._eye_texture(face[left]), "Left"),
            self._layer(face[right], -2.0, self._eye_texture(face[right]), "Right"),
        )

    def _layer(
        self, loop: Doubles, depth: float, texture: NDArray[np.float32], eye: str | None
    ) -> _Layer:
        """A flat patch behind a loop, a good deal wider than it."""
        low, high = loop.min(axis=0), loop.max(axis=0)
        margin = (high - low).max() * 0.6 + 4.0
        (x0, y0), (x1, y1) = low - margin, high + margin
        corners = np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])
        triangles = np.array([(0, 1, 2), (0, 2, 3)], dtype=np.int64)
        return _Layer(self._to_head(corners, depth), corners, triangles, texture, eye)

    def _mouth_texture(self, inside: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Teeth as the still shows them, fading into dark around them."""
        from scipy.ndimage import binary_erosion, gaussian_filter

        unit = self.size / 384
        core = binary_erosion(inside, iterations=max(1, round(1.5 * unit)))
        weight = gaussian_filter(core.astype(np.float32), 1.0 * unit)[..., None]
        dark = np.array([52.0, 20.0, 20.0], dtype=np.float32)
        mixed: NDArray[np.float32] = 0.85 * weight * self._texture + (1 - weight) * dark
        return mixed

    def _eye_texture(self, loop: Doubles) -> NDArray[np.float32]:
        """The eyeball: outside the opening, the nearest colour inside it."""
        from scipy.ndimage import distance_transform_edt

        centre = loop.mean(axis=0)
        inside = self._mask(centre + (loop - centre) * [0.97, 0.85])
        nearest = distance_transform_edt(~inside, return_distances=False, return_indices=True)
        filled: NDArray[np.float32] = self._texture[nearest[0], nearest[1]]
        return np.ascontiguousarray(filled)

    def _mask(self, loop: Doubles) -> NDArray[np.bool_]:
        y, x = np.mgrid[: self.size, : self.size]
        inside = _inside(np.stack([x.ravel(), y.ravel()], axis=1).astype(float), loop)
        return inside.reshape(self.size, self.size)

    def _in_picture(self, points: Any) -> Doubles:
        """Pixels of the still -> pixels of the picture."""
        return (np.array(points, dtype=float) - [_LEFT, _TOP]) * self._zoom

    def _to_head(self, points: Doubles, depth_mm: float) -> Doubles:
        """Pixels [N, 2] of the picture (y down) -> head frame in mm, at about `depth_mm`."""
        pose: Pose = self._pose
        depth = np.full(len(points), pose.origin[2] + pose.scale * depth_mm)
        return pose.to_head(np.column_stack([points[:, 0], -points[:, 1], depth]))


class _Layer:
    """A textured patch behind the mesh, fixed to the skull; eyes glide with the gaze."""

    def __init__(
        self,
        head: Doubles,
        texture_at: Doubles,
        triangles: NDArray[np.int64],
        texture: NDArray[np.float32],
        eye: str | None,
    ) -> None:
        self.head, self.texture_at, self.triangles = head, texture_at, triangles
        self.texture = texture
        self._eye = eye

    def shift(self, shapes: Doubles) -> Doubles:
        """[3] mm that the patch moves for these blendshapes."""
        if self._eye is None:
            return np.zeros(3)

        def value(name: str) -> float:
            return float(shapes[BLENDSHAPES.index(name + str(self._eye))])

        out = 7.0 * (value("eyeLookOut") - value("eyeLookIn"))
        up = 5.0 * (value("eyeLookUp") - value("eyeLookDown"))
        return np.array([out if self._eye == "Left" else -out, up, 0.0])


def _still(size: int) -> Picture:
    """The square of NASA's portrait that is shown, uint8 [size, size, 3]."""
    transform = require("skimage.transform", extra="demo")
    data = require("skimage.data", extra="demo")
    square = data.astronaut()[_TOP : _TOP + _SIDE, _LEFT : _LEFT + _SIDE]
    scaled = transform.resize(square, (size, size), order=3, anti_aliasing=size < _SIDE)
    picture: Picture = np.clip(scaled * 255 + 0.5, 0, 255).astype(np.uint8)
    return picture


def _landmarks(size: int) -> Doubles:
    """Mesh of the still's face in pixels of a picture of `size` (x right, y up)."""
    fine = 768
    with MediapipeTracker(faces=1, still=True) as tracker:
        found = tracker.faces(_still(fine))
    if not found:
        raise VisavisError("no face was found in the bundled portrait: the tracker does not work.")
    return found[0] * (size / fine)


def _inside(points: Doubles, loop: Doubles) -> NDArray[np.bool_]:
    """Which points [N, 2] lie inside the polygon [M, 2] (even-odd rule)."""
    inside = np.zeros(len(points), dtype=bool)
    x, y = points[:, 0], points[:, 1]
    for (x0, y0), (x1, y1) in zip(loop, np.roll(loop, -1, axis=0), strict=True):
        crosses = (y0 > y) != (y1 > y)
        if y0 != y1:
            inside ^= crosses & (x < (x1 - x0) * (y - y0) / (y1 - y0) + x0)
    return inside
