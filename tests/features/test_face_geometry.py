"""Distances on the face and the blendshapes read off them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from visavis.channels import BLENDSHAPES
from visavis.features.face_geometry import MEASURES, UNSEEN, blendshapes_of, measure
from visavis.features.face_rest import ADULT, TOLERANCE, RunningRest, rest_of


def shapes(**moved: float) -> dict[str, float]:
    """Blendshapes of the mean adult with some distances changed by so many mm."""
    distances = ADULT.copy()
    for name, by in moved.items():
        distances[MEASURES.index(name)] += by
    return dict(zip(BLENDSHAPES, blendshapes_of(distances, ADULT).tolist(), strict=True))


def test_a_face_at_rest_shows_nothing() -> None:
    assert not any(shapes().values())


@pytest.mark.parametrize("side", ["Left", "Right"])
@pytest.mark.parametrize(
    ("moved", "shape", "least"),
    [
        ({"aperture": -7.0, "lid": -5.5, "underlid": 1.5}, "eyeBlink", 0.7),
        ({"aperture": 3.5, "lid": 3.0, "underlid": -0.5}, "eyeWide", 0.1),
        ({"aperture": -4.0, "lid": -1.5, "underlid": 2.5}, "eyeSquint", 0.2),
        ({"gaze_out": 4.0}, "eyeLookOut", 0.4),
        ({"gaze_out": -4.0}, "eyeLookIn", 0.4),
        ({"gaze_up": 4.0, "lid": 2.4, "aperture": 1.0}, "eyeLookUp", 0.2),
        ({"gaze_up": -4.0, "lid": -2.4, "aperture": -2.5}, "eyeLookDown", 0.3),
        ({"brow_inner": -4.0, "brow_outer": -2.5}, "browDown", 0.3),
        ({"brow_outer": 5.0, "brow_inner": 2.0}, "browOuterUp", 0.4),
        ({"corner_out": 5.0, "corner_up": 6.0, "upper_lip": 3.0}, "mouthSmile", 0.5),
        ({"corner_up": -6.0, "upper_lip": -3.0, "lower_lip": -2.0}, "mouthFrown", 0.4),
        ({"cheek": 5.0, "corner_up": 5.0, "corner_out": 4.0, "underlid": 1.0}, "cheekSquint", 0.5),
    ],
)
def test_each_movement_is_told_on_its_own_side(
    moved: dict[str, float], shape: str, least: float, side: str
) -> None:
    told = shapes(**{name + side: by for name, by in moved.items()})
    other = "Right" if side == "Left" else "Left"
    assert told[shape + side] > least
    assert told[shape + other] < 0.51 * told[shape + side]  # eyes go together, in part
    assert max(told, key=lambda name: told[name]) == shape + side


def test_a_falling_jaw_opens_the_mouth_and_does_not_frown_it() -> None:
    opened = shapes(
        chin=-17.0,
        lip_gap=20.0,
        **{"lower_lip" + side: -19.0 for side in ("Left", "Right")},
        **{"corner_up" + side: -4.0 for side in ("Left", "Right")},
        **{"corner_out" + side: -1.2 for side in ("Left", "Right")},
    )
    assert opened["jawOpen"] > 0.8
    others = {name: value for name, value in opened.items() if name != "jawOpen"}
    assert max(others.values()) < 0.2


def test_narrowed_lips_pucker_when_closed_and_funnel_when_open() -> None:
    narrow = {"corner_outLeft": -7.0, "corner_outRight": -7.0}
    closed = shapes(**narrow)
    assert closed["mouthPucker"] > 0.5 > 5 * closed["mouthFunnel"]
    lips = {f"{lip}_lip{side}": by for lip, by in (("lower", -4.7), ("upper", 1.5))
            for side in ("Left", "Right")}  # fmt: skip
    opened = shapes(**narrow, **lips, lip_gap=10.0, chin=-2.0)
    assert opened["mouthFunnel"] > 0.5 > opened["mouthPucker"]


def test_a_mouth_moved_aside_goes_to_the_subjects_left() -> None:
    # both corners shift towards +x: the left one outwards, the right one inwards
    told = shapes(mouth_side=7.0, corner_outLeft=6.5, corner_outRight=-6.5, chin_side=2.0)
    assert told["mouthLeft"] > 0.5
    assert told["mouthRight"] == 0.0
    assert max(v for n, v in told.items() if n != "mouthLeft") < 0.3


def test_raised_inner_brows_are_told_as_one_shape() -> None:
    told = shapes(brow_innerLeft=5.0, brow_innerRight=5.0, brow_outerLeft=2.0, brow_outerRight=2.0)
    assert told["browInnerUp"] > 0.8
    assert told["browDownLeft"] == told["browDownRight"] == 0.0


@given(st.integers(0, 2**32 - 1))
def test_a_mirrored_face_has_mirrored_shapes(seed: int) -> None:
    moved = np.random.default_rng(seed).normal(0, 4, len(MEASURES))
    swap = [MEASURES.index(swapped(name)) for name in MEASURES]
    sign = np.array([-1.0 if n in ("chin_side", "mouth_side") else 1.0 for n in MEASURES])
    told = blendshapes_of(ADULT + moved, ADULT)
    mirror = blendshapes_of(ADULT + moved[swap] * sign, ADULT)
    np.testing.assert_allclose(mirror, told[[BLENDSHAPES.index(swapped(n)) for n in BLENDSHAPES]])


def swapped(name: str) -> str:
    if name.endswith("Left"):
        return name.removesuffix("Left") + "Right"
    return name.removesuffix("Right") + "Left" if name.endswith("Right") else name


@given(st.integers(0, 2**32 - 1))
def test_shapes_stay_in_range_and_the_unseen_stay_zero(seed: int) -> None:
    rng = np.random.default_rng(seed)
    distances = ADULT + rng.normal(0, 30, (4, len(MEASURES)))
    found = blendshapes_of(distances, rest_of(distances))
    assert found.shape == (4, 52) and found.dtype == np.float32
    assert np.isfinite(found).all() and found.min() >= 0 and found.max() <= 1
    assert not found[:, [BLENDSHAPES.index(name) for name in UNSEEN]].any()


def test_a_mirrored_face_has_mirrored_distances() -> None:
    head = np.random.default_rng(1).normal(0, 30, (478, 3))
    swapped = dict(zip(MEASURES, measure(head), strict=True))
    mirror = head * [-1, 1, 1]
    for right, left in _PAIRS:
        mirror[[right, left]] = mirror[[left, right]]
    for name, value in zip(MEASURES, measure(mirror), strict=True):
        other = name.replace("Left", "?").replace("Right", "Left").replace("?", "Right")
        sign = -1.0 if name in ("chin_side", "mouth_side") else 1.0
        assert value == pytest.approx(sign * swapped[other]), name


# right and left partners of every paired point that a distance is measured from
_PAIRS = (
    *((133, 362), (33, 263), (158, 385), (159, 386), (160, 387), (153, 380), (145, 374)),
    *((144, 373), (468, 473), (107, 336), (55, 285), (66, 296), (105, 334), (70, 300)),
    *((63, 293), (52, 282), (61, 291), (78, 308), (37, 267), (39, 269), (40, 270)),
    *((84, 314), (181, 405), (91, 321), (82, 312), (81, 311), (87, 317), (178, 402)),
    *((129, 358), (98, 327), (49, 279), (50, 280), (205, 425), (118, 347), (148, 377)),
)


def test_somebody_who_smiles_all_through_is_still_seen_to_smile() -> None:
    distances = np.tile(ADULT, (200, 1))
    for side in ("Left", "Right"):
        distances[:, MEASURES.index("corner_out" + side)] += 9.0
        distances[:, MEASURES.index("corner_up" + side)] += 10.0
    found = blendshapes_of(distances, rest_of(distances))
    assert (found[:, BLENDSHAPES.index("mouthSmileLeft")] > 0.4).all()


def test_rest_is_found_under_blinks_and_speech() -> None:
    rng = np.random.default_rng(0)
    person = ADULT + 0.6 * TOLERANCE * rng.uniform(-1, 1, len(ADULT))
    distances = np.tile(person, (750, 1))
    talking = rng.random(750) < 0.6
    distances[talking, MEASURES.index("lip_gap")] += 9.0
    distances[talking, MEASURES.index("chin")] -= 9.0
    blinking = rng.random(750) < 0.15
    for side in ("Left", "Right"):
        distances[blinking, MEASURES.index("aperture" + side)] -= 6.0
    np.testing.assert_allclose(rest_of(distances), person, atol=0.35)


def test_one_frame_is_read_against_the_mean_adult() -> None:
    assert np.abs(rest_of(ADULT[None] + 5.0) - ADULT).max() < 0.25
    np.testing.assert_array_equal(rest_of(np.empty((0, len(ADULT)))), ADULT)


def test_the_running_rest_comes_to_the_clips_rest_and_never_looks_ahead() -> None:
    distances = ADULT + np.random.default_rng(2).normal(1.0, 0.5, (300, len(ADULT)))
    running = RunningRest()
    rests = [running.update(row) for row in distances]
    np.testing.assert_allclose(rests[-1], rest_of(distances[:276]))
    again = RunningRest()
    changed = distances.copy()
    changed[150:] += 7.0
    others = [again.update(row) for row in changed]
    np.testing.assert_array_equal(rests[149], others[149])
