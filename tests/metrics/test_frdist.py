"""FRDist: the vector kernels and the search against brute force, and against the golden values."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tslearn.metrics import dtw as oracle

from visavis.errors import InputError
from visavis.metrics import _dtw_search, _dtw_torch, frdist
from visavis.metrics._dtw_boxes import box_bounds
from visavis.metrics._dtw_lanes import Sequences, lane_costs
from visavis.metrics._dtw_plain import plain_cost
from visavis.metrics._dtw_sets import sequence_set
from visavis.metrics._dtw_torch import torch_distances
from visavis.metrics.frdist import (
    ATTRIBUTE_GROUPS,
    FRDist,
    appropriate_distances,
    group_distances,
    nearest_distances,
)

GOLDEN = Path(__file__).parent.parent / "golden"
GROUPS = ((slice(0, 3), 1 / 3), (slice(3, 4), 1.0), (slice(4, 6), 0.5))
Real = NDArray[Any]


def brute(pred: Any, targets: Any, groups: Any = GROUPS) -> NDArray[np.float64]:
    """The official way: one call of tslearn a group, [M, G]."""
    return np.array(
        [[sum(w * oracle(p[:, s], t[:, s]) for s, w in groups) for t in targets] for p in pred]
    )


def some(rng: np.random.Generator, lengths: Any, width: int = 6, kind: str = "float32") -> Any:
    walks = [rng.normal(size=(n, width)).cumsum(0) / np.sqrt(n) for n in lengths]
    return [walk.astype(kind) for walk in walks]


@pytest.fixture(params=["compiled", "numpy"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to compute: with numba, and without it."""
    if request.param == "numpy":
        from visavis.metrics import dtw as _  # noqa: F401
        from visavis.metrics._dtw_numpy import numpy_cost

        monkeypatch.setattr(frdist, "search", None)
        monkeypatch.setattr(sys.modules["visavis.metrics.dtw"], "_cost", numpy_cost)
    return str(request.param)


@settings(deadline=None, max_examples=25)
@given(
    lengths=st.lists(st.integers(1, 40), min_size=2, max_size=8),
    split=st.integers(1, 7),
    kind=st.sampled_from(["float32", "float64"]),
    seed=st.integers(0, 99),
)
def test_any_lengths_give_the_distances_of_tslearn(
    lengths: list[int], split: int, kind: str, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    split = min(split, len(lengths) - 1)
    both = some(rng, lengths, kind=kind)
    pred, targets = both[:split], both[split:]
    wanted = brute(pred, targets)
    np.testing.assert_allclose(group_distances(pred, targets, GROUPS), wanted, rtol=1e-6)
    np.testing.assert_allclose(nearest_distances(pred, targets, GROUPS), wanted.min(1), rtol=1e-6)


def test_both_paths_equal_brute_force(path: str) -> None:
    rng = np.random.default_rng(5)
    pred, targets = some(rng, [31, 20, 45]), some(rng, [30, 30, 12, 50])
    wanted = brute(pred, targets)
    np.testing.assert_allclose(group_distances(pred, targets, GROUPS), wanted, rtol=1e-6)
    np.testing.assert_allclose(nearest_distances(pred, targets, GROUPS), wanted.min(1), rtol=1e-6)


@pytest.mark.parametrize("precise", [False, True])
@pytest.mark.parametrize("offset", [0.0, 50.0])
def test_the_error_of_the_vector_kernel_stays_within_what_it_states(
    precise: bool, offset: float
) -> None:
    rng = np.random.default_rng(6)
    lengths = rng.integers(1, 90, 12)
    values = np.concatenate(some(rng, lengths, 5, "float64")) + offset
    starts = np.concatenate([[0], lengths.cumsum()[:-1]])
    sequences = Sequences(values, starts, lengths, 1, 3)
    x_of, y_of = rng.integers(0, 12, (2, 100))
    cost, slack = lane_costs(
        sequences, sequences, x_of, y_of, centre=values[:, 1:4].mean(0), precise=precise
    )
    for n in range(100):
        a, b = (
            np.ascontiguousarray(values[starts[i] : starts[i] + lengths[i], 1:4])
            for i in (x_of[n], y_of[n])
        )
        assert abs(cost[n] - plain_cost(a, b)) <= slack[n]


@settings(deadline=None, max_examples=40)
@given(
    lengths=st.lists(st.integers(1, 70), min_size=1, max_size=6),
    scale=st.sampled_from([1e-6, 1.0, 1e6]),
    seed=st.integers(0, 99),
)
def test_box_bounds_never_exceed_the_cost(lengths: list[int], scale: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    parts = [scale * part for part in some(rng, lengths, 2, "float64")]
    count = np.array(lengths)
    starts = np.concatenate([[0], count.cumsum()[:-1]]).astype(np.int64)
    boxes = Sequences(np.concatenate(parts), starts, count, 0, 2).boxes
    pairs = np.indices((len(parts), len(parts))).reshape(2, -1).astype(np.int64)
    bound = box_bounds(boxes, boxes, pairs[0], pairs[1])
    for value, i, j in zip(bound, *pairs, strict=True):
        assert value <= plain_cost(parts[i], parts[j])


def test_box_bounds_are_worth_something() -> None:
    rng = np.random.default_rng(7)
    parts = some(rng, [200, 200], 2, "float64")
    parts[1] += 3.0
    sequences = Sequences(np.concatenate(parts), np.array([0, 200]), np.array([200, 200]), 0, 2)
    bound = box_bounds(sequences.boxes, sequences.boxes, np.array([0]), np.array([1]))[0]
    assert bound > 0.5 * plain_cost(*parts)


def test_copies_are_at_distance_zero_and_near_copies_are_exact() -> None:
    rng = np.random.default_rng(8)
    targets = some(rng, [60, 60, 60])
    near = [targets[0] + np.float32(1e-4) * rng.normal(size=(60, 6)).astype(np.float32)]
    assert (nearest_distances(targets, targets, GROUPS) == 0.0).all()
    wanted = brute([part.astype(np.float64) for part in near], targets).min(1)
    np.testing.assert_allclose(nearest_distances(near, targets, GROUPS), wanted, rtol=1e-6)


@pytest.mark.parametrize("scale", [1e-22, 1e-12, 1e12, 1e22])
def test_values_outside_the_range_of_float32_squares_are_still_exact(scale: float) -> None:
    rng = np.random.default_rng(9)
    pred = [scale * part for part in some(rng, [20, 25], kind="float64")]
    targets = [scale * part for part in some(rng, [22, 20, 24], kind="float64")]
    wanted = brute(pred, targets)
    np.testing.assert_allclose(nearest_distances(pred, targets, GROUPS), wanted.min(1), rtol=1e-6)
    np.testing.assert_allclose(group_distances(pred, targets, GROUPS), wanted, rtol=1e-6)


def test_an_offset_that_float32_hardly_carries_is_taken_off_in_float64() -> None:
    rng = np.random.default_rng(10)
    pred, targets = some(rng, [40, 40], kind="float64"), some(rng, [40, 40, 40], kind="float64")
    wanted = nearest_distances(pred, targets, GROUPS)
    moved = nearest_distances([p + 1e5 for p in pred], [t + 1e5 for t in targets], GROUPS)
    np.testing.assert_allclose(moved, wanted, rtol=1e-6)


def test_float32_and_float64_copies_give_the_same_number() -> None:
    rng = np.random.default_rng(11)
    pred, targets = np.array(some(rng, [50] * 4)), np.array(some(rng, [50] * 5))
    single = nearest_distances(pred, targets, GROUPS)
    double = nearest_distances(pred.astype(np.float64), targets.astype(np.float64), GROUPS)
    np.testing.assert_allclose(single, double, rtol=1e-12)


def many(seed: int = 12) -> tuple[Real, Real, list[list[int]]]:
    rng = np.random.default_rng(seed)
    pred = np.array(some(rng, [40] * 21)).reshape(7, 3, 40, 6)
    targets = np.array(some(rng, [40] * 9))
    appropriate = [list(rng.permutation(9)[: rng.integers(1, 7)]) for _ in range(7)]
    return pred, targets, appropriate


def test_chunks_threads_and_single_clips_give_the_same_numbers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pred, targets, appropriate = many()
    whole = appropriate_distances(pred, targets, appropriate, GROUPS)
    assert whole.shape == (7, 3)
    monkeypatch.setattr(frdist, "CHUNK", 3)
    seen = []
    for threads in (1, 3):
        chunked = appropriate_distances(
            pred, targets, appropriate, GROUPS, threads=threads,
            progress=lambda done, total: seen.append((done, total)),
        )  # fmt: skip
        np.testing.assert_array_equal(chunked, whole)
    assert seen[:7] == [(n, 7) for n in range(1, 8)]
    for clip, row in enumerate(appropriate):
        alone = nearest_distances(pred[clip], targets[row], GROUPS)
        np.testing.assert_allclose(alone, whole[clip], rtol=1e-12)
        every = group_distances(pred[clip], targets[row], GROUPS)
        np.testing.assert_allclose(every.min(1), whole[clip], rtol=1e-12)


def test_order_of_samples_clips_and_targets_does_not_matter() -> None:
    pred, targets, appropriate = many(13)
    whole = appropriate_distances(pred, targets, appropriate, GROUPS)
    turned = appropriate_distances(
        pred[::-1, ::-1], targets, [row[::-1] for row in appropriate[::-1]], GROUPS
    )
    np.testing.assert_allclose(turned[::-1, ::-1], whole, rtol=1e-12)


def test_the_search_computes_less_than_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(14)
    targets = some(rng, [90] * 40)
    pred = [target + np.float32(0.02) * rng.normal(size=(90, 6)) for target in targets[:8]]
    computed = []

    def counting(x: Any, y: Any, x_of: Any, y_of: Any, **options: Any) -> Any:
        computed.append(len(x_of))
        return lane_costs(x, y, x_of, y_of, **options)

    monkeypatch.setattr(_dtw_search, "lane_costs", counting)
    nearest_distances(pred, targets, GROUPS)
    assert sum(computed) < 0.5 * 8 * 40 * len(GROUPS)


def torch_brute(pred: Any, targets: Any, device: str) -> NDArray[np.float64]:
    x, y = (sequence_set(side, GROUPS, name="side") for side in (pred, targets))
    pairs = np.indices((len(pred), len(targets))).reshape(2, -1).astype(np.int64)
    parts = torch_distances(x, y, GROUPS, pairs[0], pairs[1], torch.device(device))
    return parts.sum(0).reshape(len(pred), -1)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_anti_diagonals_in_torch_give_the_same_distances(
    device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(19)
    pred, targets = some(rng, [31, 1, 45]), some(rng, [30, 30, 12, 50])
    wanted = brute(pred, targets)
    np.testing.assert_allclose(torch_brute(pred, targets, device), wanted, rtol=1e-6)
    monkeypatch.setattr(_dtw_torch, "BUDGET", 1000)  # pairs in several batches
    np.testing.assert_allclose(torch_brute(pred, targets, device), wanted, rtol=1e-6)


@pytest.mark.gpu
def test_the_device_changes_no_number() -> None:
    pred, targets, appropriate = many(20)
    ours = appropriate_distances(pred, targets, appropriate, GROUPS)
    theirs = appropriate_distances(pred, targets, appropriate, GROUPS, device="cuda")
    np.testing.assert_allclose(theirs, ours, rtol=1e-9)


def test_nan_rules_are_the_published_ones(path: str) -> None:
    rng = np.random.default_rng(15)
    pred, targets = some(rng, [20, 20, 20]), some(rng, [20, 20, 20])
    pred[1][-3:] = np.nan  # padding
    pred[2][5, 3] = np.nan
    wanted = brute(pred, targets)
    assert np.isnan(wanted[2]).all() and np.isfinite(wanted[:2]).all()
    np.testing.assert_allclose(group_distances(pred, targets, GROUPS), wanted, rtol=1e-6)
    found = nearest_distances(pred, targets, GROUPS)
    np.testing.assert_allclose(found, [min(row) for row in wanted], rtol=1e-6)
    targets[0][-1, 0] = np.nan  # the first of the targets: NaN stays, as Python's min has it
    assert np.isnan(nearest_distances(pred[:1], targets, GROUPS)).all()
    assert np.isfinite(nearest_distances(pred[:1], targets[::-1], GROUPS)).all()


def test_a_group_may_be_padded_where_the_others_are_not() -> None:
    rng = np.random.default_rng(16)
    pred, targets = some(rng, [20]), some(rng, [20, 20])
    pred[0][-4:, 3] = np.nan
    wanted = brute(pred, targets)
    assert np.isfinite(wanted).all()
    np.testing.assert_allclose(group_distances(pred, targets, GROUPS), wanted, rtol=1e-6)
    np.testing.assert_allclose(nearest_distances(pred, targets, GROUPS), wanted.min(1), rtol=1e-6)


@pytest.mark.parametrize(
    ("pred", "targets", "text"),
    [
        (np.zeros((2, 9, 6)), np.zeros((2, 9, 7)), "axis 1"),
        (np.zeros((2, 9, 5)), np.zeros((2, 9, 5)), "too few"),
        (np.zeros((2, 9)), np.zeros((2, 9, 6)), "shape"),
        (np.zeros((2, 9, 6)), [], "empty"),
        (np.full((1, 9, 6), np.nan), np.zeros((2, 9, 6)), "no frame"),
    ],
)
def test_wrong_shapes_are_refused(pred: Any, targets: Any, text: str) -> None:
    with pytest.raises(InputError, match=text):
        nearest_distances(pred, targets, GROUPS)


def test_a_clip_without_an_appropriate_reaction_is_named() -> None:
    pred, targets, appropriate = many()
    appropriate[4] = []
    with pytest.raises(InputError, match="clip 4 has no appropriate reaction"):
        appropriate_distances(pred, targets, appropriate, GROUPS)
    appropriate[4] = [9]
    with pytest.raises(InputError, match="target 9 of 9"):
        appropriate_distances(pred, targets, appropriate, GROUPS)


@pytest.mark.parametrize(
    "name", ["small_n4_m3_t64", "edge_constant_n6_m4_t130", "main_n12_m10_t750"]
)
def test_golden_clips_come_out(name: str) -> None:
    held = np.load(GOLDEN / f"{name}.npz")
    wanted = json.loads((GOLDEN / f"{name}.react2024.json").read_text("utf-8"))
    rows = [np.flatnonzero(row == 1) for row in held["neighbour"]]
    found = appropriate_distances(held["pred"], held["gt"], rows, ATTRIBUTE_GROUPS).sum(1)
    np.testing.assert_allclose(found.mean(), wanted["FRD_mp"], rtol=1e-9)
    np.testing.assert_allclose(found, wanted["FRD_per_clip"], rtol=1e-9)


def test_the_metric_takes_clips_of_any_length_and_tensors() -> None:
    rng = np.random.default_rng(17)
    metric = FRDist()
    wanted = []
    for frames in (30, 41):
        pred, targets = some(rng, [frames] * 3, 25), some(rng, [frames, frames + 5], 25)
        metric.update(torch.tensor(np.array(pred)), [torch.tensor(t) for t in targets])
        wanted.append(brute(pred, targets, ATTRIBUTE_GROUPS).min(1).sum())
    assert float(metric.compute()["FRDist"]) == pytest.approx(np.mean(wanted), rel=1e-6)


def test_corrected_gives_the_mean_over_samples_and_every_group() -> None:
    rng = np.random.default_rng(18)
    pred, targets = some(rng, [30] * 3, 25), some(rng, [30] * 2, 25)
    metric = FRDist(protocol="corrected")
    metric.update(np.array(pred), np.array(targets))
    found = {name: float(value) for name, value in metric.compute().items()}
    assert found["FRDist"] == pytest.approx(
        brute(pred, targets, ATTRIBUTE_GROUPS).min(1).mean(), rel=1e-6
    )
    va = brute(pred, targets, [ATTRIBUTE_GROUPS[1]]).min(1).mean()
    assert found["FRDist/va"] == pytest.approx(va, rel=1e-6)


def test_without_numba_the_numpy_path_is_taken() -> None:
    code = (
        "import sys; sys.modules['numba'] = None; sys.modules['llvmlite'] = None\n"
        "import numpy as np\n"
        "from visavis.metrics import frdist\n"
        "assert frdist.search is None\n"
        "rng = np.random.default_rng(0)\n"
        "x = rng.normal(size=(3, 9, 25)); y = rng.normal(size=(2, 9, 25))\n"
        "sys.stdout.write(repr(frdist.nearest_distances(x, y).tolist()))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(3, 9, 25)), rng.normal(size=(2, 9, 25))
    np.testing.assert_allclose(json.loads(done.stdout), nearest_distances(x, y), rtol=1e-9)


def test_the_whole_and_each_group_of_one_search_equal_searches_apart() -> None:
    pred, targets, appropriate = many(21)
    pred[3, 1, 5, 0] = np.nan
    together = appropriate_distances(pred, targets, appropriate, GROUPS, each_group=True)
    assert together.shape == (7, 3, 4)
    apart = [GROUPS, *((group,) for group in GROUPS)]
    for number, ways in enumerate(apart):
        alone = appropriate_distances(pred, targets, appropriate, ways)
        np.testing.assert_allclose(together[:, :, number], alone, rtol=1e-12)


def test_no_group_of_a_pair_is_computed_twice_in_one_precision(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(22)
    pred, targets = some(rng, [60] * 6), some(rng, [60] * 5)
    seen: list[Any] = []

    def counting(x: Any, y: Any, x_of: Any, y_of: Any, **options: Any) -> Any:
        seen.extend(
            zip(x_of, y_of, [x.first] * len(x_of), [options["precise"]] * len(x_of), strict=True)
        )
        return lane_costs(x, y, x_of, y_of, **options)

    monkeypatch.setattr(_dtw_search, "lane_costs", counting)
    rows = [list(range(5))] * 6
    appropriate_distances([[p] for p in pred], targets, rows, GROUPS, each_group=True)
    assert len(seen) == len(set(seen))
    assert sum(not one[3] for one in seen) <= 6 * 5 * len(GROUPS)
