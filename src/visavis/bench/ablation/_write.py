"""A study as files: table.md, .csv, .json and .html."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from visavis.bench._folder import FORMAT, code_version, write_json
from visavis.bench._table import DIGITS
from visavis.bench.ablation._plan import TablePlan, arrow
from visavis.bench.ablation._result import Number, StudyResult, TableResult, result
from visavis.bench.ablation._work import At, locked
from visavis.files import atomic_path

CLAIMS = "What the paper says"
COMMANDS = "Commands"
"""Captions of the blocks of text."""
_ARROWS = {"up": "↑", "down": "↓"}


@dataclass(frozen=True)
class Block:
    """A table as text: the first row is the heads."""

    caption: str
    lines: tuple[tuple[str, ...], ...]


def tabulated(at: At, *, options: str = "") -> StudyResult:
    """Everything that the folder has, also written there; one process at a time, so that the last
    to write has seen all that there is."""
    with locked(at.folder / "locks" / "table.lock", wait=True):
        found = result(at, options=options)
        write_all(found, at.folder)
    return found


def write_all(found: StudyResult, folder: Path) -> dict[str, Path]:
    """table.json, .csv, .md and .html in `folder`, by suffix."""
    from visavis.bench.ablation._page import page

    written = {"json": folder / "table.json"}
    write_json(written["json"], as_json(found))
    for suffix, write in {"csv": as_csv, "md": markdown, "html": page}.items():
        written[suffix] = folder / f"table.{suffix}"
        with atomic_path(written[suffix]) as temporary:
            temporary.write_text(write(found), encoding="utf-8", newline="")
    return written


def head(score: str) -> str:
    return f"{score} {_ARROWS[arrow(score)]}"


def shown(number: Number | None, score: str, *, sign: bool = False) -> str:
    """A number with its interval; "-" where there is none."""
    if number is None:
        return "-"
    style = "+.3g" if sign else f".{DIGITS[score.partition('/')[0]]}f"
    text = f"{number.value:{style}}"
    if number.low is None or number.high is None:
        return text
    return f"{text} [{number.low:{style}}, {number.high:{style}}]"


def title(table: TablePlan) -> str:
    plain = table.number.replace(".", "").isalnum() and table.number[0].isdigit()
    return f"Table {table.number}: {table.title}" if plain else f"{table.number}: {table.title}"


def blocks(found: StudyResult, table: TableResult) -> list[Block]:
    """Scores, differences to the base row, the paper's numbers, and the claims."""
    plan, rows = table.plan, found.study.rows
    heads = ("", *(head(s) for s in plan.scores))

    def lines(
        numbers: Mapping[str, Mapping[str, Number]], names: Sequence[str], *, sign: bool = False
    ) -> tuple[tuple[str, ...], ...]:
        return tuple(
            (rows[n].label, *(shown(numbers.get(n, {}).get(s), s, sign=sign) for s in plan.scores))
            for n in names
        )

    others = [name for name in plan.rows if name != plan.base]
    base = rows[plan.base].label
    made = [
        Block("Scores here (protocol corrected)", (heads, *lines(table.scores, plan.rows))),
        Block(f"Less {base}, clip by clip", (heads, *lines(table.differences, others, sign=True))),
    ]
    if plan.paper:
        told = {n: {s: Number(v) for s, v in of.items()} for n, of in plan.paper.items()}
        named = [name for name in plan.rows if name in told]
        scores = [s for s in plan.scores if any(s in told[n] for n in named)]
        body = tuple(
            (rows[n].label, *(f"{told[n][s].value:g}" if s in told[n] else "-" for s in scores))
            for n in named
        )
        named_scale = found.study.scale if plan.scale is None else plan.scale
        scale = f" ({named_scale})" if named_scale else ""
        made.append(Block(f"The paper's numbers{scale}", (("", *map(head, scores)), *body)))
    if table.claims:
        made.append(_claims(table))
    return made


def _claims(table: TableResult) -> Block:
    """What the paper says and what was found; beside it, what another training seed does."""
    body = []
    for one in table.claims:
        score = one.claim.score
        chance = "-" if one.chance is None else f"{one.chance.value:+.3g}"
        less = shown(one.difference, score, sign=True)
        body.append((one.claim.says, str(one.claim), less, one.verdict, chance))
    return Block(CLAIMS, (("claim", "check", "here", "verdict", "another seed"), *body))


def commands(found: StudyResult) -> Block:
    """The command of each row that is there."""
    body = tuple(
        (made.plan.label, f"`{found.command(name)}`", _cost(found, name))
        for name, made in found.rows.items()
        if made.row is not None
    )
    return Block(COMMANDS, (("row", "makes just this row", "training"), *body))


def _cost(found: StudyResult, name: str) -> str:
    made = found.rows[name]
    if made.seconds is None:
        return "-"
    return f"{made.steps} steps, {made.seconds:.0f} s"


def notes(found: StudyResult) -> list[str]:
    """What a reader must know to read the tables."""
    about, study = found.stamp, found.study
    version = f" {about['version']}" if about["version"] else ""
    made = [m for m in found.rows.values() if m.row is not None]
    said = [
        f"{about['clips']} clips of {about['corpus']}{version}, split {about['split']}; "
        f"{about['samples']} samples a clip, seed {about['seed']}, protocol corrected; visavis "
        f"{code_version()}. Brackets: 95 % intervals by script (BCa bootstrap; FRDvs, FRRea: "
        "jackknife). They hold the chance of the test clips, not that of training: every row is "
        'trained once. "Another seed" is the base trained from another seed, less the base.',
        f'"No difference": the interval of the difference contains 0. Rows are {study.recipe} '
        f"with the preset {study.preset}; equal seed, data and steps.",
        "FRRea is taken on behaviour (docs/metrics.md), the paper's on rendered frames.",
    ]
    if study.changes or study.steps:
        capped = [f"at most {study.steps} steps a stage"] if study.steps else []
        said.append(f"Every row with {', '.join([*study.changes, *capped])}.")
    missing = [n for n, m in found.rows.items() if m.row is None]
    if missing:
        said.append(f"Not made yet: {', '.join(missing)}.")
    if len({code for m in made for code in m.codes}) > 1 or len({_code(m.row) for m in made}) > 1:
        said.append("Rows were made by different versions of the code; see table.json.")
    return said + list(study.notes)


def _code(row: Mapping[str, Any] | None) -> str:
    return "" if row is None else str(row["code"])


def markdown(found: StudyResult) -> str:
    """GitHub tables, notes below."""
    parts = [f"# Ablations of {found.study.paper}"]
    for table in found.tables:
        parts.append(f"## {title(table.plan)}")
        if table.plan.note:
            parts.append(table.plan.note)
        parts += [_markdown(block) for block in blocks(found, table)]
    parts.append(_markdown(commands(found)))
    parts.append("\n".join(f"- {note}" for note in notes(found)))
    return "\n\n".join(parts) + "\n"


def _markdown(block: Block) -> str:
    first, *rest = block.lines
    mark = "---" if block.caption in (CLAIMS, COMMANDS) else "---:"
    lines = [_line(first), _line(["---", *[mark] * (len(first) - 1)]), *map(_line, rest)]
    return f"{block.caption}:\n\n" + "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def as_json(found: StudyResult) -> dict[str, Any]:
    """Everything, numbers whole."""
    return {
        "format": FORMAT,
        "code": code_version(),
        "study": found.study.name,
        "recipe": found.study.recipe,
        "paper": found.study.paper,
        "scale": found.study.scale,
        "stamp": dict(found.stamp),
        "rows": {name: _row(found, name) for name in found.rows},
        "tables": [_table(table) for table in found.tables],
        "notes": notes(found),
    }


def _row(found: StudyResult, name: str) -> dict[str, Any]:
    made = found.rows[name]
    return {
        "label": made.plan.label,
        "presets": found.study.preset_of(made.plan) if made.run else None,
        "changes": list(found.study.changes_of(made.plan)),
        "at_test": list(made.plan.at_test),
        "lost": dict(made.plan.lost),
        "draws": made.plan.draws,
        "history": made.plan.history,
        "history_clip": made.plan.history_clip,
        "made": made.row is not None,
        "steps": made.steps,
        "seconds": made.seconds,
        "code": {"trained": list(made.codes), "scored": _code(made.row)},
        "run": None if made.run is None else str(made.run),
        "command": found.command(name),
        "training": found.training(name),
    }


def _table(table: TableResult) -> dict[str, Any]:
    def plain(numbers: Mapping[str, Mapping[str, Number]]) -> dict[str, Any]:
        return {name: {s: asdict(n) for s, n in of.items()} for name, of in numbers.items()}

    return {
        "number": table.plan.number,
        "title": table.plan.title,
        "base": table.plan.base,
        "scores": plain(table.scores),
        "differences": plain(table.differences),
        "paper": {name: dict(of) for name, of in table.plan.paper.items()},
        "claims": [
            {
                "says": one.claim.says,
                "check": str(one.claim),
                "difference": None if one.difference is None else asdict(one.difference),
                "verdict": one.verdict,
                "another_seed": None if one.chance is None else asdict(one.chance),
            }
            for one in table.claims
        ],
    }


def as_csv(found: StudyResult) -> str:
    """One line a table, row and score; numbers whole, what is not there empty."""
    columns = ("table", "row", "label", "score", "value", "low", "high", "difference",
               "difference/low", "difference/high", "paper", "command")  # fmt: skip
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for table in found.tables:
        for name, of in table.scores.items():
            for score, number in of.items():
                less = table.differences.get(name, {}).get(score)
                ends = (None, None, None) if less is None else (less.value, less.low, less.high)
                cells = (
                    table.plan.number, name, found.study.rows[name].label, score, number.value,
                    number.low, number.high, *ends, table.plan.paper.get(name, {}).get(score),
                    found.command(name),
                )  # fmt: skip
                writer.writerow(["" if cell is None else cell for cell in cells])
    return text.getvalue()
