"""The talking portrait: whole pictures, the same each time, that move as commanded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from visavis.channels import BLENDSHAPES
from visavis.errors import InputError
from visavis.features import _system
from visavis.media import probe, read_audio, video_frames

if _system.missing_libraries():
    pytest.skip("system libraries of the face tracker are missing", allow_module_level=True)
pytest.importorskip("mediapipe")
pytest.importorskip("skimage")

from visavis.demo.portrait import Portrait, make_speaker

Picture = NDArray[np.uint8]


@pytest.fixture(scope="module")
def portrait() -> Portrait:
    return Portrait(size=256)


def shown(portrait: Portrait, *, yaw: float = 0.0, pitch: float = 0.0, **named: float) -> Picture:
    shapes = np.array([named.get(name, 0.0) for name in BLENDSHAPES])
    return portrait.picture(shapes, np.array([pitch, yaw, 0.0]), np.zeros(3))


def changed(a: Picture, b: Picture) -> NDArray[np.float64]:
    return np.abs(a.astype(float) - b.astype(float)).mean(axis=2)


def test_a_mouth_at_rest_is_closed_and_an_open_one_is_dark_inside(portrait: Portrait) -> None:
    rest, opened = shown(portrait), shown(portrait, jawOpen=1.0)
    became_dark = (rest.mean(axis=2) > 110) & (opened.mean(axis=2) < 70)
    assert became_dark.sum() > 60
    columns = np.nonzero(became_dark)[1]
    assert np.ptp(columns) < 60


def test_a_blink_changes_the_eyes_and_little_else(portrait: Portrait) -> None:
    rest, left = shown(portrait), shown(portrait, eyeBlinkLeft=1.0)
    both = changed(rest, left)
    rows, columns = np.nonzero(both > 25)
    assert 5 < np.ptp(rows) < 40 and 10 < np.ptp(columns) < 60
    # the subject's left eye is the one to the right in the picture
    right = np.nonzero(changed(rest, shown(portrait, eyeBlinkRight=1.0)) > 25)[1]
    assert columns.mean() > right.mean() + 20


@pytest.mark.parametrize(("yaw", "pitch"), [(0.2, 0.0), (-0.2, 0.0), (0.0, 0.2), (0.0, -0.15)])
def test_a_turned_head_leaves_no_holes(portrait: Portrait, yaw: float, pitch: float) -> None:
    # the mesh covers the whole picture: nothing of the layers behind shows outside eyes and mouth
    layers = portrait._layers
    saved = [layer.texture for layer in layers]
    plain = shown(portrait, yaw=yaw, pitch=pitch)
    try:
        for layer in layers:
            layer.texture = np.full_like(layer.texture, 0.0) + np.float32([0, 255, 0])
        green = shown(portrait, yaw=yaw, pitch=pitch)
    finally:
        for layer, texture in zip(layers, saved, strict=True):
            layer.texture = texture
    through = changed(plain, green) > 60
    assert 20 < through.sum() < 0.01 * through.size  # the two open eyes
    closed = shown(portrait, yaw=yaw, pitch=pitch, eyeBlinkLeft=1.0, eyeBlinkRight=1.0)
    assert np.isfinite(closed).all()


def test_the_head_turns_the_way_it_is_told_and_the_room_holds_still(portrait: Portrait) -> None:
    rest, turned = shown(portrait), shown(portrait, yaw=0.2)
    corners = changed(rest, turned)
    assert corners[:8, :8].max() < 2 and corners[-8:, -8:].max() < 2
    from visavis.features.face_mediapipe import MediapipeTracker

    with MediapipeTracker(faces=1, still=True) as tracker:
        straight, left = tracker.track(rest, 0.0), tracker.track(turned, 0.04)
    assert straight is not None and left is not None
    assert left.rotation[1] - straight.rotation[1] == pytest.approx(0.2, abs=0.06)
    # the nose moves towards the right of the picture
    assert left.landmarks[1, 0] > straight.landmarks[1, 0] + 4


@pytest.mark.parametrize("size", [62, 129, 0])
def test_an_impossible_size_is_refused(size: int) -> None:
    with pytest.raises(InputError, match="even number"):
        Portrait(size=size)


def test_the_film_has_picture_and_sound_of_the_same_length(tmp_path: Path) -> None:
    told: list[int] = []
    path = tmp_path / "speaker.mp4"
    script = make_speaker(
        path, seconds=1.6, seed=4, size=128, progress=lambda done, _: told.append(done)
    )
    info = probe(path)
    assert (info.width, info.height, info.has_audio) == (128, 128, True)
    assert len(list(video_frames(path))) == script.behaviour.frames == 40
    assert told == list(range(1, 41))
    sound = read_audio(path)
    assert sound is not None
    assert sound.duration_s == pytest.approx(1.6, abs=0.05)
    silent = sound.samples[: int(0.4 * sound.rate)]
    assert np.abs(silent).max() < 0.02 < np.abs(sound.samples).max()


def test_the_same_seed_gives_the_same_film(tmp_path: Path) -> None:
    films = []
    for name in ("a.mp4", "b.mp4"):
        make_speaker(tmp_path / name, seconds=0.4, seed=2, size=96)
        films.append(np.stack(list(video_frames(tmp_path / name))))
    np.testing.assert_array_equal(films[0], films[1])


def test_nothing_is_left_where_the_film_cannot_be_written(tmp_path: Path) -> None:
    taken = tmp_path / "speaker.mp4"
    taken.mkdir()
    with pytest.raises(InputError):
        make_speaker(taken, seconds=0.2, size=96)
    assert list(tmp_path.iterdir()) == [taken] and list(taken.iterdir()) == []
