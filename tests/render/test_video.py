"""Films of reactions, read back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.render.people import moving
from visavis.behaviour import Behaviour, Source
from visavis.errors import InputError, MissingChannel
from visavis.media import Audio, VideoWriter, probe, read_audio, video_frames, write_audio
from visavis.render.panels import arrange
from visavis.render.video import render_video


def _tone(seconds: float) -> Audio:
    t = np.arange(int(16000 * seconds)) / 16000
    return Audio((0.5 * np.sin(2 * np.pi * 440 * t)).astype(np.float32)[:, None], 16000)


def _film(path: Path, frames: int, *, sound: bool = True) -> Path:
    """A film whose left half is red and right half blue, growing brighter."""
    with VideoWriter(
        path, width=96, height=64, audio=_tone(frames / 25) if sound else None
    ) as film:
        for i in range(frames):
            picture = np.zeros((64, 96, 3), np.uint8)
            picture[:, :48, 0] = picture[:, 48:, 2] = 80 + 8 * i
            film.write(picture)
    return path


def _back(path: Path) -> np.ndarray:
    return np.stack(list(video_frames(path)))


def test_one_reaction_alone_is_a_square_film_of_as_many_frames(tmp_path: Path) -> None:
    path = render_video(moving(7), tmp_path / "one.mp4", size=64)
    pictures = _back(path)
    assert len(pictures) == 7
    assert pictures.shape[1] == pictures.shape[2]
    assert pictures[0].std() > 20
    assert not probe(path).has_audio


def test_ten_reactions_beside_a_film_keep_its_pixels_and_sound(tmp_path: Path) -> None:
    beside = _film(tmp_path / "speaker.mp4", 8)
    path = render_video(moving(8, people=10), tmp_path / "ten.mp4", beside=beside, size=48)
    layout = arrange(10, 48, speaker=True)
    pictures = _back(path)
    assert pictures.shape == (8, layout.height, layout.width, 3)
    assert layout.speaker is not None
    box = layout.speaker
    panel = pictures[:, box.y : box.y + box.size, box.x : box.x + box.size].astype(int)
    left, right = panel[:, 20:40, 20:30].mean((1, 2)), panel[:, 20:40, -30:-20].mean((1, 2))
    assert (left[:, 0] > left[:, 2] + 40).all()
    assert (right[:, 2] > right[:, 0] + 40).all()
    assert left[-1, 0] > left[0, 0] + 30
    heard = read_audio(path, mono=True)
    assert heard is not None
    assert abs(heard.duration_s - 8 / 25) < 0.1
    assert np.abs(heard.samples).max() > 0.2


def test_panels_lie_inside_the_picture_and_apart() -> None:
    for people in (1, 2, 3, 4, 5, 6, 9, 10, 11, 20, 33):
        for speaker in (True, False):
            layout = arrange(people, 40, speaker=speaker)
            boxes = [*layout.listeners, *([layout.speaker] if layout.speaker else [])]
            filled = np.zeros((layout.height, layout.width), int)
            for box in boxes:
                filled[box.y : box.y + box.size, box.x : box.x + box.size] += 1
            assert filled.max() == 1
            assert filled.sum() == sum(box.size**2 for box in boxes)
            assert layout.width % 2 == layout.height % 2 == 0


def test_the_shorter_holds_its_last_picture_dimmed(tmp_path: Path) -> None:
    layout = arrange(1, 64, speaker=True)
    box, own = layout.listeners[0], layout.speaker
    assert own is not None
    short = _back(render_video(moving(4), tmp_path / "a.mp4", beside=moving(12), size=64))
    assert len(short) == 12
    heads = short[:, box.y : box.y + 64, box.x : box.x + 64].astype(float)
    assert heads[11].mean() < heads[3].mean() - 20
    assert np.abs(heads[11] - heads[10]).mean() < 4
    long = _back(render_video(moving(12), tmp_path / "b.mp4", beside=moving(4), size=64))
    assert len(long) == 12
    speaker = long[:, own.y : own.y + 64, own.x : own.x + 64].astype(float)
    assert speaker[11].mean() < speaker[3].mean() - 20


def test_a_difference_of_two_frames_is_not_dimmed(tmp_path: Path) -> None:
    film = _back(render_video(moving(6), tmp_path / "a.mp4", beside=moving(8), size=64))
    assert len(film) == 8
    assert abs(film[7].mean() - film[5].mean()) < 6


def test_sound_without_pictures_is_shown_as_a_waveform(tmp_path: Path) -> None:
    write_audio(tmp_path / "voice.wav", _tone(0.4))
    path = render_video(
        moving(10), tmp_path / "film.mp4", beside=str(tmp_path / "voice.wav"), size=128
    )
    pictures = _back(path)
    assert len(pictures) == 10
    assert probe(path).has_audio
    layout = arrange(1, 128, speaker=True)
    assert layout.speaker is not None
    box = layout.speaker
    panel = pictures[:, box.y : box.y + box.size, box.x : box.x + box.size].astype(int)
    heard = (panel[..., 2] > 170).sum((1, 2))
    assert heard[9] > 2 * heard[1]


def test_the_speakers_file_begins_where_the_reactions_begin(tmp_path: Path) -> None:
    beside = _film(tmp_path / "speaker.mp4", 20, sound=False)
    clip = moving(5)
    later = Behaviour.of(
        {"blendshapes": clip["blendshapes"]}, source=Source(str(beside), start_s=0.4)
    )
    film = _back(render_video(later, tmp_path / "film.mp4", beside=beside, size=64))
    red = film[0, 20:40, 10:25, 0].mean()
    assert red == pytest.approx(80 + 8 * 10, abs=14)


def test_labels_take_the_place_of_numbers_and_must_fit(tmp_path: Path) -> None:
    reactions = moving(2, people=2)
    plain = _back(render_video(reactions, tmp_path / "a.mp4", size=192))
    named = _back(render_video(reactions, tmp_path / "b.mp4", size=192, labels=["Ada", "Ben"]))
    changed = np.abs(plain[0].astype(int) - named[0]).max(-1) > 60
    assert changed[150:].sum() > 50
    assert changed[:150].sum() == 0
    with pytest.raises(InputError, match="1 labels were given for 2 reactions"):
        render_video(reactions, tmp_path / "c.mp4", labels=["Ada"])


def test_progress_counts_every_frame(tmp_path: Path) -> None:
    calls: list[tuple[int, int | None]] = []
    render_video(
        moving(3),
        tmp_path / "a.mp4",
        size=32,
        progress=lambda done, total: calls.append((done, total)),
    )
    assert calls == [(1, 3), (2, 3), (3, 3)]


def test_a_failure_leaves_no_file(tmp_path: Path) -> None:
    def stop(done: int, total: int | None) -> None:
        if done == 2:
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        render_video(moving(5), tmp_path / "a.mp4", size=32, progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_drawn_is_refused_before_a_file_is_begun(tmp_path: Path) -> None:
    where = tmp_path / "a.mp4"
    with pytest.raises(MissingChannel):
        render_video(Behaviour.of({"au": torch.zeros(4, 15)}), where)
    with pytest.raises(MissingChannel):
        render_video(moving(4), where, beside=Behaviour.of({"au": torch.zeros(4, 15)}))
    with pytest.raises(InputError, match="leading axes"):
        render_video(Behaviour.of({"blendshapes": torch.zeros(2, 2, 4, 52)}), where)
    with pytest.raises(InputError, match="size"):
        render_video(moving(4), where, size=4)
    with pytest.raises(InputError):
        render_video(moving(4), where, beside=tmp_path / "absent.mp4")
    assert list(tmp_path.iterdir()) == []


def test_two_films_of_the_same_reactions_have_the_same_pictures(tmp_path: Path) -> None:
    one = _back(render_video(moving(4, people=3), tmp_path / "a.mp4", size=48))
    two = _back(render_video(moving(4, people=3), tmp_path / "b.mp4", size=48))
    np.testing.assert_array_equal(one, two)
