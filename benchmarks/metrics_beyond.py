"""What the metrics beyond the field say of systems whose quality is known, and what they cost.

    python benchmarks/metrics_beyond.py [--dyads 56]

Simulated test dyads; each has 20 draws of its true conditional distribution: 10 stand for the
appropriate set, 10 for an honest sampler, which is then damaged in ways a metric should see.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from visavis.channels import GROUPS
from visavis.corpora import SimulatedDyads
from visavis.metrics.coverage import AppropriateCoverage
from visavis.metrics.distance import CRPS, EnergyDistance
from visavis.metrics.events import EventStatistics
from visavis.metrics.latency import ReactionLatency
from visavis.metrics.mimicry import MimicryScore
from visavis.metrics.realism import FRRea
from visavis.metrics.smoothness import Jerk

torch.set_num_threads(1)
SAMPLES = 10
System = Callable[[int], NDArray[np.float32]]


def attributes(behaviour: object) -> NDArray[np.float32]:
    channels = [behaviour[name] for name in GROUPS["attributes"]]  # type: ignore[index]
    return np.asarray(torch.cat(channels, dim=-1).numpy())


def systems(
    sets: NDArray[np.float32], honest: NDArray[np.float32], speakers: NDArray[np.float32]
) -> dict[str, System]:
    rng = np.random.default_rng(0)
    mean = honest.mean((0, 1, 2))
    shape = honest.shape[1:]

    def noise(size: float) -> NDArray[np.float32]:
        return (size * rng.normal(size=shape)).astype(np.float32)

    return {
        "honest sampler": lambda i: honest[i],
        "honest, another speaker": lambda i: honest[(i + 14) % len(honest)],
        "one honest sample, 10 times": lambda i: np.repeat(honest[i, :1], SAMPLES, 0),
        "mean of the set, 10 times": lambda i: np.repeat(sets[i].mean(0)[None], SAMPLES, 0),
        "half the amplitude": lambda i: mean + 0.5 * (honest[i] - mean),
        "trembling (sd 0.02)": lambda i: honest[i] + noise(0.02),
        "trembling (sd 0.1)": lambda i: honest[i] + noise(0.1),
        "frames shuffled": lambda i: rng.permuted(honest[i], axis=1),
        "channels of other clips": lambda i: np.stack(
            [honest[rng.integers(len(honest)), :, :, c] for c in range(shape[-1])], axis=-1
        ),
        "mirror, 1 s late": lambda i: np.repeat(np.roll(speakers[i], 25, 0)[None], SAMPLES, 0),
        "uniform noise": lambda i: rng.uniform(size=shape).astype(np.float32),
        "mean frame": lambda i: np.broadcast_to(mean, shape),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dyads", type=int, default=56)
    dyads = SimulatedDyads("test", size=parser.parse_args().dyads, audio=False)
    draws = np.stack([attributes(dyads.oracle(dyad, 2 * SAMPLES)) for dyad in dyads])
    real = np.stack([attributes(dyad.listener) for dyad in dyads])
    speakers = np.stack([attributes(dyad.speaker) for dyad in dyads])
    sets, honest = draws[:, SAMPLES:], draws[:, :SAMPLES]
    scale = np.maximum(real.std((0, 1)), 0.02)

    names = ("FRRea", "precision", "coverage", "energy", "CRPS", "gap_s", "answered", "mimicry")
    print(f"{'':30}" + "".join(f"{name:>10}" for name in (*names, "jerk_au", "jerk_va")))
    cost: dict[str, float] = {}
    for name, system in systems(sets, honest, speakers).items():
        row = scores(system, sets, real, speakers, scale, cost)
        print(f"{name:30}" + "".join(f"{value:10.3f}" for value in row))
    real_mimicry = MimicryScore()
    for listener, speaker in zip(real, speakers, strict=True):
        real_mimicry.update(listener[None], speaker)
    print(f"mimicry of the real listeners {float(real_mimicry.compute()['excess']):.3f}")
    events(dyads)
    rounds = 12 * len(dyads)
    print("CPU ms a clip of 10 samples and 10 targets, 750 frames, 25 channels, one thread:")
    print(", ".join(f"{name} {1e3 * spent / rounds:.1f}" for name, spent in cost.items()))


def scores(
    system: System,
    sets: NDArray[np.float32],
    real: NDArray[np.float32],
    speakers: NDArray[np.float32],
    scale: NDArray[np.float32],
    cost: dict[str, float],
) -> list[float]:
    frrea, coverage = FRRea(), AppropriateCoverage(scale=scale)
    energy, crps, latency = EnergyDistance(scale=scale), CRPS(), ReactionLatency()
    mimicry, jerk = MimicryScore(), Jerk()
    for i in range(len(sets)):
        pred = system(i)
        for metric, arguments in (
            (frrea, (pred, real[i])),
            (coverage, (pred, sets[i])),
            (energy, (pred, sets[i])),
            (crps, (pred, sets[i])),
            (latency, (pred, real[i], speakers[i])),
            (mimicry, (pred, speakers[i])),
            (jerk, (pred, sets[i])),
        ):
            start = time.process_time()
            metric.update(*arguments)
            name = type(metric).__name__
            cost[name] = cost.get(name, 0.0) + time.process_time() - start
    shares, late, smooth = coverage.compute(), latency.compute(), jerk.compute()
    found = [
        frrea.compute(),
        shares["precision"],
        shares["coverage"],
        energy.compute()["energy_distance"],
        crps.compute()["crps"],
        late["gap_s"],
        late["pred_answered"],
        mimicry.compute()["excess"],
        smooth["ratio_au"],
        smooth["ratio_va_expression"],
    ]
    return [float(value) for value in found]


def events(dyads: SimulatedDyads) -> None:
    """Blinks and nods of speakers (in place of a prediction) and listeners."""
    eyes = [i for i, n in enumerate(dyads[0].listener.layout["blendshapes"].labels) if "Blink" in n]
    for kind, channel, columns in (("blinks", "blendshapes", eyes), ("nods", "rotation", 0)):
        metric = EventStatistics(kind)  # type: ignore[arg-type]
        for dyad in dyads:
            speaker, listener = dyad.speaker[channel], dyad.listener[channel]
            metric.update(speaker[None][..., columns], listener[..., columns])
        print(f"{kind}: speakers {metric.report('pred')}, listeners {metric.report('real')}")


if __name__ == "__main__":
    main()
