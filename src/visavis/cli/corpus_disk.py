"""`visavis corpus check`, `make`, `cache` and `info`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import typer

from visavis.cli.console import bar
from visavis.corpora.check import SPLITS, Check, check, opened

SHOWN = 10
"""Problems of one kind that are printed; --json has all."""


def run_check(
    root: Path, *, corpus: str | None, splits: list[str], as_json: bool, quiet: bool
) -> None:
    """Exit code 0: every clip is used; 1: some are lost."""
    with bar("reading", quiet=quiet) as progress:
        found = check(root, corpus, splits=splits or SPLITS, progress=progress)
    typer.echo(json.dumps(found.to_json()) if as_json else described(found))
    if not found.sound:
        raise typer.Exit(1)


def described(found: Check) -> str:
    """A line a problem, those that cost a clip first; then what is left."""
    lines, shown = [], dict[str, int]()
    width = max((len(f.problem.where) for f in found.findings), default=0)
    for finding in found.findings:
        problem = finding.problem
        shown[problem.kind] = shown.get(problem.kind, 0) + 1
        if shown[problem.kind] <= SHOWN:
            fate = "skipped" if problem.skipped else "lost" if finding.lost else "used"
            lines.append(
                f"{finding.split:<6} {problem.kind:<11} {fate:<8} "
                f"{problem.where:<{min(width, 60)}}  {problem.what}"
            )
    lines += [f"... and {n - SHOWN} more {kind}" for kind, n in shown.items() if n > SHOWN]
    if lines:
        lines.append("")
    sizes = ", ".join(f"{split} {size:,}" for split, size in found.splits.items())
    lines.append(f"{found.corpus} at {found.root}: {sizes} dyads")
    lost = sum(f.lost for f in found.findings)
    remarks = len(found.findings) - lost
    lines.append(f"{lost} losses, {remarks} remarks on what is used all the same")
    return "\n".join(lines)


def run_make(
    name: str,
    root: Path,
    *,
    size: int,
    frames: int,
    seed: int,
    audio: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    from visavis.corpora.make import make

    half = max(1, size // 2)
    sizes = {"train": size, "val": half, "test": half}
    with bar("writing", quiet=quiet) as progress:
        made = make(
            name, root, sizes=sizes, frames=frames, seed=seed, audio=audio, progress=progress
        )
    if as_json:
        typer.echo(json.dumps({"corpus": name, "root": str(root), "splits": made}))
    else:
        listed = ", ".join(f"{split} {count}" for split, count in made.items())
        typer.echo(f"written: {root} ({name}: {listed} simulated dyads)")


def run_cache(
    root: Path,
    folder: Path | None,
    *,
    corpus: str | None,
    splits: list[str],
    jobs: int,
    content: bool,
    prune: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    from visavis.corpora.cache import Cached

    folder = folder or root.resolve().with_name(f"{root.resolve().name}-cache")
    name, corpora, _ = opened(root, corpus, splits=splits or SPLITS)
    rows: list[dict[str, Any]] = []
    for split, found in corpora.items():
        with bar(f"caching {split}", quiet=quiet) as progress:
            cached = Cached(
                found,
                folder,
                verify="content" if content else "changed",
                jobs=jobs,
                progress=progress,
            )
        shards = list(cached.folder.glob("shard-*"))
        rows.append(
            {
                "split": split,
                "dyads": len(cached),
                "parsed": cached.parsed,
                "bytes": sum(p.stat().st_size for p in shards),
                "folder": str(cached.folder),
                "stale": [str(p) for p in cached.stale()],
            }
        )
        if prune:
            for old in cached.stale():
                shutil.rmtree(old)
    if as_json:
        typer.echo(json.dumps({"corpus": name, "splits": rows, "pruned": prune}))
        return
    for row in rows:
        typer.echo(
            f"{row['split']:<6} {row['dyads']:>7,} dyads, {row['parsed']:,} parsed, "
            f"{row['bytes'] / 2**20:,.1f} MiB in {row['folder']}"
        )
        for old in row["stale"]:
            typer.echo(f"       {'removed' if prune else 'old (--prune removes it)'}: {old}")


def run_info(root: Path, *, corpus: str | None, as_json: bool) -> None:
    name, corpora, wrong = opened(root, corpus)
    rows = {}
    for split, found in corpora.items():
        first = found[0]
        rows[split] = {
            "dyads": len(found),
            "frames of the first": first.speaker.frames,
            "fps": first.speaker.fps,
            "speaker": list(first.speaker.layout.names),
            "listener": list(first.listener.layout.names),
        }
    if as_json:
        typer.echo(json.dumps({"corpus": name, "root": str(root), "splits": rows}))
        return
    typer.echo(f"{name} at {root}")
    for split, row in rows.items():
        typer.echo(f"\n{split}: {row['dyads']:,} dyads")
        for role in ("speaker", "listener"):
            typer.echo(f"  {role:<9} {', '.join(row[role])}")  # type: ignore[arg-type]
    for finding in wrong:
        typer.echo(f"\n{finding.split}: {finding.problem.what}")
