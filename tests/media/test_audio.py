from __future__ import annotations

import logging
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from visavis.errors import InputError
from visavis.media import (
    Audio,
    audio_chunks,
    probe,
    read_audio,
    resample,
    video_frames,
    write_audio,
)

from .films import even, film, tone


def lag_s(got: np.ndarray, wanted: np.ndarray, rate: int, *, most_s: float = 0.1) -> float:
    """Delay of `got` behind `wanted`, seconds, by cross-correlation."""
    count = min(len(got), len(wanted))
    size = 1 << (2 * count).bit_length()
    cross = np.fft.irfft(
        np.fft.rfft(got[:count], size) * np.conj(np.fft.rfft(wanted[:count], size)), size
    )
    most = int(most_s * rate)
    lags = np.r_[0 : most + 1, -most:0]
    return float(lags[np.argmax(cross[lags])]) / rate


def chirp(seconds: float, rate: int, channels: int = 1) -> np.ndarray:
    """float32 [N, C]: a sweep from 200 to 3000 Hz, whose place in time is unmistakable."""
    t = np.arange(round(seconds * rate)) / rate
    wave = 0.4 * np.sin(2 * np.pi * (200 * t + 1400 * t * t / seconds))
    return np.repeat(wave[:, None], channels, axis=1).astype(np.float32)


def encode(path: Path, sound: np.ndarray, *, codec: str, rate: int, layout: str) -> None:
    if codec == "vorbis":  # PyAV reads it, but has no good encoder of it
        soundfile.write(path, sound, rate)
        return
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=rate, layout=layout)
        resampler = av.AudioResampler(stream.format, layout, rate, 960)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound.T), "fltp", layout)
        frame.sample_rate, frame.pts = rate, 0
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            out.mux(stream.encode(piece))
        out.mux(stream.encode(None))


@pytest.mark.parametrize(
    ("name", "codec", "rate", "layout"),
    [
        ("a.wav", "pcm_s16le", 8_000, "mono"),
        ("b.wav", "pcm_s24le", 96_000, "stereo"),
        ("c.flac", "flac", 44_100, "stereo"),
        ("d.ogg", "vorbis", 44_100, "mono"),
        ("e.mp3", "libmp3lame", 44_100, "mono"),
        ("f.mp4", "aac", 44_100, "stereo"),
        ("g.mp4", "aac", 48_000, "5.1"),
        ("h.webm", "libopus", 48_000, "mono"),
        ("i.mkv", "aac", 16_000, "mono"),
        ("j.ogg", "libopus", 48_000, "stereo"),
    ],
)
def test_every_usual_format_is_read_in_its_place(
    shelf: Path, name: str, codec: str, rate: int, layout: str
) -> None:
    channels = {"mono": 1, "stereo": 2, "5.1": 6}[layout]
    wanted = chirp(2.0, rate, channels)
    path = shelf / name
    encode(path, wanted, codec=codec, rate=rate, layout=layout)
    audio = read_audio(path)
    every = read_audio(path, mono=False)
    assert audio is not None
    assert every is not None
    assert (audio.rate, audio.samples.shape[1]) == (rate, 1)
    assert every.samples.shape[1] == channels
    assert audio.samples.dtype == np.float32
    np.testing.assert_allclose(every.samples.mean(axis=1), audio.samples[:, 0], atol=1e-6)
    # Matroska and ogg round the end up to whole packets, and Matroska keeps AAC's priming.
    assert 2.0 <= audio.duration_s < 2.0 + 3 * 1024 / rate + 0.03
    # FFmpeg stamps a short ogg's first Vorbis packet half a short block (128 samples) late.
    most = {"i.mkv": 1100, "d.ogg": 130}.get(name, 0.0015 * rate)
    assert abs(lag_s(audio.samples[:, 0], wanted[:, 0], rate)) * rate <= most


def test_priming_and_padding_of_aac_in_mp4_are_cut_to_the_sample(shelf: Path) -> None:
    wanted = chirp(1.5, 44_100)
    path = film(shelf / "priming.mp4", even(38, 25), sound=wanted, rate=44_100)
    audio = read_audio(path)
    assert audio is not None
    assert abs(len(audio.samples) - len(wanted)) <= 1024
    assert lag_s(audio.samples[:, 0], wanted[:, 0], 44_100) == 0.0


def test_no_sound_track_is_none_and_no_chunks(shelf: Path) -> None:
    path = film(shelf / "silent.mp4", even(5, 25))
    assert read_audio(path) is None
    assert list(audio_chunks(path)) == []


def test_a_film_with_an_empty_sound_track_is_a_film_without_sound(
    shelf: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = film(shelf / "empty_track.mkv", even(5, 25), sound=np.zeros((0, 1), np.float32))
    assert probe(path).has_audio
    assert read_audio(path) is None
    assert "empty" in caplog.text


def test_downmix_is_the_plain_mean(shelf: Path) -> None:
    path = shelf / "six.wav"
    samples = np.zeros((480, 6), np.float32)
    samples[:, 2] = 0.6
    write_audio(path, Audio(samples, 48_000))
    audio = read_audio(path)
    assert audio is not None
    np.testing.assert_allclose(audio.samples, 0.1, atol=1e-4)


def test_a_gap_is_silence_and_what_follows_stays_in_its_place(shelf: Path) -> None:
    rate, path = 16_000, shelf / "gap.mkv"
    sound = chirp(2.0, rate)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("pcm_s16le", rate=rate, layout="mono")
        for at in range(0, len(sound), 800):
            if 8_000 <= at < 16_000:
                continue
            block = (sound[at : at + 800].T * 32767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), "s16", "mono")
            frame.sample_rate, frame.pts = rate, at
            out.mux(stream.encode(frame))
    audio = read_audio(path)
    assert audio is not None
    wanted = sound[:, 0].copy()
    wanted[8_000:16_000] = 0.0
    np.testing.assert_allclose(audio.samples[:, 0], wanted, atol=1e-3)


def test_sound_that_starts_after_the_picture_begins_with_silence(shelf: Path) -> None:
    rate = 16_000
    wanted = chirp(1.0, rate)
    path = film(shelf / "late_sound.mkv", even(50, 25), sound=wanted, sound_start_s=0.6)
    audio = read_audio(path)
    assert audio is not None
    assert np.abs(audio.samples[: int(0.5 * rate)]).max() == 0.0
    behind = lag_s(audio.samples[int(0.6 * rate) :, 0], wanted[:, 0], rate)
    assert abs(behind) <= 1024 / rate


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm", ".ts"])
def test_a_flash_and_a_beep_stay_together(shelf: Path, suffix: str) -> None:
    from visavis.features.speech import energy

    dark, bright = np.zeros((48, 96, 3), np.uint8), np.full((48, 96, 3), 255, np.uint8)
    sound = np.zeros((48_000 * 3, 1), np.float32)
    # 35 ms of tone centred in frame 40.
    beep = tone(0.036, 48_000, hertz=[1000.0]) * 2
    at = round((40 / 25 + 0.002) * 48_000)
    sound[at : at + len(beep)] = beep
    web = suffix == ".webm"
    path = film(
        shelf / f"sync{suffix}",
        even(75, 25),
        pictures=[bright if i == 40 else dark for i in range(75)],
        sound=sound,
        rate=48_000,
        codec="libvpx" if web else "libx264",
        sound_codec="libopus" if web else "aac",
    )
    light = np.array([frame.mean() for frame in video_frames(path)])
    audio = read_audio(path)
    assert audio is not None
    loud = energy(audio.mono, audio.rate, len(light))[:, 0].numpy()
    # .ts cannot mark priming: 21 ms of it stay.
    assert abs(int(light.argmax()) - int(loud.argmax())) <= (1 if suffix == ".ts" else 0)


def test_a_span_is_a_slice_of_the_whole(talk: Path) -> None:
    whole = read_audio(talk)
    part = read_audio(talk, start_s=1.25, stop_s=2.5)
    assert whole is not None
    assert part is not None
    assert (part.start_s, len(part.samples)) == (1.25, 20_000)
    np.testing.assert_allclose(part.samples, whole.samples[20_000:40_000], atol=1e-4)


def test_a_start_past_the_end_is_refused(talk: Path) -> None:
    with pytest.raises(InputError, match="start earlier"):
        read_audio(talk, start_s=60.0)


@settings(max_examples=15, deadline=None)
@given(
    seconds=st.floats(0.01, 5.0),
    rate=st.sampled_from([None, 8_000, 16_000, 44_100]),
)
def test_chunks_of_any_length_are_the_whole(
    tmp_path_factory: pytest.TempPathFactory, seconds: float, rate: int | None
) -> None:
    path = tmp_path_factory.mktemp("chunks") / "c.wav"
    write_audio(path, Audio(chirp(2.3, 22_050), 22_050))
    whole = read_audio(path, rate=rate)
    pieces = list(audio_chunks(path, seconds=seconds, rate=rate))
    assert whole is not None
    joined = np.concatenate([piece.samples for piece in pieces])
    np.testing.assert_array_equal(joined, whole.samples)
    assert pieces[-1].start_s == pytest.approx((len(joined) - len(pieces[-1].samples)) / whole.rate)


@pytest.mark.parametrize("rate", [8_000, 16_000, 48_000])
def test_resampling_keeps_time_and_pitch(rate: int) -> None:
    there = resample(Audio(chirp(2.0, 44_100), 44_100), rate)
    assert len(there.samples) == 2 * rate
    inner = slice(rate // 10, -rate // 10)
    np.testing.assert_allclose(there.samples[inner], chirp(2.0, rate)[inner], atol=2e-3)


def test_cut_off_sound_gives_what_it_has_and_one_warning(
    shelf: Path, caplog: pytest.LogCaptureFixture
) -> None:
    noise = np.random.default_rng(0).normal(0, 0.2, (16_000 * 8, 1)).astype(np.float32)
    whole = film(shelf / "whole_sound.mp4", [], sound=noise)
    cut = shelf / "cut_sound.mp4"
    cut.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * 0.6)])
    with caplog.at_level(logging.WARNING, logger="visavis"):
        audio = read_audio(cut)
    assert audio is not None
    assert 3.5 < audio.duration_s < 5.5
    (record,) = caplog.records
    assert f"{audio.duration_s:.1f}"[:3] in record.getMessage()


def test_a_wav_without_samples_is_refused(shelf: Path) -> None:
    path = shelf / "header.wav"
    write_audio(path, Audio(np.zeros((0, 1), np.float32), 16_000))
    with pytest.raises(InputError):
        read_audio(path)


@pytest.mark.parametrize(
    "samples", [np.zeros(5, np.float32), np.zeros((5, 1)), np.zeros((5, 1), np.int16)]
)
def test_audio_of_another_form_is_refused(samples: np.ndarray) -> None:
    with pytest.raises(InputError, match="float32"):
        Audio(samples, 16_000)


def test_a_long_sound_in_chunks_needs_no_more_memory_than_a_short_one(shelf: Path) -> None:
    path = shelf / "long.wav"
    noise = np.random.default_rng(0).normal(0, 0.1, (16_000 * 1200, 1)).astype(np.float32)
    write_audio(path, Audio(noise, 16_000))
    del noise
    resident = []
    for index, _ in enumerate(audio_chunks(path, rate=48_000)):
        if index in (10, 118):
            resident.append(int(Path("/proc/self/statm").read_text().split()[1]) * 4096)
    # The whole would be 230 MB.
    assert resident[1] - resident[0] < 20e6
