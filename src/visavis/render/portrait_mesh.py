"""The mesh of a photograph: the tracked face, and rings around it that fade into what stands still.

All positions are kept twice: in the photograph (for the texture) and in the head's frame in mm
(`features.face_pose`), where shapes and pose move them. Triangles are laid once; they cover the
whole plate, so nothing can tear.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from visavis.channels import BLENDSHAPES
from visavis.errors import require
from visavis.features.face_pose import Pose, fit_pose
from visavis.render import portrait_shapes as shapes
from visavis.render.portrait_photo import MARGIN

Doubles = NDArray[np.float64]

OVAL = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)
"""Mesh points around the face, clockwise from the forehead."""

_POINTS = 478
_OPEN = 0.35  # of jawOpen, while triangles are laid
_STEP = 0.045  # of the square's side, between points outside the face
_RINGS_MM = (4.0, 10.0, 18.0, 28.0)
_HEAD_MM = np.array([92.0, 112.0])  # half axes of what moves with the skull, hair included
_FADE = 2.2  # in those half axes: where everything stands still
_NECK_MM = 75.0  # below the jaw, what follows the head has faded to a tenth
_BACK_MM = -55.0  # depth of what is outside the face
_REACH_MM = 32.0  # how far outside the face skin follows the shapes


@dataclass(frozen=True)
class Mesh:
    """What moves, and how."""

    pose: Pose
    """From the head's frame (mm) to the photograph (sides of the square, y up)."""
    texture_at: Doubles
    """[N, 2] in sides of the square, x right, y down."""
    rest: Doubles
    """[N, 3] mm in the head's frame, with lips closed."""
    basis: Doubles
    """[52, N, 3] mm: what each shape adds."""
    hold: Doubles
    """[N] how far a point follows the head: 1 on the face, 0 on the background."""
    triangles: NDArray[np.int64]
    """[M, 3] that may move, without the openings of mouth and eyes."""
    parted_mm: float
    """How far the lips are apart in the photograph."""
    eyes_mm: tuple[float, float]
    """How far the eyes are open in the photograph, left and right."""


def loops() -> tuple[list[int], ...]:
    """Indices around the openings: mouth, left eye, right eye."""
    return (shapes.mouth_loop(), shapes.eye_loop("Left"), shapes.eye_loop("Right"))


def mesh_of(landmarks: Doubles) -> Mesh:
    """The mesh of a face whose `landmarks` [478, 3] are in sides of the square (x right, y up)."""
    pose = fit_pose(landmarks)
    seen = _less_deep(pose, landmarks)
    width = float(seen[shapes.OUTER_CORNERS[1], 0] - seen[shapes.OUTER_CORNERS[0], 0])
    inward = float(np.clip((width - 54.0) / 2.0, 0.0, 5.0))
    rest = shapes.neutral_of(seen, inward_mm=inward)
    basis = shapes.more_shapes(rest, shapes.basis_of(rest))
    around = _outside(pose, landmarks, seen)
    follow = _follow(around, seen)
    more = around + follow @ (rest - seen)[list(OVAL)]
    more_basis = np.einsum("no,sod->snd", follow, basis[:, list(OVAL)])
    hold = _hold(around, seen)
    whole = np.concatenate([rest, more])
    every = np.concatenate([basis, more_basis], axis=1)
    texture_at = np.concatenate([landmarks[:, :2], _shown(pose, around)[:, :2]]) * [1, -1]
    holds = np.concatenate([np.ones(_POINTS), hold])
    moves = (holds > 1e-3) | (np.abs(every).max(axis=(0, 2)) > 0.05)
    triangles = _triangles(pose, whole, every)
    apertures = [
        float(
            np.abs(seen[list(shapes.UPPER_LIDS[s]), 1] - seen[list(shapes.LOWER_LIDS[s]), 1]).max()
        )
        for s in ("Left", "Right")
    ]
    return Mesh(
        pose=pose,
        texture_at=texture_at,
        rest=whole,
        basis=np.ascontiguousarray(every),
        hold=holds,
        triangles=np.ascontiguousarray(triangles[moves[triangles].any(axis=1)]),
        parted_mm=float(seen[13, 1] - seen[14, 1]),
        eyes_mm=(apertures[0], apertures[1]),
    )


def _less_deep(pose: Pose, landmarks: Doubles) -> Doubles:
    """Landmarks in the head's frame, the sides' depth held back; in the photograph they stay."""
    head = pose.to_head(landmarks)
    flat = shapes.flattened(head)
    # near the outline the mesh falls away so steeply that a turn would crumple it: even it out
    apart = np.linalg.norm(head[:, None, :2] - head[None, :468, :2], axis=2)
    near = np.exp(-((apart / 10.0) ** 2))
    even = near @ flat[:468, 2] / near.sum(axis=1)
    rim = np.exp(-((apart[:, list(OVAL)].min(axis=1) / 14.0) ** 2))
    flat[:, 2] += rim * (even - flat[:, 2])
    deeper = (flat - head) @ pose.matrix[2] * pose.scale
    return pose.to_head(landmarks + np.column_stack([np.zeros((len(head), 2)), deeper]))


def _shown(pose: Pose, head: Doubles) -> Doubles:
    shown: Doubles = pose.scale * head @ pose.matrix.T + pose.origin
    return shown


def _outside(pose: Pose, landmarks: Doubles, seen: Doubles) -> Doubles:
    """Points outside the face [N, 3], mm in the head's frame: rings, then a grid over the plate."""
    oval = landmarks[list(OVAL), :2]
    middle = oval.mean(axis=0)
    outward = (oval - middle) / np.linalg.norm(oval - middle, axis=1, keepdims=True)
    rings = [oval + mm * pose.scale * outward for mm in _RINGS_MM]
    count = round((1 + 2 * MARGIN) / _STEP) + 1
    steps = np.linspace(-MARGIN, 1 + MARGIN, count)
    x, y = np.meshgrid(steps, -steps)
    x = x + 0.5 * _STEP * (np.arange(count) % 2)[:, None] * (np.abs(x - 0.5) < 0.5)
    grid = np.stack([x.ravel(), y.ravel()], axis=1)
    last = oval + _RINGS_MM[-1] * pose.scale * outward
    free = np.linalg.norm(grid[:, None] - last[None], axis=2).min(axis=1) > 0.5 * _STEP
    grid = grid[free & ~inside(grid, last)]
    flat = np.concatenate([*rings, grid])
    distance = np.linalg.norm(flat[:, None] - oval[None], axis=2) / pose.scale
    near = np.exp(-(distance - distance.min(axis=1, keepdims=True)) / 8.0)
    edge = (near * seen[list(OVAL), 2]).sum(axis=1) / near.sum(axis=1)
    fade = np.exp(-distance.min(axis=1) / 25.0)
    depth = fade * edge + (1 - fade) * _BACK_MM
    return pose.to_head(np.column_stack([flat, pose.origin[2] + pose.scale * depth]))


def _follow(around: Doubles, seen: Doubles) -> Doubles:
    """[N, 36] how far each outer point moves with each point of the oval."""
    distance = np.linalg.norm(around[:, None, :2] - seen[None, list(OVAL), :2], axis=2)
    nearest = distance.min(axis=1, keepdims=True)
    near = np.exp(-(distance - nearest) / 8.0)
    follow: Doubles = near / near.sum(axis=1, keepdims=True) * np.exp(-((nearest / _REACH_MM) ** 2))
    follow[follow < 1e-4] = 0.0
    return follow


def _hold(around: Doubles, seen: Doubles) -> Doubles:
    """[N] how far outer points follow the skull: hair does, the neck less, the room not."""
    middle = np.array([0.0, -22.0])
    out = np.linalg.norm((around[:, :2] - middle) / _HEAD_MM, axis=1)
    hold = 1.0 - _smooth((out - 1.0) / (_FADE - 1.0))
    chin = float(seen[152, 1])
    jaw = chin + 35.0 * np.clip(np.abs(around[:, 0]) / 70.0, 0.0, 1.0) ** 2
    neck: Doubles = hold * (1.0 - 0.9 * _smooth((jaw - around[:, 1]) / _NECK_MM))
    return neck


def _triangles(pose: Pose, rest: Doubles, basis: Doubles) -> NDArray[np.int64]:
    """Triangles [M, 3] over the plate, laid with mouth and eyes open so that none bridges them."""
    spatial = require("scipy.spatial", extra="track")
    opened = rest.copy()
    for name, weight in (("jawOpen", _OPEN), ("eyeWideLeft", 1.0), ("eyeWideRight", 1.0)):
        opened += weight * basis[BLENDSHAPES.index(name)]
    shown = _shown(pose, opened)[:, :2]
    used = np.delete(np.arange(len(shown)), range(468, 478))  # irises are layers behind the mesh
    triangles = used[spatial.Delaunay(shown[used]).simplices].astype(np.int64)
    middles = shown[triangles].mean(axis=1)
    hole = np.zeros(len(triangles), dtype=bool)
    for loop in loops():
        hole |= inside(middles, shown[loop])
    kept: NDArray[np.int64] = triangles[~hole]
    return kept


def inside(points: Doubles, loop: Doubles) -> NDArray[np.bool_]:
    """Which points [N, 2] lie inside the polygon [M, 2] (even-odd rule)."""
    within = np.zeros(len(points), dtype=bool)
    x, y = points[:, 0], points[:, 1]
    for (x0, y0), (x1, y1) in zip(loop, np.roll(loop, -1, axis=0), strict=True):
        crosses = (y0 > y) != (y1 > y)
        if y0 != y1:
            within ^= crosses & (x < (x1 - x0) * (y - y0) / (y1 - y0) + x0)
    return within


def _smooth(t: Doubles) -> Doubles:
    t = np.clip(t, 0.0, 1.0)
    smooth: Doubles = t * t * (3 - 2 * t)
    return smooth
