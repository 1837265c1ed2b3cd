"""FRDiv, FRVar and FRDvs against sums over pairs, and the rows that no data can change."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visavis.errors import InputError
from visavis.metrics import FRDiv, FRDvs, FRVar
from visavis.metrics.diversity import (
    BetweenClips,
    by_group,
    sample_diversity,
    variance_over_time,
)
from visavis.metrics.protocol import protocol_named


def noise(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def over_pairs(x: np.ndarray) -> float:
    """Mean over ordered pairs along the first axis of the mean squared difference."""
    x = x.astype(np.float64)
    n = len(x)
    total = sum(((x[i] - x[j]) ** 2).mean() for i in range(n) for j in range(n) if i != j)
    return float(total / (n * (n - 1)))


def between(clips: np.ndarray, reference: int = 0) -> float:
    held = BetweenClips(clips[reference])
    for clip in clips:
        held.add(clip)
    return float(held.channels().mean())


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 6), st.integers(2, 30), st.integers(1, 5))
def test_they_equal_the_sums_over_pairs(seed: int, n: int, frames: int, width: int) -> None:
    clips = noise(seed, n, 3, frames, width)
    assert between(clips) == pytest.approx(over_pairs(clips), rel=1e-9)
    assert sample_diversity(clips[0]).mean() == pytest.approx(over_pairs(clips[0]), rel=1e-9)
    variance = clips[0].astype(np.float64).var(axis=1, ddof=1).mean(axis=0)
    assert variance_over_time(clips[0]) == pytest.approx(variance, rel=1e-9)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.1, 50))
def test_they_grow_with_the_square_of_the_scale_and_not_with_the_level(
    seed: int, scale: float
) -> None:
    clips = noise(seed, 4, 3, 20, 2).astype(np.float64)
    for score in (
        between,
        lambda c: sample_diversity(c[0]).mean(),
        lambda c: variance_over_time(c[0]).mean(),
    ):
        assert score(scale * clips + 7) == pytest.approx(scale**2 * score(clips), rel=1e-8)


def test_order_direction_of_time_and_reference_do_not_matter() -> None:
    clips = noise(0, 5, 4, 30, 3)
    whole = between(clips)
    for other in (clips[::-1], clips[:, ::-1], clips[:, :, ::-1]):
        assert between(other) == pytest.approx(whole, rel=1e-12)
    assert between(clips, reference=3) == pytest.approx(whole, rel=1e-12)
    parts = [BetweenClips(clips[0]) for _ in range(2)]
    for i, clip in enumerate(clips):
        parts[i % 2].add(clip)
    parts[0].merge(parts[1])
    assert parts[0].channels().mean() == pytest.approx(whole, rel=1e-12)
    assert np.mean([parts[0].share(c) for c in clips]) == pytest.approx(whole, rel=1e-12)


def test_equal_samples_clips_and_frames_give_exactly_zero() -> None:
    clips = np.broadcast_to(noise(0, 1, 1, 1, 5) * np.float32(0.1), (4, 3, 50, 5))
    assert between(clips) == 0
    assert (sample_diversity(clips[0]) == 0).all()
    assert (variance_over_time(clips[0]) == 0).all()


def test_doubling_every_sample_dilutes_diversity_as_pairs_say() -> None:
    pred = noise(0, 4, 30, 3)
    doubled = sample_diversity(np.concatenate([pred, pred])).mean()
    assert doubled == pytest.approx(sample_diversity(pred).mean() * (2 * 4 * 3 * 2) / (8 * 7))


def test_uniform_noise_gives_the_published_row_of_b_random() -> None:
    """FRDiv 1/6, FRVar 1/12, FRDvs 1/6: 0.1667, 0.0833, 0.1667 in the tables."""
    rng = np.random.default_rng(0)
    div, var, dvs = FRDiv(), FRVar(), FRDvs()
    for _ in range(24):
        pred = rng.uniform(size=(10, 750, 25)).astype(np.float32)
        for metric in (div, var, dvs):
            metric.update(pred)
    found = [float(m.compute()[m.head]) for m in (div, var, dvs)]
    assert found == pytest.approx([1 / 6, 1 / 12, 1 / 6], abs=2e-4)


def test_groups_are_means_over_their_channels() -> None:
    channels = np.arange(25.0)
    found = by_group("FRVar", channels, protocol_named("corrected"))
    assert found == {"FRVar": 12, "FRVar/au": 7, "FRVar/va": 15.5, "FRVar/expression": 20.5}
    assert by_group("FRVar", channels, protocol_named("mars")) == {"FRVar": 12}


def test_nan_spreads() -> None:
    clips = noise(0, 3, 2, 20, 4)
    clips[1, 1, 7, 2] = np.nan
    assert np.isnan(between(clips))
    assert np.isnan(sample_diversity(clips[1])).tolist() == [False, False, True, False]
    assert np.isnan(variance_over_time(clips[1])).tolist() == [False, False, True, False]


def test_clips_of_different_length_are_refused_by_frdvs_alone() -> None:
    metric = FRDvs()
    metric.update(noise(0, 2, 30, 3))
    with pytest.raises(InputError, match="axis T differs"):
        metric.update(noise(0, 2, 31, 3))
    with pytest.raises(InputError, match="axis K, D differs"):
        metric.update(noise(0, 3, 30, 4))


@pytest.mark.parametrize(("kind", "shape"), [(FRDiv, (1, 30, 3)), (FRVar, (2, 1, 3))])
def test_corrected_refuses_what_is_not_defined(kind: type, shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="a clip has 1"):
        kind("corrected").update(noise(0, *shape))
