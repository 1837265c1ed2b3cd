"""The list of pairs of a folder: a CSV or JSON-lines manifest, or the names of the files."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from visavis.corpora._disk_read import read_table, read_text
from visavis.corpora._disk_root import entries, listed
from visavis.corpora._problems import Problem
from visavis.errors import InputError, nearest

NAMES = ("manifest.csv", "manifest.jsonl")
NEEDED = ("speaker", "listener")
OPTIONAL = (
    *("id", "script", "speaker_id", "listener_id", "context", "split"),
    *("start_s", "end_s", "transcript", "sound", "fps"),
)
EXAMPLE = """    speaker,listener,listener_id,script
    anna.mp4,ben.mp4,ben,holiday
    carl.mp4,dora.mp4,dora,holiday"""
KNOWN = (".safetensors", ".csv", ".npy", ".mp4", ".mkv", ".mov", ".m4v", ".avi", ".webm", ".mpg")
SIDE = re.compile(r"^(.*?)[._-]?(speaker|listener)([._-].*)?$", re.IGNORECASE)


@dataclass(frozen=True)
class Row:
    """One pair of a manifest, checked; paths are whole."""

    id: str
    speaker: Path
    listener: Path
    speaker_id: str
    listener_id: str
    script: str | None
    context: str | None
    split: str | None
    start_s: float
    end_s: float | None
    transcript: Path | None
    sound: Path | None
    fps: float
    """Of tables and arrays that do not tell it themselves."""


def find(root: Path, manifest: str | Path | None) -> Path | None:
    """The manifest: the one named, else `manifest.csv` or `manifest.jsonl` in the root.

    Raises:
        InputError: the one named is not there, or two are.
    """
    if manifest is not None:
        path = Path(manifest)
        for place in (path, root / path):
            if place.is_file():
                return place
        raise InputError(f"there is no manifest {path}, neither here nor in {root}.")
    found = [root / name for name in NAMES if (root / name).is_file()]
    if len(found) > 1:
        raise InputError(f"{root} has {' and '.join(NAMES)}; name the one to use.")
    return found[0] if found else None


def rows_of(manifest: Path) -> tuple[list[Row], list[Problem]]:
    """The pairs of a manifest; paths in it start from its folder.

    Raises:
        InputError: a column is missing or unknown, a line is no pair, or a time is no number.
    """
    rows: list[Row] = []
    for where, cells in _lines(manifest):
        rows.append(_row(cells, manifest.parent, where, number=len(rows) + 1))
    problems = [
        Problem("missing", str(path), f"not there, but named by {row.id}; left out.", skipped=True)
        for row in rows
        for path in (row.speaker, row.listener, row.transcript, row.sound)
        if path is not None and not path.is_file()
    ]
    return rows, problems


def _lines(manifest: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if manifest.suffix.lower() in (".jsonl", ".ndjson", ".json"):
        for number, line in enumerate(read_text(manifest).splitlines(), start=1):
            if not line.strip():
                continue
            try:
                cells = json.loads(line)
            except ValueError as error:
                raise InputError(f"{manifest}, line {number} is not JSON ({error}).") from error
            if not isinstance(cells, dict):
                raise InputError(f"{manifest}, line {number}: wanted an object, not {line[:40]!r}.")
            _check(cells, f"{manifest}, line {number}")
            yield f"{manifest}, line {number}", cells
        return
    table = read_table(manifest, columns=NEEDED)
    if table:
        _check(table[0], str(manifest))
    for number, row in enumerate(table, start=1):
        yield f"{manifest}, row {number}", row


def _check(cells: Mapping[str, Any], where: str) -> None:
    for column in NEEDED:
        if column not in cells:
            raise InputError(f"{where} has no {column!r}. {nearest(column, cells)}")
    for column in cells:
        if column and column not in (*NEEDED, *OPTIONAL):
            raise InputError(
                f"{where} has a column {column!r} that nothing reads. "
                f"{nearest(column, (*NEEDED, *OPTIONAL))}"
            )


def _row(cells: Mapping[str, Any], folder: Path, where: str, *, number: int) -> Row:
    def text(column: str) -> str | None:
        value = cells.get(column)
        return None if value is None or str(value).strip() == "" else str(value).strip()

    def path(column: str) -> Path | None:
        value = text(column)
        return None if value is None else folder / value

    def seconds(column: str) -> float | None:
        value = text(column)
        if value is None:
            return None
        try:
            found = float(value)
        except ValueError:
            found = math.nan
        if not 0.0 <= found < math.inf:
            raise InputError(f"{where}: {column} is {value!r}, wanted a number of 0 or more.")
        return found

    speaker, listener = path("speaker"), path("listener")
    if speaker is None or listener is None:
        raise InputError(f"{where}: speaker and listener must both name a file.")
    for file in (speaker, listener):
        if file.suffix.lower() not in KNOWN:
            raise InputError(
                f"{where}: {file.name} is of no kind that is read here; wanted one of "
                f"{', '.join(KNOWN)}."
            )
    start, end, fps = seconds("start_s") or 0.0, seconds("end_s"), seconds("fps")
    if end is not None and end <= start:
        raise InputError(f"{where}: end_s is {end:g}, but the clip starts at {start:g}.")
    id = text("id") or f"{number:05d}-{listener.stem}"
    return Row(
        id=id,
        speaker=speaker,
        listener=listener,
        speaker_id=text("speaker_id") or f"{id}/speaker",
        listener_id=text("listener_id") or f"{id}/listener",
        script=text("script"),
        context=text("context"),
        split=text("split"),
        start_s=start,
        end_s=end,
        transcript=path("transcript"),
        sound=path("sound"),
        fps=fps or 25.0,
    )


# ---------------------------------------------------------------------- without a manifest


def rows_by_name(root: Path) -> tuple[list[Row], list[Problem]]:
    """Pairs such as `talk1_speaker.mp4` and `talk1_listener.mp4`, in the root and its folders.

    A behaviour that was kept beside its film does not count twice.

    Raises:
        InputError: there is no such pair; an example of a manifest is shown.
    """
    found: dict[str, dict[str, Path]] = {}
    problems: list[Problem] = []
    folders = [root, *(root / name for name in entries(root) if (root / name).is_dir())]
    for folder in folders:
        for name in entries(folder):
            path = folder / name
            match = SIDE.match(path.stem)
            if match is None or path.suffix.lower() not in KNOWN or not path.is_file():
                continue
            key = f"{folder.relative_to(root)}/{match.group(1)}{match.group(3) or ''}"
            sides = found.setdefault(key.removeprefix("./"), {})
            side = match.group(2).lower()
            if side not in sides or sides[side].suffix == ".safetensors":
                sides[side] = path
    rows = []
    for key, sides in sorted(found.items()):
        id = key.replace("/", "-").strip("-_.") or "clip"
        if len(sides) == 1:
            side, path = next(iter(sides.items()))
            what = f"there is no other side to this {side}; left out."
            problems.append(Problem("orphan", str(path), what, skipped=True))
            continue
        rows.append(
            Row(
                id=id,
                speaker=sides["speaker"],
                listener=sides["listener"],
                speaker_id=f"{id}/speaker",
                listener_id=f"{id}/listener",
                script=None,
                context=None,
                split=None,
                start_s=0.0,
                end_s=None,
                transcript=None,
                sound=None,
                fps=25.0,
            )
        )
    if not rows:
        raise InputError(
            f"{root} has no manifest and no pairs such as talk1_speaker.mp4 and "
            f"talk1_listener.mp4; found {listed(root)}. Write a manifest.csv into it, e.g.\n\n"
            f"{EXAMPLE}\n\nOther columns: {', '.join(OPTIONAL)}; see docs/corpora.md."
        )
    return rows, problems
