from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visavis.errors import InputError
from visavis.features.speech import acoustics
from visavis.media.voice import synthesise


def sentence(frames: int = 250) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    t = np.arange(frames) / 25
    syllables = np.sin(2 * np.pi * 2 * t).clip(0) ** 0.5
    spoken = (t % 5) < 3.5
    return 150 + 30 * np.sin(2.5 * t), syllables * spoken, syllables


def test_pitch_loudness_and_voice_come_back_from_the_sound() -> None:
    pitch, loud, opening = sentence()
    heard = acoustics(synthesise(pitch, loud, opening), 16_000, 250)
    strong = loud > 0.4
    hertz = heard["pitch"][:, 0].numpy()
    assert np.mean(np.abs(hertz[strong] / pitch[strong] - 1) < 0.03) > 0.95
    assert not hertz[loud == 0].any()
    assert np.corrcoef(heard["energy"][strong, 0], np.log(loud[strong]))[0, 1] > 0.8
    assert heard["voice"][strong, 0].min() > 0.5


@settings(max_examples=25, deadline=None)
@given(
    mask=st.lists(st.booleans(), min_size=1, max_size=40),
    rate=st.sampled_from([8_000, 16_000, 22_050, 44_100]),
)
def test_frames_of_no_loudness_are_exactly_silent_and_nothing_clicks(
    mask: list[bool], rate: int
) -> None:
    loud = np.array(mask, float)
    sound = synthesise(np.full(len(loud), 140.0), loud, np.full(len(loud), 0.5), rate=rate)
    assert sound.dtype == np.float32
    assert len(sound) == round(len(loud) * rate / 25)
    silent = ~np.array(mask)[(np.arange(len(sound)) * 25 / rate).astype(int)]
    assert not sound[silent].any()
    # An edge of speech begins and ends softly: the first half millisecond is faint.
    edges = np.flatnonzero(np.diff(silent.astype(int)))
    near = max(1, rate // 2000)
    for edge in edges:
        assert np.abs(sound[max(0, edge - near) : edge + near]).max() < 0.05


def test_loudness_one_is_near_minus_14_db_whatever_the_mouth_does() -> None:
    for opening in (0.0, 0.5, 1.0):
        sound = synthesise(np.full(100, 130.0), np.ones(100), np.full(100, opening))
        assert 0.12 < np.sqrt(np.mean(sound**2)) < 0.28


def band_centre(sound: np.ndarray) -> float:
    """Mean frequency of the power between 150 and 4000 Hz."""
    power = np.abs(np.fft.rfft(sound * np.hanning(len(sound)))) ** 2
    hertz = np.fft.rfftfreq(len(sound), 1 / 16_000)
    inside = (hertz > 150) & (hertz < 4000)
    return float((power[inside] * hertz[inside]).sum() / power[inside].sum())


def test_formants_follow_the_mouth_and_the_throat() -> None:
    steady = (np.full(50, 110.0), np.ones(50))
    shut, wide = (synthesise(*steady, np.full(50, opening)) for opening in (0.0, 1.0))
    short = synthesise(*steady, np.full(50, 1.0), formant_shift=1.2)
    assert band_centre(shut) + 200 < band_centre(wide) < band_centre(short) - 50


def test_without_pitch_it_is_noise() -> None:
    heard = acoustics(
        synthesise(np.zeros(50), np.ones(50), np.full(50, 0.6)), 16_000, 50, names=("pitch",)
    )
    assert (heard["pitch"][3:] > 0).float().mean() < 0.25


def test_the_seed_decides_the_breath_and_nothing_else_does() -> None:
    contours = sentence(50)
    one, again, other = (synthesise(*contours, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert 0.0 < np.abs(one - other).max() < 0.2


def test_contours_that_cannot_be_are_refused() -> None:
    fine = np.ones(5)
    with pytest.raises(InputError, match="one length"):
        synthesise(fine * 100, fine, np.ones(4))
    with pytest.raises(InputError, match="loudness"):
        synthesise(fine * 100, fine * 2, fine)
    with pytest.raises(InputError, match="pitch_hz"):
        synthesise(fine * np.nan, fine, fine)
    with pytest.raises(InputError, match="rate"):
        synthesise(fine * 100, fine, fine, rate=4_000)
    with pytest.raises(InputError, match="formant_shift"):
        synthesise(fine * 100, fine, fine, formant_shift=3.0)


def test_no_frames_are_no_sound() -> None:
    assert synthesise([], [], []).shape == (0,)
