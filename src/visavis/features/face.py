"""What a face tracker is: a frame in, one observed face (or none) out.

Trackers live behind one interface, so that `perceive` does not care whether the numbers come
from a mesh of landmarks (`face_mediapipe`) or from a model that measures blendshapes itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class FaceObservation:
    """One face in one frame. Left is the subject's left."""

    landmarks: Floats
    """[478, 3] points of the mesh in pixels of the frame: x right, y up (negative: below the top
    edge), z towards the camera. The last ten are the irises."""
    blendshapes: Floats
    """[52] ARKit shapes in [0, 1], alphabetical. Against the rest pose known so far; whole-clip
    calibration is the business of `perceive`."""
    rotation: Floats
    """[3] pitch, yaw, roll in radians, R = Ry Rx Rz, relative to facing the camera. Positive
    pitch looks down, positive yaw turns to the subject's left."""
    translation: Floats
    """[3] metres in the camera's frame, of the point about which the head turns: x to the
    subject's left, y up, z towards the camera (so negative). Scale from eye centres 63 mm apart,
    depth from a field of view of 60 degrees across the longer side of the picture."""
    confidence: float
    """In [0, 1]; how far the frame can be trusted (`face_confidence`)."""
    faces: int = 1
    """Faces seen in the frame; this one is the followed one."""
    measures: Floats | None = None
    """[M] distances in mm (`face_geometry.MEASURES`) from which the blendshapes were computed,
    so that they can be computed again against a better rest pose; None where the tracker
    measures blendshapes directly."""


@runtime_checkable
class FaceTracker(Protocol):
    """Follows one face through the frames of one clip. Causal: never looks ahead."""

    def track(self, frame: NDArray[np.uint8], time_s: float) -> FaceObservation | None:
        """The followed face in `frame` (uint8 [H, W, 3], RGB), or None if it is not seen.

        Frames come in order; `time_s` must not decrease.
        """
        ...

    def close(self) -> None:
        """Free what the tracker holds. It cannot be used afterwards."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


def default_tracker(**options: Any) -> FaceTracker:
    """The tracker used when none is named: mediapipe's face mesh.

    Raises:
        MissingExtra: mediapipe is not installed (`pip install 'visavis[track]'`).
        MissingExtra: a system library below it is missing; the text names the command.
    """
    from visavis.features.face_mediapipe import MediapipeTracker

    return MediapipeTracker(**options)
