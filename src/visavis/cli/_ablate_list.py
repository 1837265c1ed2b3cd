"""`visavis ablate --list`: the rows of a study, what each is, and how long training would take."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from visavis.bench._folder import read_json
from visavis.bench.ablation._plan import RowPlan, Study
from visavis.bench.ablation._work import run_folder, trained
from visavis.bench.ablation._write import title

SCORING = 30.0
"""Seconds of a core that a row's scores take, about (docs/bench.md)."""


@dataclass(frozen=True)
class Pace:
    """How fast training is here."""

    seconds_a_step: float
    measured: str
    """On what."""


def listed(study: Study, wanted: Sequence[str], folder: Path, *, quiet: bool) -> Iterator[str]:
    """The lines that are printed."""
    yield f"{study.name}: {study.paper}"
    for table in study.tables:
        if not set(table.rows) & set(wanted):
            continue
        yield f"\n{title(table)} (base: {table.base})"
        for name in table.rows:
            yield f"  {name:<18}{_what(study, study.rows[name]):<44}  {_state(study, name, folder)}"
    yield ""
    left = _left(study, wanted, folder)
    if not left:
        yield f"All {len(wanted)} rows are trained in {folder}."
        return
    base = study.rows[study.tables[0].base]  # others may lack its slowest part
    tried = base if base in left.values() else next(iter(left.values()))
    pace = _pace(study, tried, folder, quiet=quiet)
    steps = sum(study.resolved(row).steps for row in left.values())
    seconds = steps * pace.seconds_a_step + SCORING * len(wanted)
    runs = "runs" if len(left) > 1 else "run"
    yield (
        f"{len(left)} {runs} of {steps:,} steps in all to train: about "
        f"{timedelta(seconds=round(seconds))} with scoring, at {pace.seconds_a_step:.3g} s a step "
        f"({pace.measured}), and the time to make the training clips. Two processes may share the "
        "folder."
    )


def _what(study: Study, row: RowPlan) -> str:
    if row.system is not None:
        return f"the bench's {row.system}"
    lost = [f"lost.{k}={v:g}" for k, v in row.lost.items()]
    draws = [f"draws={row.draws}"] if row.draws else []
    past = [] if row.history is None else [f"history={row.history} of clip {row.history_clip}"]
    words = [study.preset_of(row), *row.changes, *row.at_test, *lost, *draws, *past]
    return " ".join([*([row.recipe] if row.recipe else []), *words])


def _state(study: Study, name: str, folder: Path) -> str:
    row = study.rows[name]
    run = run_folder(study, folder, row)
    if run is None:
        return ""
    if trained(run):
        return f"trained in {_seconds(run):.0f} s"
    return f"{study.resolved(row).steps:,} steps"


def _left(study: Study, wanted: Sequence[str], folder: Path) -> dict[Path, RowPlan]:
    """Runs that are not whole yet, each once."""
    runs = {run_folder(study, folder, study.rows[name]): study.rows[name] for name in wanted}
    return {run: row for run, row in runs.items() if run is not None and not trained(run)}


def _pace(study: Study, row: RowPlan, folder: Path, *, quiet: bool) -> Pace:
    """From the runs that are there, else from a dry run of one row."""
    done = [
        (_seconds(run), study.resolved(other).steps)
        for other in study.rows.values()
        if (run := run_folder(study, folder, other)) is not None and trained(run)
    ]
    if sum(steps for _, steps in done):
        each = sum(s for s, _ in done) / sum(steps for _, steps in done)
        return Pace(each, f"measured on {len(done)} trained rows")
    from visavis.cli.ablate import job

    with tempfile.TemporaryDirectory() as nowhere:
        recipe, preset = row.recipe or study.recipe, study.preset_of(row)
        rehearsal = job(recipe, preset, study.changes_of(row), Path(nowhere), quiet=quiet)
        found = rehearsal.estimates()
    steps = sum(one.steps for one in found)
    return Pace(sum(one.seconds for one in found) / max(steps, 1), f"a dry run of {row.label}")


def _seconds(run: Path) -> float:
    return float(read_json(run / "config.json")["trained"]["seconds"])
