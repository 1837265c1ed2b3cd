"""`visavis evaluate`: the scores of the field from one .npz, the published and the corrected."""

from __future__ import annotations

import json
import logging
import lzma
import math
import warnings
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import typer
from numpy.typing import NDArray

from visavis.cli.console import bar
from visavis.errors import InputError
from visavis.files import existing_file
from visavis.metrics._scoring import undefined
from visavis.metrics._sources import from_arrays
from visavis.metrics.evaluate import ProtocolWarning, choose, evaluate_arrays
from visavis.metrics.intervals import Interval, bootstrap
from visavis.metrics.protocol import Protocol, protocol_named
from visavis.metrics.scores import Scores

log = logging.getLogger("visavis")

_DAMAGED = (
    *(ValueError, EOFError, OSError, zlib.error, lzma.LZMAError, zipfile.BadZipFile),
    *(RuntimeError, MemoryError, OverflowError),  # encrypted, compressed unknown ways, huge headers
)

KEYS = {
    "pred": "[N, K, T, D]",
    "gt": "[N, T, D]",
    "speaker": "[N, T, D]",
    "neighbour": "[N, N], 0 or 1",
}


def run(
    path: Path,
    *,
    protocol: str,
    metrics: Sequence[str] | None,
    per_clip: bool,
    intervals: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    chosen = protocol_named(protocol)
    arrays = read_npz(path)
    beside: Scores | None = None
    reasons: dict[str, str] = {}
    published: Scores | None = None
    clips = per_clip or intervals
    if chosen.strict and metrics is None:  # what these clips define, and why not the rest
        published, reasons = _corrected(arrays, None, per_clip=clips, quiet=quiet)
    if published is None:
        published = _evaluate(arrays, chosen, metrics, per_clip=clips, quiet=quiet)
    if not chosen.strict:
        beside, reasons = _corrected(arrays, metrics, per_clip=clips, quiet=quiet)
    if as_json:
        record = _record(published, beside, reasons, per_clip=per_clip, intervals=intervals)
        typer.echo(json.dumps(record))
        return
    for line in _table(published, beside, reasons):
        typer.echo(line)
    if intervals:
        for line in _interval_lines(published, beside):
            typer.echo(line)
    if per_clip:
        typer.echo("")
        for line in _clip_table(published):
            typer.echo(line)


def _intervals(scores: Scores) -> dict[str, Interval]:
    """95 % intervals of the scores that are means over clips; those of a NaN clip are left out."""
    found = {}
    for name, values in scores.per_clip.items():
        if "/" not in name and len(values) > 1 and np.isfinite(values).all():
            found[name] = bootstrap(values)
    return found


def _interval_lines(published: Scores, beside: Scores | None) -> list[str]:
    lines = ["", "95 % intervals, bootstrap over clips (too narrow where clips share a script)"]
    for scores in (published, beside):
        if scores is None:
            continue
        for name, interval in _intervals(scores).items():
            span = f"{interval.low:.4f} to {interval.high:.4f}"
            few = "  (fewer than 20 clips: only a hint)" if interval.few else ""
            lines.append(f"{name:<8} {scores.protocol:<18} {interval.mean:.4f}  [{span}]{few}")
    return lines


def _evaluate(
    arrays: dict[str, NDArray[Any]],
    protocol: Protocol,
    metrics: Sequence[str] | None,
    *,
    per_clip: bool,
    quiet: bool,
) -> Scores:
    with bar(protocol.name, quiet=quiet) as report, warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", ProtocolWarning)
        scores = evaluate_arrays(
            arrays["pred"],
            arrays["gt"],
            arrays["speaker"],
            arrays["neighbour"],
            protocol,
            metrics=metrics,
            per_clip=per_clip,
            progress=report,
        )
    for one in said:
        log.warning("%s", one.message)
    return scores


def _corrected(
    arrays: dict[str, NDArray[Any]], metrics: Sequence[str] | None, *, per_clip: bool, quiet: bool
) -> tuple[Scores | None, dict[str, str]]:
    """The corrected scores that these clips define, and why the others are missing."""
    protocol = protocol_named("corrected")
    try:
        source = from_arrays(**arrays, protocol=protocol, labels=())
    except InputError as error:
        return None, {"all": str(error)}
    wanted = tuple(metrics or protocol.metrics)
    reasons = {name: why for name, why in undefined(source).items() if name in wanted}
    defined, _ = choose(source, [name for name in wanted if name not in reasons])
    return _evaluate(arrays, protocol, defined, per_clip=per_clip, quiet=quiet), reasons


def read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """The four arrays of an .npz; nothing in it is ever unpickled.

    Raises:
        InputError: no such file, not an .npz, an array missing, damaged or holding objects.
    """
    found = existing_file(path, wanted="an .npz with pred, gt, speaker and neighbour")
    try:
        with zipfile.ZipFile(found) as archive:
            held = {name.removesuffix(".npy"): name for name in archive.namelist()}
            missing = [f"{key} {shape}" for key, shape in KEYS.items() if key not in held]
            if missing:
                raise InputError(
                    f"{found} lacks {', '.join(missing)}; it holds "
                    f"{', '.join(sorted(held)) or 'nothing'}. Write it with numpy.savez(path, "
                    "pred=..., gt=..., speaker=..., neighbour=...)."
                )
            return {key: _read(archive, held[key], found) for key in KEYS}
    except zipfile.BadZipFile as error:
        raise InputError(f"{found} is not an .npz file ({error}).") from error


def _read(archive: zipfile.ZipFile, name: str, path: Path) -> NDArray[Any]:
    try:
        with archive.open(name) as file:
            array: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    except _DAMAGED as error:
        if "allow_pickle" in str(error):
            raise InputError(
                f"{name} in {path} holds Python objects, which could run code when read, and is "
                "refused. Save plain numbers: for clips of different length use "
                "visavis.metrics.evaluate_lists."
            ) from error
        raise InputError(f"{name} in {path} cannot be read ({error}).") from error
    return array


# ---------------------------------------------------------------------- what is shown


def _record(
    published: Scores,
    beside: Scores | None,
    reasons: dict[str, str],
    *,
    per_clip: bool,
    intervals: bool,
) -> dict[str, Any]:
    record: dict[str, Any] = {
        "protocol": published.protocol,
        **_entry(published, per_clip=per_clip, intervals=intervals),
    }
    if published.protocol != "corrected":
        record["corrected"] = (
            None if beside is None else _entry(beside, per_clip=per_clip, intervals=intervals)
        )
    if reasons or published.protocol != "corrected":
        record["not_defined"] = reasons
    return record


def _entry(scores: Scores, *, per_clip: bool, intervals: bool) -> dict[str, Any]:
    counts = scores.counts
    entry: dict[str, Any] = {
        name: _plain(value) for name, value in scores.items() if name != "dead_channels"
    }
    entry["clips"] = counts.clips
    entry["dead_channels"] = {"count": counts.dead_channels, "of": counts.target_channels}
    if intervals:
        entry["intervals"] = {n: [x.low, x.high] for n, x in _intervals(scores).items()}
    if per_clip:
        entry["per_clip"] = {
            name: [_plain(float(v)) for v in values] for name, values in scores.per_clip.items()
        }
    return entry


def _plain(value: float) -> float | None:
    """JSON has no NaN."""
    return value if math.isfinite(value) else None


def _table(published: Scores, beside: Scores | None, reasons: dict[str, str]) -> list[str]:
    counts = published.counts
    lines = [f"{counts.clips} clips, protocol {published.protocol}", ""]
    columns = [published] if beside is None else [published, beside]
    groups: list[str] = []
    for name in columns[-1]:
        group = name.partition("/")[2]
        if group and group not in groups:
            groups.append(group)
    heads = [scores.protocol for scores in columns] + groups
    lines.append("".join([f"{'':<8}", *(f"{head:>{_width(head)}}" for head in heads)]))
    for name in (n for n in published if "/" not in n and n != "dead_channels"):
        cells = [_cell(scores.get(name)) for scores in columns]
        cells += [_cell(columns[-1].get(f"{name}/{group}")) for group in groups]
        row = (f"{cell:>{_width(head)}}" for cell, head in zip(cells, heads, strict=True))
        lines.append("".join([f"{name:<8}", *row]).rstrip())
    lines.append("")
    lines.append(
        f"dead channels: {counts.dead_channels} of {counts.target_channels} channels of the "
        "appropriate real reactions never move"
    )
    if published.protocol != "corrected":
        lines.append(
            "corrected: means over samples, dead channels left out, every sample scored; "
            "then by group, and the groups' plain mean"
        )
    lines += [
        f"corrected {'scores' if name == 'all' else name} not defined: {why}"
        for name, why in reasons.items()
    ]
    return lines


def _width(head: str) -> int:
    return max(len(head), 9) + 2


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _clip_table(scores: Scores) -> list[str]:
    names = [name for name in scores.per_clip if "/" not in name]
    lines = ["".join([f"{'clip':<8}", *(f"{name:>11}" for name in names)])]
    for index in range(scores.counts.clips):
        cells = (f"{scores.per_clip[name][index]:>11.4f}" for name in names)
        lines.append("".join([f"{index:<8}", *cells]))
    return lines
