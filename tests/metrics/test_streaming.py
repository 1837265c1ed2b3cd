"""The torchmetrics classes: clip by clip, in any split, on any device, the same number."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torchmetrics import Metric, MetricCollection

from tests.metrics import golden
from visavis.errors import InputError
from visavis.metrics import MAE, FRCorr, FRDist, FRDiv, FRDvs, FRSyn, FRVar, evaluate_arrays

CASE = "small_n4_m3_t64"
KINDS: dict[str, type[Metric]] = {
    kind.__name__: kind for kind in (FRCorr, FRDist, FRDiv, FRVar, FRDvs, FRSyn, MAE)
}
PROTOCOLS = ("react2024", "react2024_serial", "reactface", "corrected")


def arguments(name: str, clip: int) -> tuple[Any, ...]:
    """What `update` of the metric takes for one clip of the golden file, as tensors."""
    held = golden.arrays(CASE)
    pred = torch.from_numpy(held["pred"][clip])
    if name in ("FRCorr", "FRDist", "MAE"):
        return pred, torch.from_numpy(golden.targets_of(CASE, clip))
    if name == "FRSyn":
        return pred, torch.from_numpy(held["speaker"][clip])
    return (pred,)


def streamed(metric: Metric, clips: list[int]) -> dict[str, float]:
    for clip in clips:
        metric.update(*arguments(type(metric).__name__, clip))
    return {name: float(value) for name, value in metric.compute().items()}


@pytest.mark.filterwarnings("ignore::visavis.metrics.ProtocolWarning")
@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", KINDS)
def test_streaming_equals_the_whole(name: str, protocol: str) -> None:
    whole = evaluate_arrays(**golden.arrays(CASE), protocol=protocol, metrics=(name,))
    wanted = {n: v for n, v in whole.items() if n.partition("/")[0] == name}
    found = streamed(KINDS[name](protocol), [2, 0, 3, 1])
    assert found == pytest.approx(wanted, rel=1e-12, nan_ok=True)
    if name == "FRSyn":
        assert found == wanted


@pytest.mark.parametrize("name", KINDS)
def test_a_pickled_metric_goes_on_and_a_reset_one_forgets(name: str) -> None:
    kind = KINDS[name]
    metric = kind("corrected")
    streamed(metric, [0, 1])
    again = pickle.loads(pickle.dumps(metric))
    wanted = streamed(kind("corrected"), [0, 1, 2, 3])
    assert streamed(again, [2, 3]) == pytest.approx(wanted, rel=1e-12)
    metric.reset()
    assert streamed(metric, [3, 2, 1, 0]) == pytest.approx(wanted, rel=1e-12)


def test_forward_gives_the_clip_and_keeps_the_whole() -> None:
    for name, kind in KINDS.items():
        metric, alone = kind("react2024"), kind("react2024")
        for clip in range(4):
            now = metric(*arguments(name, clip))
        wanted = streamed(alone, [3])[name]
        assert float(now[name]) == pytest.approx(wanted, nan_ok=True)
        whole = streamed(kind("react2024"), [0, 1, 2, 3])[name]
        assert float(metric.compute()[name]) == pytest.approx(whole)


def test_the_state_of_frdvs_does_not_grow_with_the_clips() -> None:
    metric = FRDvs()
    for _ in range(5):
        metric(*arguments("FRDvs", 0))
        metric.update(*arguments("FRDvs", 1))
    assert [tuple(s.shape) for s in metric.sums] == [(1, 3, 64, 25)]


def test_metrics_in_a_collection_score_as_they_do_alone() -> None:
    """The first clip gives several metrics the same value, and collections merge equal states."""
    rng = np.random.default_rng(0)
    clips = rng.random((3, 2, 60, 25))
    clips[0] = 0.5
    together = MetricCollection([FRDiv(), FRVar()])
    alone = FRDiv(), FRVar()
    for clip in clips:
        together.update(clip)
        for metric in alone:
            metric.update(clip)
    found = together.compute()
    for metric in alone:
        assert float(found[metric.head]) == float(metric.compute()[metric.head])
    assert float(found["FRDiv"]) != float(found["FRVar"])


def test_a_collection_keeps_protocols_apart() -> None:
    rng = np.random.default_rng(0)
    serial, first = FRSyn("react2024_serial"), FRSyn("react2024")
    together = MetricCollection({"first": first, "serial": serial.clone()})
    for frozen in (True, False, False):
        pred, speaker = rng.random((2, 80, 25)), rng.random((80, 25))
        pred = pred * 0 + 0.5 if frozen else pred
        together.update(pred, speaker)
        serial.update(pred, speaker)
    found = together.compute()
    values = [float(v) for k, v in found.items() if "serial" in k]
    assert values == [float(serial.compute()["FRSyn"])]


def test_lengths_may_differ_between_clips() -> None:
    metric = FRCorr("mars")
    rng = np.random.default_rng(0)
    for frames in (60, 80):
        pred = rng.uniform(size=(2, frames, 25))
        metric.update(pred, [pred[0], pred[1]])
    assert float(metric.compute()["FRCorr"]) == pytest.approx(2, rel=1e-6)


@pytest.mark.parametrize(
    ("work", "message"),
    [
        (lambda: FRCorr("react"), "unknown protocol"),
        (lambda: FRCorr().update(np.zeros((3, 64)), []), r"pred has shape \[3, 64\]"),
        (lambda: FRCorr().update(np.zeros((3, 64, 25)), []), "no appropriate reaction"),
        (lambda: FRCorr().update(np.zeros((1, 9, 2)), [np.zeros((8, 2))]), "axis T must agree"),
        (lambda: FRCorr().update(np.zeros((1, 9, 2)), 5), "targets must be a sequence"),
        (lambda: FRSyn().update(np.zeros((1, 9, 2)), np.zeros((9, 3))), "axis D must agree"),
        (lambda: FRDiv().update("text"), "pred must be numbers"),
        (lambda: FRDiv().update(np.zeros((0, 9, 2))), "its axis K is empty"),
        (lambda: FRDiv("corrected").update(np.full((2, 9, 2), np.nan)), "sample 0, frame 0"),
        (lambda: MAE().update(np.zeros((1, 9, 2)), np.zeros((1, 9, 2))), "25 facial attributes"),
        (lambda: FRVar().compute(), "no clip was scored"),
        (lambda: FRDvs().compute(), "no clip was scored"),
    ],
)
@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_mistakes_are_explained(work: Callable[[], object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        work()


def test_the_width_may_not_change_between_clips() -> None:
    metric = FRVar()
    metric.update(np.ones((2, 9, 3)))
    with pytest.raises(InputError, match="axis D must agree between clips: 4 channels after 3"):
        metric.update(np.ones((2, 9, 4)))


# ---------------------------------------------------------------------- processes and devices


SHARES = ([[0, 2], [3, 1]], [[0], [1, 2, 3]])
"""Which clips the two processes see; the second way, unequal numbers of them."""


def worker(rank: int, folder: str) -> None:
    """One of two processes that see different clips and join what they saw."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2
    )
    found = {
        (protocol, name, way): streamed(kind(protocol), shares[rank])
        for protocol in ("react2024", "corrected")
        for name, kind in KINDS.items()
        for way, shares in enumerate(SHARES)
    }
    torch.save(found, f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path: Path) -> None:
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    torch.multiprocessing.spawn(worker, (str(tmp_path),), nprocs=2)
    ranks = [torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1)]
    assert ranks[0] == ranks[1]
    for (protocol, name, _), found in ranks[0].items():
        wanted = streamed(KINDS[name](protocol), [0, 1, 2, 3])
        assert found == pytest.approx(wanted, rel=1e-12)
        if name != "FRDvs":
            assert found == wanted


@pytest.mark.gpu
@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", KINDS)
def test_a_gpu_equals_the_cpu(name: str, protocol: str) -> None:
    metric = KINDS[name](protocol).to("cuda")
    for clip in range(4):
        metric.update(*(part.cuda() for part in arguments(name, clip)))
    found = metric.compute()
    assert {value.device.type for value in found.values()} == {"cuda"}
    wanted = streamed(KINDS[name](protocol), [0, 1, 2, 3])
    values = {n: float(v) for n, v in found.items()}
    assert values == pytest.approx(wanted, rel=1e-9, nan_ok=True)
