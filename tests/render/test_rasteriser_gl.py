"""OpenGL draws what numba draws."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.render.people import moving
from visavis.channels import BLENDSHAPES
from visavis.errors import InputError
from visavis.media import video_frames
from visavis.render.draw import draw, draw_head
from visavis.render.video import render_video

pytest.importorskip("moderngl")


@pytest.fixture(scope="module", autouse=True)
def opengl() -> None:
    try:
        draw_head(np.zeros(52), size=16, rasteriser="moderngl")
    except InputError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("size", [64, 256])
def test_pictures_differ_in_less_than_a_thousandth_of_their_pixels(seed: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.random(52) * (rng.random(52) > 0.6)
    pose = (rng.normal(0, 0.25, 3), rng.normal(0, 0.03, 3))
    ours = draw_head(weights, *pose, size=size).astype(int)
    theirs = draw_head(weights, *pose, size=size, rasteriser="moderngl").astype(int)
    apart = np.abs(ours - theirs).max(-1)
    assert (apart > 2).mean() < 1e-3
    assert np.abs(ours - theirs).mean() < 0.02
    assert ours.std() > 20


def test_a_size_and_a_look_may_change_from_picture_to_picture() -> None:
    shapes = np.zeros(52)
    shapes[BLENDSHAPES.index("jawOpen")] = 0.7
    from visavis.render.looks import LOOKS

    for size, look in ((64, LOOKS[0]), (96, LOOKS[3]), (64, LOOKS[0])):
        ours = draw_head(shapes, size=size, look=look).astype(int)
        theirs = draw_head(shapes, size=size, look=look, rasteriser="moderngl").astype(int)
        assert (np.abs(ours - theirs).max(-1) > 2).mean() < 1e-3


def test_a_film_is_drawn_on_opengl_too(tmp_path: Path) -> None:
    people = moving(4, people=2)
    ours = list(video_frames(render_video(people, tmp_path / "a.mp4", size=64)))
    film = render_video(people, tmp_path / "b.mp4", size=64, rasteriser="moderngl")
    theirs = list(video_frames(film))
    assert len(ours) == len(theirs) == 4
    for a, b in zip(ours, theirs, strict=True):
        assert np.abs(a.astype(int) - b).mean() < 1


def test_an_unknown_rasteriser_is_named() -> None:
    with pytest.raises(InputError, match="moderngl"):
        draw(moving(2), rasteriser="vulkan")
