"""How far one frame's face can be trusted, from what the mesh itself does not tell.

mediapipe's face mesh gives no score, so it is worked out: a product of how well the rigid points
fit a head, how many pixels the face has, how much light and contrast, how far it is turned away,
and what share of it is covered by something plain (`face_sides`). Each factor is 1 for a good
portrait; but for the last, it is 0.5 where its constant says.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from visavis.features.face_camera import CameraPose

Doubles = NDArray[np.float64]

MISFIT_MM = 8.0
"""Root mean square misfit of the rigid points at which the factor is 0.5."""
SMALL_PX = 16.0
"""Eye distance in pixels."""
FLAT = 5.0
"""Standard deviation of the green channel (0 to 255) over the mesh's points."""
TURNED_RAD = 1.0
"""Yaw or pitch away from the camera: 57 degrees."""
EYES_MM = 63.0


def confidence(
    pose: CameraPose, landmarks: Doubles, frame: NDArray[np.uint8], uncovered: Doubles
) -> float:
    """In [0, 1], for mesh landmarks [478, 3] in pixels (y up) found in `frame` [H, W, 3], whose
    quarters are `uncovered` [4] so far (`face_sides.uncovered`)."""
    height, width = frame.shape[:2]
    x = np.clip(landmarks[:, 0].astype(np.intp), 0, width - 1)
    y = np.clip((-landmarks[:, 1]).astype(np.intp), 0, height - 1)
    contrast = float(frame[y, x, 1].std())
    turned = float(np.abs(pose.angles[:2]).max())
    return (
        _falling(pose.residual_mm / MISFIT_MM, 4)
        * _falling(SMALL_PX / max(EYES_MM * pose.scale, 1e-6), 3)
        * _falling(FLAT / max(contrast, 1e-6), 3)
        * _falling(turned / TURNED_RAD, 6)
        * float(uncovered.mean())
    )


def _falling(ratio: float, power: int) -> float:
    """1 for a ratio of 0, 0.5 for 1, towards 0 beyond."""
    return float(1.0 / (1.0 + min(ratio, 1e3) ** power))
