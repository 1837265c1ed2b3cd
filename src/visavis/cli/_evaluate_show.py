"""Scores as `visavis evaluate` shows them: a table, intervals, rows of clips, JSON."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.metrics.intervals import Interval, bootstrap
from visavis.metrics.report import Report
from visavis.metrics.scores import Scores


def _columns(report: Report) -> list[Scores]:
    """The scores to show side by side."""
    if report.corrected is None or report.corrected is report.published:
        return [report.published]
    return [report.published, report.corrected]


# ---------------------------------------------------------------------- text


def table_lines(report: Report) -> list[str]:
    published, columns = report.published, _columns(report)
    counts = published.counts
    lines = [f"{counts.clips} clips, protocol {published.protocol}", ""]
    groups = dict.fromkeys(name.partition("/")[2] for name in columns[-1] if "/" in name)
    heads = [*(scores.protocol for scores in columns), *groups]
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
        for name, why in report.not_defined.items()
    ]
    return lines + [f"{name} is {why}" for name, why in report.notes.items()]


def _width(head: str) -> int:
    return max(len(head), 9) + 2


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def interval_lines(report: Report, groups: NDArray[Any] | None = None) -> list[str]:
    """The clips of one of the `groups` [N] are drawn together."""
    units = "clips" if groups is None else "groups"
    how = "bootstrap over clips (too narrow where clips share a script)"
    if groups is not None:
        how = f"bootstrap over the {len(np.unique(groups))} groups of clips"
    lines = ["", f"95 % intervals, {how}"]
    for scores in _columns(report):
        for name, interval in _intervals(scores, groups).items():
            span = f"{interval.low:.4f} to {interval.high:.4f}"
            few = f"  (fewer than 20 {units}: only a hint)" if interval.few else ""
            lines.append(f"{name:<8} {scores.protocol:<18} {interval.mean:.4f}  [{span}]{few}")
    return lines


def clip_lines(scores: Scores) -> list[str]:
    names = [name for name in scores.per_clip if "/" not in name]
    lines = ["".join([f"{'clip':<8}", *(f"{name:>11}" for name in names)])]
    for index in range(scores.counts.clips):
        cells = (f"{scores.per_clip[name][index]:>11.4f}" for name in names)
        lines.append("".join([f"{index:<8}", *cells]))
    return lines


def _intervals(scores: Scores, groups: NDArray[Any] | None) -> dict[str, Interval]:
    """95 % intervals of the scores that are means over clips; those of a NaN clip are left out."""
    found = {}
    for name, values in scores.per_clip.items():
        if "/" not in name and len(values) > 1 and np.isfinite(values).all():
            found[name] = bootstrap(values, None if groups is None else list(groups))
    return found


# ---------------------------------------------------------------------- JSON


def record_of(
    report: Report, groups: NDArray[Any] | None = None, *, per_clip: bool, intervals: bool
) -> dict[str, Any]:
    """What `--json` prints: numbers, null with a note where there is none."""
    published, corrected = report.published, report.corrected
    record: dict[str, Any] = {
        "protocol": published.protocol,
        **_entry(published, groups, per_clip=per_clip, intervals=intervals),
    }
    if published.protocol != "corrected":
        record["corrected"] = (
            None
            if corrected is None
            else _entry(corrected, groups, per_clip=per_clip, intervals=intervals)
        )
    record["not_defined"] = dict(report.not_defined)
    record["notes"] = dict(report.notes)
    return record


def _entry(
    scores: Scores, groups: NDArray[Any] | None, *, per_clip: bool, intervals: bool
) -> dict[str, Any]:
    counts = scores.counts
    entry: dict[str, Any] = {
        name: plain(value) for name, value in scores.items() if name != "dead_channels"
    }
    entry["clips"] = counts.clips
    entry["dead_channels"] = {"count": counts.dead_channels, "of": counts.target_channels}
    if intervals:
        entry["intervals"] = {n: [x.low, x.high] for n, x in _intervals(scores, groups).items()}
    if per_clip:
        entry["per_clip"] = {
            name: [clip_value(float(v)) for v in values] for name, values in scores.per_clip.items()
        }
    return entry


def plain(value: float) -> float | None:
    """JSON has no NaN and no infinity: null, and `notes` says which and why."""
    return value if math.isfinite(value) else None


def clip_value(value: float) -> float | str:
    """Of one clip: a number, or the word "nan", "inf" or "-inf"."""
    return value if math.isfinite(value) else str(value)
