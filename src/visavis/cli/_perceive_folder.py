"""`visavis perceive FOLDER`."""

from __future__ import annotations

import json
from pathlib import Path

import typer

from visavis.cli.console import bar
from visavis.features.perceive_many import REPORT, PerceptionReport, perceive_many

SHOWN = 20
"""Failures that are printed; the report has all."""


def run_folder(
    root: Path,
    out: Path,
    *,
    tracker: str | None,
    fps: float | None,
    jobs: int | None,
    engine: str,
    address: str | None,
    only: list[str],
    as_json: bool,
    quiet: bool,
) -> None:
    with bar("perceiving", quiet=quiet) as progress:
        report = perceive_many(
            root,
            out,
            jobs=jobs,
            engine=engine,
            address=address,
            only=only,
            tracker=tracker,
            fps=fps,
            progress=progress,
        )
    if as_json:
        typer.echo(json.dumps(report.to_json()))
    else:
        typer.echo(described(report))
        typer.echo(f"\nwritten: {out / REPORT}")
    if report.count("failed"):
        raise typer.Exit(1)


def described(report: PerceptionReport) -> str:
    """The report as a few lines: counts, speed, what failed and why."""
    lines = [f"{status:<8} {report.count(status):>7,}" for status in ("done", "skipped", "failed")]
    lines[1] += "   finished before"
    if report.frames:
        lines[0] += (
            f"   {report.frames:,} frames in {report.seconds:,.1f} s: "
            f"{report.frames_per_s:,.1f} frames/s ({report.engine}, {report.jobs} jobs)"
        )
    faceless = [f.file for f in report.files if f.face == 0]
    if faceless:
        lines.append(f"no face  {len(faceless):>7,}   e.g. {faceless[0]}")
    failed = [f for f in report.files if f.status == "failed"]
    if failed:
        lines.append("")
        width = min(48, max(len(f.file) for f in failed[:SHOWN]))
        lines += [f"{f.file:<{width}}  {f.reason}" for f in failed[:SHOWN]]
        if len(failed) > SHOWN:
            lines.append(f"... and {len(failed) - SHOWN} more")
    return "\n".join(lines)
