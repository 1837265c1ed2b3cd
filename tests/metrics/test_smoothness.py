"""Jerk and tempo."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visavis.errors import InputError
from visavis.metrics.smoothness import (
    COEFFICIENT_GROUPS,
    Jerk,
    group_jerk,
    jerk,
    tempo,
)

seeds = st.integers(0, 2**32 - 1)


def sine(hertz: float, amplitude: float = 1.0, frames: int = 1000) -> np.ndarray:
    return np.asarray(amplitude * np.sin(2 * np.pi * hertz * np.arange(frames) / 25)[:, None])


@given(seeds, st.integers(4, 30))
@settings(max_examples=25, deadline=None)
def test_jerk_equals_a_slow_reference(seed: int, frames: int) -> None:
    x = np.random.default_rng(seed).normal(size=(frames, 2))
    wanted = [
        sum(
            abs(x[t + 3, c] - 3 * x[t + 2, c] + 3 * x[t + 1, c] - x[t, c])
            for t in range(frames - 3)
        )
        / (frames - 3)
        for c in range(2)
    ]
    assert jerk(x) == pytest.approx(wanted)


def test_a_cubic_has_constant_jerk_and_a_parabola_none() -> None:
    t = np.arange(20.0)
    assert jerk(np.stack([t**3, t**2, t], axis=1)) == pytest.approx([6.0, 0.0, 0.0], abs=1e-9)


@pytest.mark.parametrize("hertz", [0.5, 1.0, 3.0, 7.0])
def test_the_tempo_of_a_sine_is_its_frequency_at_any_amplitude(hertz: float) -> None:
    assert tempo(sine(hertz)) == pytest.approx([hertz], rel=0.02)
    assert tempo(sine(hertz, 0.01)) == pytest.approx(tempo(sine(hertz)), rel=1e-9)
    assert np.isnan(tempo(np.zeros((10, 1))))


@given(seeds, st.floats(0.01, 100))
@settings(max_examples=25, deadline=None)
def test_direction_of_time_offset_and_scale(seed: int, scale: float) -> None:
    x = np.random.default_rng(seed).normal(size=(30, 3))
    assert jerk(x[::-1]) == pytest.approx(jerk(x))
    assert tempo(x[::-1]) == pytest.approx(tempo(x))
    assert jerk(scale * x + 5) == pytest.approx(scale * jerk(x))
    assert jerk(x.astype(np.float32)) == pytest.approx(jerk(x), rel=1e-5)


def test_action_units_are_rounded_and_the_rest_is_not() -> None:
    clip = np.zeros((40, 25))
    clip[:, :15] = 0.49 * (np.arange(40) % 2)[:, None]
    clip[:, 15:] = 0.1 * (np.arange(40) % 2)[:, None]
    found = group_jerk(clip)
    assert found["au"] == 0.0
    assert found["va_expression"] == pytest.approx(0.4)
    clip[:, :15] += 0.2  # now it crosses 0.5 at every frame
    assert group_jerk(clip)["au"] == pytest.approx(4.0)
    assert set(group_jerk(np.zeros((4, 58)), COEFFICIENT_GROUPS)) == set(COEFFICIENT_GROUPS)


def test_the_ratio_says_how_much_more_than_people() -> None:
    rng = np.random.default_rng(0)
    real = rng.random((2, 50, 25))
    metric = Jerk()
    metric.update(np.stack([real[0], real[1], real[0], real[1]]), real)
    found = metric.compute()
    assert float(found["ratio_au"]) == pytest.approx(1.0)
    assert float(found["pred_va_expression"]) == pytest.approx(
        np.mean([group_jerk(x)["va_expression"] for x in real])
    )
    metric.reset()
    metric.update(np.full((3, 50, 25), 0.7), real)
    assert float(metric.compute()["ratio_va_expression"]) == 0.0


def test_bad_input_is_refused() -> None:
    with pytest.raises(InputError, match=r"3 frames \(axis T\)"):
        jerk(np.zeros((3, 2)))
    with pytest.raises(InputError, match=r"has 24 channels .* 'va_expression' wants 15 to 25"):
        group_jerk(np.zeros((9, 24)))
    with pytest.raises(InputError, match="axis D must agree"):
        Jerk().update(np.zeros((1, 9, 25)), np.zeros((1, 9, 24)))
