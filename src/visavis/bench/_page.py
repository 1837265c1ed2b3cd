"""The results as one HTML file: tables, and plots with intervals as inline SVG. No network."""

from __future__ import annotations

from html import escape

from visavis.bench._plots import dots, scatter
from visavis.bench._results import Results
from visavis.bench._table import Cell, Table, notes, tables

_ARROWS = {"up": " ↑", "down": " ↓", "": ""}
STYLE = """
:root { color-scheme: light dark; --ink: #1d232b; --soft: #5d6875; --line: #d6dce3;
  --paper: #ffffff; --naive: #8793a1; --model: #2f6fd0; --oracle: #2c8a57; --real: #1d232b; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaef; --soft: #9aa6b3; --line: #37404b;
  --paper: #14181d; --naive: #7f8b99; --model: #6ea4f2; --oracle: #5fc08a; --real: #e6eaef; } }
body { margin: 2rem auto; max-width: 70rem; padding: 0 1rem; background: var(--paper);
  color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; white-space: nowrap; }
th, td { padding: .3rem .7rem; text-align: right; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; }
td small { display: block; color: var(--soft); font-size: .75em; }
td, svg text { font-variant-numeric: tabular-nums; }
ul { color: var(--soft); padding-left: 1.2rem; }
.plots { display: flex; flex-wrap: wrap; gap: 1.5rem; } figure { margin: 0; }
figcaption { font-weight: 600; } svg { max-width: 100%; height: auto; }
svg text { fill: var(--ink); font: 12px system-ui, sans-serif; }
svg .soft { fill: var(--soft); } svg .grid { stroke: var(--line); }
svg .naive { stroke: var(--naive); fill: var(--naive); }
svg .model { stroke: var(--model); fill: var(--model); }
svg .oracle { stroke: var(--oracle); fill: var(--oracle); }
svg .real { stroke: var(--real); fill: var(--real); }
"""


def page(results: Results) -> str:
    """A self-contained page."""
    title = f"Bench: {results.stamp['corpus']}, {results.stamp['split']}"
    listed = "".join(f"<li>{escape(note)}</li>" for note in notes(results))
    plots = "".join(
        f"<figure><figcaption>{escape(caption)}</figcaption>{drawing}</figure>"
        for caption, drawing in (
            ("FRCorr ↑ (corrected)", dots(results, "FRCorr")),
            ("FRDist ↓ (corrected)", dots(results, "FRDist")),
            ("FRCorr against FRDiv (corrected)", scatter(results, "FRDiv", "FRCorr")),
        )
    )
    return (
        f"<!doctype html>\n<html lang='en'><head><meta charset='utf-8'><meta name='viewport' "
        f"content='width=device-width'><title>{escape(title)}</title><style>{STYLE}</style></head>"
        f"<body><h1>{escape(title)}</h1><ul>{listed}</ul><div class='plots'>{plots}</div>"
        + "".join(_table(table) for table in tables(results))
        + "</body></html>\n"
    )


def _table(table: Table) -> str:
    heads = "".join(
        f"<th>{escape(h)}{_ARROWS[a]}</th>" for h, a in zip(table.heads, table.arrows, strict=True)
    )
    rows = "".join(
        f"<tr><td>{escape(name)}</td>{''.join(_cell(c) for c in cells)}</tr>"
        for name, cells in zip(table.names, table.cells, strict=True)
    )
    return (
        f"<h2>{escape(table.title)}</h2><div class='wide'><table><thead><tr><th></th>{heads}</tr>"
        f"</thead><tbody>{rows}</tbody></table></div>"
    )


def _cell(cell: Cell) -> str:
    span = f"<small>{escape(cell.low)} to {escape(cell.high)}</small>" if cell.low else ""
    return f"<td>{escape(cell.text)}{span}</td>"
