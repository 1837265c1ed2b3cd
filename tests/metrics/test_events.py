"""Blinks and nods."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visavis.errors import InputError
from visavis.metrics.events import EventStatistics, blinks, nods, summary

seeds = st.integers(0, 2**32 - 1)


def closures(*starts: int, frames: int = 750, width: int = 5, depth: float = 0.9) -> np.ndarray:
    values = np.zeros(frames)
    for start in starts:
        values[start : start + width] = depth * np.hanning(width + 2)[1:-1]
    return values


def nodding(start_s: float, hertz: float, cycles: float, depth: float = 0.1) -> np.ndarray:
    t = np.arange(750) / 25 - start_s
    inside = (t >= 0) & (t < cycles / hertz)
    return np.asarray(np.where(inside, depth * (0.5 - 0.5 * np.cos(2 * np.pi * hertz * t)), 0.0))


def test_blinks_are_found_with_length_and_depth() -> None:
    found = blinks(closures(40, 200, 500))
    assert found[:, 0].tolist() == [41, 201, 501]  # the first frame of 5 is below OPEN
    assert found[:, 1].tolist() == [44, 204, 504]
    assert found[:, 2] == pytest.approx(0.9)


def test_half_closures_winks_long_closings_and_cut_ones_are_no_blinks() -> None:
    assert len(blinks(closures(40, depth=0.45))) == 0
    wink = np.stack([closures(40), closures(300)], axis=1)
    assert len(blinks(wink)) == 0
    assert len(blinks(np.stack([closures(40)] * 2, axis=1))) == 1
    assert len(blinks(closures(40, width=30))) == 0
    cut = closures(40)
    assert len(blinks(cut[43:])) == len(blinks(cut[:43])) == 0


@given(seeds)
@settings(max_examples=40, deadline=None)
def test_blinks_run_backwards_as_forwards(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = np.clip(np.convolve(rng.random(300), np.ones(4) / 4, "same") * 1.8 - 0.5, 0, 1)
    forward, backward = blinks(values), blinks(values[::-1])[::-1]
    np.testing.assert_array_equal(forward[:, 0], 300 - backward[:, 1])
    np.testing.assert_array_equal(forward[:, 2], backward[:, 2])


@pytest.mark.parametrize("hertz", [1.0, 1.5, 2.0, 3.0, 4.0])
@pytest.mark.parametrize("cycles", [1, 2, 3])
def test_nods_from_one_to_four_hertz_are_found_once_on_top_of_sway(
    hertz: float, cycles: int
) -> None:
    sway = 0.1 * np.sin(2 * np.pi * 0.1 * np.arange(750) / 25)
    for pitch in (nodding(12.0, hertz, cycles), -nodding(12.0, hertz, cycles)):
        found = nods(pitch + sway)
        assert len(found) == 1
        assert 290 <= found[0, 0] <= found[0, 1] <= 310 + 25 * cycles / hertz
        assert 0.04 < found[0, 2] < 0.15


def test_a_nod_begins_and_ends_at_a_tenth_of_its_outer_swings() -> None:
    # 1.5 Hz from frame 300, twice: a tenth of the first swing down is passed at
    # arccos(0.8) / (2 pi 1.5) s = 1.7 frames, and 33.3 - 1.7 frames after it began it is over; the
    # running median may move each by a frame
    start, end, _ = nods(nodding(12.0, 1.5, 2))[0]
    assert start in (301, 302)
    assert end in (331, 332)


@pytest.mark.parametrize(
    "pitch",
    [
        np.zeros(200),
        np.linspace(-1, 1, 200),
        np.where(np.arange(200) > 90, 0.4, 0.0),
        np.clip((np.arange(200) - 90) / 8, 0, 1) * 0.4,
        0.2 * np.sin(2 * np.pi * 0.3 * np.arange(200) / 25),
        0.01 * np.sin(2 * np.pi * 2.0 * np.arange(200) / 25),
        nodding(12.0, 0.5, 3),
    ],
    ids=["still", "drift", "step", "turn", "slow sway", "too small", "too slow"],
)
def test_what_is_no_nod(pitch: np.ndarray) -> None:
    assert len(nods(pitch)) == 0


@given(seeds)
@settings(max_examples=20, deadline=None)
def test_nods_do_not_depend_on_where_the_head_rests_or_on_its_sign(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pitch = np.cumsum(rng.normal(size=300)) * 0.02
    plain = nods(pitch)
    np.testing.assert_allclose(nods(pitch + 0.25), plain, atol=1e-9)
    np.testing.assert_allclose(nods(-pitch), plain, atol=1e-9)


def test_nods_at_known_times_on_a_swaying_head_are_all_counted() -> None:
    rng = np.random.default_rng(0)
    starts = np.arange(2, 28, 4) + rng.random(7)
    pitch = sum(
        (nodding(s, rng.uniform(1.5, 3.5), 2, rng.uniform(0.06, 0.14)) for s in starts),
        np.cumsum(rng.normal(size=750)) * 0.001,
    )
    found = summary(nods(pitch), 750)
    assert found.count == 7
    assert found.per_minute == pytest.approx(14.0)


def test_statistics_stream_and_set_generated_beside_real() -> None:
    metric = EventStatistics("blinks")
    metric.update(np.stack([closures(40), closures(40, 90)]), closures(40, 100, 300))
    metric.update(np.zeros((2, 750)), closures())
    found = {name: float(value) for name, value in metric.compute().items()}
    assert (found["pred_count"], found["real_count"]) == (3.0, 3.0)
    assert found["pred_per_minute"] == pytest.approx(3 / 2)
    assert found["real_per_minute"] == pytest.approx(3 / 1)
    assert found["real_duration_s"] == pytest.approx(3 / 25)
    both = EventStatistics("blinks")
    both.update(np.stack([closures(40)] * 2, axis=1)[None], np.stack([closures(40)] * 2, axis=1))
    assert both.report("pred").count == 1
    assert math.isnan(EventStatistics("nods").report("pred").per_minute)


def test_bad_input_is_refused() -> None:
    with pytest.raises(InputError, match=r"pitch has shape \[3, 3\]; wanted \[T\]"):
        nods(np.zeros((3, 3)))
    with pytest.raises(InputError, match="closure holds nan at T=2"):
        blinks([0.0, 0.0, np.nan])
    with pytest.raises(InputError, match=r"events have shape \[3\]"):
        summary([1, 2, 3], 10)
    with pytest.raises(InputError, match="frames must be at least 1"):
        summary(np.zeros((0, 3)), 0)
    with pytest.raises(InputError, match="'blinks' or 'nods', not 'yawns'"):
        EventStatistics("yawns")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"pred has shape \[750\]; wanted \[M, T\]"):
        EventStatistics("nods").update(np.zeros(750), np.zeros(750))
