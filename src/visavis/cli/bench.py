"""`visavis bench`: tables of models beside naive systems and the oracle; the trained test."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from visavis import corpora
from visavis.bench._bench import Bench, begin, known
from visavis.bench._results import Results
from visavis.bench._rows import Bars, Progress
from visavis.bench._run import bench, described
from visavis.bench._run import rerun as again_from
from visavis.bench._trained import Trained, trained
from visavis.bench._write import markdown
from visavis.cli.console import bar
from visavis.errors import InputError
from visavis.files import existing_file
from visavis.metrics.protocol import protocol_named

log = logging.getLogger("visavis")


@dataclass(frozen=True)
class Options:
    """What the command was asked for."""

    corpus: str
    root: Path | None
    split: str
    out: Path
    size: int | None
    frames: int | None
    scripts: int
    dyads: int
    clips: int | None
    train_clips: int
    num: int
    seed: int
    keep: bool
    quiet: bool


def run(
    models: Sequence[str],
    options: Options,
    *,
    trained_name: str | None,
    protocols: Sequence[str],
    speed: bool,
    rerun: Path | None,
    row: str | None,
    as_json: bool,
) -> None:
    if (rerun is None) != (row is None):
        raise InputError("--rerun and --row belong together: a results.json and a row's name.")
    if rerun is not None and row is not None:
        run_again(rerun, row, quiet=options.quiet, as_json=as_json)
        return
    if trained_name is not None:
        if models:
            raise InputError(
                f"--trained tests one model, {trained_name!r}; {', '.join(models)} cannot stand "
                "beside it. Run the command once for each."
            )
        run_trained(trained_name, options, as_json=as_json)
        return
    for name in protocols:
        protocol_named(name)
    known(models)
    at = opened(options)
    results = bench(models, at, protocols=protocols, speed=speed, source=_source(options, at))
    if as_json:
        typer.echo((at.folder.path / "results.json").read_text("utf-8").rstrip())
        return
    typer.echo(markdown(results).rstrip())
    log.info("written: %s", at.folder.path / "results.{json,csv,md,tex,html}")


def _source(options: Options, at: Bench) -> dict[str, Any]:
    """What loads the corpus again, for --rerun."""
    root = None if options.root is None else str(options.root.resolve())
    return {**described(at.clips.corpus), "root": root}


def run_again(path: Path, name: str, *, quiet: bool, as_json: bool) -> None:
    """One row again, beside what is stored."""
    results = Results.load(existing_file(path, wanted="a results.json of `visavis bench`"))
    stored, again = again_from(results, name, bars=_bars(quiet))
    differences = {
        f"{protocol}/{score}": (value, again["scores"][protocol]["values"].get(score))
        for protocol, entry in stored["scores"].items()
        for score, value in entry["values"].items()
    }
    if as_json:
        told = {key: {"stored": a, "again": b} for key, (a, b) in differences.items()}
        typer.echo(json.dumps({"row": stored["name"], "scores": told}))
        return
    rows = [("score", "stored", "again", "")]
    for key, (a, b) in differences.items():
        same = "equal" if a == b else "DIFFERENT"
        rows.append((key, _shown(a), _shown(b), same))
    for text in _columns(rows):
        typer.echo(text)


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.9g}"


def _bars(quiet: bool) -> Bars:
    @contextmanager
    def bars(label: str) -> Iterator[Progress | None]:
        with bar(label, quiet=quiet) as report:
            yield report

    return bars


def run_trained(model: str, options: Options, *, as_json: bool) -> None:
    known([model])
    found = trained(model, opened(options))
    if as_json:
        typer.echo(json.dumps(found.to_json()))
        return
    for line in trained_lines(found):
        typer.echo(line)


def opened(options: Options) -> Bench:
    """The results folder of these options."""
    choice = {"size": options.size, "frames": options.frames}
    given: dict[str, Any] = {key: value for key, value in choice.items() if value is not None}
    root = options.root
    corpus = corpora.load(options.corpus, options.split, root=root, **given)
    given.pop("size", None)
    train = corpora.load(options.corpus, "train", root=root, **given)

    return begin(
        corpus,
        options.out,
        train=train,
        scripts=options.scripts,
        dyads=options.dyads,
        clips=options.clips,
        samples=options.num,
        seed=options.seed,
        train_clips=options.train_clips,
        bars=_bars(options.quiet),
        keep=options.keep,
    )


def trained_lines(found: Trained) -> list[str]:
    """The outcome as text."""
    about = found.stamp
    version = f" {about['version']}" if about["version"] else ""
    rows = [("", "value", "95 % interval", "bound", "", "")]
    for line in found.lines:
        span = "" if line.low is None else f"[{line.low:.4g}, {line.high:.4g}]"
        value = "-" if line.value is None else f"{line.value:.4g}"
        rows.append((line.what, value, span, line.bound, line.verdict, line.note))
    lines = [
        f"Trained test of {found.model} on {about['corpus']}{version} ({about['split']}): "
        f"{found.clips} clips of {found.scripts} scripts, {found.samples} samples, seed "
        f"{about['seed']}, protocol corrected, intervals by script",
        "",
        *_columns(rows),
        "",
    ]
    if found.small:
        lines.append(
            f"Only {found.scripts} scripts: intervals are too narrow below 20, so this is a hint."
        )
    failed = sum(line.passed is False for line in found.lines)
    lines.append(
        "PASSED: it may call itself trained."
        if found.passed
        else f"FAILED {failed} of {len(found.lines)} lines: demonstration only."
    )
    return lines


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
