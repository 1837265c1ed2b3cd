"""Two plots of results as SVG: a score with its intervals, and one score against another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from visavis.bench._results import Results
from visavis.bench._rows import Row
from visavis.bench._table import label

_NAMES, _WIDTH, _STEP, _TOP = 190, 300, 24, 14
_SIDE = 320


def dots(results: Results, score: str) -> str:
    """A row a system: a dot at its `corrected` score, a line over its 95 % interval."""
    rows = [row for row in results.rows if results.value(row, "corrected", score) is not None]
    spans = [_span(results, row, score) for row in rows]
    low, high, ticks = axis([end for span in spans for end in span])
    height = _TOP + _STEP * len(rows) + 26

    def x(value: float) -> float:
        return _NAMES + _WIDTH * (value - low) / (high - low)

    parts = [vertical(x(t), _TOP - 6, height - 20, _text(t)) for t in ticks]
    for i, (row, (left, value, right)) in enumerate(zip(rows, spans, strict=True)):
        y = _TOP + _STEP * (i + 0.5)
        parts.append(
            f"<text x='{_NAMES - 10}' y='{y + 4:.1f}' text-anchor='end'>{escape(label(row))}</text>"
            f"<g class='{row['kind']}'><line x1='{x(left):.1f}' x2='{x(right):.1f}' y1='{y:.1f}' "
            f"y2='{y:.1f}' stroke-width='2'/><circle cx='{x(value):.1f}' cy='{y:.1f}' r='4'>"
            f"<title>{escape(label(row))}: {value:.4g} [{left:.4g}, {right:.4g}]</title>"
            "</circle></g>"
        )
    return svg(_NAMES + _WIDTH + 30, height, parts)


def scatter(results: Results, across: str, up: str) -> str:
    """A dot a system: `across` to the right, `up` upwards, both `corrected`; named beside it."""
    points = [
        (row, a, b)
        for row in results.rows
        if (a := results.value(row, "corrected", across)) is not None
        and (b := results.value(row, "corrected", up)) is not None
    ]
    left, right, x_ticks = axis([a for _, a, _ in points])
    bottom, top, y_ticks = axis([b for _, _, b in points])

    def x(value: float) -> float:
        return 50 + _SIDE * (value - left) / (right - left)

    def y(value: float) -> float:
        return _TOP + _SIDE * (top - value) / (top - bottom)

    parts = [vertical(x(t), _TOP, _TOP + _SIDE, _text(t)) for t in x_ticks]
    parts += [
        f"<line class='grid' x1='50' x2='{50 + _SIDE}' y1='{y(t):.1f}' y2='{y(t):.1f}'/>"
        f"<text class='soft' x='44' y='{y(t) + 4:.1f}' text-anchor='end'>{_text(t)}</text>"
        for t in y_ticks
    ]
    texts = [label(row) for row, _, _ in points]
    heights = _apart([(x(a), y(b)) for _, a, b in points], texts)
    for (row, a, b), at in zip(points, heights, strict=True):
        parts.append(
            f"<g class='{row['kind']}'><circle cx='{x(a):.1f}' cy='{y(b):.1f}' r='4'>"
            f"<title>{escape(label(row))}: {across} {a:.4g}, {up} {b:.4g}</title></circle></g>"
            f"<text x='{x(a) + 8:.1f}' y='{at + 4:.1f}'>{escape(label(row))}</text>"
        )
    parts.append(
        f"<text class='soft' x='{50 + _SIDE / 2}' y='{_TOP + _SIDE + 34}' text-anchor='middle'>"
        f"{across} (up: {up})</text>"
    )
    return svg(50 + _SIDE + 150, _TOP + _SIDE + 42, parts)


def _span(results: Results, row: Row, score: str) -> tuple[float, float, float]:
    value = results.value(row, "corrected", score)
    assert value is not None
    low, high = results.interval(row, "corrected", score) or (value, value)
    return low, value, high


def axis(values: Sequence[float], most: int = 5) -> tuple[float, float, list[float]]:
    """Ends that hold all values and 0, and about `most` round ticks between them."""
    low, high = min(0.0, *values), max(0.0, *values)
    high = high if high > low else 1.0  # all are 0
    width = high - low
    step = 10 ** math.floor(math.log10(width / 4))
    step *= next(m for m in (1, 2, 5, 10, 20) if width / (m * step) <= most)
    first, last = math.floor(low / step + 1e-6), math.ceil(high / step - 1e-6)
    ticks = [step * i for i in range(first, last + 1)]
    return ticks[0], ticks[-1], ticks


def _apart(places: Sequence[tuple[float, float]], texts: Sequence[str]) -> list[float]:
    """Heights of captions right of dots at (x, y), each moved up until it lies on no other dot and
    on no caption placed before it."""
    placed: list[tuple[float, float, float]] = []
    found = [0.0] * len(places)
    for i in sorted(range(len(places)), key=lambda i: -places[i][1]):
        x, y = places[i]
        width = 7.0 * len(texts[i])
        dots = [(a - 5, a + 5, b) for j, (a, b) in enumerate(places) if j != i]
        while any(
            abs(y - other) < room and x + 8 < right and left < x + 8 + width
            for boxes, room in ((placed, 13), (dots, 9))
            for left, right, other in boxes
        ):
            y -= 1
        placed.append((x + 8, x + 8 + width, y))
        found[i] = y
    return found


def vertical(x: float, top: float, bottom: float, text: str) -> str:
    """A line of the grid with its number below."""
    return (
        f"<line class='grid' x1='{x:.1f}' x2='{x:.1f}' y1='{top:.1f}' y2='{bottom:.1f}'/>"
        f"<text class='soft' x='{x:.1f}' y='{bottom + 15:.1f}' text-anchor='middle'>{text}</text>"
    )


def _text(tick: float) -> str:
    return f"{tick:.6g}"


def svg(width: float, height: float, parts: Sequence[str]) -> str:
    """A drawing put together."""
    return (
        f"<svg viewBox='0 0 {width:.0f} {height:.0f}' width='{width:.0f}' role='img'>"
        f"{''.join(parts)}</svg>"
    )
