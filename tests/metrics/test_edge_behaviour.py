"""Single facts of the official code, as the golden file lists them."""

from __future__ import annotations

import numpy as np
import pytest

from tests.metrics import golden
from visavis.errors import InputError
from visavis.metrics import ProtocolWarning, evaluate_arrays
from visavis.metrics.ccc import ccc_matrix
from visavis.metrics.diversity import BetweenClips, sample_diversity, variance_over_time
from visavis.metrics.frcorr import best_ccc
from visavis.metrics.synchrony import offsets

FACTS = golden.numbers("edge_behaviour.react2024")
SMALL = golden.arrays("small_n4_m3_t64")


def walk(frames: int) -> np.ndarray:
    """A speaker [T, 25] whose correlation has one clear peak; float32."""
    return np.random.default_rng(3).normal(size=(frames, 25)).cumsum(axis=0).astype(np.float32)


def followed(frames: int, delay: int) -> tuple[np.ndarray, np.ndarray]:
    """The golden file's own lag case: a noisy copy, rolled by `delay` frames; [1, T, D], [T, D]."""
    rng = np.random.default_rng(3)
    speaker = np.cumsum(rng.normal(size=(frames, 25)), axis=0).astype(np.float32)
    noise = (0.01 * rng.normal(size=(frames, 25))).astype(np.float32)
    return np.roll(speaker + noise, delay, axis=0)[None], speaker


def scored(**changes: np.ndarray) -> object:
    return evaluate_arrays(**{**SMALL, **changes})


def test_a_clip_without_an_appropriate_reaction_is_refused() -> None:
    matrix = SMALL["neighbour"].copy()
    matrix[2] = 0
    assert "ValueError" in FACTS["row with no appropriate reaction: FRC per-clip"]
    with pytest.raises(InputError, match="row 2 of neighbour holds no 1") as caught:
        scored(neighbour=matrix)
    assert isinstance(caught.value, ValueError)


def test_boolean_integer_and_float_matrices_are_the_same() -> None:
    kinds = [SMALL["neighbour"].astype(kind) for kind in (bool, np.int64, np.float64)]
    with pytest.warns(ProtocolWarning, match="constant"):
        found = [evaluate_arrays(**{**SMALL, "neighbour": k}, metrics=("FRCorr",)) for k in kinds]
    clip0 = [f.per_clip["FRCorr"][0] for f in found]
    wanted = FACTS["boolean row works like 1: FRC per-clip clip0"]
    assert clip0 == [pytest.approx(wanted, rel=1e-6)] * 3


def test_a_two_in_the_matrix_is_refused_not_ignored() -> None:
    with pytest.raises(InputError, match="holds 2 in row 0, column 0; wanted 0 or 1"):
        scored(neighbour=2 * SMALL["neighbour"])


def test_one_sample_one_clip_and_one_frame() -> None:
    pred = SMALL["pred"][0]
    assert sample_diversity(pred[:1]).mean() == FACTS["M=1: S_MSE"] == 0
    alone = BetweenClips(pred)
    alone.add(pred)
    assert np.isnan(alone.channels().mean()) and np.isnan(FACTS["N=1: FRDvs"])
    assert np.isnan(variance_over_time(pred[:, :1]).mean()) and np.isnan(FACTS["T=1: FRVar"])


def test_lengths_have_to_agree_for_a_concordance() -> None:
    pred, gt = SMALL["pred"][0], SMALL["gt"][0]
    with pytest.raises(InputError, match="axis T must agree: predictions have 64 frames, target"):
        ccc_matrix(pred, gt[None, :60])
    assert "ValueError" in FACTS["pred longer than GT (64 vs 60 frames): CCC"]


@pytest.mark.parametrize(
    ("place", "fact"),
    [
        ((slice(60, 64), slice(None)), "last 4 predicted frames NaN: CCC"),
        ((10, 0), "one NaN in the middle (frame 10, AU1): CCC"),
    ],
)
def test_a_nan_in_the_prediction_makes_the_concordance_nan(place: object, fact: str) -> None:
    pred = SMALL["pred"][0, :1].copy()
    pred[0][place] = np.nan  # type: ignore[index]
    assert np.isnan(ccc_matrix(pred, SMALL["gt"][:1]).mean()) and np.isnan(FACTS[fact])


def test_the_maximum_over_targets_depends_on_where_the_nan_stands() -> None:
    pred, gt = SMALL["pred"][0, :1], SMALL["gt"]
    broken = gt[1].copy()
    broken[5, 3] = np.nan
    good = ccc_matrix(pred, gt[:1]).mean()
    assert np.isnan(best_ccc(pred, np.stack([broken, gt[0]]))[0])
    assert best_ccc(pred, np.stack([gt[0], broken]))[0] == pytest.approx(good)
    assert np.isnan(FACTS["max([nan,0.2])"]) and FACTS["max([0.2,nan])"] == 0.2


@pytest.mark.parametrize("delay", [5, -5, 48, 49, 60])
def test_a_prediction_behind_the_speaker_has_a_negative_offset(delay: int) -> None:
    key = f"prediction = speaker delayed by {delay} frames (random walk, roll, T=300)"
    pred, speaker = followed(300, delay)
    assert offsets(pred, speaker)[0] == FACTS[f"{key}: signed offset"]


def test_one_constant_channel_of_the_speaker_gives_the_greatest_offset() -> None:
    pred, speaker = followed(300, 5)
    speaker = speaker.copy()
    speaker[:, 7] = 0.1
    assert offsets(pred, speaker)[0] == FACTS["speaker has one constant channel: signed offset"]


@pytest.mark.parametrize("frames", [40, 49, 50, 51, 52])
def test_short_clips_give_the_greatest_offset(frames: int) -> None:
    pred, speaker = followed(frames, 0)
    assert offsets(pred, speaker)[0] == FACTS[f"T={frames} frames: signed offset"]


def test_a_channel_that_is_constant_but_for_its_second_frame() -> None:
    speaker = walk(300)
    speaker[:, 4] = 0.5
    speaker[2, 4] = 0.75
    found = offsets(speaker[None], speaker)[0]
    assert found == FACTS["channel constant except frame 2, prediction==speaker: signed offset"]


def test_constant_channels_score_nothing_even_when_reproduced() -> None:
    flat = np.full((1, 64, 25), 0.1, dtype=np.float32)
    assert (
        ccc_matrix(flat, flat).mean()
        == FACTS["constant 0.1 vs itself: ccc (25 equal constant channels)"]
    )
    gt = SMALL["gt"][:1]
    itself = ccc_matrix(gt, gt).mean()
    assert itself == pytest.approx(FACTS["identical sequence: ccc gt0 vs gt0"], rel=1e-6)
    assert (ccc_matrix(gt, gt)[0, 0] == 0).sum() == FACTS["constant channels in gt0"]


def test_a_constant_pair_without_epsilon_is_what_float32_makes_of_it() -> None:
    """NaN where float32 finds nothing below the bar, and 0 where its mean is off by a rounding."""
    for value in (0.0, 1.0, 0.1, 0.3, 0.7):
        flat = np.full((1, 750, 1), value, dtype=np.float32)
        nothing = flat[0, :, 0].var() + flat[0, :, 0].var() == 0
        found = best_ccc(flat, flat, epsilon=1e-50)[0]
        assert np.isnan(found) if nothing else found == 0
        assert best_ccc(flat, flat + 1, epsilon=1e-50)[0] == 0
