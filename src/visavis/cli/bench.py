"""`visavis bench`: tables of models beside naive systems and the oracle; the trained test."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from visavis import corpora
from visavis.bench._bench import Bench, begin
from visavis.bench._rows import Progress
from visavis.bench._trained import Trained, trained
from visavis.cli.console import bar


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
    if trained_name is not None:
        run_trained(trained_name, options, as_json=as_json)
        return


def run_trained(model: str, options: Options, *, as_json: bool) -> None:
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

    @contextmanager
    def bars(label: str) -> Iterator[Progress | None]:
        with bar(label, quiet=options.quiet) as report:
            yield report

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
        bars=bars,
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
