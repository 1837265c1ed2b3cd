"""SIGKILL at any moment, and disks that fill up: no run is lost."""

from __future__ import annotations

import random
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.training.processes import forked, weights_of
from tests.training.toys import Toy, draw, settings, weights
from visavis.dyad import Batch
from visavis.errors import InputError
from visavis.recipes import StageRecipe
from visavis.training.checkpoint import Keeper
from visavis.training.logs import Log
from visavis.training.loop import train
from visavis.training.resume import Run

RECIPE = {"name": "toy", "model": "toy"}


class Heavy(Toy):
    """Most of a step is the writing of its checkpoint, so that most kills hit one."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("ballast", torch.rand(3_000_000))


def go(folder: Path, steps: int) -> None:
    """Train in `folder`, from its newest checkpoint if there is one; then write the weights."""
    run = Run(folder, RECIPE, resume=bool(Keeper(folder).steps()))
    run.keeper.clean()
    model = Heavy()
    stages = (StageRecipe(name="main", training=settings(steps, checkpoint_every=1, ema=0.9)),)
    train(model, draw, stages, fit_on=[draw(500)], run=run, log=Log(folder))
    save_file(weights(model), folder / "end.safetensors")


def survives(folder: Path, *, steps: int, kills: int) -> tuple[int, int]:
    """Kill a run at `kills` random moments, let it end, and count the kills in the midst of the
    run and those during a write."""
    rng, amidst, during = random.Random(11), 0, 0
    for _ in range(kills):
        child = forked(go, folder, steps)
        time.sleep(rng.uniform(0.02, 0.8))
        child.kill()
        child.join()
        done = Keeper(folder).steps()
        amidst += bool(done) and done[-1] < steps
        during += bool(list((folder / "checkpoints").glob(".*.safetensors")))
    last = forked(go, folder, steps)
    last.join(300)
    assert last.exitcode == 0
    return amidst, during


def compare(tmp_path: Path, *, steps: int, kills: int) -> tuple[int, int]:
    counts = survives(tmp_path / "killed", steps=steps, kills=kills)
    whole = forked(go, tmp_path / "whole", steps)
    whole.join(300)
    one, other = (weights_of(tmp_path / f / "end.safetensors") for f in ("killed", "whole"))
    assert all(torch.equal(x, other[n]) for n, x in one.items())
    logs = [(tmp_path / f / "log.jsonl").read_text() for f in ("killed", "whole")]
    assert logs[0] == logs[1]
    return counts


def test_killed_at_random_moments_a_run_ends_as_if_nothing_had_been(tmp_path: Path) -> None:
    amidst, _ = compare(tmp_path, steps=30, kills=6)
    assert amidst > 0


@pytest.mark.slow
def test_killed_over_and_over_also_during_writes(tmp_path: Path) -> None:
    amidst, during = compare(tmp_path, steps=200, kills=60)
    assert amidst > 20 and during > 3


# ---------------------------------------------------------------------- full disks


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """The system refuses to write beyond `size` bytes of a file, as a full disk or quota does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_said_and_keeps_the_last_good_checkpoint(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    limits = []

    def filling(step: int) -> Batch:
        if step == 3:
            limits.append(largest_file(2000))
            limits[0].__enter__()
        return draw(step)

    stages = (StageRecipe(name="main", training=settings(6, checkpoint_every=1)),)
    model = Toy()
    try:
        history = train(model, filling, stages, run=Run(tmp_path, RECIPE), log=Log(tmp_path))
    finally:
        limits[0].__exit__(None, None, None)
    assert history.steps == 6
    assert "no checkpoint at step 4" in caplog.text
    assert "the last good one is of step 3" in caplog.text
    keeper = Keeper(tmp_path)
    assert keeper.steps() == [2, 3]
    assert keeper.newest()[0] == 3
    assert not list(keeper.folder.glob(".*"))


def test_a_log_that_cannot_be_written_costs_rows_and_not_the_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = Log(tmp_path)
    log.begin()
    with largest_file(300):
        for step in range(1, 40):
            log.add({"step": step, "loss": 1.0})
    assert len(log.rows) == 39
    assert caplog.text.count("cannot write the log") == 1


def test_a_checkpoint_that_must_be_written_and_cannot_raises(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path)
    keeper.save(1, {"x": torch.zeros(4)})
    with largest_file(1000), pytest.raises(InputError, match="cannot write"):
        keeper.save(2, {"x": torch.zeros(4000)})
    assert keeper.newest()[1]["x"].tolist() == [0, 0, 0, 0]
