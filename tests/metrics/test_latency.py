"""How soon the listener answers an onset of the speaker."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visavis.errors import InputError
from visavis.metrics.latency import (
    ReactionLatency,
    latency_gap,
    onsets,
    reaction_latency,
)

seeds = st.integers(0, 2**32 - 1)


def signal(*ups: tuple[int, int], frames: int = 300) -> np.ndarray:
    """0, and 1 from the first to before the second frame of each pair."""
    values = np.zeros(frames)
    for start, stop in ups:
        values[start:stop] = 1.0
    return values


def slow_onsets(values: np.ndarray, high: float, low: float) -> list[int]:
    """A switch with hysteresis, frame by frame."""
    on, found = values[0] >= low, []
    below = not on
    for t, value in enumerate(values):
        if value < low:
            on, below = False, True
        elif value >= high and not on and below:
            on = True
            found.append(t)
    return found


def slow_latencies(speaker: np.ndarray, listener: np.ndarray, horizon: int) -> list[int | None]:
    answers = slow_onsets(listener, 0.5, 0.3)
    return [
        next((a - t for a in answers if 0 <= a - t <= horizon), None)
        for t in slow_onsets(speaker, 0.5, 0.3)
        if t < len(speaker) - horizon
    ]


@given(seeds)
@settings(max_examples=50, deadline=None)
def test_it_equals_a_slow_reference(seed: int) -> None:
    rng = np.random.default_rng(seed)
    speaker, listener = np.clip(np.cumsum(rng.normal(size=(2, 200)) * 0.2, axis=1) % 1.6, 0, 1)
    assert onsets(listener).tolist() == slow_onsets(listener, 0.5, 0.3)
    found = reaction_latency(speaker, listener, horizon=20)
    wanted = slow_latencies(speaker, listener, 20)
    assert found.events == len(wanted)
    for frames in range(21):
        assert found.histogram[frames] == wanted.count(frames)
    assert found.histogram[21] == wanted.count(None)


def test_a_worked_example() -> None:
    speaker = signal((20, 30), (100, 110), (150, 160), (280, 290))
    listener = signal((25, 40), (110, 130))
    found = reaction_latency(speaker, listener, horizon=50)
    # 5 and 10 frames, one not answered; the last is nearer to the end than the horizon
    assert found.events == 3
    assert found.answered == pytest.approx(2 / 3)
    assert np.flatnonzero(found.histogram).tolist() == [5, 10, 51]
    assert found.quartiles_s == pytest.approx((0.2, 0.2, 0.4))
    # frames 0..25 and 60..110 of 250 see an onset within 50 frames
    assert found.chance == pytest.approx((26 + 51) / 250)


def test_what_is_up_at_the_start_has_no_onset_and_a_dip_above_low_starts_none() -> None:
    assert onsets(signal((0, 10), (50, 60))).tolist() == [50]
    wobble = signal((50, 90))
    wobble[70] = 0.4
    assert onsets(wobble).tolist() == [50]
    wobble[70] = 0.2
    assert onsets(wobble).tolist() == [50, 71]


def test_the_gap_is_the_difference_of_lags_and_counts_missing_answers() -> None:
    speaker = signal((20, 30), (120, 130), frames=400)
    by = {lag: reaction_latency(speaker, np.roll(speaker, lag), horizon=50) for lag in (5, 15, 200)}
    assert latency_gap(by[5], by[15]) == pytest.approx(10 / 25)
    assert latency_gap(by[5], by[5]) == 0.0
    # without an answer the latency is the horizon
    assert latency_gap(by[5], by[200]) == pytest.approx(45 / 25)
    assert math.isnan(latency_gap(by[5], reaction_latency(speaker * 0, speaker, horizon=50)))


@given(seeds, st.integers(1, 4))
@settings(max_examples=20, deadline=None)
def test_samples_add_up_and_copies_change_no_share(seed: int, copies: int) -> None:
    rng = np.random.default_rng(seed)
    speaker = (rng.random(300) < 0.1).astype(float)
    listeners = (rng.random((3, 300)) < 0.05).astype(float)
    whole = reaction_latency(speaker, listeners, horizon=40)
    parts = [reaction_latency(speaker, x, horizon=40) for x in listeners]
    assert whole.histogram.tolist() == np.sum([x.histogram for x in parts], axis=0).tolist()
    many = reaction_latency(speaker, np.repeat(listeners[::-1], copies, 0), horizon=40)
    assert latency_gap(whole, many) == pytest.approx(0.0, abs=1e-12)
    assert many.answered == pytest.approx(whole.answered)
    assert many.chance == pytest.approx(whole.chance)


def test_the_streaming_class_compares_with_the_real_listener() -> None:
    speaker = signal((20, 30), (120, 130))[:, None]
    metric = ReactionLatency(speaker_channel=0, listener_channel=1, horizon=50)
    pred = np.stack([np.zeros_like(speaker[:, 0]), np.roll(speaker[:, 0], 15)], axis=1)
    real = np.stack([np.zeros_like(speaker[:, 0]), np.roll(speaker[:, 0], 5)], axis=1)
    metric.update(np.stack([pred, pred]), real, speaker)
    found = {name: float(value) for name, value in metric.compute().items()}
    assert found["gap_s"] == pytest.approx(0.4)
    assert (found["pred_events"], found["real_events"]) == (4.0, 2.0)
    assert (found["pred_median_s"], found["real_median_s"]) == pytest.approx((0.6, 0.2))
    assert metric.report("real").answered == 1.0


def test_bad_input_is_refused() -> None:
    one = signal((20, 30))
    with pytest.raises(InputError, match="axis T must agree: speaker has 300, listener has 299"):
        reaction_latency(one, one[1:])
    with pytest.raises(InputError, match="horizon must be at least 1"):
        reaction_latency(one, one, horizon=0)
    with pytest.raises(InputError, match="low must not be above high"):
        onsets(one, high=0.2, low=0.3)
    with pytest.raises(InputError, match="horizon must agree"):
        latency_gap(reaction_latency(one, one), reaction_latency(one, one, horizon=5))
    with pytest.raises(InputError, match=r"pred has 1 channels .* no channel 7"):
        ReactionLatency().update(one[None, :, None], one[:, None], np.zeros((300, 25)))


def test_a_clip_shorter_than_the_horizon_has_no_events() -> None:
    found = reaction_latency(signal((5, 9), frames=60), signal((7, 9), frames=60))
    assert found.events == 0
    assert math.isnan(found.answered) and math.isnan(found.quartiles_s[1])
