"""The z-buffer on its own, and compilation without a place for a cache."""

from __future__ import annotations

import numpy as np

from visavis.render import rasteriser, vertices
from visavis.render._jit import compiled


def _drawn(screen: np.ndarray, triangles: list[list[int]], size: int = 8) -> np.ndarray:
    near = np.zeros((size, size), np.float32)
    face = np.zeros((size, size), np.int32)
    rasteriser.rasterise(
        np.asarray(screen, np.float32), np.asarray(triangles, np.int32), near, face
    )
    return face


SQUARE = [[0, 0, 1], [8, 0, 1], [8, 8, 1], [0, 8, 1]]


def test_two_triangles_cover_a_square_without_a_crack() -> None:
    face = _drawn(np.array(SQUARE), [[0, 2, 1], [0, 3, 2]])
    assert (face >= 0).all()
    assert set(np.unique(face)) == {0, 1}


def test_the_nearer_triangle_wins_in_either_order() -> None:
    screen = np.array(SQUARE + [[x, y, 2] for x, y, _ in SQUARE])
    for order in ([[0, 2, 1], [4, 6, 5]], [[4, 6, 5], [0, 2, 1]]):
        near = order.index([4, 6, 5])
        face = _drawn(screen, order)
        assert face[1, 6] == near


def test_back_faces_and_points_behind_the_lens_are_left_out() -> None:
    assert (_drawn(np.array(SQUARE), [[0, 1, 2]]) == -1).all()
    behind = np.array(SQUARE, float)
    behind[:, 2] = 0.0
    assert (_drawn(behind, [[0, 2, 1]]) == -1).all()


def test_triangles_far_outside_the_picture_do_no_harm() -> None:
    far = np.array([[-1e7, -1e7, 1], [1e7, -1e7, 1], [0, 1e7, 1], [50, 50, 1], [60, 50, 1]])
    assert _drawn(far, [[0, 2, 1], [3, 4, 2]]).shape == (8, 8)


def test_a_function_without_a_file_is_compiled_without_a_cache() -> None:
    scope: dict[str, object] = {}
    exec(compile("def double(x):\n    return 2 * x\n", "<nowhere>", "exec"), scope)
    assert compiled(scope["double"])(21) == 42  # type: ignore[operator,type-var]


def test_eyeballs_stay_round_and_lids_stay_outside() -> None:
    points = np.array([[0.5, 0, 0], [2.0, 0, 0], [0, 3.0, 0]], np.float32)
    vertices.keep_on_balls(
        points,
        np.array([0, 1, 2], np.int32),
        np.zeros(3, np.int32),
        np.array([1, 1, 1], np.float32),
        np.array([1, 9, 2], np.float32),
        np.zeros((1, 3), np.float32),
    )
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), [1, 2, 2], rtol=1e-6)


def test_slivers_and_points_that_are_no_numbers_stay_in_bounds() -> None:
    rng = np.random.default_rng(0)
    screen = rng.uniform(-20, 30, (3000, 3))
    screen[:, 2] = rng.uniform(0.5, 2.0, 3000)
    screen[::5, 1] = screen[1::5, 1] + 1e-7
    screen[::7, 0] = 1e12
    screen[::11, 1] = np.nan
    triangles = rng.integers(0, 3000, (5000, 3))
    face = _drawn(screen, triangles.tolist(), size=16)
    assert face.min() >= -1
    assert face.max() < 5000
    hit = screen[triangles[face[face >= 0]]]
    assert np.isfinite(hit).all()
