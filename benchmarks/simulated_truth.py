"""Is the simulator a benchmark? Its oracle beside the naive rows, under `corrected`.

    python benchmarks/simulated_truth.py [--scripts 20] [--clips 10] [--samples 10]

FRCorr (higher is better) and FRDist (lower) of `--clips` test clips of each script; intervals
resample scripts. What is asked: the oracle's FRCorr is at least twice that of the best naive row
and equals a real listener's with its own clip left out; its FRDist is below the mean sequence's.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from visavis.behaviour import Behaviour
from visavis.corpora import SimulatedDyads
from visavis.metrics.frcorr import frcorr
from visavis.metrics.frdist import appropriate_distances
from visavis.metrics.intervals import compare
from visavis.metrics.protocol import protocol_named

F32 = NDArray[np.float32]
GROUPS = {"au": slice(0, 15), "va": slice(15, 17), "expression": slice(17, 25)}
DRAWS = 50
"""Oracle draws in `oracle_mean`."""
CORRECTED = protocol_named("corrected")


def attributes(behaviour: Behaviour) -> F32:
    """[..., T, 25]"""
    return np.asarray(behaviour.select("attributes").pack().numpy(), np.float32)


class Rows:
    """Rows of the table: each gives the reactions [K, T, 25] of a clip."""

    def __init__(self, scripts: int, clips: int, samples: int) -> None:
        self.test = SimulatedDyads("test", size=14 * scripts, audio=False)
        train = SimulatedDyads("train", size=280, audio=False)
        self.samples = samples
        self.chosen = [14 * s + i for s in range(scripts) for i in range(clips)]
        self.scripts = [i // 14 for i in self.chosen]
        self.listeners = np.stack([attributes(self.test.listener(id)) for id in self.test.ids])
        self.trained = np.stack([attributes(train.listener(id)) for id in train.ids])
        self.mean = self.trained.mean(0, keepdims=True)
        self._drawn: dict[int, F32] = {}

    def drawn(self, index: int) -> F32:
        """The clip's 50 draws; `oracle` is the first of them."""
        if index not in self._drawn:
            self._drawn[index] = attributes(self.test.oracle(self.test.ids[index], DRAWS))
        return self._drawn[index]

    def oracle(self, index: int) -> F32:
        return self.drawn(index)[: self.samples]

    def shuffled(self, index: int) -> F32:
        place = self.chosen.index(index)
        step = self.chosen.count(index) * sum(s == self.scripts[0] for s in self.scripts)
        return self.oracle(self.chosen[(place + step) % len(self.chosen)])

    def oracle_mean(self, index: int) -> F32:
        return self.drawn(index).mean(0, keepdims=True)

    def stretched_mean(self, index: int) -> F32:
        mean = self.oracle_mean(index)
        still = mean.mean(1, keepdims=True)
        return still + 1.5 * (mean - still)

    def mime(self, index: int) -> F32:
        return attributes(self.test[index].speaker)[None]

    def random_listener(self, index: int) -> F32:
        rng = np.random.default_rng(index)
        return self.trained[rng.choice(len(self.trained), self.samples, replace=False)]

    def mean_sequence(self, index: int) -> F32:
        return self.mean

    def uniform(self, index: int) -> F32:
        rng = np.random.default_rng(index)
        return rng.random((self.samples, *self.listeners.shape[1:])).astype(np.float32)

    def real(self, index: int) -> F32:
        """The paired listener; scored against the others only."""
        return self.listeners[index][None]


NAIVE = ("mime", "random_listener", "mean_sequence", "uniform")
ROWS = ("oracle", "real", "oracle_mean", "stretched_mean", *NAIVE, "shuffled")


def scores(rows: Rows, name: str) -> tuple[NDArray[np.float64], NDArray[np.float64], F32]:
    """FRCorr and FRDist of each chosen clip, and the reactions [N, K, T, 25]."""
    make: Callable[[int], F32] = getattr(rows, name)
    pred = np.stack([make(i) for i in rows.chosen])
    lists = []
    for index in rows.chosen:
        script = index // 14
        lists.append(
            [j for j in range(14 * script, 14 * script + 14) if name != "real" or j != index]
        )
    corr = [
        frcorr(p, rows.listeners[row], CORRECTED)["FRCorr"]
        for p, row in zip(pred, lists, strict=True)
    ]
    dist = appropriate_distances(pred, rows.listeners, lists, threads=2).mean(1)
    return np.array(corr), np.asarray(dist), pred


def shape(pred: F32) -> dict[str, dict[str, float]]:
    """FRDiv, FRVar and jerk of each group; jerk of AUs is that of rounded ones."""
    found: dict[str, dict[str, float]] = {"FRDiv": {}, "FRVar": {}, "jerk": {}}
    for name, columns in GROUPS.items():
        part = pred[..., columns].astype(np.float64)
        found["FRDiv"][name] = 2 * part.var(1, ddof=1).mean() if part.shape[1] > 1 else 0.0
        found["FRVar"][name] = part.var(2, ddof=1).mean()
        edged = part.round() if name == "au" else part
        found["jerk"][name] = np.abs(np.diff(edged, 3, axis=2)).mean()
    return {k: {n: round(float(x), 4) for n, x in v.items()} for k, v in found.items()}


def table(scripts: int, clips: int, samples: int) -> dict[str, object]:
    rows = Rows(scripts, clips, samples)
    found = {name: scores(rows, name) for name in ROWS}
    corr = {name: float(c.mean()) for name, (c, _, _) in found.items()}
    best = max(NAIVE, key=corr.__getitem__)
    real = rows.listeners[rows.chosen][:, None]

    def versus(a: str, b: str, which: int) -> str:
        return str(compare(found[a][which], found[b][which], rows.scripts).difference)

    return {
        "clips": len(rows.chosen),
        "FRCorr": {name: round(x, 3) for name, x in corr.items()},
        "FRDist": {name: round(float(d.mean()), 2) for name, (_, d, _) in found.items()},
        "best naive row": best,
        "oracle / best naive": round(corr["oracle"] / corr[best], 2),
        "FRCorr oracle - best naive": versus("oracle", best, 0),
        "FRCorr oracle - real": versus("oracle", "real", 0),
        "FRCorr oracle - shuffled": versus("oracle", "shuffled", 0),
        "FRDist oracle - mean_sequence": versus("oracle", "mean_sequence", 1),
        "FRDist oracle - mime": versus("oracle", "mime", 1),
        "oracle's shape": shape(found["oracle"][2]),
        "real shape": shape(real),
        "speakers' shape": shape(found["mime"][2]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scripts", type=int, default=20)
    parser.add_argument("--clips", type=int, default=10)
    parser.add_argument("--samples", type=int, default=10)
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(json.dumps(table(given.scripts, given.clips, given.samples), indent=2))


if __name__ == "__main__":
    main()
