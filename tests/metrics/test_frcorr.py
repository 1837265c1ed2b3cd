"""FRCorr: the published sum and the corrected mean over live channels."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.peers import correlation
from tests.metrics import golden
from visavis.metrics.frcorr import best_ccc, frcorr, live_ccc
from visavis.metrics.protocol import ATTRIBUTES, protocol_named

CORRECTED = protocol_named("corrected")
MAIN = golden.arrays("main_n12_m10_t750")


def noise(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(size=shape).astype(np.float32)


def test_the_sum_over_samples_of_the_best_target() -> None:
    pred, targets = noise(0, 4, 90, 25), noise(1, 3, 90, 25)
    found = frcorr(pred, targets, protocol_named("react2024"))
    assert found == {"FRCorr": pytest.approx(correlation.frcorr(pred, list(targets)), rel=1e-6)}


def test_the_order_of_finite_targets_and_of_samples_does_not_matter() -> None:
    pred, targets = noise(0, 4, 90, 25), noise(1, 3, 90, 25)
    best = best_ccc(pred, targets)
    assert best_ccc(pred, targets[::-1]) == pytest.approx(best, abs=1e-15)
    assert best_ccc(pred[::-1], targets)[::-1] == pytest.approx(best, abs=1e-15)
    doubled = best_ccc(pred, np.concatenate([targets, targets]))
    assert doubled == pytest.approx(best, abs=1e-15)


def test_without_dead_channels_corrected_is_a_tenth_of_the_published() -> None:
    pred, targets = MAIN["pred"][0], golden.targets_of("main_n12_m10_t750", 0)
    published = frcorr(pred, targets, protocol_named("react2024"))["FRCorr"]
    assert frcorr(pred, targets, CORRECTED)["FRCorr"] == pytest.approx(published / 10, rel=1e-6)


def test_a_copy_of_the_real_reaction_scores_one_even_with_dead_channels() -> None:
    target = noise(0, 1, 100, 25)
    target[..., [1, 4, 20]] = 0.25
    found = frcorr(target, target, CORRECTED)
    assert found == {name: pytest.approx(1) for name in found}
    assert frcorr(target, target, protocol_named("react2024"))["FRCorr"] == pytest.approx(22 / 25)


def test_moving_one_channel_well_does_not_win() -> None:
    """A channel still in the prediction only counts as 0: not excluded, or silence would pay."""
    target, pred = noise(0, 1, 100, 25), np.zeros((1, 100, 25), dtype=np.float32)
    pred[..., 3] = target[..., 3]
    found = frcorr(pred, target, CORRECTED)
    assert found["FRCorr"] == pytest.approx(1 / 25)
    assert found["FRCorr/au"] == pytest.approx(1 / 15)
    assert found["FRCorr/va"] == 0


def test_what_a_prediction_does_in_a_dead_channel_is_not_scored() -> None:
    target, pred = noise(0, 1, 100, 25), noise(1, 1, 100, 25)
    target[..., 7] = 1.0
    changed = pred.copy()
    changed[..., 7] = noise(2, 1, 100)
    assert frcorr(pred, target, CORRECTED) == frcorr(changed, target, CORRECTED)


def test_each_target_is_judged_by_its_own_live_channels() -> None:
    targets, pred = noise(0, 2, 100, 25), noise(1, 1, 100, 25)
    targets[1, :, 1:] = 0.5
    pred[..., 0] = targets[1, :, 0]
    assert live_ccc(pred, targets, ATTRIBUTES)[""] == pytest.approx([1])


def test_a_group_dead_in_every_target_has_no_score() -> None:
    targets = noise(0, 2, 50, 25)
    targets[..., 15:17] = 0
    found = frcorr(noise(1, 3, 50, 25), targets, CORRECTED)
    assert np.isnan(found["FRCorr/va"])
    assert not np.isnan([found["FRCorr"], found["FRCorr/au"], found["FRCorr/expression"]]).any()
