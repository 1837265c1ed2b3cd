"""The tracker's parts: the camera solve, smoothing, confidence, who is followed, small faces."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from visavis.features.face_camera import solve_pose
from visavis.features.face_confidence import confidence
from visavis.features.face_follow import PATIENCE_S, Follow
from visavis.features.face_pose import FIELD_OF_VIEW, PIVOT_MM, REST_HEAD, RIGID, matrix_of
from visavis.features.face_smooth import CUTOFF_HZ, OneEuro
from visavis.features.face_window import ROOM, Window, scouted

Doubles = NDArray[np.float64]
HEIGHT, WIDTH = 480, 640
ALL = np.ones(4)
FOCAL = WIDTH / 2 / np.tan(FIELD_OF_VIEW / 2)


def photographed(rotation: Doubles, place: Doubles) -> Doubles:
    """The rest head at `place` mm before a pinhole camera, as mesh landmarks in pixels."""
    points = REST_HEAD @ matrix_of(rotation).T + place
    pixels = points[:, :2] * (-FOCAL / points[:, 2:]) + [WIDTH / 2, -HEIGHT / 2]
    depth = (points[:, 2] - points[:, 2].mean()) * FOCAL / -place[2]
    landmarks = np.full((478, 3), 7e3)  # whatever the other points do, they must not count
    landmarks[RIGID] = np.column_stack([pixels, depth])
    return landmarks


angle = st.floats(-0.6, 0.6)


@given(angle, angle, angle, st.floats(-60, 60), st.floats(-60, 60), st.floats(400, 1500))
def test_a_photographed_head_is_found_where_it_was(
    pitch: float, yaw: float, roll: float, x: float, y: float, far: float
) -> None:
    rotation, place = np.array([pitch, yaw, roll]), np.array([x, y, -far])
    pose = solve_pose(photographed(rotation, place), HEIGHT, WIDTH)
    np.testing.assert_allclose(pose.matrix, matrix_of(rotation), atol=0.02)
    np.testing.assert_allclose(pose.place, place, atol=0.01 * far)
    pivot = (place + matrix_of(rotation) @ PIVOT_MM) / 1000
    np.testing.assert_allclose(pose.translation_m, pivot, atol=0.01 * far / 1000)


def test_perspective_is_told_from_a_turn() -> None:
    # at arm's length beside the axis, a similarity takes the camera's view for a turn
    place = np.array([150.0, 0.0, -500.0])
    pose = solve_pose(photographed(np.zeros(3), place), HEIGHT, WIDTH)
    assert np.abs(np.degrees(np.arccos((np.trace(pose.matrix) - 1) / 2))) < 1.5


def test_facing_the_camera_is_zero_wherever_the_face_is() -> None:
    place = np.array([150.0, 60.0, -500.0])
    x, y, z = -place / np.linalg.norm(place)
    facing = np.array([-np.arcsin(y), np.arctan2(x, z), 0.0])
    pose = solve_pose(photographed(facing, place), HEIGHT, WIDTH)
    assert np.abs(np.degrees(pose.angles)).max() < 2.0


def test_points_go_back_through_the_camera() -> None:
    rotation, place = np.array([0.1, -0.4, 0.2]), np.array([40.0, -20.0, -600.0])
    landmarks = photographed(rotation, place)
    head = solve_pose(landmarks, HEIGHT, WIDTH).to_head(landmarks)
    np.testing.assert_allclose(head[RIGID], REST_HEAD, atol=1.5)


# ---------------------------------------------------------------- smoothing


def test_a_still_signal_becomes_steadier_and_stays_in_place() -> None:
    noisy = 3.0 + np.random.default_rng(0).normal(0, 0.3, (500, 1))
    smooth = OneEuro(0.0)
    out = np.array([smooth(x, t / 25) for t, x in enumerate(noisy)])
    assert out[50:].std() < 0.75 * noisy[50:].std()
    assert out[50:].mean() == pytest.approx(3.0, abs=0.05)


def test_the_lag_of_a_slow_movement_is_what_the_module_states() -> None:
    smooth = OneEuro(0.0)
    out = np.array([smooth(np.array([0.01 * t]), t / 25)[0] for t in range(200)])
    lag_frames = 199 - out[-1] / 0.01
    # a discrete filter lags by less than its continuous time constant
    assert 0.3 < lag_frames <= 25 / (2 * np.pi * CUTOFF_HZ) + 0.05


def test_a_fast_movement_lags_less_than_a_slow_one() -> None:
    def late(step: float) -> float:
        smooth = OneEuro(0.3)
        return 1 - smooth_to(smooth, step) / step

    assert late(10.0) < 0.5 * late(0.01)


def smooth_to(smooth: OneEuro, step: float) -> float:
    for t in range(5):
        smooth(np.zeros(1), t / 25)
    smooth(np.array([step]), 5 / 25)
    return float(smooth(np.array([step]), 6 / 25)[0])


def test_after_a_gap_the_filter_begins_anew() -> None:
    smooth = OneEuro(0.0)
    smooth(np.zeros(1), 0.0)
    assert smooth(np.array([5.0]), 0.5)[0] == 5.0


# ---------------------------------------------------------------- confidence


def test_confidence_falls_with_size_light_and_turn() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)

    def sure(turn: float = 0.0, far: float = 600.0, light: float = 1.0) -> float:
        seen = photographed(np.array([0.0, turn, 0.0]), np.array([0.0, 0.0, -far]))
        pose = solve_pose(seen, HEIGHT, WIDTH)
        return confidence(pose, seen, (picture * light).astype(np.uint8), ALL)

    assert sure() > 0.9
    assert sure(turn=1.1) < 0.6
    assert sure(far=3000.0) < 0.5
    assert sure(light=0.02) < 0.2


def test_confidence_falls_with_what_is_covered() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    seen = photographed(np.zeros(3), np.array([0.0, 0.0, -600.0]))
    pose = solve_pose(seen, HEIGHT, WIDTH)
    whole = confidence(pose, seen, picture, ALL)
    assert confidence(pose, seen, picture, np.array([0.0, 1.0, 0.0, 1.0])) == 0.5 * whole


# ---------------------------------------------------------------- who is followed


def face_at(x: float, size: float = 100.0) -> Doubles:
    grid = np.linspace(-0.5, 0.5, 478)
    return np.column_stack([x + size * grid, -200 + size * grid, 0 * grid])


def test_two_people_who_pass_each_other_keep_their_names() -> None:
    follow = Follow()
    light, dark = np.array([200.0, 170.0, 150.0]), np.array([110.0, 80.0, 60.0])
    for t in range(60):
        ours, theirs = face_at(100 + 5 * t), face_at(400 - 5 * t, 90.0)
        chosen = follow.choose([theirs, ours], t / 25, stick=True, colours=[dark, light])
        assert chosen is ours, t


def test_without_colours_the_nearer_face_is_followed() -> None:
    follow = Follow()
    first = face_at(100)
    assert follow.choose([first], 0.0, stick=True) is first
    near, far = face_at(110, 50.0), face_at(300, 300.0)
    assert follow.choose([far, near], 0.04, stick=True) is near


def test_whoever_is_there_is_followed_after_the_patience() -> None:
    follow = Follow()
    follow.choose([face_at(100)], 0.0, stick=True)
    other = face_at(400)
    assert follow.choose([other], 0.5, stick=True) is None
    assert follow.choose([other], PATIENCE_S + 0.1, stick=True) is other


# ---------------------------------------------------------------- small faces


def test_a_window_lies_in_the_picture_around_its_face() -> None:
    frame = np.zeros((540, 1280, 3), np.uint8)
    window = Window.around(face_at(1240, 60.0), frame)
    assert window.side == round(ROOM * 60)
    assert window.left + window.side == 1280
    assert window.cut(frame).shape == (window.side, window.side, 3)


def test_a_window_follows_its_face_only_near_the_edge() -> None:
    frame = np.zeros((540, 1280, 3), np.uint8)
    window = Window.around(face_at(600, 60.0), frame)
    assert window.kept_around([face_at(620, 60.0)], frame) is window
    assert window.kept_around([face_at(670, 60.0)], frame).left > window.left


def test_every_part_of_a_wide_picture_is_searched_and_a_face_found_once() -> None:
    frame = np.zeros((300, 1000, 3), np.uint8)
    frame[100:200, 640:700] = 255
    seen: list[int] = []

    def look(part: NDArray[np.uint8]) -> list[Doubles]:
        seen.append(part.shape[1])
        columns = np.flatnonzero(part.max(axis=(0, 2)) > 0)
        if len(columns) < 60:
            return []
        return [face_at(float(columns.mean()), 60.0)]

    found = scouted(frame, look)
    assert len(found) == 1 and found[0][:, 0].mean() == pytest.approx(669.5, abs=1)
    assert len(seen) >= 4
