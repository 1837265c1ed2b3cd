"""`visavis ablate`: the rows of a paper's ablations trained, scored, and put into tables."""

from __future__ import annotations

import json
import logging
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import typer

from visavis.bench._rows import Bars, Progress
from visavis.bench.ablation._plan import Study, names, read
from visavis.bench.ablation._result import StudyResult
from visavis.bench.ablation._work import DYADS, SAMPLES, SCRIPTS, make, opened
from visavis.bench.ablation._write import as_json as to_json
from visavis.bench.ablation._write import markdown, tabulated
from visavis.cli.console import bar
from visavis.cli.train import Job, precision_of
from visavis.cli.train import Options as Train
from visavis.errors import InputError, nearest
from visavis.training import devices
from visavis.training.checkpoint import Keeper

log = logging.getLogger("visavis")


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the command was asked for beside the study's name."""

    tables: Sequence[str] = ()
    only: Sequence[str] = ()
    changes: Sequence[str] = ()
    steps: int | None = None
    out: Path | None = None
    scripts: int = SCRIPTS
    dyads: int = DYADS
    num: int = SAMPLES
    seed: int = 0
    size: int | None = None
    frames: int | None = None
    quiet: bool = False

    def folder(self, study: Study) -> Path:
        return self.out or Path("ablations") / study.name

    def words(self) -> str:
        """These options but for the rows, as words of a command line."""
        said = [f"--set {shlex.quote(change)}" for change in self.changes]
        for name in ("steps", "scripts", "dyads", "num", "seed", "size", "frames"):
            if getattr(self, name) != getattr(Options, name):
                said.append(f"--{name} {getattr(self, name)}")
        return " ".join(
            [*said, *([] if self.out is None else [f"-o {shlex.quote(str(self.out))}"])]
        )


def run(name: str | None, options: Options, *, show: bool, as_json: bool) -> None:
    if name is None:
        if not show:
            raise InputError(f"name a study: {', '.join(names())}; or --list.")
        for known in names():
            typer.echo(f"{known:<20}{read(known).paper}")
        return
    study = read(name, changes=options.changes, steps=options.steps)
    wanted = rows_of(study, options)
    if show:
        from visavis.cli._ablate_list import listed

        for line in listed(study, wanted, options.folder(study), quiet=options.quiet):
            typer.echo(line)
        return
    at = opened(
        study,
        options.folder(study),
        scripts=options.scripts,
        dyads=options.dyads,
        samples=options.num,
        seed=options.seed,
        size=options.size,
        frames=options.frames,
        bars=_bars(options.quiet),
    )

    def train(recipe: str, preset: str, changes: Sequence[str], folder: Path) -> None:
        job(recipe, preset, changes, folder, quiet=options.quiet).work()

    make(at, wanted, train)
    found = tabulated(at, options=options.words())
    asked = _asked(found, options)
    if as_json:
        typer.echo(json.dumps(to_json(asked)))
        return
    typer.echo(markdown(asked).rstrip())
    log.info("written: %s", at.folder / "table.{md,csv,json,html}")


def rows_of(study: Study, options: Options) -> list[str]:
    """The rows asked for; all of the tables' where none are named.

    Raises:
        InputError: no such table or row.
    """
    for row in options.only:
        if row not in study.rows:
            raise InputError(f"{study.name} has no row {row!r}. {nearest(row, study.rows)}")
    chosen = [study.table(number) for number in options.tables] or study.tables
    every = dict.fromkeys(name for table in chosen for name in table.rows)
    return list(dict.fromkeys(options.only)) or list(every)


def _asked(found: StudyResult, options: Options) -> StudyResult:
    """Only the tables asked for; the files have all that the folder has."""
    kept = [
        table
        for table in found.tables
        if not options.tables or table.plan.number in options.tables
        if not options.only or set(options.only) & set(table.plan.rows)
    ]
    return replace(found, tables=tuple(kept))


def job(recipe: str, preset: str, changes: Sequence[str], folder: Path, *, quiet: bool) -> Job:
    """The training of a row, in this process; it goes on from its checkpoint if it has one."""
    begun = bool(Keeper(folder).steps())
    options = Train(out=folder, preset=preset, changes=changes, resume=begun, quiet=quiet)
    resolved = options.recipe(recipe)
    return Job(
        resolved, options, devices.fabric(accelerator="auto", precision=precision_of(resolved))
    )


def _bars(quiet: bool) -> Bars:
    @contextmanager
    def bars(label: str) -> Iterator[Progress | None]:
        with bar(label, quiet=quiet) as report:
            yield report

    return bars
