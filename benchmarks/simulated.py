"""Dyads of 30 s that the simulator makes in a second on one core, with and without audio.

    python benchmarks/simulated.py [--dyads 56]

Floors: 30 dyads a second without audio.
"""

from __future__ import annotations

import argparse
import json
import time

import torch

from visavis.corpora import SimulatedDyads, collate


def rate(dyads: int, *, audio: bool) -> float:
    """Dyads a second; the first one, which imports and warms up, does not count."""
    corpus = SimulatedDyads("train", size=dyads + 1, audio=audio)
    corpus[dyads]
    start = time.perf_counter()
    for index in range(dyads):
        corpus[index]
    return dyads / (time.perf_counter() - start)


def batch_ms(corpus: SimulatedDyads) -> float:
    """Milliseconds for a training batch of 16 dyads x 8 targets, drawn, cropped and collated."""
    start = time.perf_counter()
    collate([corpus[i] for i in range(16)], crop=256, targets=8, listener=corpus.listener)
    return 1000 * (time.perf_counter() - start)


def oracle_rate(corpus: SimulatedDyads) -> float:
    """Oracle listeners of 30 s a second."""
    start = time.perf_counter()
    corpus.oracle(corpus[0], 50)
    return 50 / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dyads", type=int, default=56)
    count = parser.parse_args().dyads
    torch.set_num_threads(1)
    corpus = SimulatedDyads("train", size=28, audio=False)
    result = {
        "dyads_a_second": round(rate(count, audio=False), 1),
        "dyads_a_second_with_audio": round(rate(max(count // 4, 1), audio=True), 1),
        "batch_16x8_cold_ms": round(batch_ms(corpus), 1),
        "batch_16x8_warm_ms": round(batch_ms(corpus), 1),
        "oracle_listeners_a_second": round(oracle_rate(corpus), 1),
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
