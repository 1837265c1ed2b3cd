"""Scores of reactions: ours beside the official way, on the same arrays, one thread each.

The official way takes minutes on the whole set, so it runs on the stated share of it, spread over
the set; ours runs on all of it. CPU milliseconds a unit, median of three, both warm, in turn.
Where there is a GPU its wall clock is printed too, and its numbers are asserted to be the same.

    python benchmarks/metrics.py
    python benchmarks/metrics.py --suite     1,612 clips, all scores, every core: wall clock, memory
    python benchmarks/metrics.py --suite corrected      the same of one protocol
"""

from __future__ import annotations

import os
import sys

SUITE = "--suite" in sys.argv
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_name] = "1"

import resource
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks._reactions import Reactions, reactions
from benchmarks._timing import machine, side_by_side
from benchmarks.peers import correlation
from benchmarks.peers.metrics import nearest
from visavis.metrics import ProtocolWarning, evaluate_arrays
from visavis.metrics._device import device_named
from visavis.metrics.frcorr import best_ccc
from visavis.metrics.frdist import appropriate_distances
from visavis.metrics.synchrony import offsets

SHARE = 6
"""Samples that the official FRDist is taken of: 60 of the 6,400 triples."""


def line(name: str, kind: str, unit: str, theirs: float, ours: float, share: str) -> None:
    print(
        f"{name:7s}{kind:6s} official {1e3 * theirs:8.3f} ms, visavis {1e3 * ours:8.4f} ms "
        f"a {unit}: {theirs / ours:6.1f} times ({share})"
    )


def frdist(kind: str, data: Reactions) -> None:
    clips, samples = data.pred.shape[:2]
    rows = data.appropriate
    some = [(n, n % samples) for n in np.linspace(0, clips - 1, SHARE).astype(int)]
    whole = appropriate_distances(data.pred, data.gt, rows)
    wanted = [nearest(data.pred[at], data.gt, rows[at[0]]) for at in some]
    np.testing.assert_allclose([whole[at] for at in some], wanted, rtol=1e-6)
    official, ours = side_by_side(
        lambda: [nearest(data.pred[at], data.gt, rows[at[0]]) for at in some],
        lambda: appropriate_distances(data.pred, data.gt, rows),
    )
    share = f"official on {len(some) * rows.shape[1]} of {clips * samples * rows.shape[1]} triples"
    slow, fast = official / (len(some) * rows.shape[1]), ours / (samples * rows.size)
    line("FRDist", kind, "triple", slow, fast, share)
    gpu(
        "FRDist",
        "triple",
        samples * rows.size,
        lambda: appropriate_distances(data.pred, data.gt, rows, device="cuda"),
        whole,
    )


def gpu(
    name: str, unit: str, count: int, work: Callable[[], object], wanted: object, rtol: float = 1e-6
) -> None:
    """Wall clock of `work` on a GPU a unit, best of three, and that its numbers are `wanted`."""
    if not torch.cuda.is_available():
        print(f"{name:7s}not measured: no GPU here")
        return
    work()
    seconds = []
    for _ in range(3):
        torch.cuda.synchronize()
        began = time.perf_counter()
        found = work()
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    np.testing.assert_allclose(found, wanted, rtol=rtol, atol=1e-12)
    each = 1e3 * min(seconds) / count
    print(f"{name:7s}{torch.cuda.get_device_name()}: {each:.4f} ms a {unit}, wall clock")


def frcorr(kind: str, data: Reactions) -> None:
    """Ours on all 6,400 triples, as `evaluate_arrays` takes them: clip by clip."""
    clips, samples = data.pred.shape[:2]
    rows = data.appropriate
    some = [(n, n % samples) for n in np.linspace(0, clips - 1, 2 * SHARE).astype(int)]

    def official() -> list[float]:
        return [
            correlation.frcorr(data.pred[n, k : k + 1], list(data.gt[rows[n]])) for n, k in some
        ]

    def visavis() -> list[np.ndarray]:
        return [best_ccc(data.pred[n], data.gt[rows[n]]) for n in range(clips)]

    found = visavis()
    np.testing.assert_allclose([found[n][k] for n, k in some], official(), rtol=1e-6, atol=1e-7)
    theirs, ours = side_by_side(official, visavis)
    share = f"official on {len(some) * rows.shape[1]} of {samples * rows.size} triples"
    slow, fast = theirs / (len(some) * rows.shape[1]), ours / (samples * rows.size)
    line("FRCorr", kind, "triple", slow, fast, share)

    def far() -> list[np.ndarray]:
        where = device_named("cuda")
        return [best_ccc(data.pred[n], data.gt[rows[n]], where=where) for n in range(clips)]

    gpu("FRCorr", "triple", samples * rows.size, far, found)


def frsyn(kind: str, data: Reactions) -> None:
    """The speaker of a clip is another clip's listener; ours on all 640 sequences."""
    clips, samples = data.pred.shape[:2]
    speakers = np.roll(data.gt, 1, axis=0) + data.pred[:, 0] / 4
    some = [(n, n % samples) for n in np.linspace(0, clips - 1, 2 * SHARE).astype(int)]

    def official() -> list[int]:
        return [correlation.offset(data.pred[n, k], speakers[n]) for n, k in some]

    def visavis() -> list[np.ndarray]:
        return [offsets(data.pred[n], speakers[n]) for n in range(clips)]

    found = visavis()
    assert [found[n][k] for n, k in some] == official()
    theirs, ours = side_by_side(official, visavis)
    share = f"official on {len(some)} of {clips * samples} sequences"
    line("FRSyn", kind, "sequence", theirs / len(some), ours / (clips * samples), share)

    def far() -> list[np.ndarray]:
        where = device_named("cuda")
        return [offsets(data.pred[n], speakers[n], where=where) for n in range(clips)]

    gpu("FRSyn", "sequence", clips * samples, far, found, rtol=0)


def suite(kind: str) -> None:
    """A test set of REACT 2024's size: 62 different clips, 26 times over (nothing is cached)."""
    data, times = reactions(kind, clips=62), 26
    clips = 62 * times
    pred = np.tile(data.pred, (times, 1, 1, 1))
    gt = np.tile(data.gt, (times, 1, 1))
    near = np.kron(np.eye(times, dtype=np.int8), data.neighbour.astype(np.int8))
    speaker = np.roll(gt, 1, axis=0) + pred[:, 0] / 4
    warnings.simplefilter("ignore", ProtocolWarning)
    few = np.arange(32)
    named = [word for word in sys.argv[1:] if not word.startswith("-")]
    for protocol in named or ("react2024", "react2024_serial", "corrected"):
        evaluate_arrays(pred[few], gt[few], speaker[few], np.eye(32), protocol)  # compiles
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        wall, cpu = time.perf_counter(), time.process_time()
        scores = evaluate_arrays(pred, gt, speaker, near, protocol)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(
            f"suite  {kind} {protocol}: {clips} clips x {pred.shape[1]} samples x "
            f"{int(near.sum(1)[0])} targets in {wall:.1f} s on {len(os.sched_getaffinity(0))} "
            f"cores ({cpu:.1f} CPU s), {(after - before) / 1024:.0f} MiB above the "
            f"{(pred.nbytes + 2 * gt.nbytes) / 2**20:.0f} MiB of data; "
            f"FRCorr {scores['FRCorr']:.4f}, FRDist {scores['FRDist']:.4f}",
            flush=True,
        )
        count = clips * pred.shape[1]
        gpu(
            "suite",
            f"sequence of all scores ({protocol})",
            count,
            lambda protocol=protocol: list(
                evaluate_arrays(pred, gt, speaker, near, protocol, device="cuda").values()
            ),
            list(scores.values()),
        )


def main() -> None:
    torch.set_num_threads(1)
    print(machine())
    for kind in ("indep", "mixed"):
        if SUITE:
            suite(kind)
            continue
        data = reactions(kind)
        frcorr(kind, data)
        frsyn(kind, data)
        frdist(kind, data)


if __name__ == "__main__":
    main()
