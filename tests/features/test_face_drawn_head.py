"""The tracker on a head that somebody else made: the project's own drawn one, posed by number.

The head is a drawing and the mesh was trained on people, so only signs, sides and rough sizes are
asked of the shapes; pose must come out in degrees.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from visavis.channels import BLENDSHAPES
from visavis.features import _system
from visavis.features.face import FaceObservation
from visavis.features.face_geometry import blendshapes_of
from visavis.features.face_mediapipe import MediapipeTracker

if _system.missing_libraries():
    pytest.skip("system libraries of the face tracker are missing", allow_module_level=True)
pytest.importorskip("mediapipe")

from visavis.render.draw import draw_head


class Subject:
    """The drawn head in front of the tracker."""

    def __init__(self, tracker: MediapipeTracker) -> None:
        self._tracker = tracker
        self.rest = self.see()
        assert self.rest.measures is not None
        self._measures = self.rest.measures.astype(np.float64)

    def see(
        self,
        shapes: dict[str, float] | None = None,
        rotation: tuple[float, float, float] = (0.0, 0.0, 0.0),
        translation: tuple[float, float, float] = (0.0, 0.0, 0.0),
    ) -> FaceObservation:
        values = [(shapes or {}).get(name, 0.0) for name in BLENDSHAPES]
        picture = draw_head(np.array(values), rotation, translation, size=320)
        seen = self._tracker.track(picture, 0.0)
        assert seen is not None
        return seen

    def shows(self, **shapes: float) -> dict[str, float]:
        """Blendshapes read against the same head at rest."""
        seen = self.see(shapes).measures
        assert seen is not None
        told = blendshapes_of(seen.astype(np.float64), self._measures)
        return dict(zip(BLENDSHAPES, told.tolist(), strict=True))


@pytest.fixture(scope="module")
def subject() -> Iterator[Subject]:
    with MediapipeTracker(faces=1, still=True) as tracker:
        yield Subject(tracker)


def test_a_head_that_faces_the_camera_is_level(subject: Subject) -> None:
    assert np.abs(np.degrees(subject.rest.rotation)).max() < 6
    assert subject.rest.confidence > 0.9


@pytest.mark.parametrize("axis", [0, 1, 2], ids=["pitch", "yaw", "roll"])
@pytest.mark.parametrize("angle", [-0.4, -0.2, 0.2, 0.4])
def test_a_turn_is_recovered_in_sign_and_size(subject: Subject, axis: int, angle: float) -> None:
    commanded = [0.0, 0.0, 0.0]
    commanded[axis] = angle
    pitch, yaw, roll = commanded
    moved = subject.see(rotation=(pitch, yaw, roll)).rotation - subject.rest.rotation
    assert 0.6 < moved[axis] / angle < 1.25
    others = np.delete(moved, axis)
    assert np.abs(others).max() < 0.12


def test_moving_aside_and_up_is_recovered_in_metres(subject: Subject) -> None:
    for x, y in ((0.04, 0.0), (-0.04, 0.0), (0.0, 0.04), (0.0, -0.04)):
        moved = subject.see(translation=(x, y, 0.0)).translation - subject.rest.translation
        np.testing.assert_allclose(moved[:2], [x, y], atol=0.012)


def test_coming_nearer_is_positive_depth(subject: Subject) -> None:
    near, far = (subject.see(translation=(0.0, 0.0, z)).translation[2] for z in (0.05, -0.05))
    assert near > subject.rest.translation[2] > far


@pytest.mark.parametrize("side", ["Left", "Right"])
@pytest.mark.parametrize(
    ("stem", "least"),
    [
        ("eyeBlink", 0.7),
        ("browDown", 0.4),
        ("browOuterUp", 0.4),
        ("eyeLookIn", 0.4),
        ("eyeLookOut", 0.3),
        ("mouthSmile", 0.6),
        ("mouthFrown", 0.4),
    ],
)
def test_a_shape_is_told_on_its_side(subject: Subject, stem: str, side: str, least: float) -> None:
    told = subject.shows(**{stem + side: 1.0})
    other = "Right" if side == "Left" else "Left"
    assert told[stem + side] > least
    assert told[stem + side] > 2 * told[stem + other]


@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("jawOpen", 0.4),
        ("mouthPucker", 0.5),
        ("mouthFunnel", 0.4),
        ("mouthLeft", 0.4),
        ("mouthRight", 0.4),
        ("jawLeft", 0.25),
        ("jawRight", 0.25),
        ("browInnerUp", 0.15),
    ],
)
def test_a_shape_of_the_middle_is_told(subject: Subject, name: str, least: float) -> None:
    assert subject.shows()[name] < 0.1
    assert subject.shows(**{name: 1.0})[name] > least
