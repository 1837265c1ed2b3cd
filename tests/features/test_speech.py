from __future__ import annotations

import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import kaldi_native_fbank as knf
import librosa
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from visavis.errors import InputError
from visavis.features.speech import (
    acoustics,
    acoustics_of,
    energy,
    log_mel,
    mfcc78,
    pitch,
    voice,
)
from visavis.features.speech_stream import KNOWN, AcousticStream
from visavis.media import Audio, read_audio, resample, write_audio
from visavis.media.voice import synthesise

WIDTHS = {"mfcc78": 78, "logmel": 80, "energy": 1, "pitch": 1, "voice": 1}


def noise(count: int, *, scale: float = 0.1, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, scale, count).astype(np.float32)


def speech(frames: int, *, rate: int = 16_000) -> np.ndarray:
    """Speech-like sound with pauses and a moving pitch."""
    t = np.arange(frames) / 25
    loud = np.sin(2 * np.pi * 1.7 * t).clip(0) * ((t % 3) < 2.2)
    return synthesise(150 + 40 * np.sin(2 * t), loud, loud, rate=rate, seed=3)


def sine(hertz: float, seconds: float, *, rate: int = 16_000, scale: float = 0.3) -> np.ndarray:
    return (scale * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)).astype(
        np.float32
    )


def kaldi_mfcc(samples: np.ndarray, rate: int) -> np.ndarray:
    """[13, columns] of one frame by kaldi-native-fbank with the challenge's options."""
    options = knf.MfccOptions()
    options.frame_opts.samp_freq = rate
    options.frame_opts.dither = 0
    options.mel_opts.num_bins = 23
    options.num_ceps = 13
    options.use_energy = True
    options.energy_floor = 1.0
    computer = knf.OnlineMfcc(options)
    computer.accept_waveform(rate, samples.tolist())
    computer.input_finished()
    return np.stack([computer.get_frame(i) for i in range(computer.num_frames_ready)], axis=1)


def regression(table: np.ndarray) -> np.ndarray:
    """The 5-point delta along the last axis, written out as in its definition."""
    padded = np.pad(table, ((0, 0), (2, 2)), "edge")
    result = np.zeros_like(table)
    for column in range(table.shape[1]):
        for n in (1, 2):
            result[:, column] += n * (padded[:, column + 2 + n] - padded[:, column + 2 - n])
    return result / (2 * (1 + 4))


def block_by_kaldi(samples: np.ndarray, rate: int, frames: int) -> np.ndarray:
    hop = int(rate / 25)
    held = np.pad(samples, (0, max(0, hop * frames - len(samples))))
    rows = []
    for frame in range(frames):
        static = kaldi_mfcc(held[frame * hop : (frame + 1) * hop], rate)
        assert static.shape == (13, 2)
        delta = regression(static)
        rows.append(np.stack([static, delta, regression(delta)]).reshape(-1))
    return np.stack(rows)


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("kind", ["speech", "noise", "loud", "faint", "silence", "constant"])
def test_mfcc78_is_kaldis_block(rate: int, kind: str) -> None:
    sound = {
        "speech": lambda: speech(40, rate=rate),
        "noise": lambda: noise(rate),
        "loud": lambda: noise(rate, scale=2.0),
        "faint": lambda: noise(rate, scale=1e-4),
        "silence": lambda: np.zeros(rate, np.float32),
        "constant": lambda: np.full(rate, 0.3, np.float32),
    }[kind]()
    got = mfcc78(sound, rate, 30)
    assert got.dtype == torch.float32
    np.testing.assert_allclose(got, block_by_kaldi(sound, rate, 30), atol=1e-3)


def test_mfcc78_of_a_pure_tone_differs_from_kaldi_by_float_rounding_only() -> None:
    # Far from the tone both spectra are rounding noise, of which the logarithm is taken.
    sound = sine(220.0, 1.0, rate=8_000, scale=0.5)
    np.testing.assert_allclose(
        mfcc78(sound, 8_000, 25), block_by_kaldi(sound, 8_000, 25), atol=3e-3
    )


def test_quiet_frames_have_log_energy_zero() -> None:
    assert not mfcc78(noise(16_000, scale=1e-4), 16_000, 25)[:, 0:2].any()


@pytest.mark.parametrize("rate", [4_000, 8_012, 11_030])
def test_mfcc78_of_an_awkward_rate_is_that_of_the_sound_at_16_khz(rate: int) -> None:
    sound = speech(30, rate=8_000)[:rate]
    even = resample(Audio(sound[:, None], rate), 16_000).mono
    frames = len(even) // 640 - 1
    np.testing.assert_allclose(mfcc78(sound, rate, frames), mfcc78(even, 16_000, frames), atol=1e-4)


def test_log_mel_equals_librosa() -> None:
    sound = noise(48_000) + speech(75)
    table = librosa.feature.melspectrogram(
        y=np.pad(sound, (512 - 160, 0)), sr=16_000, n_fft=512, hop_length=160, n_mels=80,
        center=False,
    )  # fmt: skip
    mean = table.reshape(80, 75, 4).mean(axis=2).T
    np.testing.assert_allclose(
        log_mel(sound, 16_000, 75), np.log(np.maximum(mean, 1e-10)), atol=2e-5
    )


def test_log_mel_of_silence_is_its_floor_at_any_width() -> None:
    got = log_mel(np.zeros(16_000, np.float32), 16_000, 25, 40)
    assert got.shape == (25, 40)
    torch.testing.assert_close(got, torch.full((25, 40), float(np.log(1e-10))))


@pytest.mark.parametrize("hertz", [70.0, 110.0, 220.0, 330.0, 450.0])
@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
def test_a_tone_has_its_pitch_within_two_percent(hertz: float, rate: int) -> None:
    got = pitch(sine(hertz, 2.0, rate=rate), rate, 50)[2:-1, 0]
    assert (got / hertz - 1).abs().max() < 0.02


def test_pitch_of_speech_agrees_with_librosa_and_the_truth() -> None:
    frames = 200
    t = np.arange(frames) / 25
    truth = 160 + 50 * np.sin(1.3 * t)
    sound = synthesise(truth, np.full(frames, 0.7), 0.5 + 0.4 * np.sin(9 * t))
    got = pitch(sound, 16_000, frames)[:, 0].numpy()
    assert np.mean(np.abs(got[2:] / truth[2:] - 1) < 0.03) > 0.97
    theirs = librosa.yin(
        np.pad(sound, (1024 - 640, 0)), fmin=60, fmax=500, sr=16_000, frame_length=1024,
        hop_length=640, center=False, trough_threshold=0.15,
    )[:frames]  # fmt: skip
    assert np.median(np.abs(got[2 : len(theirs)] / theirs[2:] - 1)) < 0.01


def test_noise_and_silence_have_no_pitch() -> None:
    assert not pitch(np.zeros(16_000, np.float32), 16_000, 25).any()
    assert (pitch(noise(160_000), 16_000, 250) > 0).float().mean() < 0.02


def test_energy_is_decibels_of_full_scale_over_80() -> None:
    square = np.tile([1.0, -1.0], 8_000).astype(np.float32)
    for scale, wanted in [(1.0, 1.0), (0.1, 0.75), (1e-3, 0.25), (1e-5, 0.0)]:
        got = energy(square * np.float32(scale), 16_000, 25)
        torch.testing.assert_close(got, torch.full((25, 1), wanted), atol=1e-5, rtol=0)


@settings(max_examples=40, deadline=None)
@given(
    frame=st.integers(0, 49),
    share=st.floats(0.05, 0.95),
    rate=st.sampled_from([16_000, 44_100, 48_000]),
)
def test_a_click_is_heard_in_its_own_frame(frame: int, share: float, rate: int) -> None:
    sound = np.zeros(rate * 2, np.float32)
    sound[int((frame + share) * rate / 25)] = 1.0
    heard = acoustics(sound, rate, 50, names=("energy", "mfcc78", "logmel"))
    assert int(heard["energy"].argmax()) == frame
    # The Hann window is nearly closed at a frame's very end.
    assert int(heard["logmel"].sum(dim=1).argmax()) in (frame, frame + 1)


def test_voice_is_high_in_speech_and_low_in_pauses_noise_and_silence() -> None:
    frames = 500
    t = np.arange(frames) / 25
    spoken = ((t % 5) > 1.0) & ((t % 5) < 4.0)
    loud = spoken * (0.4 + 0.4 * np.abs(np.sin(2 * np.pi * 2 * t)))
    sound = synthesise(140 + 20 * np.sin(t), loud, loud) + noise(frames * 640, scale=1e-3)
    got = voice(sound, 16_000, frames)[:, 0].numpy()
    assert got[spoken].mean() > 0.85
    # What remains is the hangover of six frames after each phrase.
    long_silent = np.convolve(~spoken, np.ones(8))[:frames] == 8
    assert got[long_silent].max() < 0.1
    assert not voice(np.zeros(32_000, np.float32), 16_000, 50).any()
    assert voice(noise(320_000), 16_000, 500).max() <= 0.35


def test_steady_noise_becomes_the_floor() -> None:
    got = voice(noise(16_000 * 40, scale=0.02), 16_000, 1_000)
    assert got[-100:].max() < 0.1


@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_sound_is_cut_or_continued_with_silence_to_the_frames_asked(rate: int) -> None:
    sound = speech(50, rate=rate)
    long = acoustics(sound, rate, 70, names=KNOWN)
    short = acoustics(sound, rate, 30, names=KNOWN)
    for name, width in WIDTHS.items():
        assert long[name].shape == (70, width)
        assert short[name].shape == (30, width)
        # The resampler sees the cut only in its last frame.
        torch.testing.assert_close(short[name][:29], long[name][:29], atol=1e-5, rtol=0)
    assert not long["energy"][55:].any()
    assert not long["pitch"][55:].any()


@settings(max_examples=15, deadline=None)
@given(frame=st.integers(1, 60))
def test_the_future_never_changes_the_past(frame: int) -> None:
    sound = speech(64) + noise(64 * 640, scale=0.01)
    other = sound.copy()
    other[frame * 640 :] = noise(len(sound) - frame * 640, seed=frame)
    one, two = (acoustics(x, 16_000, 64, names=KNOWN) for x in (sound, other))
    for name in KNOWN:
        torch.testing.assert_close(one[name][:frame], two[name][:frame], atol=1e-5, rtol=0)


@settings(max_examples=20, deadline=None)
@given(
    cuts=st.lists(st.integers(0, 48_000), max_size=8),
    rate=st.sampled_from([8_000, 8_012, 16_000, 44_100]),
)
def test_sound_in_any_pieces_gives_the_same_frames(cuts: list[int], rate: int) -> None:
    sound = speech(75, rate=16_000)[: rate * 3]
    frames = int(len(sound) / rate * 25)
    whole = acoustics(sound, rate, frames, names=KNOWN)
    stream = AcousticStream(rate, names=KNOWN)
    edges = [0, *sorted(min(cut, len(sound)) for cut in cuts), len(sound)]
    parts = [stream.push(sound[a:b]) for a, b in pairwise(edges)]
    parts.append(stream.finish(max(frames, stream.frames)))
    for name in KNOWN:
        joined = torch.cat([part[name] for part in parts])[:frames]
        torch.testing.assert_close(joined, whole[name], atol=1e-5, rtol=0)


def test_a_stream_at_16_khz_gives_each_frame_with_its_last_sample() -> None:
    stream = AcousticStream(16_000, names=KNOWN)
    sound = speech(10)
    for frame in range(10):
        assert len(stream.push(sound[frame * 640 : frame * 640 + 639])["voice"]) == 0
        assert len(stream.push(sound[frame * 640 + 639 : frame * 640 + 640])["voice"]) == 1
    assert len(stream.finish()["pitch"]) == 0
    with pytest.raises(InputError, match="came out already"):
        stream.finish(3)


def test_an_end_of_half_a_frame_or_more_is_a_frame() -> None:
    for extra, frames in [(300, 2), (400, 3)]:
        stream = AcousticStream(16_000)
        first = stream.push(noise(1_280 + extra))
        assert len(first["energy"]) + len(stream.finish()["energy"]) == frames


@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_a_file_in_chunks_equals_the_whole(tmp_path: Path, rate: int) -> None:
    frames = 1_600  # more than one block of work
    sound = np.stack([speech(frames, rate=rate), noise(frames * rate // 25)], axis=1) * 0.5
    write_audio(tmp_path / "s.wav", Audio(sound, rate))
    audio = read_audio(tmp_path / "s.wav")
    assert audio is not None
    seen: list[tuple[int, int | None]] = []
    got = acoustics_of(
        tmp_path / "s.wav", frames, names=KNOWN, progress=lambda *now: seen.append(now)
    )
    assert got is not None
    whole = acoustics(audio.mono, rate, frames, names=KNOWN)
    for name in KNOWN:
        torch.testing.assert_close(got[name], whole[name], atol=1e-5, rtol=0)
    assert seen[-1] == (frames, frames)
    assert len(seen) > 5


def test_a_file_from_its_middle_equals_the_middle_of_the_sound(tmp_path: Path) -> None:
    sound = speech(200)
    write_audio(tmp_path / "s.wav", Audio(sound[:, None], 16_000))
    got = acoustics_of(tmp_path / "s.wav", 50, names=("mfcc78", "energy"), start_s=4.0)
    assert got is not None
    whole = acoustics(sound, 16_000, 200)
    torch.testing.assert_close(got["energy"], whole["energy"][100:150], atol=1e-3, rtol=0)
    assert got["mfcc78"].shape == (50, 78)


def test_a_file_without_sound_is_none(tmp_path: Path) -> None:
    from PIL import Image

    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "still.png")
    assert acoustics_of(tmp_path / "still.png", 5) is None


def test_a_tensor_or_doubles_will_do() -> None:
    sound = speech(20)
    torch.testing.assert_close(
        mfcc78(torch.from_numpy(sound), 16_000, 20), mfcc78(sound.astype(float), 16_000, 20)
    )


def test_no_frames_are_empty_channels() -> None:
    for name, values in acoustics(speech(5), 16_000, 0, names=KNOWN).items():
        assert values.shape == (0, WIDTHS[name])


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        (np.zeros((100, 2), np.float32), "mean"),
        (np.zeros(100, np.int16), "floating-point"),
        (np.full(100, np.nan, np.float32), "NaN"),
    ],
)
def test_sound_of_another_form_is_refused(samples: np.ndarray, said: str) -> None:
    with pytest.raises(InputError, match=said):
        mfcc78(samples, 16_000, 1)


def test_senseless_requests_are_refused() -> None:
    sound = np.zeros(640, np.float32)
    with pytest.raises(InputError, match="no acoustic channel"):
        acoustics(sound, 16_000, 1, names=("mfcc",))
    with pytest.raises(InputError, match="frames"):
        mfcc78(sound, 16_000, -1)
    with pytest.raises(InputError, match="rate"):
        mfcc78(sound, 0, 1)
    with pytest.raises(InputError, match="bands"):
        log_mel(sound, 16_000, 1, 0)


def test_voice_of_espeaks_sentences_agrees_with_silero(tmp_path: Path) -> None:
    silero = pytest.importorskip("silero_vad")
    espeak = shutil.which("espeak-ng") or pytest.skip("espeak-ng is not installed")
    pieces: list[np.ndarray] = []
    for number, text in enumerate(
        ("I did not expect that at all.", "Then she laughed, and said yes.")
    ):
        out = tmp_path / f"{number}.wav"
        subprocess.run([espeak, "-w", str(out), text], check=True)
        said = resample(read_audio(out), 16_000).mono
        pieces += [np.zeros(14_400, np.float32), np.asarray(said, np.float32)]
    sound = np.concatenate(pieces) + noise(sum(map(len, pieces)), scale=1e-3)
    frames = len(sound) // 640
    theirs = np.zeros(frames, bool)
    model = silero.load_silero_vad()
    for run in silero.get_speech_timestamps(torch.from_numpy(sound), model, sampling_rate=16_000):
        theirs[run["start"] // 640 : run["end"] // 640] = True
    ours = voice(sound, 16_000, frames)[:, 0].numpy() > 0.2
    assert 0.4 < theirs.mean() < 0.9
    assert (ours == theirs).mean() > 0.9
