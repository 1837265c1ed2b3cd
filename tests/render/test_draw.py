"""The drawn head: poses, limits, gaps, determinism."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from tests.render.people import moving, weights
from visavis.behaviour import Behaviour
from visavis.errors import InputError, MissingChannel
from visavis.render.draw import draw, draw_head
from visavis.render.looks import LOOKS, Look, look

REST = np.zeros(52, np.float32)


def _iris(picture: np.ndarray) -> tuple[float, float]:
    """Mean (x, y) of blue pixels in the face, as shares of the size: where Ben's irises are."""
    size = len(picture)
    colour = picture.astype(int)
    blue = (colour[..., 2] > colour[..., 0] + 60) & (np.arange(size)[:, None] < size * 0.65)
    y, x = np.nonzero(blue)
    assert len(x) > 10
    return x.mean() / size, y.mean() / size


def test_same_arguments_give_same_bytes() -> None:
    shapes = weights(mouthSmile=0.7, browInnerUp=0.4)
    first = draw_head(shapes, (0.1, 0.2, 0.0), (0.0, 0.01, 0.0), size=120)
    draw_head(REST, size=64, look=LOOKS[4])
    np.testing.assert_array_equal(
        first, draw_head(shapes, (0.1, 0.2, 0.0), (0.0, 0.01, 0.0), size=120)
    )


def test_threads_do_not_disturb_each_other() -> None:
    def job(number: int) -> np.ndarray:
        return draw_head(weights(jawOpen=number / 12), size=64 + 16 * (number % 3))

    alone = [job(n) for n in range(12)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(job, range(12)))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("yaw", "side"), [(0.4, 1), (-0.4, -1)])
def test_positive_yaw_turns_to_the_subjects_left_which_is_the_viewers_right(
    yaw: float, side: int
) -> None:
    rest, _ = _iris(draw_head(REST, size=256))
    turned, _ = _iris(draw_head(REST, (0.0, yaw, 0.0), size=256))
    assert (turned - rest) * side > 0.04


@pytest.mark.parametrize(("pitch", "side"), [(0.3, 1), (-0.3, -1)])
def test_positive_pitch_looks_down(pitch: float, side: int) -> None:
    _, rest = _iris(draw_head(REST, size=256))
    _, turned = _iris(draw_head(REST, (pitch, 0.0, 0.0), size=256))
    assert (turned - rest) * side > 0.03


def test_positive_roll_lifts_the_subjects_left_side() -> None:
    def heights(roll: float) -> tuple[float, float]:
        picture = draw_head(REST, (0.0, 0.0, roll), size=256)
        right, left = picture[:, :128], picture[:, 128:]
        return _iris(right)[1], _iris(left)[1]

    right, left = heights(0.3)
    assert left < right - 0.02
    right, left = heights(-0.3)
    assert right < left - 0.02


def test_translation_moves_right_up_and_nearer() -> None:
    x, y = _iris(draw_head(REST, size=256))
    moved_x, _ = _iris(draw_head(REST, translation=(0.05, 0, 0), size=256))
    _, moved_y = _iris(draw_head(REST, translation=(0, 0.04, 0), size=256))
    assert moved_x > x + 0.08
    assert moved_y < y - 0.06
    rest = draw_head(REST, size=256).astype(int)
    near = draw_head(REST, translation=(0, 0, 0.15), size=256).astype(int)

    def blue(picture: np.ndarray) -> int:
        return int((picture[:170, :, 2] > picture[:170, :, 0] + 60).sum())

    assert blue(near) > 1.2 * blue(rest)


@pytest.mark.parametrize("size", [16, 17, 31, 65, 255, 301])
def test_tiny_and_odd_sizes_are_drawn(size: int) -> None:
    picture = draw_head(weights(jawOpen=1.0), size=size)
    assert picture.shape == (size, size, 3)
    assert picture.dtype == np.uint8
    assert picture.std() > 20


@pytest.mark.parametrize("size", [0, 15, 5000])
def test_a_size_out_of_range_is_refused(size: int) -> None:
    with pytest.raises(InputError, match="size must lie in"):
        draw_head(REST, size=size)


def test_a_wrong_shape_is_refused() -> None:
    with pytest.raises(InputError, match=r"shape \[52\]"):
        draw_head(np.zeros((3, 52)))
    with pytest.raises(InputError, match=r"rotation must have shape \[3\]"):
        draw_head(REST, (0.0, 0.0))


def test_values_out_of_range_and_nan_are_drawn_as_the_nearest_that_fit() -> None:
    wild = weights(mouthSmile=7.0, jawOpen=-3.0)
    wild[5] = np.nan
    np.testing.assert_array_equal(
        draw_head(wild, size=64), draw_head(weights(mouthSmile=1.0), size=64)
    )
    far = draw_head(REST, (np.nan, 0, 0), (99.0, np.inf, 0), size=64)
    assert far.shape == (64, 64, 3)


def test_eyes_stay_inside_their_lids_under_every_mix() -> None:
    rng = np.random.default_rng(3)
    closed = weights(eyeBlink=1.0)
    for _ in range(6):
        mix = closed.copy()
        mix[:44] = np.maximum(mix[:44], rng.random(44).astype(np.float32) * (closed[:44] < 1))
        for name in ("eyeWide", "jawOpen"):
            mix *= weights(**{name: 1.0}) < 1
        picture = draw_head(mix, size=256, look=LOOKS[1]).astype(int)
        eyes = picture[98:128, 84:172]
        blue = eyes[..., 2] > eyes[..., 0] + 25
        assert blue.sum() == 0
    opened = draw_head(REST, size=256, look=LOOKS[1]).astype(int)[98:128, 84:172]
    assert (opened[..., 2] > opened[..., 0] + 25).sum() > 100


def test_closing_the_mouth_over_an_open_jaw_brings_the_lips_together() -> None:
    def dark(shapes: np.ndarray) -> int:
        mouth = draw_head(shapes, size=256)[150:215, 95:161].astype(int)
        return int((mouth.sum(axis=-1) < 200).sum())

    assert dark(weights(jawOpen=0.5)) > 60
    assert dark(weights(jawOpen=0.5, mouthClose=0.5)) < 0.35 * dark(weights(jawOpen=0.5))


def test_eleven_looks_differ() -> None:
    pictures = [draw_head(REST, size=64, look=who).astype(int) for who in LOOKS]
    for i, one in enumerate(pictures):
        for other in pictures[:i]:
            assert np.abs(one - other).mean() > 4
    assert look(len(LOOKS)) is LOOKS[0]


def test_a_look_with_a_bad_colour_or_style_says_so() -> None:
    fields = {n: getattr(LOOKS[0], n) for n in Look.__dataclass_fields__}
    with pytest.raises(InputError, match="#rrggbb"):
        draw_head(REST, look=Look(**{**fields, "skin": "pink"}))
    with pytest.raises(InputError, match="There are: short"):
        draw_head(REST, look=Look(**{**fields, "style": "mohawk"}))


def test_unobserved_frames_hold_the_last_pose_greyed_and_marked() -> None:
    whole = moving(6)
    seen = np.array([True, True, False, False, True, True])
    gappy = Behaviour.of(
        {n: whole[n] for n in ("blendshapes", "rotation")},
        observed={"blendshapes": torch.tensor(seen)},
    )
    pictures = list(draw(gappy, size=128))
    assert len(pictures) == 6
    np.testing.assert_array_equal(pictures[1], list(draw(whole, size=128))[1])

    def colour(picture: np.ndarray) -> float:
        values = picture.astype(int)
        return float((values.max(axis=-1) - values.min(axis=-1)).mean())

    assert colour(pictures[2]) < 0.4 * colour(pictures[1])
    assert pictures[2].mean() < pictures[1].mean() - 20
    shapes = [whole["blendshapes"][1], whole["rotation"][2]]
    held = draw_head(shapes[0].numpy(), shapes[1].numpy(), size=128).astype(float).mean(axis=-1)
    grey = pictures[2].astype(float).mean(axis=-1)
    body = np.s_[60:, 10:118]
    assert np.corrcoef(held[body].ravel(), grey[body].ravel())[0, 1] > 0.95
    marked, plain = pictures[2][:30, 70:], pictures[2][40:70, :30]
    assert marked.max() > plain.max() + 40


def test_frames_before_the_first_observed_one_show_the_face_at_rest() -> None:
    nothing = Behaviour.of(
        {"blendshapes": torch.rand(3, 52)}, observed={"blendshapes": torch.zeros(3).bool()}
    )
    first, *rest = draw(nothing, size=32)
    for picture in rest:
        np.testing.assert_array_equal(first, picture)


def test_padding_counts_as_unobserved() -> None:
    padded = Behaviour.of({"blendshapes": torch.zeros(2, 4, 52)}, lengths=[4, 2])
    from visavis.render.motion import motions

    assert motions(padded)[1].known.tolist() == [True, True, False, False]


def test_a_behaviour_without_blendshapes_names_the_way_out() -> None:
    with pytest.raises(MissingChannel, match=r"attributes\.complete"):
        draw(Behaviour.of({"au": torch.zeros(4, 15)}))


def test_reactions_are_refused_by_draw_with_advice() -> None:
    with pytest.raises(InputError, match="render_video"):
        draw(moving(4, people=2))


def test_faceverse_coefficients_are_not_drawn_as_if_they_were_ours() -> None:
    foreign = Behaviour.of({"blendshapes": torch.zeros(4, 52)}, convention="faceverse")
    with pytest.raises(InputError, match="faceverse"):
        draw(foreign)
