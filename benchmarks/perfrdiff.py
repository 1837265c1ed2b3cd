"""PerFRDiff, ten reactions to 30 s: the published layout beside ours, and the compact default.

Published: ten runs one after another, 50 steps, the memory's keys and values computed at every
step, with and without the condition. A part of it is timed (`steps` of 50, `SAMPLES` of 10) and
scaled; the prior, whose output the released configuration drops, is left out on both sides.
Random weights, one thread. `tests/models/test_perfrdiff.py` holds both to the same numbers.

    python benchmarks/perfrdiff.py
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks._timing import cpu_seconds, machine, show
from benchmarks.peers.perfrdiff import PublishedPerFRDiff
from visavis import recipes
from visavis.models.perfrdiff import PerFRDiff, PerFRDiffConfig

WINDOWS, FRAMES, SAMPLES, STEPS = 15, 750, 10, 1


def main() -> None:
    torch.set_num_threads(1)
    print(machine())
    with torch.inference_mode():
        config = PerFRDiffConfig()
        theirs = published(config) * SAMPLES * config.sampling_steps / STEPS
        show(f"ten reactions, {config.sampling_steps} steps, scaled", theirs, ours(config))
        compact = recipes.build(recipes.read("perfrdiff")).config
        show("the compact default", theirs, ours(compact, whole=True))


def published(config: PerFRDiffConfig) -> float:
    """CPU seconds of `STEPS` steps of one reaction."""
    model = PerFRDiff(config).eval()
    peer = PublishedPerFRDiff(model)
    seen = torch.randn(WINDOWS, config.heard, model.numbers)
    x = torch.randn(WINDOWS, config.window, 25)
    peer.sample(seen, x, STEPS)
    return min(cpu_seconds(lambda: peer.sample(seen, x, STEPS)) for _ in range(3))


def ours(config: PerFRDiffConfig, *, whole: bool = False) -> float:
    """CPU seconds of ten reactions; unless `whole`, of runs of one and of two steps, scaled."""
    seeds = torch.zeros(1, dtype=torch.int64)

    def run(steps: int) -> float:
        model = PerFRDiff(replace(config, sampling_steps=steps)).eval()
        seen = torch.randn(1, WINDOWS, config.heard, model.numbers)
        return cpu_seconds(lambda: model.sample(seen, seeds, SAMPLES, 0, {}))

    if whole:
        run(config.sampling_steps)
        return min(run(config.sampling_steps) for _ in range(3))
    one, two = run(1), run(2)
    return one + (two - one) * (config.sampling_steps - 1)


if __name__ == "__main__":
    main()
