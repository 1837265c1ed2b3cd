"""Lagged correlation and FRSyn against the window-by-window reference, and as laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.peers import correlation
from visavis.errors import InputError
from visavis.metrics.lagged import lagged_correlations, windowed_correlation
from visavis.metrics.protocol import ATTRIBUTES, Group, protocol_named
from visavis.metrics.synchrony import frsyn, live_offsets, offsets

CORRECTED = protocol_named("corrected")


def smooth(seed: int, *shape: int) -> np.ndarray:
    """Signals of the roughness of faces, float32, time on the last axis but one."""
    noise = np.random.default_rng(seed).normal(size=shape)
    kernel = np.hanning(9) / np.hanning(9).sum()
    return np.apply_along_axis(np.convolve, -2, noise, kernel, mode="same").astype(np.float32)


def by_windows(pred: np.ndarray, speaker: np.ndarray, lags: int) -> np.ndarray:
    return np.stack([windowed_correlation(pred, speaker, i) for i in range(-lags, lags + 1)])


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(12, 90), st.integers(1, 4), st.integers(0, 10))
def test_every_lag_equals_numpy_s_correlation(
    seed: int, frames: int, width: int, lags: int
) -> None:
    pred, speaker = smooth(seed, 2, frames, width), smooth(seed + 1, frames, width)
    found = lagged_correlations(pred, speaker, lags=lags)
    for ours, sample in zip(found, pred, strict=True):
        assert ours == pytest.approx(by_windows(sample, speaker, lags), abs=1e-12)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(55, 120))
def test_offsets_equal_the_reference(seed: int, frames: int) -> None:
    pred, speaker = smooth(seed, 2, frames, 5), smooth(seed + 1, frames, 5)
    wanted = [correlation.offset(sample, speaker) for sample in pred]
    assert offsets(pred, speaker).tolist() == wanted


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 60), st.integers(0, 60), st.booleans())
def test_windows_that_go_still_equal_the_reference(
    seed: int, start: int, stop: int, of_speaker: bool
) -> None:
    pred, speaker = smooth(seed, 1, 60, 2), smooth(seed + 1, 60, 2)
    (speaker if of_speaker else pred[0])[min(start, stop) : max(start, stop), 1] = 0.3
    found = lagged_correlations(pred, speaker, lags=20)[0]
    wanted = by_windows(pred[0], speaker, 20)
    assert (np.isnan(found) == np.isnan(wanted)).all()
    assert found == pytest.approx(wanted, abs=1e-9, nan_ok=True)


def test_a_spike_beside_a_faint_signal_does_not_drown_it() -> None:
    pred, speaker = 1e-6 * smooth(0, 1, 300, 3), smooth(1, 300, 3)
    pred[0, 2] = 1.0
    found = lagged_correlations(pred, speaker)[0]
    assert found == pytest.approx(by_windows(pred[0], speaker, 49), abs=1e-9)


def test_equal_peaks_are_decided_as_the_published_arithmetic_decides() -> None:
    """A periodic speaker has many lags that differ by rounding only."""
    clock = np.arange(300)[:, None]
    speaker = np.sin(2 * np.pi * clock / 20 + np.arange(5)).astype(np.float32)
    pred = np.stack([speaker, np.roll(speaker, 7, axis=0)])
    wanted = [correlation.offset(sample, speaker) for sample in pred]
    assert offsets(pred, speaker).tolist() == wanted


def test_values_that_are_not_finite_equal_the_reference() -> None:
    pred, speaker = smooth(0, 3, 80, 3), smooth(1, 80, 3)
    pred[0, 0, 1], pred[1, 40, 0], pred[2, 79, 2] = np.nan, np.inf, -np.inf
    wanted = [correlation.offset(sample, speaker) for sample in pred]
    assert offsets(pred, speaker).tolist() == wanted


@pytest.mark.parametrize("delay", [-49, -20, -1, 0, 1, 7, 49])
def test_a_follower_peaks_at_its_delay(delay: int) -> None:
    speaker = smooth(0, 400, 4)
    pred = np.roll(speaker, delay, axis=0)[None]
    assert offsets(pred, speaker)[0] == -delay
    assert live_offsets(pred, speaker, ())[""][0] == abs(delay)
    backwards = offsets(pred[:, ::-1], speaker[::-1])
    assert backwards[0] == delay


def test_samples_do_not_touch_each_other() -> None:
    pred, speaker = smooth(0, 6, 120, 5), smooth(1, 120, 5)
    together = offsets(pred, speaker)
    assert together.tolist() == [int(offsets(pred[i : i + 1], speaker)[0]) for i in range(6)]
    order = [3, 1, 5, 0, 2, 4]
    assert offsets(pred[order], speaker).tolist() == together[order].tolist()


# ---------------------------------------------------------------------- corrected


def test_dead_channels_of_the_speaker_do_not_decide_anything() -> None:
    speaker = smooth(0, 300, 25)
    pred = np.roll(speaker, 6, axis=0)[None] + 0.01 * smooth(2, 1, 300, 25)
    speaker[:, [0, 3, 16]] = 0.5
    found = frsyn(pred, speaker, CORRECTED)
    assert found == {"FRSyn": 6, "FRSyn/au": 6, "FRSyn/va": 6, "FRSyn/expression": 6}
    assert abs(offsets(pred, speaker)[0]) == 49


def test_a_still_prediction_scores_the_worst_and_gains_nothing_by_groups() -> None:
    speaker, pred = smooth(0, 300, 25), np.full((1, 300, 25), 0.2, dtype=np.float32)
    assert set(frsyn(pred, speaker, CORRECTED).values()) == {49}
    pred[0, :, 15:17] = np.roll(speaker[:, 15:17], 2, axis=0)
    found = frsyn(pred, speaker, CORRECTED)
    assert found == {"FRSyn": 2, "FRSyn/au": 49, "FRSyn/va": 2, "FRSyn/expression": 49}


def test_a_group_whose_speaker_is_dead_has_no_score() -> None:
    speaker, pred = smooth(0, 100, 25), smooth(1, 2, 100, 25)
    speaker[:, 15:17] = 0
    found = live_offsets(pred, speaker, ATTRIBUTES)
    assert np.isnan(found["va"]).all() and not np.isnan(found[""]).any()


def test_of_equal_peaks_the_nearest_to_no_lag_counts() -> None:
    clock = np.arange(200)
    speaker = np.sin(2 * np.pi * clock / 20)[:, None]
    pred = np.roll(speaker, 3, axis=0)[None]
    assert live_offsets(pred, speaker, (Group("all", 0, 1, 1.0),))["all"][0] == 3


def test_corrected_refuses_a_clip_shorter_than_its_lags() -> None:
    with pytest.raises(InputError, match="at least 51 frames, but a clip has 50"):
        frsyn(smooth(0, 1, 50, 3), smooth(1, 50, 3), CORRECTED)


@pytest.mark.parametrize(
    ("shape", "message"), [((60, 4), "axis D"), ((61, 3), "axis T"), ((60,), "wanted")]
)
def test_shapes_that_do_not_fit_are_refused(shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        lagged_correlations(smooth(0, 1, 60, 3), np.zeros(shape, dtype=np.float32))
