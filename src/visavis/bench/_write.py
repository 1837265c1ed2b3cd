"""Tables as files: JSON, CSV, Markdown, LaTeX, HTML."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from visavis.bench._page import page
from visavis.bench._results import Results
from visavis.bench._table import Cell, Table, label, notes, tables
from visavis.files import atomic_path

_ARROWS = {"up": "↑", "down": "↓", "": ""}
_TEX_ARROWS = {"up": r" $\uparrow$", "down": r" $\downarrow$", "": ""}
_TEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "†": r"$\dagger$", "<": r"$<$", ">": r"$>$",
}  # fmt: skip


def write_all(results: Results, folder: Path) -> dict[str, Path]:
    """results.json, .csv, .md, .tex and .html in `folder`, by suffix."""
    found = {"json": results.save(folder / "results.json")}
    made = {"csv": as_csv, "md": markdown, "tex": latex, "html": page}
    for suffix, write in made.items():
        found[suffix] = folder / f"results.{suffix}"
        with atomic_path(found[suffix]) as temporary:
            temporary.write_text(write(results), encoding="utf-8", newline="")
    return found


def markdown(results: Results) -> str:
    """GitHub tables, notes below."""
    parts = [f"# Bench: {results.stamp['corpus']}, {results.stamp['split']}"]
    for table in tables(results):
        heads = [
            f"{h} {_ARROWS[a]}".strip() for h, a in zip(table.heads, table.arrows, strict=True)
        ]
        lines = [_md_row(["", *heads]), _md_row(["---", *(["---:"] * len(heads))])]
        for name, cells in zip(table.names, table.cells, strict=True):
            lines.append(_md_row([name.replace("|", "\\|"), *(_with_span(c) for c in cells)]))
        parts += [f"## {table.title}", "\n".join(lines)]
    parts.append("\n".join(f"- {note}" for note in notes(results)))
    return "\n\n".join(parts) + "\n"


def _md_row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _with_span(cell: Cell) -> str:
    return f"{cell.text} [{cell.low}, {cell.high}]" if cell.low else cell.text


def latex(results: Results) -> str:
    """`table` environments in the papers' layout (package booktabs), intervals below numbers."""
    parts = [f"% {note}" for note in notes(results)]
    return "\n".join([*parts, "", *(_tex_table(table) for table in tables(results))])


def _tex_table(table: Table) -> str:
    heads = [escape_tex(h) + _TEX_ARROWS[a] for h, a in zip(table.heads, table.arrows, strict=True)]
    lines = [
        r"\begin{table*}",
        r"\centering\small",
        rf"\caption{{{escape_tex(table.title)}}}",
        rf"\begin{{tabular}}{{l{'r' * len(heads)}}}",
        r"\toprule",
        " & ".join(["Method", *heads]) + r" \\",
        r"\midrule",
    ]
    for name, cells in zip(table.names, table.cells, strict=True):
        lines.append(" & ".join([escape_tex(name), *(c.text for c in cells)]) + r" \\")
        if any(c.low for c in cells):
            spans = (rf"\tiny [{c.low}, {c.high}]" if c.low else "" for c in cells)
            lines.append(" & ".join(["", *spans]) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}", r"\end{table*}", ""]
    return "\n".join(lines)


def escape_tex(text: str) -> str:
    return "".join(_TEX.get(c, c) for c in text)


def as_csv(results: Results) -> str:
    """One line a row; columns `protocol/score`, with `/low` and `/high` where there is an interval.

    Numbers are whole, not rounded; what is not defined is empty.
    """
    columns: list[str] = []
    lines: list[dict[str, object]] = []
    for row in results.rows:
        line: dict[str, object] = {
            "name": row["name"],
            "label": label(row),
            "kind": row["kind"],
            "derived": row["derived"],
        }
        for protocol in results.protocols:
            for score, value in row["scores"][protocol]["values"].items():
                key = f"{protocol}/{score}"
                line[key] = value
                span = results.interval(row, protocol, score)
                if span is not None:
                    line[f"{key}/low"], line[f"{key}/high"] = span
        line["corrected/FRRea"] = row.get("frrea")
        line |= row.get("speed", {})
        columns += [key for key in line if key not in columns]
        lines.append(line)
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: "" if v is None else v for k, v in line.items()} for line in lines)
    return text.getvalue()
