"""What of a face is seen, and what is told of the rest."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from visavis.channels import BLENDSHAPES
from visavis.features.face_geometry import MEASURES, blendshapes_of
from visavis.features.face_mediapipe import MediapipeTracker
from visavis.features.face_rest import ADULT, rest_of
from visavis.features.face_sides import QUARTERS, facing, quarters_of, uncovered

Picture = NDArray[np.uint8]
EYE_LEFT, EYE_RIGHT, MOUTH_LEFT, MOUTH_RIGHT = (MEASURES.index(name) for name in QUARTERS)


def told(changes: dict[str, float], *, hidden: tuple[int, ...] = ()) -> dict[str, float]:
    distances = ADULT.copy()
    for name, by in changes.items():
        distances[MEASURES.index(name)] += by
    distances[list(hidden)] = 0.0
    return dict(zip(BLENDSHAPES, blendshapes_of(distances, ADULT).tolist(), strict=True))


WINK = {"apertureRight": -8.0, "lidRight": -8.0}
SMILE = {"corner_upRight": 6.0, "corner_outRight": 3.0, "nostrilRight": 1.0, "cheekRight": 2.0}


def test_of_a_hidden_eye_the_other_is_told() -> None:
    one, both = told(WINK), told(WINK, hidden=(EYE_LEFT,))
    assert one["eyeBlinkRight"] > 0.5 and one["eyeBlinkLeft"] < 0.1
    assert both["eyeBlinkLeft"] == pytest.approx(both["eyeBlinkRight"], abs=1e-6)
    assert both["eyeBlinkRight"] == pytest.approx(one["eyeBlinkRight"], abs=1e-6)


def test_hidden_eyes_look_where_the_seen_one_looks() -> None:
    look = told({"gaze_outRight": 4.0}, hidden=(EYE_LEFT,))
    assert look["eyeLookOutRight"] > 0.2 and look["eyeLookInLeft"] > 0.2
    assert look["eyeLookOutLeft"] == 0.0


def test_of_half_a_mouth_the_seen_half_is_told() -> None:
    half = told(SMILE, hidden=(MOUTH_LEFT,))
    assert half["mouthSmileLeft"] == pytest.approx(half["mouthSmileRight"], abs=1e-6)
    assert half["mouthSmileRight"] > 0.4


def test_of_a_hidden_mouth_nothing_is_told_and_the_eyes_still_are() -> None:
    wide = {"lip_gap": 15.0, "chin": -12.0, "lower_lipLeft": -12.0, "lower_lipRight": -12.0}
    hidden = told({**wide, **SMILE, **WINK}, hidden=(MOUTH_LEFT, MOUTH_RIGHT))
    assert hidden["jawOpen"] == 0.0 and hidden["mouthSmileRight"] == 0.0
    assert hidden["eyeBlinkRight"] > 0.5


def test_under_dark_glasses_brows_are_told_and_lids_are_not() -> None:
    changes = {**WINK, "brow_innerLeft": 7.0, "brow_innerRight": 7.0}
    hidden = told(changes, hidden=(EYE_LEFT, EYE_RIGHT))
    assert hidden["eyeBlinkRight"] < 0.15 < 0.5 < told(changes)["eyeBlinkRight"]
    assert hidden["browInnerUp"] > 0.4


def test_half_a_mouth_that_opens_opens_the_jaw_whatever_the_chin_does() -> None:
    opened = told({"lip_gap": 15.0, "chin": 20.0}, hidden=(MOUTH_LEFT,))
    assert opened["jawOpen"] == pytest.approx(0.037 * 15, abs=0.01)


def test_a_turned_head_hides_its_far_side() -> None:
    assert facing(0.2).tolist() == [1.0] * 4
    assert facing(0.8).tolist() == [0.0, 1.0, 0.0, 1.0]
    assert facing(-0.8).tolist() == [1.0, 0.0, 1.0, 0.0]
    assert 0.0 < facing(0.5)[0] < 1.0


def test_rest_is_taken_where_a_distance_was_seen() -> None:
    distances = np.repeat(ADULT[None], 400, axis=0)
    smile, gap = MEASURES.index("corner_upLeft"), MEASURES.index("lip_gap")
    distances[200:, [smile, gap]] += 50.0  # nonsense behind a hand
    distances[200:, MOUTH_LEFT] = 0.0
    distances[350:, gap] = ADULT[gap]
    rest = rest_of(distances)
    assert rest[smile] == pytest.approx(ADULT[smile], abs=1e-6)
    assert rest[gap] == pytest.approx(ADULT[gap], abs=1e-6)
    assert rest_of(np.where(np.arange(len(ADULT)) == MOUTH_LEFT, 0.0, distances)) is not None


def test_every_distance_knows_its_quarter() -> None:
    assert quarters_of("apertureRight") == (1,) and quarters_of("corner_upLeft") == (2,)
    assert quarters_of("lip_gap") == (2, 3) and quarters_of("brow_gap") == (0, 1)


@pytest.fixture(scope="module")
def portrait() -> Picture:
    from skimage.data import astronaut

    return np.ascontiguousarray(astronaut()[:300, 80:380])


@pytest.mark.parametrize(
    ("rows", "columns", "hidden"),
    [
        (slice(0, 0), slice(0, 0), [1, 1, 1, 1]),
        (slice(0, 300), slice(145, 240), [0, 1, 0, 1]),
        (slice(130, 200), slice(0, 300), [1, 1, 0, 0]),
        (slice(95, 125), slice(90, 200), [0, 0, 1, 1]),
    ],
    ids=["nothing", "the left half", "the mouth", "the eyes"],
)
def test_a_plain_card_over_a_face_is_noticed(
    portrait: Picture, rows: slice, columns: slice, hidden: list[int]
) -> None:
    with MediapipeTracker(faces=1, still=True) as tracker:
        whole = tracker.track(portrait, 0.0)
        assert whole is not None
        picture = portrait.copy()
        noise = np.random.default_rng(0).normal(110, 2, picture.shape).round().astype(np.uint8)
        picture[rows, columns] = noise[rows, columns]
        landmarks = whole.landmarks.astype(np.float64)
        np.testing.assert_allclose(uncovered(landmarks, picture), hidden, atol=0.35)


def test_what_lies_outside_the_picture_is_not_seen(portrait: Picture) -> None:
    with MediapipeTracker(faces=1, still=True) as tracker:
        whole = tracker.track(portrait, 0.0)
    assert whole is not None
    landmarks = whole.landmarks.astype(np.float64)
    cut = np.ascontiguousarray(portrait[:135])
    seen = uncovered(landmarks, cut)
    assert seen[2:].max() < 0.2 and seen[:2].min() > 0.9
