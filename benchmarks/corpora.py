"""Random windows from the cache against parsing CSV and npy; films perceived by 1 and 2 processes.

    python benchmarks/corpora.py

Best of several rounds; both readers find their files in the page cache.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np
import torch

from benchmarks.peers.react_loader import window as parsed_window
from visavis.corpora import collate, load
from visavis.corpora.cache import Cached
from visavis.corpora.make import make
from visavis.demo.portrait import make_speaker
from visavis.features.perceive_many import perceive_many

CLIPS, FRAMES, LENGTH = 16, 750, 256
ROUNDS = 5


def best(work: Callable[[], object], repeats: int) -> float:
    """Seconds of one call: the best round's average."""
    work()
    rounds = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for _ in range(repeats):
            work()
        rounds.append((time.perf_counter() - began) / repeats)
    return min(rounds)


def windows(folder: Path) -> None:
    make("react", folder / "react", sizes={"train": CLIPS}, frames=FRAMES, audio=False)
    corpus = load("react", "train", root=folder / "react", swap=False)
    began = time.perf_counter()
    cached = Cached(corpus, folder / "cache")
    built = time.perf_counter() - began
    opening = best(lambda: Cached(corpus, folder / "cache"), 1)
    print(
        f"cache of {CLIPS} dyads of {FRAMES} frames: built in {built:.2f} s, "
        f"opened in {opening * 1e3:.1f} ms"
    )
    tree = folder / "react" / "train"
    tables = sorted((tree / "Emotion").rglob("*.csv"))
    faces = sorted(p for p in (tree / "3D_FV_files").rglob("*.npy") if "_full" not in p.name)
    rng = np.random.default_rng(0)

    def start() -> int:
        return int(rng.integers(FRAMES - LENGTH))

    def any_of(things: list[Path]) -> Path:
        return things[int(rng.integers(len(things)))]

    def by_cache() -> torch.Tensor:
        at = start()
        id = cached.ids[int(rng.integers(len(cached)))]
        return cached.window(id, at, at + LENGTH, role="listener").channels["au"].sum()

    peer = best(lambda: parsed_window(any_of(tables), any_of(faces), start(), LENGTH), 20)
    ours = best(by_cache, 2000)
    print(
        f"{LENGTH} random frames of one person: parsed {peer * 1e3:.2f} ms, "
        f"cache {ours * 1e6:.0f} us, "
        f"{peer / ours:.0f} times"
    )

    def batch(source: Cached) -> object:
        chosen = [source[int(i)] for i in rng.integers(0, len(source), 8)]
        return collate(chosen, crop=LENGTH, targets=4, rng=rng, listener=source.listener)

    ours = best(lambda: batch(cached), 5)
    plain = best(lambda: batch(corpus), 1)
    print(
        f"a batch of 8 with up to 4 targets: from files {plain * 1e3:.0f} ms, "
        f"cache {ours * 1e3:.1f} ms: {plain / ours:.0f} times"
    )


def films(folder: Path) -> None:
    root = folder / "films"
    root.mkdir()
    for seed in range(4):
        make_speaker(root / f"{seed}.mp4", seconds=4, seed=seed, size=192)
    for engine, jobs in (("loky", 1), ("loky", 2), ("dask", 2)):
        report = perceive_many(root, folder / f"{engine}{jobs}", jobs=jobs, engine=engine)
        print(
            f"perceive 4 films of 4 s, {engine}, {jobs} processes: {report.seconds:.1f} s, "
            f"{report.frames_per_s:.0f} frames/s, starting included"
        )


if __name__ == "__main__":
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        windows(Path(folder))
        films(Path(folder))
