"""Results laid out as the papers' tables: one a protocol, one by group, one of costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from visavis.bench._results import Results
from visavis.bench._rows import Row

SCORES = ("FRCorr", "FRDist", "FRDiv", "FRVar", "FRDvs", "FRRea", "FRSyn")
"""In the order of the field's tables."""
BETTER: Mapping[str, str] = {
    "FRCorr": "up", "FRDist": "down", "FRDiv": "up", "FRVar": "up", "FRDvs": "up",
    "FRRea": "down", "FRSyn": "down",
}  # fmt: skip
DIGITS: Mapping[str, int] = {
    "FRCorr": 3, "FRDist": 2, "FRDiv": 4, "FRVar": 4, "FRDvs": 4, "FRRea": 3, "FRSyn": 2,
}  # fmt: skip
GROUPED = ("FRCorr", "FRDist", "FRDiv", "FRVar")
GROUPS: Mapping[str, str] = {"au": "AU", "va": "V/A", "expression": "expr."}
DAGGER = "†"


@dataclass(frozen=True)
class Cell:
    """One number as shown."""

    text: str
    low: str = ""
    high: str = ""
    """Ends of its interval, where it has one."""


@dataclass(frozen=True)
class Table:
    title: str
    heads: tuple[str, ...]
    """Of the columns after the first."""
    arrows: tuple[str, ...]
    """"up", "down" or "" a column: which way is better."""
    names: tuple[str, ...]
    """Of the rows, with a dagger where attributes were derived."""
    cells: tuple[tuple[Cell, ...], ...]


def tables(results: Results) -> list[Table]:
    """All tables of some results."""
    found = [_protocol(results, name) for name in results.protocols]
    found.append(_groups(results))
    if any("speed" in row for row in results.rows):
        found.append(_costs(results))
    return found


def notes(results: Results) -> list[str]:
    """What a reader must know to read the tables."""
    about = results.stamp
    version = f" {about['version']}" if about["version"] else ""
    units = f"{len(set(results.groups))} scripts" if results.groups else "no scripts"
    unit = "script" if results.groups else "clip"
    said = [
        f"{about['clips']} clips ({units}) of {about['corpus']}{version}, split {about['split']}; "
        f"{about['samples']} samples a clip, seed {about['seed']}; visavis {results.code}. "
        f"Brackets: 95 % intervals, bootstrap by {unit}.",
        "Published FRCorr and FRDist are sums over the samples of a clip, corrected ones means. "
        "FRRea is taken on behaviour (docs/metrics.md), not on rendered frames: compare it within "
        "this table only.",
        f"B_MeanSeq, B_MeanFr, NN motion and NN audio learned from {about['training clips']} "
        "training clips of this corpus.",
    ]
    if results.groups and len(set(results.groups)) < 20:
        said.append("Fewer than 20 scripts: intervals are too narrow.")
    if any(row["derived"] for row in results.rows):
        said.append(f"{DAGGER} attributes computed from coefficients, not given by the system.")
    if any(row["name"] == "oracle" for row in results.rows):
        said.append(
            "Oracle: fresh draws from the true distribution, the score of a perfect sampler, not "
            "an upper bound. Conditional mean: the mean of 50 of them, without variety."
        )
    if len({row["code"] for row in results.rows}) > 1:
        said.append("Rows were made by different versions of the code; see results.json.")
    missing = {
        f"{score} ({protocol}): {why}"
        for row in results.rows
        for protocol, entry in row["scores"].items()
        for score, why in entry["not_defined"].items()
    }
    return said + [f"Not defined: {text}" for text in sorted(missing)]


def label(row: Row) -> str:
    return f"{row['label']} {DAGGER}" if row["derived"] else str(row["label"])


def number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _cell(results: Results, row: Row, protocol: str, score: str) -> Cell:
    digits = DIGITS[score.partition("/")[0]]
    value = results.value(row, protocol, score)
    span = results.interval(row, protocol, score)
    if value is None or span is None:
        return Cell(number(value, digits))
    return Cell(number(value, digits), number(span[0], digits), number(span[1], digits))


def _table(
    results: Results,
    title: str,
    heads: tuple[str, ...],
    arrows: tuple[str, ...],
    cells: Callable[[Row], tuple[Cell, ...]],
    rows: tuple[Row, ...] | None = None,
) -> Table:
    chosen = results.rows if rows is None else rows
    names = tuple(label(row) for row in chosen)
    return Table(title, heads, arrows, names, tuple(cells(row) for row in chosen))


def _protocol(results: Results, protocol: str) -> Table:
    scores = tuple(s for s in SCORES if s != "FRRea" or protocol == "corrected")
    arrows = tuple(BETTER[s] for s in scores)
    return _table(
        results, f"Protocol {protocol}", scores, arrows,
        lambda row: tuple(_cell(results, row, protocol, s) for s in scores),
    )  # fmt: skip


def _groups(results: Results) -> Table:
    columns = tuple((s, g) for s in GROUPED for g in GROUPS)
    heads = tuple(f"{s} {GROUPS[g]}" for s, g in columns)
    return _table(
        results, "By group, protocol corrected", heads, tuple(BETTER[s] for s, _ in columns),
        lambda row: tuple(_cell(results, row, "corrected", f"{s}/{g}") for s, g in columns),
    )  # fmt: skip


def _costs(results: Results) -> Table:
    heads = ("parameters", "peak memory, MiB", "frames / s", "frames / s, drawn")

    def cells(row: Row) -> tuple[Cell, ...]:
        cost: Mapping[str, Any] = row["speed"]
        count = cost["parameters"]
        rest = (cost[k] for k in ("memory_mib", "fps", "fps_rendered"))
        return (Cell(f"{count:,}"), *(Cell("-" if x is None else f"{x:,.0f}") for x in rest))

    rows = tuple(row for row in results.rows if "speed" in row)
    title = (
        "Cost: one thread, a process of its own; memory answering one clip 10 times, speed of "
        "one reaction, the last with each frame drawn at 256 pixels"
    )
    return _table(results, title, heads, ("down", "down", "up", "up"), cells, rows)
