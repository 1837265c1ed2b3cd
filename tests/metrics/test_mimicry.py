"""Mimicry: following this speaker beyond chance."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visavis.errors import InputError
from visavis.metrics.mimicry import MimicryScore, mimicry

seeds = st.integers(0, 2**32 - 1)


def slow_walk(seed: int, frames: int = 750, width: int = 3) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(frames + 30, width))
    return np.asarray(np.apply_along_axis(np.convolve, 0, noise, np.hanning(31), "valid"))


@given(seeds, st.integers(0, 6))
@settings(max_examples=15, deadline=None)
def test_it_equals_a_slow_reference(seed: int, reach: int) -> None:
    rng = np.random.default_rng(seed)
    listener, speaker = rng.normal(size=(2, 61, 2))

    def r(lag: int, channel: int) -> float:
        return float(np.corrcoef(listener[:, channel], np.roll(speaker[:, channel], lag))[0, 1])

    def best(start: int) -> float:
        return float(np.mean([max(r(start + i, c) for i in range(reach + 1)) for c in range(2)]))

    starts, start = [], 2 * reach + 1
    while start + reach + 1 <= 61 - 2 * reach:
        starts.append(start)
        start += reach + 1
    found = mimicry(listener, speaker, reach=reach)
    assert found.following == pytest.approx(best(0))
    assert found.chance == pytest.approx(np.mean([best(s) for s in starts]))


def test_following_is_seen_leading_is_not_and_strangers_are_at_chance() -> None:
    speaker = slow_walk(0)
    assert mimicry(np.roll(speaker, 20, 0), speaker).following == pytest.approx(1.0)
    assert mimicry(np.roll(speaker, 20, 0), speaker).excess > 0.6
    assert mimicry(np.roll(speaker, -60, 0), speaker).excess < 0.2
    strangers = [mimicry(slow_walk(k), slow_walk(1000 + k)).excess for k in range(40)]
    assert np.mean(strangers) == pytest.approx(0.0, abs=3 * np.std(strangers) / math.sqrt(40))


@given(seeds, st.floats(0.1, 10), st.floats(-3, 3))
@settings(max_examples=15, deadline=None)
def test_scale_offset_and_order_of_channels_do_not_matter(
    seed: int, scale: float, offset: float
) -> None:
    listener, speaker = slow_walk(seed), slow_walk(seed + 1)
    plain = mimicry(listener, speaker)
    assert vars(mimicry(listener * scale + offset, speaker)) == pytest.approx(vars(plain))
    order = np.random.default_rng(seed).permutation(3)
    assert vars(mimicry(listener[:, order], speaker[:, order])) == pytest.approx(vars(plain))
    single = mimicry(listener.astype(np.float32), speaker.astype(np.float32))
    assert single.following == pytest.approx(plain.following, abs=1e-5)


def test_time_reversal_turns_following_into_leading() -> None:
    speaker = slow_walk(0)
    listener = np.roll(speaker, 25, 0)
    assert mimicry(listener, speaker).excess > 0.6
    assert mimicry(listener[::-1], speaker[::-1]).excess < 0.45
    assert mimicry(speaker[::-1], listener[::-1]).excess > 0.6


def test_still_channels_are_left_out_and_a_still_face_is_undefined() -> None:
    listener, speaker = slow_walk(0), slow_walk(1)
    plain = mimicry(listener[:, :2], speaker[:, :2])
    listener[:, 2] = 0.3
    assert mimicry(listener, speaker) == plain
    assert math.isnan(mimicry(np.zeros_like(speaker), speaker).excess)
    metric = MimicryScore()
    metric.update(np.stack([listener, np.zeros_like(listener)]), speaker)
    metric.update(np.zeros((2, 750, 3)), speaker)
    found = metric.compute()
    assert float(found["excess"]) == pytest.approx(plain.excess)
    assert (found["clips"], found["undefined"]) == (2.0, 1.0)


def test_bad_input_is_refused() -> None:
    with pytest.raises(InputError, match=r"301 frames is too short for a reach of 50.*302 frames"):
        mimicry(np.zeros((301, 2)), np.zeros((301, 2)))
    with pytest.raises(InputError, match="axis D must agree"):
        mimicry(np.zeros((400, 2)), np.zeros((400, 3)))
    with pytest.raises(InputError, match="axis T must agree"):
        mimicry(np.zeros((400, 2)), np.zeros((401, 2)))
