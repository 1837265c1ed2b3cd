"""A user's own `face_landmarker.task` (MediaPipe Tasks) as a `FaceTracker`.

The model measures 52 blendshapes itself; head pose is solved by us from its 478 points, as for the
face mesh. No mediapipe wheel holds the model file: the user brings it. Users report that it leaves
`cheekPuff` near zero (mediapipe issues 4403 and 4436); `tongueOut` is not among its shapes and is 0
here.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from visavis.channels import BLENDSHAPES
from visavis.errors import InputError, MissingExtra
from visavis.features.face import FaceObservation, Floats
from visavis.features.face_camera import solve_pose
from visavis.features.face_confidence import confidence
from visavis.features.face_follow import Follow, colour_of
from visavis.features.face_mediapipe import imported, quiet
from visavis.features.face_sides import uncovered
from visavis.files import existing_file

logger = logging.getLogger("visavis")


class TaskTracker:
    """Follows one face with MediaPipe's FaceLandmarker and a model file of the user's.

    Args:
        model: path of the `face_landmarker.task`.
        faces: how many faces to look for; the larger is followed.

    Raises:
        MissingExtra: mediapipe is not installed, or has no tasks.
        InputError: there is no such file, or it is no such model (some only fail at the first
            picture).
    """

    def __init__(self, model: str | Path, *, faces: int = 2) -> None:
        path = existing_file(model, wanted="a face_landmarker.task")
        mediapipe = imported()
        if not hasattr(mediapipe, "tasks"):
            raise MissingExtra(
                f"mediapipe {mediapipe.__version__} has no tasks, which a .task model needs. "
                "Install one that has: pip install 'mediapipe>=0.10.30'"
            )
        self._path = path
        vision = mediapipe.tasks.vision
        options = vision.FaceLandmarkerOptions(
            base_options=mediapipe.tasks.BaseOptions(model_asset_buffer=path.read_bytes()),
            running_mode=vision.RunningMode.VIDEO,
            num_faces=faces,
            output_face_blendshapes=True,
        )
        try:
            with quiet(report=False):
                self._landmarker = vision.FaceLandmarker.create_from_options(options)
        except (RuntimeError, ValueError) as error:
            raise InputError(
                f"{path} is not a face_landmarker.task that mediapipe {mediapipe.__version__} "
                f"reads ({str(error).splitlines()[0]})."
            ) from error
        self._image = mediapipe.Image
        self._format = mediapipe.ImageFormat.SRGB
        self._follow = Follow()
        self._last_ms = -1

    def track(self, frame: NDArray[np.uint8], time_s: float) -> FaceObservation | None:
        """The followed face in `frame` (uint8 [H, W, 3], RGB), or None; see `FaceTracker`."""
        height, width = frame.shape[:2]
        # its clock must grow with every frame
        self._last_ms = max(round(1000 * time_s), self._last_ms + 1)
        picture = self._image(image_format=self._format, data=np.ascontiguousarray(frame))
        try:
            found = self._landmarker.detect_for_video(picture, self._last_ms)
        except (RuntimeError, ValueError) as error:
            raise InputError(
                f"{self._path} was read, but mediapipe cannot run it on a picture "
                f"({_last_line(error)})."
            ) from error
        faces = [points_of(face, height, width) for face in found.face_landmarks]
        colours = [colour_of(face, frame) for face in faces]
        chosen = self._follow.choose(faces, time_s, stick=True, colours=colours)
        if chosen is None:
            return None
        which = next(number for number, face in enumerate(faces) if face is chosen)
        pose = solve_pose(chosen, height, width)
        return FaceObservation(
            landmarks=chosen.astype(np.float32),
            blendshapes=shapes_of(found.face_blendshapes[which]),
            rotation=pose.angles.astype(np.float32),
            translation=pose.translation_m.astype(np.float32),
            confidence=confidence(pose, chosen, frame, uncovered(chosen, frame)),
            faces=len(faces),
        )

    def close(self) -> None:
        try:
            with quiet(report=False):
                self._landmarker.close()
        except RuntimeError as error:  # a graph that failed says so again; `track` has said it
            logger.debug("closing %s: %s", self._path, _last_line(error))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _last_line(error: Exception) -> str:
    """The end of mediapipe's long messages, where the reason stands."""
    return str(error).strip().splitlines()[-1][-200:]


def points_of(face: Iterable[Any], height: int, width: int) -> NDArray[np.float64]:
    """Normalised landmarks of one face -> [478, 3] pixels, x right, y up, z to the camera."""
    scale = np.array([width, -height, -width], dtype=np.float64)
    points: NDArray[np.float64] = np.array([(p.x, p.y, p.z) for p in face]) * scale
    return points


def shapes_of(categories: Iterable[Any]) -> Floats:
    """MediaPipe's scored names -> our 52 in [0, 1]; `_neutral` is passed over.

    Raises:
        InputError: a name that is no ARKit shape.
    """
    shapes = np.zeros(len(BLENDSHAPES), dtype=np.float32)
    for category in categories:
        name = category.category_name
        if name == "_neutral":
            continue
        if name not in BLENDSHAPES:
            raise InputError(f"the model tells {name!r}, which is no ARKit blendshape.")
        shapes[BLENDSHAPES.index(name)] = min(max(category.score, 0.0), 1.0)
    return shapes
