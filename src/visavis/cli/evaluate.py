"""`visavis evaluate`: the scores of the field from one .npz, the published and the corrected."""

from __future__ import annotations

import json
import logging
import lzma
import warnings
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import typer
from numpy.typing import NDArray

from visavis.cli._evaluate_compare import (
    Names,
    compared,
    comparison_lines,
    comparison_record,
    groups_of,
    same_clips,
)
from visavis.cli._evaluate_show import clip_lines, interval_lines, record_of, table_lines
from visavis.cli.console import bar
from visavis.errors import InputError
from visavis.files import existing_file
from visavis.metrics.evaluate import ProtocolWarning
from visavis.metrics.protocol import Protocol, protocol_named
from visavis.metrics.report import Report, report_arrays

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
GROUPS = "groups"
"""May be there too: [N] names or numbers of what clips share (script, session, person)."""


def run(
    path: Path,
    *,
    protocol: str,
    metrics: Sequence[str] | None,
    per_clip: bool,
    intervals: bool,
    as_json: bool,
    quiet: bool,
    compare: Path | None = None,
    device: str = "cpu",
) -> None:
    chosen = protocol_named(protocol)
    if compare is not None and (per_clip or intervals) and not as_json:
        raise InputError(
            "--compare prints differences only; --per-clip and --intervals go with it in --json."
        )
    arrays = read_npz(path)
    other = None if compare is None else read_npz(compare)
    if other is not None and compare is not None:
        same_clips(arrays, other, (path, compare), chosen)
    groups = groups_of(arrays, other, (path, compare))
    options: dict[str, Any] = {
        "metrics": metrics or None,
        "per_clip": per_clip or intervals or compare is not None,
        "device": device,
    }
    ours = _report(arrays, chosen, quiet=quiet, **options)
    if other is None or compare is None:
        _show(ours, groups, per_clip=per_clip, intervals=intervals, as_json=as_json)
        return
    theirs = _report(other, chosen, quiet=quiet, **options)
    found = compared(ours, theirs, groups)
    if as_json:
        a, b = (
            record_of(r, groups, per_clip=per_clip, intervals=intervals) for r in (ours, theirs)
        )
        files = {"a": {"file": str(path), **a}, "b": {"file": str(compare), **b}}
        record = {"protocol": chosen.name, **files, "comparison": comparison_record(found)}
        typer.echo(json.dumps(record, allow_nan=False))
        return
    for line in comparison_lines(found, (path, compare), grouped=groups is not None):
        typer.echo(line)


def _show(
    report: Report, groups: Names | None, *, per_clip: bool, intervals: bool, as_json: bool
) -> None:
    if as_json:
        record = record_of(report, groups, per_clip=per_clip, intervals=intervals)
        typer.echo(json.dumps(record, allow_nan=False))
        return
    lines = table_lines(report)
    if intervals:
        lines += interval_lines(report, groups)
    if per_clip:
        lines += ["", *clip_lines(report.published)]
    for line in lines:
        typer.echo(line)


def _report(
    arrays: dict[str, NDArray[Any]], protocol: Protocol, *, quiet: bool, **options: Any
) -> Report:
    with bar(protocol.name, quiet=quiet) as progress, warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", ProtocolWarning)
        options |= {"protocol": protocol, "progress": progress}
        pred, gt, speaker, neighbour = (arrays[key] for key in KEYS)
        found = report_arrays(pred, gt, speaker, neighbour, **options)
    for one in said:
        log.warning("%s", one.message)
    return found


def read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """The four arrays of an .npz, and `groups` where it has them; nothing in it is ever unpickled.

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
            return {key: _read(archive, held[key], found) for key in (*KEYS, GROUPS) if key in held}
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
