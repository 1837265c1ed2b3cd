"""The torch path that a GPU takes, here on the processor: the numbers of the compiled kernels.

Tests marked `gpu` run the same on a GPU.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests.metrics import golden
from tests.metrics.test_evaluate import dataset
from visavis.errors import InputError
from visavis.metrics import (
    PROTOCOLS,
    ccc_matrix,
    evaluate_arrays,
    evaluate_behaviours,
    evaluate_lists,
    lagged_correlations,
    nearest_distances,
)
from visavis.metrics._clip import target_arrays
from visavis.metrics._device import device_named, device_of
from visavis.metrics._scoring import run
from visavis.metrics._sources import from_arrays
from visavis.metrics.ccc import moments
from visavis.metrics.diversity import sample_diversity, variance_over_time, within
from visavis.metrics.frcorr import frcorr
from visavis.metrics.frdist import distances_of_clips
from visavis.metrics.lagged import correlations
from visavis.metrics.mae import mae
from visavis.metrics.protocol import protocol_named
from visavis.metrics.scores import Scores
from visavis.metrics.synchrony import frsyn, live_offsets, offsets

pytestmark = pytest.mark.filterwarnings("ignore::visavis.metrics.ProtocolWarning")

DEVICES = [
    torch.device("cpu"),
    pytest.param(torch.device("cuda"), marks=pytest.mark.gpu),
]
on_every_device = pytest.mark.parametrize("where", DEVICES, ids=str)


def scored(data: dict[str, np.ndarray], protocol: str, where: Any, **options: Any) -> Scores:
    chosen = protocol_named(protocol)
    source = from_arrays(**data, protocol=chosen, labels=())
    wanted = options.pop("metrics", chosen.metrics)
    return run(source, wanted, per_clip=True, workers=1, progress=None, where=where)


def agree(found: Scores, wanted: Scores) -> None:
    """Clip by clip: lags exactly, all else to nine digits, NaN equal to NaN."""
    assert set(found.per_clip) == set(wanted.per_clip)
    for name, values in wanted.per_clip.items():
        if name.startswith("FRSyn"):
            np.testing.assert_array_equal(found.per_clip[name], values)
        np.testing.assert_allclose(found.per_clip[name], values, rtol=1e-9, atol=1e-14)
    assert dict(found) == pytest.approx(dict(wanted), rel=1e-9, abs=1e-14, nan_ok=True)
    assert found.counts == wanted.counts


@on_every_device
@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("case", [c for c in golden.CASES if not c.startswith("main")])
def test_every_score_of_the_golden_files(case: str, protocol: str, where: Any) -> None:
    """Constant channels, dead targets, 58 channels and the NaN of ReactFace are among them."""
    data = golden.arrays(case)
    agree(scored(data, protocol, where), scored(data, protocol, None))


@on_every_device
def test_mae_and_what_is_left_of_a_long_golden_clip(where: Any) -> None:
    data = golden.arrays("main_n12_m10_t750")
    names = ("FRCorr", "FRDiv", "FRVar", "FRDvs", "FRSyn", "MAE")
    for protocol in ("react2024_serial", "corrected"):
        found, wanted = (scored(data, protocol, w, metrics=names) for w in (where, None))
        agree(found, wanted)


@on_every_device
@pytest.mark.parametrize("protocol", ["react2024", "reactface_serial"])
def test_values_that_are_not_finite_travel_as_published(protocol: str, where: Any) -> None:
    data = dataset()
    data["pred"][0, 1, 3, 2] = np.nan
    data["pred"][1, 0, :, 7] = np.inf
    data["gt"][2, 5, 20] = np.nan
    data["speaker"][3, 0, 0] = -np.inf
    data["pred"][4, 0] = np.nan
    agree(scored(data, protocol, where), scored(data, protocol, None))


@on_every_device
@pytest.mark.parametrize("frames", [1, 2, 49, 50, 51, 52])
def test_short_clips(frames: int, where: Any) -> None:
    data = dataset(frames=frames)
    agree(scored(data, "react2024_serial", where), scored(data, "react2024_serial", None))


@on_every_device
def test_one_clip_and_one_sample(where: Any) -> None:
    data = dataset(clips=1, samples=1)
    agree(scored(data, "react2024", where), scored(data, "react2024", None))


@on_every_device
def test_more_clips_than_one_pass_holds(where: Any) -> None:
    data = dataset(clips=70, samples=2, frames=52)
    names = ("FRDvs", "FRSyn", "FRCorr")
    found, wanted = (scored(data, "corrected", w, metrics=names) for w in (where, None))
    agree(found, wanted)


@on_every_device
@pytest.mark.parametrize("seed", range(8))
def test_lags_are_the_same_integers(seed: int, where: Any) -> None:
    """Walks, noise, rare events and repeated ones, whose curves have ties and fragile windows."""
    rng = np.random.default_rng(seed)
    frames = int(rng.integers(51, 260))
    speaker = rng.normal(size=(frames, 25)).cumsum(0)
    speaker[:, 5:10] = rng.random((frames, 5)) < 0.02
    speaker[:, 10:15] = (np.arange(frames)[:, None] // rng.integers(2, 9, 5)) % 2
    pred = np.stack([np.roll(speaker, shift, 0) for shift in (0, 3, -7, 49, 60, 120)])
    pred[2:4] += 0.1 * rng.normal(size=pred[2:4].shape)
    pred[4, :, :20] = 0.25
    pred[5, 3:] = pred[5, :1]
    for kind in ("float32", "float64"):
        ours, theirs = pred.astype(kind), speaker.astype(kind)
        near = correlations(ours, theirs, 49)
        far = correlations(ours, theirs, 49, where)
        np.testing.assert_array_equal(np.isnan(near), np.isnan(far))
        np.testing.assert_allclose(far, near, rtol=0, atol=1e-11)
        np.testing.assert_array_equal(offsets(ours, theirs), offsets(ours, theirs, where=where))
        groups = PROTOCOLS["corrected"].groups(25)
        wanted = live_offsets(ours, theirs, groups)
        for name, values in live_offsets(ours, theirs, groups, where=where).items():
            np.testing.assert_array_equal(values, wanted[name])


def test_of_many_equal_peaks_the_smallest_lag_wins_on_every_device() -> None:
    """A clip of period 5 has 19 peaks that are equal but for rounding."""
    rng = np.random.default_rng(0)
    speaker = np.tile(rng.random((5, 25)), (40, 1))
    pred = np.roll(speaker, 2, 0)[None]
    groups = PROTOCOLS["corrected"].groups(25)
    found = live_offsets(pred, speaker, groups, where=torch.device("cpu"))
    assert found[""] == live_offsets(pred, speaker, groups)[""] == 2


@on_every_device
def test_numbers_of_one_clip(where: Any) -> None:
    data = dataset(samples=4)
    pred, speaker = data["pred"][0], data["speaker"][0]
    targets = np.stack(target_arrays(data["gt"][:3], protocol_named("corrected")))
    pred[0, :, 3] = 0.7
    for epsilon in (1e-8, 1e-50):
        far = ccc_matrix(moments(pred, where), moments(targets, where), epsilon=epsilon)
        np.testing.assert_allclose(far, ccc_matrix(pred, targets, epsilon=epsilon), rtol=1e-11)
    for protocol in PROTOCOLS.values():
        for score, other in ((frcorr, targets), (mae, targets), (frsyn, speaker)):
            found, wanted = (score(pred, other, protocol, w) for w in (where, None))
            assert found == pytest.approx(wanted, rel=1e-11)
    for found_, wanted_ in zip(within(pred, where), within(pred), strict=True):
        np.testing.assert_allclose(found_, wanted_, rtol=1e-11)
    for each_group in (False, True):
        rows = [[0, 1], [2], [1, 0, 2], [0]]
        found_, wanted_ = (
            distances_of_clips(
                data["pred"][:4], targets, rows, PROTOCOLS["corrected"].warps(25) or (),
                where=w, each_group=each_group,
            )
            for w in (where, None)
        )  # fmt: skip
        np.testing.assert_allclose(found_, wanted_, rtol=1e-9)


def test_equal_samples_and_clips_differ_by_exactly_nothing() -> None:
    data = dataset(samples=3)
    data["pred"][:] = data["pred"][:1, :1]
    found = scored(data, "corrected", torch.device("cpu"))
    assert found["FRDiv"] == found["FRDvs"] == 0


# ---------------------------------------------------------------------- which device


def test_a_device_that_is_not_there_is_refused_everywhere() -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    data = dataset()
    pred, gt, speaker = data["pred"], data["gt"], data["speaker"]
    for work in (
        lambda: evaluate_arrays(**data, device="cuda"),
        lambda: evaluate_lists(pred, gt[:, None], speaker, device="cuda:0"),
        lambda: evaluate_behaviours([], [], [], device="cuda"),
        lambda: ccc_matrix(pred[0], gt, device="cuda"),
        lambda: lagged_correlations(pred[0], speaker[0], device="cuda"),
        lambda: nearest_distances(pred[0], gt, device="cuda"),
        lambda: sample_diversity(pred[0], device="cuda"),
        lambda: variance_over_time(pred[0], device="cuda"),
        lambda: device_of(torch.device("cuda")),
    ):
        with pytest.raises(InputError, match=r"device 'cuda.*' is not there: torch sees no GPU"):
            work()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gpu", "unknown device 'gpu'"),
        ("", "unknown device ''"),
        ("mps", "has no float64"),
        ("meta", "device 'meta' cannot compute here"),
        (["cuda"], "unknown device"),
    ],
)
def test_other_devices_are_explained(name: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        device_named(name)


def test_the_processor_means_the_compiled_kernels() -> None:
    assert device_named("cpu") is device_named(torch.device("cpu", 0)) is None
    assert device_of(torch.device("cpu"), torch.zeros(1), np.zeros(1)) is None


@pytest.mark.gpu
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_device_of_a_gpu_changes_no_score(protocol: str) -> None:
    data = golden.arrays("small_n4_m3_t64")
    agree(
        evaluate_arrays(**data, protocol=protocol, per_clip=True, device="cuda"),
        evaluate_arrays(**data, protocol=protocol, per_clip=True),
    )
