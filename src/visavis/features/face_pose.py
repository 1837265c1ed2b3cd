"""Head pose from mesh landmarks: the similarity that best lays a rest head onto the rigid points.

The rest head is our own: 37 points of the mesh that no expression moves much, measured on a
public-domain portrait (NASA's of Eileen Collins, `skimage.data.astronaut`), made symmetric, in
millimetres with the eye centres 63 mm apart. Its axes are glTF's (x to the subject's left, y up,
z out of the face), its origin lies midway between the eye centres, and pitch zero is that
portrait's, in which the Frankfurt plane is level.

The camera is weakly perspective: rotation is relative to the ray through the face, not to the
optical axis, because corpora are crops whose optical axis is unknown.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]

EYE_DISTANCE_MM = 63.0
"""Adults' mean distance between the eye centres: it sets the scale of everything metric."""
FIELD_OF_VIEW = np.radians(60.0)
"""Assumed field of view across the longer side of the picture: it sets the depth."""

PIVOT_MM = np.array([0.0, -75.0, -85.0])
"""The top of the neck in the head's frame, as in `render`: the point about which a head turns.
Translation is that point's, so that a nod is a rotation and nothing else."""

_MIDLINE: dict[int, tuple[float, float]] = {  # index: (y, z)
    10: (49.9, 20.3),
    151: (35.2, 21.9),
    9: (20.0, 22.9),
    8: (12.0, 20.9),
    168: (4.4, 20.2),
    6: (-3.5, 24.1),
    197: (-10.9, 28.6),
    195: (-17.7, 33.6),
    5: (-25.2, 38.8),
    4: (-34.1, 40.5),
    1: (-40.7, 37.9),
}
_PAIRS: dict[tuple[int, int], tuple[float, float, float]] = {  # (right, left): left's x, y, z
    (33, 263): (45.7, 1.6, -2.5),
    (133, 362): (17.3, -1.6, 2.5),
    (127, 356): (69.1, -2.2, -51.6),
    (162, 389): (67.7, 11.7, -40.0),
    (21, 251): (64.5, 22.8, -26.0),
    (54, 284): (58.9, 33.2, -12.9),
    (103, 332): (49.8, 41.5, 0.2),
    (67, 297): (35.2, 46.9, 11.9),
    (109, 338): (19.2, 49.5, 18.6),
    (193, 417): (7.9, 2.7, 15.7),
    (122, 351): (5.8, -4.9, 21.5),
    (196, 419): (5.5, -12.0, 27.1),
    (174, 399): (9.9, -14.8, 22.3),
}


def _rest_head() -> tuple[NDArray[np.intp], Doubles]:
    indices: list[int] = list(_MIDLINE)
    points: list[tuple[float, float, float]] = [(0.0, y, z) for y, z in _MIDLINE.values()]
    for (right, left), (x, y, z) in _PAIRS.items():
        indices += [right, left]
        points += [(-x, y, z), (x, y, z)]
    return np.array(indices), np.array(points)


RIGID, REST_HEAD = _rest_head()
"""Indices of the rigid points [37] and their rest positions [37, 3] in mm."""
_CENTRE = REST_HEAD.mean(axis=0)
_CENTRED = REST_HEAD - _CENTRE
_POWER = float((_CENTRED**2).sum())


@dataclass(frozen=True)
class Pose:
    """Where the head is: landmarks = scale * R @ head + origin, in pixels (x right, y up)."""

    matrix: Doubles
    """[3, 3] R."""
    scale: float
    """Pixels per millimetre."""
    origin: Doubles
    """[3] pixels: where the point midway between the eye centres is."""
    residual_mm: float
    """Root mean square distance between the rigid points and the fitted rest head."""

    @property
    def angles(self) -> Doubles:
        """[3] pitch, yaw, roll in radians, R = Ry Rx Rz."""
        return angles_of(self.matrix)

    @property
    def confidence(self) -> float:
        """In [0, 1]: 1 for a perfect fit, 0.5 at 8 mm, near 0 for something that is no head."""
        return 1.0 / (1.0 + (self.residual_mm / 8.0) ** 4)

    def to_head(self, landmarks: Doubles) -> Doubles:
        """Points [N, 3] in pixels -> in the head's own frame, in mm: turned back and scaled."""
        turned: Doubles = (landmarks - self.origin) @ self.matrix / self.scale
        return turned

    def translation_m(self, height: int, width: int) -> Doubles:
        """[3] metres from the camera, whose axis goes through the middle of the picture, to the
        pivot (`PIVOT_MM`)."""
        focal = max(height, width) / 2 / np.tan(FIELD_OF_VIEW / 2)
        x, y = self.origin[0] - width / 2, self.origin[1] + height / 2
        eyes = np.array([x, y, -focal]) / self.scale
        place: Doubles = (eyes + self.matrix @ PIVOT_MM) / 1000.0
        return place


def fit_pose(landmarks: Doubles) -> Pose:
    """The pose of mesh landmarks [478, 3] in pixels (x right, y up, z towards the camera).

    Least squares over rotation, scale and translation (Umeyama 1991, eqs. 40 to 42).
    """
    seen = landmarks[RIGID]
    centre = seen.mean(axis=0)
    covariance = (seen - centre).T @ _CENTRED
    u, singular, vt = np.linalg.svd(covariance)
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    matrix = (u * signs) @ vt
    scale = float((singular * signs).sum()) / _POWER
    origin = centre - scale * matrix @ _CENTRE
    misfit = seen - centre - scale * _CENTRED @ matrix.T
    residual = float(np.sqrt((misfit**2).sum(axis=1).mean())) / scale
    return Pose(matrix, scale, origin, residual)


def angles_of(matrix: Doubles) -> Doubles:
    """R [3, 3] = Ry Rx Rz -> (pitch, yaw, roll) in radians."""
    pitch = -np.arcsin(np.clip(matrix[1, 2], -1.0, 1.0))
    yaw = np.arctan2(matrix[0, 2], matrix[2, 2])
    roll = np.arctan2(matrix[1, 0], matrix[1, 1])
    return np.array([pitch, yaw, roll])


def matrix_of(angles: Doubles) -> Doubles:
    """(pitch, yaw, roll) in radians -> R [3, 3] = Ry Rx Rz; the inverse of `angles_of`."""
    (cp, cy, cr), (sp, sy, sr) = np.cos(angles), np.sin(angles)
    rx = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    ry = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    rz = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    matrix: Doubles = ry @ rx @ rz
    return matrix
