"""Metrics of personal reactions on made-up people whose answer is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from visavis.errors import InputError
from visavis.metrics.persona import (
    Retrieval,
    persona_consistency,
    persona_retrieval,
    personal_scores,
    signature,
)


def people(listeners: int, clips: int, spread: float, seed: int = 0) -> np.ndarray:
    """[L, R, 60, 4]: habits of size `spread` a listener, and a moment's own movement."""
    rng = np.random.default_rng(seed)
    habit = spread * rng.standard_normal((listeners, 1, 1, 4))
    return habit + np.cumsum(rng.standard_normal((listeners, clips, 60, 4)) * 0.1, axis=2)


def test_a_signature_is_mean_deviation_and_speed_by_hand() -> None:
    x = np.array([[[0.0], [2.0], [1.0], [1.0]]])
    expected = [1.0, np.sqrt(0.5), 1.0]
    np.testing.assert_allclose(signature(x)[0], expected)


def test_listeners_with_habits_are_found_and_those_without_by_chance() -> None:
    found = {}
    for spread in (0.0, 20.0):
        made = people(12, 6, spread)
        truth = np.repeat(np.arange(12), 3)
        queries = made[:, 3:].reshape(-1, 60, 4)
        found[spread] = persona_retrieval(queries, list(made[:, :3]), truth.tolist())
    assert found[20.0].top1 == 1.0
    assert found[0.0].top1 < 0.3
    assert found[0.0].chance == pytest.approx(1 / 12)
    assert "among 12 (chance 0.083)" in str(found[20.0])


def test_one_reaction_for_everybody_names_its_listener_by_chance() -> None:
    """The generic answer, whoever it is for, is guessing."""
    made = people(8, 4, 5.0)
    same = np.repeat(made[:1, 3], 8, axis=0)
    found = persona_retrieval(same, list(made[:, :3]), list(range(8)))
    assert found.top1 == pytest.approx(found.chance)
    assert found.reciprocal == pytest.approx(found.chance_reciprocal)


def test_what_a_model_does_to_everybody_names_nobody() -> None:
    """Half the size, and another resting face: the persons are still there."""
    made = people(12, 6, 20.0)
    queries = 0.5 * made[:, 5] + 100 * np.random.default_rng(2).standard_normal(4)
    found = persona_retrieval(queries, list(made[:, :5]), list(range(12)))
    assert found.top1 == 1.0


def test_equally_near_listeners_are_drawn_among() -> None:
    made = people(2, 3, 30.0)
    references = [made[0], made[0], made[1]]
    queries = np.stack([made[0, 0], made[1, 0]])
    found = persona_retrieval(queries, references, [0, 2])
    assert (found.above.tolist(), found.tied.tolist()) == ([0, 0], [1, 0])
    np.testing.assert_allclose(found.hits, [0.5, 1.0])
    np.testing.assert_allclose(found.reciprocals, [0.75, 1.0])


def test_retrieval_equals_an_independent_reference() -> None:
    """Fisher's discriminants as a generalised eigenproblem, and cosines one pair at a time."""
    from scipy.linalg import eigh

    made = people(5, 4, 1.0, seed=3)
    others = people(30, 5, 1.0, seed=4)
    queries, truth = made[:, 3], list(range(5))
    found = persona_retrieval(queries, list(made[:, :3]), truth, people=list(others))
    signed = [signature(x) for x in others]
    apart = np.concatenate([x - x.mean(0) for x in signed])
    freedom = len(apart) - 30
    spread = np.sqrt((apart**2).sum(0) / freedom + 0.01**2)
    inner = 0.7 * (apart / spread).T @ (apart / spread) / freedom
    inner[np.arange(12), np.arange(12)] = 1.0
    means = np.stack([x.mean(0) for x in signed])
    _, vectors = eigh(np.cov(means.T), inner * np.outer(spread, spread))
    kept = vectors[:, ::-1][:, :8]
    q = (signature(queries) - signature(queries).mean(0)) @ kept
    r = np.stack([signature(x).mean(0) for x in made[:, :3]]) @ kept
    r = r - r.mean(0)
    for i, one in enumerate(q):
        likeness = [one @ x / np.linalg.norm(x) for x in r]
        assert found.above[i] == sum(x > likeness[i] for x in likeness)


def test_what_a_person_does_not_keep_counts_little() -> None:
    """A channel that varies wildly within listeners does not hide one that tells them apart."""
    made = people(10, 6, 0.0)
    angle = 2 * np.pi * np.arange(10)[:, None, None] / 10
    made[..., 0] += 30 * np.cos(angle)
    made[..., 2] += 30 * np.sin(angle)
    made[..., 1] += 1000 * np.random.default_rng(1).standard_normal((10, 6, 1))
    queries = made[:, 5]
    found = persona_retrieval(queries, list(made[:, :5]), list(range(10)))
    assert found.top1 == 1.0


TWO: dict[str, Any] = {"reactions": np.zeros((2, 9, 4)), "listeners": [0, 1]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"references": [np.zeros((2, 9, 4))]}, "two listeners at least"),
        ({"references": [np.zeros((1, 9, 4))] * 2, **TWO}, "two clips of one person"),
        ({"references": [np.zeros((2, 9, 3))] * 2}, "3 D"),
        ({"listeners": [2]}, "0 to 1"),
        ({"listeners": [0, 1]}, "one a reaction"),
        ({"listeners": [0.0]}, "whole numbers"),
        ({"listeners": [0]}, "two listeners at least"),
        ({"reactions": np.zeros((3, 9, 4)), "listeners": [0, 0, 1]}, r"\[2, 1\] each"),
        ({"people": [np.zeros((2, 9, 4))], **TWO}, "two at least"),
        ({"reactions": np.zeros((1, 1, 4))}, "2 frames"),
        ({"reactions": np.full((1, 9, 4), np.nan)}, "reactions holds nan"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, Any], message: str) -> None:
    good: dict[str, Any] = {
        "reactions": np.zeros((1, 9, 4)),
        "references": [np.zeros((2, 9, 4))] * 2,
        "listeners": [0],
    }
    with pytest.raises(InputError, match=message):
        persona_retrieval(**{**good, **change})


def test_consistency_is_1_for_persons_and_half_for_noise() -> None:
    assert persona_consistency(people(6, 3, 50.0)) == 1.0
    assert persona_consistency(people(12, 4, 0.0)) == pytest.approx(0.5, abs=0.05)
    same = np.repeat(people(1, 1, 1.0), 3, axis=0).repeat(2, axis=1)
    assert persona_consistency(same) == 0.5


def test_consistency_by_hand() -> None:
    """Two listeners, two histories; one of the four is nearer to the other listener."""
    values = np.array([[0.0, 1.0], [1.6, 5.0]])
    reactions = values[:, :, None, None] + np.zeros((1, 1, 4, 1))
    # of 0: 1 against 1.6, 5; of 1: 1 against 0.6, 4; of 1.6: 3.4 against 1.6, 0.6; of 5: 3.4
    # against 5, 4
    assert persona_consistency(reactions) == pytest.approx((2 + 1 + 0 + 2) / 8)
    with pytest.raises(InputError, match="2 histories"):
        persona_consistency(reactions[:, :1])


def test_own_targets_are_a_part_of_all_targets() -> None:
    rng = np.random.default_rng(0)
    targets = [rng.random((3, 60, 25)) for _ in range(2)]
    speaker = [rng.random((60, 25)) for _ in range(2)]
    own = [[True, False, False], [False, True, False]]
    pred = [targets[0][:1], targets[1][:1]]
    scores = personal_scores(pred, targets, own, speaker, metrics=("FRCorr",))
    assert scores["MAFRG"]["FRCorr"] == pytest.approx(1.0)
    first, second = scores["PMAFRG"].per_clip["FRCorr"]
    assert first == pytest.approx(1.0)
    assert second < 0.5
    with pytest.raises(InputError, match="clip 1 has 3 targets and 0 of 3"):
        personal_scores(pred, targets, [own[0], [False] * 3], speaker, metrics=("FRCorr",))


def test_a_retrieval_of_nothing_right_is_0() -> None:
    assert Retrieval(np.array([1, 2]), np.array([0, 2]), 5).top1 == 0.0
