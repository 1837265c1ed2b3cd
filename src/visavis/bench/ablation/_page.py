"""A study as one HTML file: differences with their intervals drawn, tables below. No network."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

from visavis.bench._page import STYLE
from visavis.bench._plots import axis, svg, vertical
from visavis.bench.ablation._plan import arrow
from visavis.bench.ablation._result import Number, StudyResult, TableResult
from visavis.bench.ablation._write import (
    CLAIMS,
    COMMANDS,
    Block,
    blocks,
    commands,
    head,
    notes,
    shown,
    title,
)

_NAMES, _WIDTH, _GAP, _STEP, _TOP = 150, 170, 50, 22, 30
_ABREAST = 4
"""Panels in a line."""
_SPAN = re.compile(r"(?P<value>\S+) \[(?P<low>\S+), (?P<high>\S+)\]")
_COLOURS = """
svg .better { stroke: var(--oracle); fill: var(--oracle); }
svg .worse { stroke: var(--bad); fill: var(--bad); }
svg .same { stroke: var(--naive); fill: var(--naive); }
svg .zero { stroke: var(--soft); } :root { --bad: #c2492f; }
@media (prefers-color-scheme: dark) { :root { --bad: #f08a70; } }
td.text, th.text { text-align: left; white-space: normal; }
"""


def page(found: StudyResult) -> str:
    """A self-contained page."""
    heading = escape(f"Ablations of {found.study.paper}")
    listed = "".join(f"<li>{escape(note)}</li>" for note in notes(found))
    body = "".join(_section(found, table) for table in found.tables)
    return (
        f"<!doctype html>\n<html lang='en'><head><meta charset='utf-8'><meta name='viewport' "
        f"content='width=device-width'><title>{heading}</title><style>{STYLE}{_COLOURS}</style>"
        f"</head><body><h1>{heading}</h1>{body}{_table(commands(found))}<ul>{listed}</ul></body>"
        "</html>\n"
    )


def _section(found: StudyResult, table: TableResult) -> str:
    note = f"<p>{escape(table.plan.note)}</p>" if table.plan.note else ""
    tables = "".join(_table(block) for block in blocks(found, table))
    return f"<h2>{escape(title(table.plan))}</h2>{note}{drawing(found, table)}{tables}"


def _table(block: Block) -> str:
    first, *rest = block.lines
    text = block.caption in (CLAIMS, COMMANDS)

    def line(tag: str, cells: Sequence[str]) -> str:
        kind = " class='text'" if text else ""
        return "<tr>" + "".join(f"<{tag}{kind}>{_cell(c)}</{tag}>" for c in cells) + "</tr>"

    return (
        f"<h3>{escape(block.caption)}</h3><div class='wide'><table><thead>{line('th', first)}"
        f"</thead><tbody>{''.join(line('td', cells) for cells in rest)}</tbody></table></div>"
    )


def _cell(text: str) -> str:
    if text.startswith("`") and text.endswith("`"):
        return f"<code>{escape(text[1:-1])}</code>"
    span = _SPAN.fullmatch(text)
    if span is not None:
        return f"{span['value']}<small>{span['low']} to {span['high']}</small>"
    return escape(text)


def drawing(found: StudyResult, table: TableResult) -> str:
    """Differences to the base row, a panel a score: a dot with its 95 % interval, and 0.

    Green is better than the base, red worse, grey no difference.
    """
    names = [name for name in table.plan.rows if name in table.differences]
    scores = [s for s in table.plan.scores if any(s in table.differences[n] for n in names)]
    if not scores:
        return ""
    labels = [found.study.rows[name].label for name in names]
    room = max(_NAMES, 20 + 7 * max(map(len, labels)))
    drawn = []
    for first in range(0, len(scores), _ABREAST):
        some = scores[first : first + _ABREAST]
        drawn.append(_strip(table, some, names, labels, room))
    base = escape(found.study.rows[table.plan.base].label)
    return (
        f"<figure><figcaption>Less {base}: green better, red worse, grey no difference"
        f"</figcaption><div class='wide'>{''.join(drawn)}</div></figure>"
    )


def _strip(
    table: TableResult,
    scores: Sequence[str],
    names: Sequence[str],
    labels: Sequence[str],
    room: float,
) -> str:
    """Panels side by side, with the rows' labels on the left."""
    height = _TOP + _STEP * len(names) + 26
    parts = [
        f"<text x='{room - 10}' y='{_middle(i) + 4:.1f}' text-anchor='end'>{escape(label)}</text>"
        for i, label in enumerate(labels)
    ]
    for place, score in enumerate(scores):
        left = room + 20 + place * (_WIDTH + _GAP)
        numbers = [table.differences[name].get(score) for name in names]
        parts += _panel(score, numbers, labels, left, height)
    return svg(room + len(scores) * (_WIDTH + _GAP), height, parts)


def _panel(
    score: str, numbers: Sequence[Number | None], labels: Sequence[str], left: float, height: float
) -> list[str]:
    known = [n for n in numbers if n is not None]
    low, high, ticks = axis([end for n in known for end in _ends(n)], 3)

    def x(value: float) -> float:
        return left + _WIDTH * (value - low) / (high - low)

    texts = [f"{t:.6g}" for t in ticks]
    room = _WIDTH / (len(ticks) - 1)
    every = 1 + int(max(7.0 * len(text) for text in texts) // room)
    zero = min(range(len(ticks)), key=lambda i: abs(ticks[i]))
    parts = [
        vertical(x(t), _TOP - 6, height - 20, text if (i - zero) % every == 0 else "")
        for i, (t, text) in enumerate(zip(ticks, texts, strict=True))
    ]
    parts.append(
        f"<line class='zero' x1='{x(0):.1f}' x2='{x(0):.1f}' y1='{_TOP - 6}' y2='{height - 20}'/>"
        f"<text x='{left + _WIDTH / 2:.0f}' y='14' text-anchor='middle'>{escape(head(score))}"
        "</text>"
    )
    for i, (number, label) in enumerate(zip(numbers, labels, strict=True)):
        if number is None:
            continue
        first, last = _ends(number)
        y = _middle(i)
        parts.append(
            f"<g class='{_kind(number, score)}'><line x1='{x(first):.1f}' x2='{x(last):.1f}' "
            f"y1='{y:.1f}' y2='{y:.1f}' stroke-width='2'/><circle cx='{x(number.value):.1f}' "
            f"cy='{y:.1f}' r='4'><title>{escape(label)}: "
            f"{escape(shown(number, score, sign=True))}</title></circle></g>"
        )
    return parts


def _kind(number: Number, score: str) -> str:
    first, last = _ends(number)
    if first <= 0 <= last or first == last:  # without an interval nothing is decided
        return "same"
    return "better" if (first > 0) == (arrow(score) == "up") else "worse"


def _ends(number: Number) -> tuple[float, float]:
    if number.low is None or number.high is None:
        return number.value, number.value
    return number.low, number.high


def _middle(row: int) -> float:
    return _TOP + _STEP * (row + 0.5)
