"""Head pose from landmarks: right in sign, scale and place."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from visavis.features.face_pose import (
    PIVOT_MM,
    REST_HEAD,
    RIGID,
    angles_of,
    fit_pose,
    matrix_of,
)

angle = st.floats(-1.2, 1.2)


def seen(rotation: NDArray[np.float64], scale: float, origin: NDArray[np.float64]) -> NDArray:
    """A mesh whose rigid points are the rest head, turned, scaled and moved."""
    points = np.full((478, 3), 1e6)  # whatever the other points do, they must not count
    points[RIGID] = scale * REST_HEAD @ matrix_of(rotation).T + origin
    return points


@given(pitch=angle, yaw=angle, roll=angle, scale=st.floats(0.2, 8.0))
def test_a_head_is_found_as_it_was_placed(
    pitch: float, yaw: float, roll: float, scale: float
) -> None:
    rotation, origin = np.array([pitch, yaw, roll]), np.array([210.0, -90.0, 12.0])
    pose = fit_pose(seen(rotation, scale, origin))
    np.testing.assert_allclose(pose.angles, rotation, atol=1e-9)
    np.testing.assert_allclose(pose.origin, origin, atol=1e-7)
    assert pose.scale == pytest.approx(scale)
    assert pose.confidence == pytest.approx(1.0)


@given(pitch=angle, yaw=angle, roll=angle)
def test_angles_and_matrices_are_inverse(pitch: float, yaw: float, roll: float) -> None:
    angles = np.array([pitch, yaw, roll])
    np.testing.assert_allclose(angles_of(matrix_of(angles)), angles, atol=1e-12)


def test_positive_angles_look_down_turn_to_the_subjects_left_and_lift_the_left_ear() -> None:
    nose, left_ear = np.array([0.0, 0.0, 1.0]), np.array([1.0, 0.0, 0.0])
    assert (matrix_of(np.array([0.3, 0, 0])) @ nose)[1] < 0
    assert (matrix_of(np.array([0, 0.3, 0])) @ nose)[0] > 0
    assert (matrix_of(np.array([0, 0, 0.3])) @ left_ear)[1] > 0


def test_points_go_back_to_the_heads_own_frame() -> None:
    rotation, origin = np.array([0.2, -0.5, 0.1]), np.array([50.0, -60.0, 5.0])
    points = seen(rotation, 2.5, origin)
    head = fit_pose(points).to_head(points)
    np.testing.assert_allclose(head[RIGID], REST_HEAD, atol=1e-9)


def test_turning_about_the_neck_moves_nothing_else() -> None:
    still = fit_pose(seen(np.zeros(3), 2.0, np.array([320.0, -240.0, 0.0])))
    rotation = np.array([0.15, 0.3, -0.1])
    # the eyes go where a turn about the neck takes them
    eyes = 2.0 * (PIVOT_MM - matrix_of(rotation) @ PIVOT_MM) + still.origin
    turned = fit_pose(seen(rotation, 2.0, eyes))
    there, then = still.translation_m(480, 640), turned.translation_m(480, 640)
    np.testing.assert_allclose(then[:2], there[:2], atol=1e-9)


def test_a_face_twice_as_large_is_half_as_far() -> None:
    centre = np.array([320.0, -240.0, 0.0])
    far = fit_pose(seen(np.zeros(3), 1.0, centre)).translation_m(480, 640)
    near = fit_pose(seen(np.zeros(3), 2.0, centre)).translation_m(480, 640)
    eyes_far, eyes_near = far[2] - PIVOT_MM[2] / 1000, near[2] - PIVOT_MM[2] / 1000
    assert eyes_far == pytest.approx(2 * eyes_near)
    # 640 pixels across 60 degrees, a pixel a millimetre
    assert eyes_far == pytest.approx(-0.32 / np.tan(np.radians(30)))


def test_a_face_to_the_right_of_the_picture_is_on_the_subjects_left() -> None:
    pose = fit_pose(seen(np.zeros(3), 1.0, np.array([420.0, -140.0, 0.0])))
    x, y, _ = pose.translation_m(480, 640) - PIVOT_MM / 1000
    assert (x, y) == pytest.approx((0.1, 0.1))


def test_confidence_falls_for_points_that_are_no_head() -> None:
    rng = np.random.default_rng(0)
    points = np.zeros((478, 3))
    points[RIGID] = REST_HEAD + rng.normal(0, 40, REST_HEAD.shape)
    assert fit_pose(points).confidence < 0.1
