from __future__ import annotations

import logging
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visavis.errors import InputError
from visavis.media import probe, video_frames

from .films import even, film, number, picture, tone


def numbers(path: Path, **options: float) -> list[int]:
    return [number(frame) for frame in video_frames(path, **options)]


def on_screen(times: list[float], end: float) -> list[int]:
    """What is on screen at the middle of each 25 fps slot, by definition."""
    slots = max(1, int(np.ceil(end * 25 - 0.5 - 1e-6)))
    middles = (np.arange(slots) + 0.5) / 25
    return (np.searchsorted(times, middles + 1e-6, side="right") - 1).clip(0).tolist()


def test_a_25_fps_film_comes_out_picture_by_picture(talk: Path) -> None:
    assert numbers(talk) == list(range(100))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
@pytest.mark.parametrize("fps", [10, 60])
def test_other_rates_repeat_or_drop_pictures_by_time(shelf: Path, fps: int, suffix: str) -> None:
    codec = "libvpx" if suffix == ".webm" else "libx264"
    path = film(shelf / f"rate{fps}{suffix}", even(2 * fps, fps), codec=codec, fps=fps)
    assert numbers(path) == on_screen(even(2 * fps, fps), 2.0)
    assert probe(path).fps == pytest.approx(fps, rel=0.02)


@settings(max_examples=12, deadline=None)
@given(gaps=st.lists(st.integers(8, 300), min_size=2, max_size=25))
def test_a_variable_rate_film_shows_the_picture_of_the_instant(
    tmp_path_factory: pytest.TempPathFactory, gaps: list[int]
) -> None:
    times = [0.0, *np.cumsum(gaps) / 1000.0]
    path = film(tmp_path_factory.mktemp("vfr") / "uneven.mp4", times)
    got = numbers(path)
    assert got == on_screen(times, 1e9 if not got else len(got) / 25 + 0.001)[: len(got)]
    # The last picture's own length is the encoder's guess, so only its beginning is certain.
    assert (len(got) + 0.5) / 25 >= times[-1]


def test_an_uneven_rate_is_noticed(shelf: Path, talk: Path) -> None:
    uneven = film(shelf / "uneven.mp4", [0.0, 0.03, 0.09, 0.1, 0.3, 0.34])
    assert probe(uneven).variable_rate
    assert not probe(talk).variable_rate


def test_a_span_is_a_slice_of_the_whole(talk: Path) -> None:
    assert numbers(talk, start_s=1.0, stop_s=2.0) == list(range(25, 50))
    assert numbers(talk, start_s=3.6) == list(range(90, 100))
    assert numbers(talk, stop_s=0.001) == [0]


def test_sound_that_starts_earlier_sets_the_clock(shelf: Path) -> None:
    path = film(shelf / "late_picture.mkv", even(50, 25, start_s=0.48), sound=tone(2.5, 16_000))
    # Matroska moves everything by the sound's priming; the offset between the two stays.
    got = numbers(path)
    first_change = got.index(1)
    assert abs(first_change / 25 - 0.52) <= 0.02 + 1024 / 16_000
    assert got[:first_change] == [0] * first_change


def test_a_film_whose_clock_starts_late_starts_at_its_first_picture(shelf: Path) -> None:
    path = film(shelf / "offset.ts", even(50, 25, start_s=5.0))
    assert numbers(path) == list(range(50))


def test_a_phone_film_is_shown_upright(shelf: Path) -> None:
    array = np.zeros((48, 96, 3), np.uint8)
    array[:, :24] = 255
    path = film(shelf / "phone.mp4", even(5, 25), pictures=[array] * 5, rotate=90)
    frame = next(iter(video_frames(path)))
    info = probe(path)
    assert frame.shape == (96, 48, 3)
    assert (info.height, info.width, abs(info.rotation)) == (96, 48, 90)
    # Turned counter-clockwise by +90, the left edge lands at the bottom, by -90 at the top.
    bright = frame.mean(axis=(1, 2))
    edge = bright[-20:] if info.rotation == 90 else bright[:20]
    assert edge.min() > 200
    assert bright[30:60].max() < 50


def test_wide_pixels_become_square(shelf: Path) -> None:
    path = film(shelf / "anamorphic.mp4", even(3, 25), aspect=Fraction(4, 3))
    assert next(iter(video_frames(path))).shape == (48, 128, 3)
    assert probe(path).width == 128


def test_an_int_size_keeps_the_middle_square_and_a_pair_is_height_and_width(talk: Path) -> None:
    square = next(iter(video_frames(talk, size=24)))
    whole = next(iter(video_frames(talk, size=(30, 60))))
    assert square.shape == (24, 24, 3)
    assert whole.shape == (30, 60, 3)
    marked = list(video_frames(talk, size=24))[0b0000_0110_0000]  # the middle bars are lit
    assert marked[:, 8:16].mean() > 150
    assert marked[:, :3].mean() < 60


def test_colours_keep_their_channels(shelf: Path) -> None:
    red = np.zeros((48, 96, 3), np.uint8)
    red[..., 0] = 230
    path = film(shelf / "red.mp4", even(3, 25), pictures=[red] * 3)
    assert np.abs(next(iter(video_frames(path))).mean(axis=(0, 1)) - [230, 0, 0]).max() < 12


def test_frames_may_be_written_to_without_touching_the_next(shelf: Path) -> None:
    path = film(shelf / "slow.mp4", even(4, 10), fps=10)
    expected = [frame.copy() for frame in video_frames(path)]
    for frame, clean in zip(video_frames(path), expected, strict=True):
        np.testing.assert_array_equal(frame, clean)
        frame[:] = 0


def test_a_film_of_one_picture_is_one_frame(shelf: Path) -> None:
    assert numbers(film(shelf / "one.mp4", [0.0])) == [0]


def test_a_png_is_a_film_of_one_picture(shelf: Path) -> None:
    from PIL import Image

    path = shelf / "face%03d:1.png"  # neither a series nor a protocol
    Image.fromarray(picture(5)).save(path)
    (frame,) = video_frames(path)
    np.testing.assert_array_equal(frame, picture(5))
    assert probe(path).duration_s == pytest.approx(0.04)


def test_a_cut_off_film_gives_what_it_has_and_one_warning(
    shelf: Path, caplog: pytest.LogCaptureFixture
) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (200, 48, 96, 3), np.uint8)
    whole = film(shelf / "whole.mp4", even(200, 25), pictures=noise)
    cut = shelf / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * 0.6)])
    with caplog.at_level(logging.WARNING, logger="visavis"):
        count = len(list(video_frames(cut)))
    assert 100 <= count <= 130
    (record,) = caplog.records
    assert f"{count / 25:.2f} s of 8.00 s" in record.getMessage()


def test_a_whole_film_warns_of_nothing(talk: Path, caplog: pytest.LogCaptureFixture) -> None:
    list(video_frames(talk))
    list(video_frames(talk, stop_s=1.0))
    assert not caplog.records


def test_damage_in_the_middle_does_not_shift_the_rest(
    shelf: Path, talk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    raw = bytearray(talk.read_bytes())
    middle = len(raw) // 2
    raw[middle : middle + 600] = b"\xff" * 600
    hurt = shelf / "hurt.mp4"
    hurt.write_bytes(raw)
    assert len(list(video_frames(hurt))) == 100
    assert len(caplog.records) <= 1


def test_sound_alone_has_no_pictures(shelf: Path) -> None:
    path = film(shelf / "sound.mp4", [], sound=tone(0.5, 16_000))
    with pytest.raises(InputError, match="no picture"):
        next(iter(video_frames(path)))


def test_a_start_past_the_end_is_refused(talk: Path) -> None:
    with pytest.raises(InputError, match=r"ends at 4\.00 s"):
        next(iter(video_frames(talk, start_s=9.0)))


@pytest.mark.parametrize(
    "options", [{"fps": 0.0}, {"size": 0}, {"start_s": -1.0}, {"start_s": 2.0, "stop_s": 1.0}]
)
def test_senseless_options_are_refused_at_the_call(talk: Path, options: dict[str, float]) -> None:
    with pytest.raises(InputError):
        video_frames(talk, **options)


def test_a_long_film_needs_no_more_memory_than_a_short_one(shelf: Path) -> None:
    path = film(shelf / "long.mp4", even(2000, 25))
    resident = []
    for index, _ in enumerate(video_frames(path, size=(96, 192))):
        if index in (300, 1990):
            resident.append(int(Path("/proc/self/statm").read_text().split()[1]) * 4096)
    # All frames together would be 110 MB.
    assert resident[1] - resident[0] < 20e6
