"""Steps per second of the loop beside a plain PyTorch loop with the same model and batches.

    python benchmarks/training.py [STEPS] [RUNS]

Also: what making a batch costs beside a step, and what a checkpoint costs. CPU seconds of this
process, A B A B, the best of the runs of each (other work on the machine can only add).
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks._timing import cpu_seconds, machine
from visavis import recipes
from visavis.cli._train_data import Draw, clips
from visavis.dyad import Batch
from visavis.training.logs import Log
from visavis.training.loop import train
from visavis.training.resume import Run
from visavis.training.sampler import Sampler

STEPS = int(sys.argv[1]) if len(sys.argv) > 1 else 30
RUNS = int(sys.argv[2]) if len(sys.argv) > 2 else 3


def plain(recipe: recipes.Recipe, batches: list[Batch]) -> None:
    """What one would write by hand: forward, backward, clip, step; the loss read at every step."""
    model, settings = recipes.build(recipe), recipe.plan[-1].training
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate)
    model.train()
    for batch in batches:
        loss = sum(x for n, x in model.loss(batch).items() if not n.startswith("log/"))
        if not torch.isfinite(loss):
            raise ValueError("not finite")
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip_norm)
        optimizer.step()


def ours(recipe: recipes.Recipe, batches: list[Batch], folder: Path) -> None:
    train(recipes.build(recipe), batches.__getitem__, recipe.plan[-1:], log=Log(folder))


def best(works: list[Callable[[], object]]) -> list[float]:
    found = [[cpu_seconds(work) for work in works] for _ in range(RUNS + 1)][1:]
    return [min(times) for times in zip(*found, strict=True)]


def compare(name: str) -> None:
    """One line for a recipe's laptop preset."""
    recipe, draw = small(name, f"training.steps={STEPS}")
    batches = [draw(step) for step in range(STEPS)]
    with tempfile.TemporaryDirectory() as folder:
        hand, loop, read = best(
            [
                lambda: plain(recipe, batches),
                lambda: ours(recipe, batches, Path(folder)),
                lambda: [draw(step) for step in range(STEPS)],
            ]
        )
    print(
        f"{name}: by hand {STEPS / hand:.2f} steps/s, visavis {STEPS / loop:.2f} steps/s "
        f"({loop / hand - 1:+.1%}); its batches {read / STEPS * 1e3:.1f} ms a step "
        f"({read / loop:.1%})"
    )


def small(name: str, *changes: str) -> tuple[recipes.Recipe, Draw]:
    recipe = recipes.read(name, preset="laptop", changes=["corpus.train_size=28", *changes])
    data = clips("train", recipe, None, audio=True, quiet=True)
    return recipe, Draw(data, Sampler(len(data), recipe.plan, seed=0), recipe.corpus)


def checkpoint() -> None:
    """What a checkpoint costs: the weights, the best ones and two moments of AdamW."""
    recipe, draw = small("trans_vae", "training.steps=2", "corpus.crop=16", "corpus.frames=40")
    run = Run(tempfile.mkdtemp(), {"name": "b", "model": "b"})
    train(recipes.build(recipe), draw, recipe.plan, run=run, log=Log())
    _, tree = run.keeper.newest()
    took = min(cpu_seconds(lambda: run.keeper.save(3, tree)) for _ in range(5))
    print(f"a checkpoint between stages: {took * 1e3:.0f} ms")
    shutil.rmtree(run.folder)


def main() -> None:
    torch.set_num_threads(1)
    print(machine())
    for name in ("trans_vae", "trans_vae_online"):
        compare(name)
    checkpoint()


if __name__ == "__main__":
    main()
