"""FRRea over behaviour: a documented feature, a scale of its own, streaming sums."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from visavis.errors import InputError
from visavis.metrics.realism import (
    ASPECTS,
    FRRea,
    behaviour_features,
    feature_count,
    frrea,
    realism,
)

Array = NDArray[np.float64]


def walks(clips: int, frames: int = 300, channels: int = 4, seed: int = 0) -> Array:
    """Smooth movement, different in every clip and channel."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(clips, frames + 24, channels))
    kernel = np.hanning(25)
    smooth = np.apply_along_axis(np.convolve, 1, noise, kernel / kernel.sum(), "valid")
    return np.asarray(smooth + rng.normal(size=(clips, 1, channels)) * 0.2)


def slow_feature(window: Array) -> list[float]:
    """The feature of one window [75, C], by plain sums over frames and frequencies."""
    frames, channels = window.shape
    times = range(frames)
    taper = [math.sin(math.pi * (t + 0.5) / frames) ** 2 for t in times]
    level = [sum(window[:, c]) / frames for c in range(channels)]
    found = list(level)
    for low, high in ((0, 1), (1, 3), (3, 12.5)):
        for c in range(channels):
            x = [(window[t, c] - level[c]) * taper[t] for t in times]
            power = 0.0
            for k in range(1, 38):
                if low <= round(k * 25 / frames, 9) < high:
                    angle = 2 * math.pi * k / frames
                    re = sum(x[t] * math.cos(angle * t) for t in times)
                    im = sum(x[t] * math.sin(angle * t) for t in times)
                    power += 2 * (re * re + im * im)
            found.append(math.sqrt(power / (frames * sum(w * w for w in taper))))
    return found


def test_the_feature_equals_a_slow_reference() -> None:
    clip = walks(1, frames=170, channels=2)[0]
    found = behaviour_features(clip)
    assert found.shape == (2, feature_count(2)) == (2, 8)
    for i in range(2):
        wanted = slow_feature(clip[75 * i : 75 * (i + 1)])
        np.testing.assert_allclose(found[i], wanted, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize(("hertz", "aspect"), [(2 / 3, "slow"), (2.0, "medium"), (6.0, "fast")])
def test_a_sine_is_seen_in_its_band_with_its_rms(hertz: float, aspect: str) -> None:
    clip = 0.3 * np.sin(2 * np.pi * hertz * np.arange(75) / 25)[:, None]
    found = dict(zip(ASPECTS, behaviour_features(clip)[0].tolist(), strict=True))
    assert found[aspect] == pytest.approx(0.3 / math.sqrt(2), rel=0.1)
    assert max(v for k, v in found.items() if k != aspect) < 0.1


def test_equal_sets_score_zero_and_a_still_face_scores_above_one() -> None:
    real = walks(12)
    assert frrea(real, real) < 1e-9
    still = np.broadcast_to(real.mean((0, 1)), real.shape)
    assert realism(still, real).aspects["level"] == pytest.approx(1.0, abs=0.02)
    assert realism(still, real).frechet.of_covariances == pytest.approx(1.0)
    assert frrea(still, real) > 1.0


DAMAGE: dict[str, tuple[Callable[[Array], Array], str]] = {
    "shifted": (lambda x: x + 0.5, "level"),
    "trembling": (lambda x: x + np.random.default_rng(1).normal(size=x.shape) * 0.1, "fast"),
    "damped": (lambda x: x.mean(1, keepdims=True) + 0.3 * (x - x.mean(1, keepdims=True)), "slow"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_shows_in_its_aspect(name: str) -> None:
    damage, aspect = DAMAGE[name]
    real, other = walks(30), walks(30, seed=1)
    clean, damaged = realism(other, real), realism(damage(other), real)
    assert damaged.distance > 2 * clean.distance
    assert damaged.aspects[aspect] > 5 * clean.aspects[aspect]


def test_channels_that_do_not_belong_together_are_seen() -> None:
    real, other = walks(60, channels=2), walks(60, channels=2, seed=1)
    for clips in (real, other):
        clips[..., 1] = clips[..., 0] + 0.1 * clips[..., 1]
    torn = np.stack([other[..., 0], np.roll(other[..., 1], 1, axis=0)], axis=-1)
    assert frrea(torn, real) > 3 * frrea(other, real)


@given(st.integers(0, 2**32 - 1), st.floats(0.01, 100), st.floats(-5, 5))
@settings(max_examples=15, deadline=None)
def test_units_order_and_direction_of_time_do_not_matter(
    seed: int, scale: float, offset: float
) -> None:
    rng = np.random.default_rng(seed)
    pred, real = walks(6, seed=seed), walks(7, seed=seed + 1)
    plain = frrea(pred, real)
    units = scale ** rng.uniform(-1, 1, size=4)
    assert frrea(pred * units + offset, real * units + offset) == pytest.approx(plain, rel=1e-4)
    assert frrea(rng.permutation(pred), rng.permutation(real)) == pytest.approx(plain, rel=1e-9)
    order = rng.permutation(4)
    assert frrea(pred[..., order], real[..., order]) == pytest.approx(plain, rel=1e-9)
    assert frrea(pred[:, ::-1], real) == pytest.approx(plain, rel=1e-6)


def test_float32_is_good_to_five_digits_and_lists_may_differ_in_length() -> None:
    pred, real = walks(8), walks(9, seed=1)
    plain = frrea(pred, real)
    assert frrea(pred.astype(np.float32), torch.tensor(real).float()) == pytest.approx(plain, 1e-5)
    ragged = [clip[: 75 * (1 + i % 4) + i] for i, clip in enumerate(real)]
    assert realism(pred, ragged).windows == (32, sum(1 + i % 4 for i in range(9)))


def test_what_never_moves_in_the_real_set_is_left_out_and_counted() -> None:
    pred, real = walks(8), walks(8, seed=1)
    pred[..., 2], real[..., 2] = 0.1, 0.7
    found = realism(pred, real)
    assert found.dead == 1
    assert found.distance == pytest.approx(frrea(pred[..., [0, 1, 3]], real[..., [0, 1, 3]]))


def test_what_hardly_ever_moves_in_the_real_set_gives_no_scale() -> None:
    pred, real = walks(8), walks(8, seed=1)
    real[..., 2] = 0.0
    real[:2, ::75, 2] = 1e-3  # a glimpse in 8 of 32 windows
    found = realism(pred, real)
    assert found.dead == 1
    assert found.distance < 2
    real[2, ::75, 2] = 1e-3
    assert realism(pred, real).dead == 0


def test_streaming_equals_the_whole_and_says_when_clips_are_few(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pred, real = walks(9), walks(9, seed=1)
    metric = FRRea(channels=4)
    for clip, target in zip(pred, real, strict=True):
        metric.update(torch.tensor(clip)[None], torch.tensor(target))
    with caplog.at_level(logging.WARNING, "visavis"):
        found = float(metric.compute())
    assert found == pytest.approx(frrea(pred, real), rel=1e-9)
    assert not caplog.records
    metric.reset()
    metric.update(pred[:3], real[:3])
    with caplog.at_level(logging.WARNING, "visavis"):
        metric.compute()
    assert "lacks rank" in caplog.text


@pytest.mark.parametrize("level", [0.0, 0.1, 1e-4, 7.3])
def test_a_frozen_face_streams_as_it_scores_at_once(level: float) -> None:
    real = walks(12)
    still = np.full_like(real, level)
    metric = FRRea(channels=4)
    for clip, target in zip(still, real, strict=True):
        metric.update(clip, target)
    assert float(metric.compute()) == pytest.approx(frrea(still, real), rel=1e-9)
    assert metric.report().frechet.ranks[0] == 0


@pytest.mark.parametrize(
    ("pred", "real", "text"),
    [
        (np.zeros((2, 74, 3)), np.zeros((2, 75, 3)), "74 frames"),
        (np.zeros((2, 75, 3)), np.zeros((2, 75, 4)), "axis C must agree"),
        (np.zeros((1, 75, 3)), np.zeros((2, 75, 3)), "pred has one window"),
        (np.full((2, 75, 3), np.nan), np.zeros((2, 75, 3)), "holds NaN"),
        (np.zeros((2, 75, 3)), np.zeros((2, 75, 3)), "no channel moves in 10 windows"),
        ([], np.zeros((2, 75, 3)), "pred is empty"),
        (np.zeros((75, 3)), np.zeros((2, 75, 3)), r"pred must hold reactions \[T, C\]"),
    ],
)
def test_bad_reactions_are_refused(pred: Array, real: Array, text: str) -> None:
    with pytest.raises(InputError, match=text):
        frrea(pred, real)


def test_the_streaming_class_names_its_channels() -> None:
    with pytest.raises(InputError, match=r"real has shape \[75, 3\]; wanted \[..., T, 4\]"):
        FRRea(channels=4).update(np.zeros((75, 4)), np.zeros((75, 3)))
    with pytest.raises(InputError, match="real: 0 features"):
        metric = FRRea(channels=4)
        metric.moments("real")
