"""A study's folder at work: rows trained and scored, each by one process at a time."""

from __future__ import annotations

import fcntl
import json
import logging
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from visavis import corpora
from visavis.bench._bench import Bench, begin
from visavis.bench._folder import code_version, read_json, write_json
from visavis.bench._rows import Bars, Row, no_bars
from visavis.bench.ablation._plan import RowPlan, Study
from visavis.bench.ablation._row import row_of
from visavis.errors import InputError

log = logging.getLogger("visavis")

Train = Callable[[str, str, Sequence[str], Path], None]
"""Recipe, preset, changes, folder: train there, going on where a run of it was stopped."""

SCRIPTS, DYADS, SAMPLES = 20, 2, 5
"""40 clips of 20 scripts with five samples: about 30 s of a core a row of the online Trans-VAE."""


@dataclass(frozen=True)
class Made:
    """One row as far as the folder has it."""

    name: str
    plan: RowPlan
    row: Row | None
    """Its scores; None: not made yet."""
    run: Path | None
    """Where its weights are; None for a row that is not trained."""
    seconds: float | None
    """Of training."""
    steps: int
    codes: tuple[str, ...]
    """Versions of the code that trained it."""


@dataclass(frozen=True)
class At:
    """A study in its folder."""

    study: Study
    folder: Path
    bench: Bench

    def run(self, plan: RowPlan) -> Path | None:
        return run_folder(self.study, self.folder, plan)


def run_folder(study: Study, folder: Path, plan: RowPlan) -> Path | None:
    """Where a row is trained; None for one that is not."""
    return None if plan.system is not None else folder / "runs" / study.run_of(plan)


def opened(
    study: Study,
    folder: str | Path,
    *,
    scripts: int = SCRIPTS,
    dyads: int = DYADS,
    samples: int = SAMPLES,
    seed: int = 0,
    size: int | None = None,
    frames: int | None = None,
    bars: Bars = no_bars,
) -> At:
    """Begin a study's folder, or go on with it.

    Args:
        scripts, dyads: test clips: the first `dyads` of each of `scripts` scripts.
        samples: K.
        seed: of the draws.
        size, frames: of the simulated test split, for a trial.

    Raises:
        InputError: the folder was scored on other clips, or is no such folder.
    """
    out = Path(folder)
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / "bench").is_dir())):
        raise InputError(f"{out} is not empty and no folder of `visavis ablate`; give a new one.")
    given = {k: v for k, v in (("size", size), ("frames", frames)) if v is not None}
    corpus = corpora.load("simulated", "test", **{**study.test, **given})
    with locked(out / "locks" / "bench.lock", wait=True):
        bench = begin(
            corpus, out / "bench", scripts=scripts, dyads=dyads, samples=samples, seed=seed,
            bars=bars,
        )  # fmt: skip
    return At(study, out, bench)


def make(at: At, names: Sequence[str], train: Train) -> list[Made]:
    """Train and score these rows as far as they are not there; rows that another process is busy
    with are left to it.

    Returns:
        The rows in order; `row` is None where another process has not finished yet.
    """
    waiting = [name for name in dict.fromkeys(names) if not _make(at, name, train)]
    left = [name for name in waiting if not _make(at, name, train)]
    for name in left:
        log.warning("row %s is being made by another process, which writes the tables too", name)
    rows = [found(at, name) for name in names]
    old = [row.name for row in rows if row.codes not in ((), (code_version(),))]
    if old:
        log.warning(
            "trained by other code than today's, and kept: %s. To train a row again, delete its "
            "folder in %s (table.json names it).", ", ".join(old), at.folder / "runs",
        )  # fmt: skip
    return rows


def found(at: At, name: str) -> Made:
    """A row as far as the folder has it; nothing is computed."""
    plan = at.study.rows[name]
    run = at.run(plan)
    if run is None:
        return Made(name, plan, row_of(at.bench, plan, None, compute=False), None, None, 0, ())
    about = _about(run)
    steps = at.study.resolved(plan).steps
    codes = tuple(about.get("codes", ()))
    if not trained(run):
        return Made(name, plan, None, run, None, steps, codes)
    seconds = read_json(run / "config.json")["trained"]["seconds"]
    row = row_of(at.bench, plan, run, compute=False)
    return Made(name, plan, row, run, seconds, steps, codes)


def trained(run: Path) -> bool:
    """Whether the run is whole: its config is written last."""
    return (run / "config.json").is_file()


def _make(at: At, name: str, train: Train) -> bool:
    """Whether the row is whole now; False where another process holds it."""
    plan = at.study.rows[name]
    run = at.run(plan)
    lock = f"{run.name if run is not None else plan.system}.lock"
    with locked(at.folder / "locks" / lock) as mine:
        if not mine:
            return False
        if run is not None:
            _train(at, name, run, train)
        row_of(at.bench, plan, run, compute=True)
    return True


def _train(at: At, name: str, run: Path, train: Train) -> None:
    now, plan = code_version(), at.study.rows[name]
    codes = _about(run).get("codes", [])
    if trained(run):
        shutil.rmtree(run / "checkpoints", ignore_errors=True)
        return
    log.info("row %s: training in %s", name, run)
    write_json(run / "made.json", {"codes": list(dict.fromkeys([*codes, now]))})
    train(plan.recipe or at.study.recipe, at.study.preset_of(plan), at.study.changes_of(plan), run)
    if not trained(run):
        raise InputError(f"training wrote no {run / 'config.json'}.")
    shutil.rmtree(run / "checkpoints", ignore_errors=True)  # a gigabyte in a study of big models


def _about(run: Path) -> dict[str, Any]:
    path = run / "made.json"
    return read_json(path) if path.is_file() else {}


@contextmanager
def locked(path: Path, *, wait: bool = False) -> Iterator[bool]:
    """Hold a lock file; whether it is ours. The system lets go of it when a process dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError:
            yield False
            return
        yield True


def stamp_of(at: At) -> dict[str, Any]:
    """What the scores are of, as `bench.json` has it."""
    plain: dict[str, Any] = json.loads(json.dumps(dict(at.bench.folder.stamp)))
    return plain
