"""Streaming classes: clip by clip as at once, in two processes as in one, anywhere the same."""

from __future__ import annotations

import pickle
import socket
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp
from torchmetrics import Metric

from visavis.metrics.coverage import AppropriateCoverage
from visavis.metrics.distance import CRPS, EnergyDistance
from visavis.metrics.events import EventStatistics
from visavis.metrics.frame_realism import FrameRealism
from visavis.metrics.latency import ReactionLatency
from visavis.metrics.mimicry import MimicryScore
from visavis.metrics.realism import FRRea
from visavis.metrics.smoothness import Jerk

Clip = dict[str, torch.Tensor]


def clip(index: int) -> Clip:
    """One clip of AU-like movement: pred [3, 330, 25], targets [4, ...], real, speaker."""
    rng = np.random.default_rng(index)
    noise = rng.normal(size=(9, 330 + 20, 25))
    smooth = np.apply_along_axis(np.convolve, 1, noise, np.hanning(21) / 4, "valid")
    values = torch.tensor(np.clip(smooth + 0.3, 0, 1), dtype=torch.float32)
    return {
        "pred": values[:3],
        "targets": values[3:7],
        "real": values[3],
        "speaker": values[7],
        "video": (values[8].reshape(330, 1, 5, 5).expand(-1, 3, -1, -1) * 255).to(torch.uint8),
    }


def colours(pictures: torch.Tensor) -> torch.Tensor:
    return pictures.double().flatten(2)[:, 0, :4]


def frames(metric: Any, c: Clip) -> None:
    metric.update(c["video"], real=False)
    metric.update(c["video"].flip(0), real=True)


METRICS: dict[str, tuple[Callable[[], Metric], Callable[[Any, Clip], None]]] = {
    "frrea": (FRRea, lambda m, c: m.update(c["pred"], c["real"])),
    "frames": (lambda: FrameRealism(colours, 4), frames),
    "coverage": (AppropriateCoverage, lambda m, c: m.update(c["pred"], c["targets"])),
    "energy": (EnergyDistance, lambda m, c: m.update(c["pred"], c["targets"])),
    "crps": (CRPS, lambda m, c: m.update(c["pred"], c["targets"])),
    "latency": (
        lambda: ReactionLatency(horizon=40),
        lambda m, c: m.update(c["pred"], c["real"], c["speaker"]),
    ),
    "blinks": (
        lambda: EventStatistics("blinks"),
        lambda m, c: m.update(c["pred"][..., :2], c["real"][..., :2]),
    ),
    "nods": (
        lambda: EventStatistics("nods"),
        lambda m, c: m.update(c["pred"][..., 3], c["real"][..., 3]),
    ),
    "mimicry": (MimicryScore, lambda m, c: m.update(c["pred"], c["speaker"])),
    "jerk": (Jerk, lambda m, c: m.update(c["pred"], c["targets"])),
}


def after(name: str, indices: range) -> Metric:
    make, feed = METRICS[name]
    metric = make()
    for index in indices:
        feed(metric, clip(index))
    return metric


def result(metric: Metric) -> dict[str, float]:
    found = metric.compute()
    rows = found if isinstance(found, dict) else {"value": found}
    return {name: float(value) for name, value in rows.items()}


def same(a: dict[str, float], b: dict[str, float], rel: float = 1e-9) -> None:
    assert a == pytest.approx(b, rel=rel, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("name", METRICS)
def test_the_order_of_clips_does_not_matter_and_reset_forgets(name: str) -> None:
    metric = after(name, range(5))
    plain = result(metric)
    assert any(value == value and value != 0 for value in plain.values())
    metric.reset()
    for index in reversed(range(5)):
        METRICS[name][1](metric, clip(index))
    same(result(metric), plain)


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_survives_pickling_in_the_middle(name: str) -> None:
    if name == "frames":
        metric: Metric = FrameRealism(colours, 4)
    else:
        metric = METRICS[name][0]()
    METRICS[name][1](metric, clip(0))
    metric = pickle.loads(pickle.dumps(metric))
    for index in (1, 2):
        METRICS[name][1](metric, clip(index))
    same(result(metric), result(after(name, range(3))))


@pytest.mark.parametrize("name", METRICS)
def test_float64_input_gives_the_same_to_float32_precision(name: str) -> None:
    make, feed = METRICS[name]
    metric = make()
    for index in range(3):
        c = clip(index)
        feed(metric, {k: v.double() if v.is_floating_point() else v for k, v in c.items()})
    same(result(metric), result(after(name, range(3))), rel=1e-5)


def worker(rank: int, port: int, queue: Any) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2
    )
    found = {}
    for name in METRICS:
        # uneven shares: 4 clips here, 1 there
        found[name] = result(after(name, range(4) if rank == 0 else range(4, 5)))
    queue.put((rank, found))
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_give_what_one_gives() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = mp.get_context("spawn")
    queue = context.Queue()
    workers = [context.Process(target=worker, args=(r, port, queue)) for r in range(2)]
    for process in workers:
        process.start()
    try:
        both = dict(queue.get(timeout=180) for _ in workers)
    finally:
        for process in workers:
            process.join(timeout=30)
    assert all(process.exitcode == 0 for process in workers)
    for name in METRICS:
        one = result(after(name, range(5)))
        same(both[0][name], one)
        same(both[1][name], one)


@pytest.mark.gpu
@pytest.mark.parametrize("name", METRICS)
def test_a_gpu_gives_what_the_cpu_gives(name: str) -> None:
    make, feed = METRICS[name]
    metric = make().to("cuda")
    for index in range(3):
        feed(metric, {k: v.to("cuda") for k, v in clip(index).items()})
    same(result(metric), result(after(name, range(3))), rel=1e-7)
