"""A finished table as data: rows, intervals, and all that makes a row again."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from visavis.bench._folder import FORMAT, code_version, read_json, write_json
from visavis.bench._rows import Row, per_clip
from visavis.errors import InputError
from visavis.metrics.intervals import bootstrap

FIELDS = {"format", "code", "stamp", "corpus", "asked", "protocols", "groups", "rows"}


@dataclass(frozen=True)
class Results:
    """What `results.json` holds."""

    stamp: Mapping[str, Any]
    """Corpus, split, fingerprint, version, choice of clips, samples, seed."""
    corpus: Mapping[str, Any]
    """What `visavis.corpora.load` takes: name, split, root, options; for `--rerun`."""
    asked: Mapping[str, Any]
    """scripts, dyads, clips, train_clips."""
    protocols: tuple[str, ...]
    groups: tuple[str, ...]
    """Script of each clip; empty where intervals are over clips."""
    rows: tuple[Row, ...]
    code: str

    def row(self, name: str) -> Row:
        """The row of that name or label.

        Raises:
            InputError: there is none.
        """
        from visavis.errors import nearest

        for row in self.rows:
            if name in (row["name"], row["label"]):
                return row
        raise InputError(
            f"there is no row {name!r}. {nearest(name, [r['name'] for r in self.rows])}"
        )

    def value(self, row: Row, protocol: str, score: str) -> float | None:
        """One number of the table; None where it is not defined."""
        if score == "FRRea":
            return row.get("frrea") if protocol == "corrected" else None
        found: float | None = row["scores"].get(protocol, {}).get("values", {}).get(score)
        return found

    def interval(self, row: Row, protocol: str, score: str) -> tuple[float, float] | None:
        """Its 95 % interval, if it is a mean over clips."""
        found = row.get("intervals", {}).get(protocol, {}).get(score)
        return None if found is None else (found[0], found[1])

    def save(self, path: str | Path) -> Path:
        write_json(
            Path(path),
            {
                "format": FORMAT,
                "code": self.code,
                "stamp": dict(self.stamp),
                "corpus": dict(self.corpus),
                "asked": dict(self.asked),
                "protocols": list(self.protocols),
                "groups": list(self.groups),
                "rows": list(self.rows),
            },
        )
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> Results:
        """Read what `save` wrote.

        Raises:
            InputError: the file is not there, damaged, or of another format.
        """
        found = read_json(Path(path))
        if set(found) != FIELDS or found["format"] != FORMAT:
            raise InputError(
                f"{path} is no results.json of this version of visavis: format "
                f"{found.get('format')!r} (wanted {FORMAT}), fields {sorted(found)[:12]}."
            )
        return cls(
            found["stamp"],
            found["corpus"],
            found["asked"],
            tuple(found["protocols"]),
            tuple(found["groups"]),
            tuple(found["rows"]),
            found["code"],
        )


def with_intervals(row: Row, groups: Sequence[str]) -> Row:
    """The row with intervals of every score that is a mean over clips, by script where `groups`
    says them."""
    found: dict[str, dict[str, list[float]]] = {}
    for protocol, entry in row["scores"].items():
        found[protocol] = {}
        for score in entry["per_clip"]:
            values = per_clip(row, score, protocol)
            known = np.flatnonzero(np.isfinite(values))
            names = [groups[int(i)] for i in known] if groups else None
            if len(set(known if names is None else names)) < 2:
                continue
            interval = bootstrap(values[known], names)
            if math.isfinite(interval.low) and math.isfinite(interval.high):
                found[protocol][score] = [interval.low, interval.high]
    return {**row, "intervals": found}


def finished(
    rows: Sequence[Row], *, stamp: Mapping[str, Any], corpus: Mapping[str, Any],
    asked: Mapping[str, Any], protocols: Sequence[str], groups: Sequence[str],
) -> Results:  # fmt: skip
    """Rows put together, with intervals."""
    return Results(
        stamp,
        corpus,
        asked,
        tuple(protocols),
        tuple(groups),
        tuple(with_intervals(row, groups) for row in rows),
        code_version(),
    )
