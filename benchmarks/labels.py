"""Labels of appropriateness for a whole split: ours, all pairs in full, and the field's DTW.

Speakers are simulated, 30 s each. "In full" and tslearn run on the stated share of the pairs and
are scaled to all of them, which is stated too. Every pair of the share must agree.

    python benchmarks/labels.py                 1,612 clips, every core: about two minutes
    python benchmarks/labels.py --clips 400
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import time
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np
from tslearn.metrics import dtw

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks._timing import machine
from visavis.appropriate import AppropriateMap
from visavis.corpora import SimulatedDyads
from visavis.metrics.frdist import ATTRIBUTE_GROUPS, group_distances


def speakers(clips: int, frames: int) -> list[np.ndarray]:
    """Facial attributes of simulated speakers, [T, 25] each."""
    corpus = SimulatedDyads("test", size=clips, frames=frames, audio=False)
    return [dyad.speaker.pack("attributes").numpy() for dyad in corpus]


def theirs(a: np.ndarray, b: np.ndarray) -> float:
    return sum(w * dtw(a[:, columns], b[:, columns]) for columns, w in ATTRIBUTE_GROUPS)


def timed(work: object) -> tuple[object, float, float]:
    """Result, seconds on the wall, seconds of all cores."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()  # type: ignore[operator]
    return result, time.perf_counter() - wall, time.process_time() - cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=1612)
    parser.add_argument("--frames", type=int, default=750)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    asked = parser.parse_args()
    values = speakers(asked.clips, asked.frames)
    ids = [str(number) for number in range(asked.clips)]
    pairs = asked.clips * (asked.clips - 1) // 2
    AppropriateMap.similar(ids[:8], [v[:40] for v in values[:8]], quantile=0.5)  # warm
    theirs(values[0][:40], values[1][:40])
    print(f"{machine()}; load {os.getloadavg()[0]:.1f} at the start")

    made, wall, cpu = timed(lambda: AppropriateMap.similar(ids, values, threads=asked.threads))
    assert isinstance(made, AppropriateMap)
    print(f"{made!r}: {made.recipe}")
    print(f"dtw      {wall:7.1f} s wall, {cpu:7.1f} CPU s ({pairs} pairs, {asked.threads} threads)")
    again, wall_ccc, cpu_ccc = timed(lambda: AppropriateMap.similar(ids, values, measure="ccc"))
    print(f"ccc      {wall_ccc:7.1f} s wall, {cpu_ccc:7.1f} CPU s; {again!r}")
    _, _, strided = timed(
        lambda: AppropriateMap.similar(ids, values, threads=asked.threads, stride=5)
    )
    print(f"stride 5 {strided:7.1f} CPU s (an approximation: every fifth frame alone)")

    some = list(range(0, asked.clips, max(1, asked.clips // 24)))
    full, _, slow = timed(lambda: group_distances([values[i] for i in some], values))
    close = np.asarray(full) <= made.recipe["threshold"] * (1 + 1e-9)
    assert np.array_equal(close, made.matrix()[some]), "pruning changed a label"
    slow *= pairs / (len(some) * asked.clips)
    print(f"in full  {slow:7.0f} CPU s, scaled from {len(some)} rows, whose labels are equal")
    few = some[:4]
    found, _, slowest = timed(
        lambda: [[theirs(values[i], values[j]) for j in some[-6:]] for i in few]
    )
    np.testing.assert_allclose(found, np.asarray(full)[: len(few), some[-6:]], rtol=1e-6)
    slowest *= pairs / (len(few) * 6)
    print(f"tslearn  {slowest:7.0f} CPU s, scaled from {len(few) * 6} pairs, whose distances agree")
    print(
        f"{slow / cpu:.1f} times less than in full, {slowest / cpu:.0f} times less than tslearn; "
        f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB"
    )


if __name__ == "__main__":
    main()
