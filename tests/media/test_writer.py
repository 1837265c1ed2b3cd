from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from visavis.errors import InputError
from visavis.media import Audio, VideoWriter, probe, read_audio, video_frames, write_audio

from .films import number, picture, tone


def write(path: Path, count: int = 30, *, audio: Audio | None = None, fps: float = 25.0) -> None:
    with VideoWriter(path, width=96, height=48, fps=fps, audio=audio) as film:
        for index in range(count):
            film.write(picture(index))


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_what_is_written_is_read_back(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"film{suffix}"
    write(path, 60, audio=Audio(tone(2.4, 44_100, hertz=(440.0, 660.0)), 44_100))
    assert [number(frame) for frame in video_frames(path)][:60] == list(range(60))
    info = probe(path)
    assert (info.fps, info.sample_rate, info.channels) == (25.0, 44_100, 2)


def test_the_index_comes_first_so_that_a_page_can_start_at_once(tmp_path: Path) -> None:
    write(tmp_path / "film.mp4")
    raw = (tmp_path / "film.mp4").read_bytes()
    assert raw.index(b"moov") < raw.index(b"mdat")
    assert b"avc1" in raw


@pytest.mark.parametrize("seconds", [0.7, 5.0])
def test_sound_ends_with_the_pictures_or_before(tmp_path: Path, seconds: float) -> None:
    path = tmp_path / "film.mp4"
    write(path, 50, audio=Audio(tone(seconds, 16_000), 16_000))
    audio = read_audio(path)
    assert audio is not None
    assert audio.duration_s == pytest.approx(min(seconds, 2.0), abs=0.065)
    assert len(list(video_frames(path))) == 50


def test_sound_stays_in_its_place(tmp_path: Path) -> None:
    sound = np.zeros((48_000, 1), np.float32)
    sound[24_000:24_480, 0] = 0.8 * np.sin(np.arange(480) * 0.3)
    write(tmp_path / "film.mp4", 25, audio=Audio(sound, 48_000, start_s=7.0))
    audio = read_audio(tmp_path / "film.mp4")
    assert audio is not None
    assert abs(int(np.abs(audio.samples[:, 0]).argmax()) - 24_240) < 300


@pytest.mark.parametrize(("rate", "channels", "kept"), [(11_000, 1, 48_000), (16_000, 3, 16_000)])
def test_sound_that_aac_lacks_is_converted(
    tmp_path: Path, rate: int, channels: int, kept: int
) -> None:
    write(tmp_path / "f.mp4", 25, audio=Audio(tone(1.0, rate, hertz=[300.0] * channels), rate))
    assert (probe(tmp_path / "f.mp4").sample_rate, probe(tmp_path / "f.mp4").channels) == (kept, 1)


@pytest.mark.parametrize("size", [(152, 156), (160, 160)])
def test_equal_pictures_make_equal_films(tmp_path: Path, size: tuple[int, int]) -> None:
    y, x = np.mgrid[: size[0], : size[1]]
    made, junk = set(), []
    for turn in range(20):
        junk.append(np.full(1000 * (turn * 37 % 19 + 1), turn, np.uint8))  # memory in disorder
        if turn % 5 == 0:
            junk.clear()
        with VideoWriter(tmp_path / "f.mp4", width=size[1], height=size[0]) as film:
            for t in range(4):
                shades = (x + y + 7 * t, x * y // 50 + t, 2 * y)
                film.write(np.stack([s % 256 for s in shades], axis=2).astype(np.uint8))
        made.add((tmp_path / "f.mp4").read_bytes())
    assert len(made) == 1


def test_odd_sizes_are_made_even(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "odd.mp4", width=33, height=21) as film:
        film.write(np.full((21, 33, 3), 200, np.uint8))
    (frame,) = video_frames(tmp_path / "odd.mp4")
    assert frame.shape == (22, 34, 3)
    assert frame.min() > 180


def spoil(path: Path) -> None:
    with VideoWriter(path, width=96, height=48) as film:
        film.write(picture(0))
        film.write(picture(1)[1:])


def test_an_exception_leaves_what_was_there_before(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(b"the old one")
    with pytest.raises(InputError, match="picture 1"):
        spoil(path)
    assert path.read_bytes() == b"the old one"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_process_leaves_no_half_film(tmp_path: Path, kind: signal.Signals) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(b"the old one")
    code = f"""
        import numpy as np
        from visavis.media import VideoWriter
        with VideoWriter({str(path)!r}, width=96, height=48) as film:
            for index in range(10**9):
                film.write(np.full((48, 96, 3), index % 256, np.uint8))
                if index == 100:
                    print("running", flush=True)
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n"
        process.send_signal(kind)
        assert process.wait(timeout=20) != 0
    assert path.read_bytes() == b"the old one"


def test_a_film_without_pictures_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match="no picture"),
        VideoWriter(tmp_path / "none.mp4", width=96, height=48),
    ):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "frame",
    [
        np.zeros((48, 95, 3), np.uint8),
        np.zeros((48, 96, 3), np.float32),
        np.zeros((48, 96), np.uint8),
    ],
)
def test_a_picture_of_another_form_is_refused(tmp_path: Path, frame: np.ndarray) -> None:
    with (
        pytest.raises(InputError, match="picture 0"),
        VideoWriter(tmp_path / "form.mp4", width=96, height=48) as film,
    ):
        film.write(frame)
    assert not list(tmp_path.iterdir())


def test_another_suffix_or_no_place_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.mp4"):
        VideoWriter(tmp_path / "film.gif", width=96, height=48)
    (tmp_path / "file").touch()
    with pytest.raises(InputError):
        write(tmp_path / "file" / "film.mp4")
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(InputError, match="folder"):
        write(tmp_path / "folder.mp4")


def test_writing_outside_the_block_is_refused(tmp_path: Path) -> None:
    film = VideoWriter(tmp_path / "film.mp4", width=96, height=48)
    with pytest.raises(InputError, match="not open"):
        film.write(picture(0))


def test_wav_keeps_samples_to_16_bits_and_clips(tmp_path: Path) -> None:
    samples = np.array([[0.5, -0.25], [1.7, -3.0]], np.float32)
    write_audio(tmp_path / "s.wav", Audio(samples, 22_050))
    audio = read_audio(tmp_path / "s.wav", mono=False)
    assert audio is not None
    assert audio.rate == 22_050
    np.testing.assert_allclose(audio.samples, samples.clip(-1, 1), atol=1e-4)
    with pytest.raises(InputError, match=r"\.wav"):
        write_audio(tmp_path / "s.mp3", audio)
