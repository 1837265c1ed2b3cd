"""The face mesh on a real portrait: one face, the right way round, and nothing where none is."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from visavis.channels import BLENDSHAPES
from visavis.errors import InputError, MissingExtra
from visavis.features import _system
from visavis.features.face import FaceObservation, FaceTracker, default_tracker
from visavis.features.face_mediapipe import MediapipeTracker

if _system.missing_libraries():
    pytest.skip("system libraries of the face tracker are missing", allow_module_level=True)
pytest.importorskip("mediapipe")
data = pytest.importorskip("skimage.data")

Picture = NDArray[np.uint8]


@pytest.fixture(scope="module")
def portrait() -> Picture:
    return np.ascontiguousarray(data.astronaut()[:300, 75:375])


@pytest.fixture(scope="module")
def stills() -> Iterator[MediapipeTracker]:
    with MediapipeTracker(still=True) as tracker:
        yield tracker


def look(tracker: MediapipeTracker, picture: Picture) -> FaceObservation:
    seen = tracker.track(np.ascontiguousarray(picture), 0.0)
    assert seen is not None
    return seen


def scaled(picture: Picture, size: int) -> Picture:
    from skimage import transform

    return (transform.resize(picture, (size, size), anti_aliasing=True) * 255).astype(np.uint8)


def test_a_portrait_has_one_face_that_looks_straight_ahead(
    stills: MediapipeTracker, portrait: Picture
) -> None:
    seen = look(stills, portrait)
    assert seen.faces == 1
    assert seen.landmarks.shape == (478, 3) and seen.blendshapes.shape == (52,)
    assert seen.measures is not None
    # she is above the middle of the crop, so the assumed camera looks up at her by some degrees
    assert np.abs(np.degrees(seen.rotation)).max() < 8
    assert 0.3 < -seen.translation[2] < 1.5
    assert seen.confidence > 0.9
    found = dict(zip(BLENDSHAPES, seen.blendshapes.tolist(), strict=True))
    assert found["mouthSmileLeft"] > 0.5 and found["mouthSmileRight"] > 0.5
    assert found["eyeBlinkLeft"] < 0.3 and found["eyeBlinkRight"] < 0.3


def test_left_is_the_subjects_left(stills: MediapipeTracker, portrait: Picture) -> None:
    landmarks = look(stills, portrait).landmarks
    left_eye, right_eye = landmarks[263], landmarks[33]
    assert left_eye[0] > right_eye[0]  # in a picture that is not mirrored


def test_a_mirrored_picture_swaps_sides_and_signs(
    stills: MediapipeTracker, portrait: Picture
) -> None:
    # turned in the picture plane first, so that there is a roll to mirror
    from skimage import transform

    turned = (transform.rotate(portrait, 12, mode="edge") * 255).astype(np.uint8)
    seen, mirrored = look(stills, turned), look(stills, turned[:, ::-1])
    assert seen.rotation[2] > 0.1
    assert mirrored.rotation[2] == pytest.approx(-seen.rotation[2], abs=0.03)
    assert mirrored.rotation[1] == pytest.approx(-seen.rotation[1], abs=0.06)
    assert mirrored.rotation[0] == pytest.approx(seen.rotation[0], abs=0.06)


def test_turning_the_picture_counter_clockwise_is_positive_roll(
    stills: MediapipeTracker, portrait: Picture
) -> None:
    from skimage import transform

    upright = look(stills, portrait).rotation[2]
    for degrees in (-20, 20):
        turned = (transform.rotate(portrait, degrees, mode="edge") * 255).astype(np.uint8)
        roll = look(stills, turned).rotation[2] - upright
        assert np.degrees(roll) == pytest.approx(degrees, abs=3)


def test_size_of_the_picture_changes_only_the_pixels(
    stills: MediapipeTracker, portrait: Picture
) -> None:
    small, large = look(stills, scaled(portrait, 200)), look(stills, scaled(portrait, 600))
    np.testing.assert_allclose(small.rotation, large.rotation, atol=0.05)
    np.testing.assert_allclose(small.translation, large.translation, atol=0.03)
    width = [float(np.ptp(seen.landmarks[:, 0])) for seen in (small, large)]
    assert width[1] / width[0] == pytest.approx(3.0, rel=0.05)


def test_a_picture_without_a_face_has_none(stills: MediapipeTracker) -> None:
    assert stills.track(np.zeros((120, 160, 3), np.uint8), 0.0) is None
    noise = np.random.default_rng(0).integers(0, 255, (120, 160, 3), dtype=np.uint8)
    assert stills.track(noise, 0.0) is None


@pytest.mark.parametrize(
    "frame",
    [
        np.zeros((20, 20), np.uint8),
        np.zeros((20, 20, 4), np.uint8),
        np.zeros((20, 20, 3), np.float32),
    ],
)
def test_a_frame_of_another_kind_is_refused(
    stills: MediapipeTracker, frame: NDArray[np.uint8]
) -> None:
    with pytest.raises(InputError, match=r"uint8 \[H, W, 3\]"):
        stills.track(frame, 0.0)


def test_of_two_faces_the_larger_is_followed_and_a_warning_says_so_once(
    portrait: Picture, caplog: pytest.LogCaptureFixture
) -> None:
    small = np.full((300, 220, 3), 200, np.uint8)
    small[50:250, 10:210] = scaled(portrait, 200)
    both = np.concatenate([small, portrait], axis=1)
    with MediapipeTracker() as tracker, caplog.at_level(logging.WARNING, "visavis"):
        seen = [tracker.track(both, t / 25) for t in range(5)]
    assert all(face is not None and face.faces == 2 for face in seen)
    assert all(face is not None and face.landmarks[1, 0] > 220 for face in seen)
    assert sum("2 faces" in record.message for record in caplog.records) == 1


def test_the_followed_face_is_kept_when_a_larger_one_comes(portrait: Picture) -> None:
    first = np.full((300, 520, 3), 200, np.uint8)
    first[50:250, 10:210] = scaled(portrait, 200)
    both = first.copy()
    both[:, 220:] = portrait
    other = np.full_like(first, 200)
    other[:, 220:] = portrait
    with MediapipeTracker() as tracker:
        for t in range(10):
            seen = tracker.track(first if t < 5 else both, t / 25)
            assert seen is not None and seen.landmarks[1, 0] < 220
        # it leaves: for a second nobody is followed, then the other is
        followed = [tracker.track(other, t / 25) for t in range(10, 60)]
    assert followed[0] is None and followed[20] is None
    last = followed[-1]
    assert last is not None and last.landmarks[1, 0] > 220


def test_a_lost_face_is_found_again(portrait: Picture) -> None:
    black = np.zeros_like(portrait)
    with MediapipeTracker() as tracker:
        seen = [
            tracker.track(black if 5 <= t < 12 else portrait, t / 25) is not None for t in range(20)
        ]
    assert seen == [not 5 <= t < 12 for t in range(20)]


def test_it_is_a_face_tracker_and_the_default() -> None:
    with default_tracker(faces=1) as tracker:
        assert isinstance(tracker, FaceTracker)
        assert isinstance(tracker, MediapipeTracker)


def test_starting_up_is_quiet(portrait: Picture, capfd: pytest.CaptureFixture[str]) -> None:
    with MediapipeTracker() as tracker:
        tracker.track(portrait, 0.0)
    assert capfd.readouterr().err == ""


def test_without_mediapipe_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mediapipe", None)  # as if it were not installed
    with pytest.raises(MissingExtra, match=r"pip install 'visavis\[track\]'"):
        MediapipeTracker()


def test_a_missing_system_library_is_named_with_its_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_system, "NEEDED", {"libvisavisnosuch.so.9": "libnosuch9"})
    monkeypatch.setattr(sys, "platform", "linux")
    assert _system.missing_libraries() == ("libvisavisnosuch.so.9",)
    with pytest.raises(MissingExtra, match=r"libvisavisnosuch.*apt-get install -y libnosuch9"):
        MediapipeTracker()


def test_a_library_that_loads_is_not_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_system, "NEEDED", {"libc.so.6": "libc6", "libnosuch.so.1": "libnosuch1"})
    monkeypatch.setattr(sys, "platform", "linux")
    assert _system.missing_libraries() == ("libnosuch.so.1",)
