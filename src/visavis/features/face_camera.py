"""Head pose through a camera: the rest head laid onto the mesh in perspective, by Gauss-Newton.

`face_pose.fit_pose` (a similarity, Umeyama 1991) gives the start; here the same rigid points are
projected through a pinhole and six numbers, rotation and place, are fitted to where the mesh has
them: across the picture in pixels, and in depth as the mesh guesses it (Lepetit & Fua 2005,
section 2.4, with a row more a point). Two steps suffice: the start is close.

Intrinsics are assumed, since films do not tell them: square pixels, the optical axis through the
middle of the picture, `face_pose.FIELD_OF_VIEW` across its longer side. Rotation is told relative
to the ray from the face to the camera, so that facing the camera is 0 wherever the face is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from visavis.features.face_pose import (
    FIELD_OF_VIEW,
    PIVOT_MM,
    REST_HEAD,
    RIGID,
    angles_of,
    fit_pose,
    matrix_of,
)

Doubles = NDArray[np.float64]

STEPS = 2
FOREHEAD, SIDES = 0.3, 0.5
"""Weights of points that move with the brows, and of those at the temples, which the mesh guesses;
the others weigh 1."""
DEPTH = 1.0
"""Weight of a pixel of guessed depth against one across the picture."""

_SQUARES = np.where(
    REST_HEAD[:, 1] > 10.0, FOREHEAD, np.where(np.abs(REST_HEAD[:, 0]) > 55.0, SIDES, 1.0)
)
_WEIGHTS = np.sqrt(_SQUARES / _SQUARES.mean())


@dataclass(frozen=True)
class CameraPose:
    """Where the head is before the camera (its axes: x right, y up, z towards the viewer)."""

    matrix: Doubles
    """[3, 3] R from the head's axes to the camera's."""
    place: Doubles
    """[3] mm from the camera: the point midway between the eye centres; z is negative."""
    focal: float
    """Pixels."""
    centre: Doubles
    """[2] pixels (y up): where the optical axis meets the picture."""
    residual_mm: float
    """Root mean square distance between the rigid points and the fitted rest head."""

    @property
    def scale(self) -> float:
        """Pixels per millimetre at the face's distance."""
        return float(self.focal / -self.place[2])

    @property
    def angles(self) -> Doubles:
        """[3] pitch, yaw, roll in radians, R = Ry Rx Rz; 0 faces the camera."""
        x, y, z = -self.place / np.linalg.norm(self.place)
        to_camera = np.array([-np.arcsin(y), np.arctan2(x, z), 0.0])
        return angles_of(matrix_of(to_camera).T @ self.matrix)

    @property
    def translation_m(self) -> Doubles:
        """[3] metres from the camera to the pivot of the head (`face_pose.PIVOT_MM`)."""
        metres: Doubles = (self.place + self.matrix @ PIVOT_MM) / 1000.0
        return metres

    def to_head(self, landmarks: Doubles) -> Doubles:
        """Points [N, 3] in pixels -> in the head's own frame, in mm."""
        depth = landmarks[:, 2:] / self.scale
        depth = depth - depth[RIGID].mean() + (REST_HEAD @ self.matrix[2]).mean() + self.place[2]
        across = (landmarks[:, :2] - self.centre) * (-depth / self.focal)
        points: Doubles = (np.hstack([across, depth]) - self.place) @ self.matrix
        return points


def solve_pose(landmarks: Doubles, height: int, width: int) -> CameraPose:
    """The pose of mesh landmarks [478, 3] in pixels (x right, y up, z towards the camera) of a
    picture of `height` x `width`."""
    start = fit_pose(landmarks)
    focal = max(height, width) / 2 / np.tan(FIELD_OF_VIEW / 2)
    centre = np.array([width / 2, -height / 2])
    seen = landmarks[RIGID]
    seen_depth = seen[:, 2] - seen[:, 2].mean()
    matrix = start.matrix
    place = np.array([*(start.origin[:2] - centre), -focal]) / start.scale
    count = len(RIGID)
    jacobian = np.zeros((count, 3, 6))
    misses = np.zeros((count, 3))
    for _ in range(STEPS):
        turned = REST_HEAD @ matrix.T
        points = turned + place
        zoom = -focal / points[:, 2]  # pixels per mm at each point
        scale = focal / -place[2]
        misses[:, :2] = seen[:, :2] - centre - points[:, :2] * zoom[:, None]
        misses[:, 2] = DEPTH * (seen_depth - scale * (points[:, 2] - points[:, 2].mean()))
        x, y, z = turned.T
        lean = points[:, :2] / points[:, 2:]  # how a step in depth shifts the picture
        jacobian[:, 0, 0], jacobian[:, 0, 1], jacobian[:, 0, 2] = 0.0, z, -y
        jacobian[:, 1, 0], jacobian[:, 1, 1], jacobian[:, 1, 2] = -z, 0.0, x
        jacobian[:, 0, 3] = jacobian[:, 1, 4] = 1.0
        jacobian[:, 0, 4] = jacobian[:, 1, 3] = 0.0
        jacobian[:, :2, 5] = -lean
        jacobian[:, :2, 0] -= lean * y[:, None]
        jacobian[:, :2, 1] += lean * x[:, None]
        jacobian[:, :2] *= zoom[:, None, None]
        jacobian[:, 2, 0], jacobian[:, 2, 1] = y - y.mean(), -(x - x.mean())
        jacobian[:, 2, :2] *= DEPTH * scale
        rows = (jacobian * _WEIGHTS[:, None, None]).reshape(-1, 6)
        step = np.linalg.solve(rows.T @ rows, rows.T @ (misses * _WEIGHTS[:, None]).ravel())
        matrix = _turn(step[:3]) @ matrix
        place = place + step[3:]
        place[2] = min(place[2], -1.0)  # a face is before the camera, whatever came
    return CameraPose(matrix, place, float(focal), centre, start.residual_mm)


def _turn(rotation: Doubles) -> Doubles:
    """The rotation about the vector [3] by its length (Rodrigues)."""
    angle = float(np.linalg.norm(rotation))
    if angle < 1e-12:
        return np.eye(3)
    x, y, z = rotation / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    turned: Doubles = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    return turned
