"""Dyads of 30 s that the simulator makes in a second on one core, with and without audio.

    python benchmarks/simulated.py [--dyads 56] [--film]

Each rate stands twice: by the clock, and by the seconds that the core worked for this process,
which other jobs on the machine disturb less. Floors: 30 dyads a second without audio.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from visavis.corpora import SimulatedDyads, collate


def rates(count: int, work: Callable[[int], object]) -> dict[str, float]:
    """Pieces of work a second; the first one, which imports and warms up, does not count."""
    work(count)
    clock, worked = time.perf_counter(), time.process_time()
    for number in range(count):
        work(number)
    return {
        "by the clock": round(count / (time.perf_counter() - clock), 2),
        "a second of work": round(count / (time.process_time() - worked), 2),
    }


def dyads(count: int, *, audio: bool) -> dict[str, float]:
    corpus = SimulatedDyads("train", size=count + 1, audio=audio)
    return rates(count, corpus.__getitem__)


def batches(*, warm: bool) -> dict[str, float]:
    """Training batches of 16 dyads x 8 targets, drawn, cropped and collated."""
    corpus = SimulatedDyads("train", size=28, audio=False)

    def make(number: int) -> object:
        chosen = corpus if warm else SimulatedDyads("train", size=28, audio=False)
        return collate(
            [chosen[i] for i in range(16)], crop=256, targets=8, listener=chosen.listener
        )

    return rates(2, make)


def oracle() -> dict[str, float]:
    """Draws of 50 listeners for one clip, as the bench asks for them."""
    corpus = SimulatedDyads("test", size=14, audio=False)
    return rates(3, lambda number: corpus.oracle(corpus.ids[number], 50))


def film() -> dict[str, float]:
    """Films of 30 s, 224x224, with the voice."""
    from visavis.render.frames import pictures

    corpus = SimulatedDyads("test", size=14, renderer=pictures)
    with tempfile.TemporaryDirectory() as folder:
        return rates(1, lambda number: corpus.film(corpus.ids[number], Path(folder) / "film.mp4"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dyads", type=int, default=56)
    parser.add_argument("--film", action="store_true", help="films too")
    given = parser.parse_args()
    torch.set_num_threads(1)
    result = {
        "dyads": dyads(given.dyads, audio=False),
        "dyads with audio": dyads(max(given.dyads // 4, 1), audio=True),
        "batches 16x8, cold": batches(warm=False),
        "batches 16x8, warm": batches(warm=True),
        "clips x 50 oracle draws": oracle(),
    }
    if given.film:
        result["films"] = film()
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
