"""Mediapipe's 478-point face mesh as a `FaceTracker` (extra `[track]`, models inside the wheel).

No look-ahead. Pose and distances pass a One-Euro filter, whose lag `face_smooth` states: half a
frame for what moves slowly, less for what moves fast. (The mesh finds a face again where it last
was; that moves no point in time.)
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from visavis.errors import InputError, MissingExtra, require
from visavis.features._system import install_command, missing_libraries
from visavis.features.face import FaceObservation
from visavis.features.face_camera import solve_pose
from visavis.features.face_confidence import confidence
from visavis.features.face_follow import Follow, colour_of, size_of
from visavis.features.face_geometry import blendshapes_of, measure
from visavis.features.face_rest import RunningRest
from visavis.features.face_sides import facing, uncovered
from visavis.features.face_smooth import OneEuro
from visavis.features.face_window import Window, scouted

logger = logging.getLogger("visavis")

Doubles = NDArray[np.float64]

POINTS = 478
ENOUGH = 256
"""Pixels of the longer side to which smaller pictures are enlarged."""
WATCH_FRAMES = 25
"""How often a second face is looked for while one is followed."""
CROWD_FRAMES = 50
"""How long all faces are looked for after there were several, or the followed one was lost."""
SEARCH_FRAMES = 12
"""How often small faces are looked for while no face is found."""

DISTANCE_BETA = 1.0
"""Of the One-Euro filter on distances: Hz for each mm/s."""
_POSE_BETA = np.array([20.0, 20.0, 20.0, 200.0, 200.0, 200.0])
"""The same on angles (rad/s) and places (m/s)."""


class MediapipeTracker:
    """Follows one face with mediapipe 0.10.14's FaceMesh.

    With two faces in view the larger is followed first, then whichever is nearest to where the
    followed one was; a warning says so once. A face too small for the mesh's own detector (less
    than a tenth of the picture's width, as in wide films of two people) is looked for in square
    parts of the picture, and then followed in the part around it. Not safe to share between
    threads or clips.

    Args:
        faces: how many faces to look for. 2 notices a second person within a second; 1 never.
        still: treat every frame as a picture of its own (slower; nothing is carried over).
        smooth: take trembling off pose and distances (`face_smooth`); never with `still`.

    Raises:
        MissingExtra: mediapipe is not installed.
        InputError: the system lacks a library that it needs.
    """

    def __init__(self, *, faces: int = 2, still: bool = False, smooth: bool = True) -> None:
        if faces < 1:
            raise InputError(f"faces must be at least 1, not {faces}.")
        with quiet():
            self._mesh = _started(faces, still)
            # looking for one face costs a third less, so more are looked for only now and then
            self._alone = _started(1, False) if faces > 1 and not still else None
        self._looked = 0
        self._crowd = 0  # frames for which all faces are looked for
        self._rest = RunningRest()
        self._follow = Follow()
        self._still = still
        self._pose = OneEuro(_POSE_BETA) if smooth and not still else None
        self._distances = OneEuro(DISTANCE_BETA) if smooth and not still else None
        self._searched = -SEARCH_FRAMES
        self._scout: Any = None  # finds small faces; started when first needed
        self._window: Window | None = None

    def track(self, frame: NDArray[np.uint8], time_s: float) -> FaceObservation | None:
        """The followed face in `frame` (uint8 [H, W, 3], RGB), or None; see `FaceTracker`."""
        candidates = self.faces(frame)
        colours = [colour_of(face, frame) for face in candidates]
        chosen = self._follow.choose(candidates, time_s, stick=not self._still, colours=colours)
        if chosen is None:
            self._crowd = CROWD_FRAMES  # lost, or somebody else: look at everyone
            return None
        height, width = frame.shape[:2]
        pose = solve_pose(chosen, height, width)
        placed = np.concatenate([pose.angles, pose.translation_m])
        there = uncovered(chosen, frame)
        distances = measure(pose.to_head(chosen), there * facing(float(pose.angles[1])))
        if self._pose is not None and self._distances is not None:
            placed = self._pose(placed, time_s)
            distances = self._distances(distances, time_s)
        rest = self._rest.update(distances)
        return FaceObservation(
            landmarks=chosen.astype(np.float32),
            blendshapes=blendshapes_of(distances, rest),
            rotation=placed[:3].astype(np.float32),
            translation=placed[3:].astype(np.float32),
            confidence=confidence(pose, chosen, frame, there),
            faces=len(candidates),
            measures=distances.astype(np.float32),
        )

    def faces(self, frame: NDArray[np.uint8]) -> list[Doubles]:
        """The faces found in `frame`: landmarks [478, 3] in pixels, x right, y up, z to camera.

        While only one was seen lately, the others are looked for every `WATCH_FRAMES`.

        Raises:
            InputError: the frame is not uint8 [H, W, 3].
        """
        if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8:
            raise InputError(
                f"a frame must be uint8 [H, W, 3] (RGB), not {frame.dtype} {list(frame.shape)}."
            )
        frame = np.ascontiguousarray(frame)
        if self._window is not None:
            found = self._window.moved(self._look(self._window.cut(frame)))
            if found:
                self._window = self._window.kept_around(found, frame)
                return found
            self._window = None
        found = self._look(frame)
        self._looked += 1
        if found or self._looked - self._searched < SEARCH_FRAMES:
            return found
        self._searched = self._looked
        if self._scout is None:
            with quiet():
                self._scout = _started(2, True)
        small = scouted(frame, lambda part: _points(self._scout, part))
        if small and not self._still:
            self._window = Window.around(max(small, key=size_of), frame)
        return small

    def _look(self, frame: NDArray[np.uint8]) -> list[Doubles]:
        """Faces in a picture, by the cheaper graph while one was alone lately."""
        if self._alone is None:
            return _points(self._mesh, frame)
        if self._crowd > 0:
            self._crowd -= 1
            everyone = _points(self._mesh, frame)
            if len(everyone) > 1:
                self._crowd = CROWD_FRAMES
            if self._crowd <= 1:  # let the other graph find its place before it takes over
                _points(self._alone, frame)
            return everyone
        one = _points(self._alone, frame)
        if self._looked % WATCH_FRAMES == 0:
            everyone = _points(self._mesh, frame)
            if len(everyone) > 1:
                self._crowd = CROWD_FRAMES
                return everyone
        return one

    def close(self) -> None:
        self._mesh.close()
        for graph in (self._alone, self._scout):
            if graph is not None:
                graph.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def imported() -> Any:
    """Import mediapipe, saying what is missing if it cannot be."""
    os.environ.setdefault("GLOG_minloglevel", "2")
    missing = missing_libraries() if find_spec("mediapipe") else ()
    if missing:
        raise MissingExtra(
            f"the face tracker needs the system libraries {', '.join(missing)}, which this machine "
            f"lacks. Install them with: {install_command(missing)}"
        )
    module = require("mediapipe", extra="track")
    # protobuf 4 warns at every result about a call inside mediapipe; nobody here can change it
    warnings.filterwarnings("ignore", message=r"SymbolDatabase\.GetPrototype", module="google")
    return module


def _started(faces: int, still: bool) -> Any:
    """A running FaceMesh. It starts in threads of its own and is only done after a first frame."""
    module = imported()
    if not hasattr(module, "solutions"):
        raise MissingExtra(
            f"mediapipe {module.__version__} no longer contains the face mesh. "
            "Install the version that does with: pip install 'visavis[track]', or bring a model: "
            "tracker='face_landmarker.task'."
        )
    mesh = module.solutions.face_mesh.FaceMesh(
        static_image_mode=still, max_num_faces=faces, refine_landmarks=True
    )
    mesh.process(np.zeros((64, 64, 3), np.uint8))
    return mesh


def _points(mesh: Any, frame: NDArray[np.uint8]) -> list[Doubles]:
    height, width = frame.shape[:2]
    # depth is in units of the picture's width, growing away from the camera
    scale = np.array([width, -height, -width], dtype=np.float64)
    found = mesh.process(np.ascontiguousarray(_enlarged(frame))).multi_face_landmarks
    return [_numbers(face) * scale for face in found or ()]


def _enlarged(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A picture too small for the mesh, smoothly enlarged: it sees small movements better so than
    through its own, coarser enlargement (browInnerUp at 64 pixels: r 0.81 for 0.67)."""
    longer = max(frame.shape[:2])
    if longer >= ENOUGH:
        return frame
    from PIL import Image

    height, width = (max(1, round(side * ENOUGH / longer)) for side in frame.shape[:2])
    picture = Image.fromarray(np.ascontiguousarray(frame))
    return np.asarray(picture.resize((width, height), Image.Resampling.LANCZOS))


def _numbers(face: Any) -> Doubles:
    """[478, 3] of a list of landmarks, read from its bytes: twenty times as quick as one by one.

    Each landmark is 17 bytes, a tag and a length, then a tag and a float for x, y and z; where a
    message has more in it, its points are read one by one.
    """
    data = face.SerializeToString()
    if len(data) == 17 * POINTS:
        rows = np.frombuffer(data, np.uint8).reshape(POINTS, 17)
        if (rows[:, [0, 1, 2, 7, 12]] == (0x0A, 0x0F, 0x0D, 0x15, 0x1D)).all():
            floats = np.concatenate([rows[:, 3:7], rows[:, 8:12], rows[:, 13:17]], axis=1)
            return floats.view("<f4").astype(np.float64)
    return np.array([(p.x, p.y, p.z) for p in face.landmark], dtype=np.float64)


@contextmanager
def quiet(*, report: bool = True) -> Iterator[None]:
    """Keep mediapipe's C++ start-up lines off the terminal; they go to the logger at debug level.

    They are written to file descriptor 2 before any log setting of theirs takes effect. If the
    block fails they are shown after all, unless the caller says what failed (`report=False`).
    """
    try:
        saved = os.dup(2)
    except OSError:  # a service without a standard error: nothing to keep quiet
        yield
        return
    if sys.stderr is not None:
        sys.stderr.flush()
    with tempfile.TemporaryFile() as kept:
        os.dup2(kept.fileno(), 2)
        failed = report
        try:
            yield
            failed = False
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            kept.seek(0)
            text = kept.read().decode(errors="replace").strip()
            if text:
                logger.log(logging.ERROR if failed else logging.DEBUG, "mediapipe: %s", text)
