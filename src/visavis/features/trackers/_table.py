"""A table of text, read without trust: the header first, then only the columns that are asked for.

OpenFace and py-feat write 700 to 2,500 columns a row, so rows are streamed and most cells never
become numbers.
"""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from visavis.errors import InputError
from visavis.files import existing_file

logger = logging.getLogger("visavis")

Doubles = NDArray[np.float64]

_ABSENT = {"", "nan", "na", "n/a", "null", "none", "-nan", "nan(ind)", "-nan(ind)"}
_DELIMITERS = (",", ";", "\t")


@dataclass(frozen=True)
class Columns:
    """Some columns of a table, N rows."""

    numbers: Doubles
    """[N, columns asked for]; NaN where a cell is empty, says so, or is infinite."""
    texts: tuple[tuple[str, ...], ...]
    """One tuple of N cells for each text column asked for, blanks taken off."""


@dataclass(frozen=True)
class Table:
    """A table whose header was read."""

    path: Path
    names: tuple[str, ...]
    """Of the columns, without the blanks that some tools write around them."""
    delimiter: str
    encoding: str

    @classmethod
    def of(cls, path: str | Path) -> Table:
        """Read the header of `path`: comma, semicolon or tab; UTF-8 or UTF-16, with a mark or not.

        Raises:
            InputError: not a file, not text, or without a header.
        """
        found = existing_file(path, wanted="a tracker's table (.csv)")
        with found.open("rb") as file:
            mark = file.read(2)
        encoding = "utf-16" if mark in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
        try:
            with found.open(encoding=encoding, newline="") as file:
                first = file.readline(1_000_000)
        except UnicodeError as error:
            raise InputError(f"{found} is not a table of text ({error}).") from error
        if "\0" in first:
            raise InputError(f"{found} is not a table of text: it holds zero bytes.")
        if not first.strip():
            raise InputError(f"{found} is empty; wanted a header and rows.")
        delimiter = max(_DELIMITERS, key=first.count)
        names = next(csv.reader([first], delimiter=delimiter, skipinitialspace=True))
        return cls(found, tuple(name.strip() for name in names), delimiter, encoding)

    @property
    def beginning(self) -> str:
        """The first few column names, for an error's text."""
        few = ", ".join(repr(name) for name in self.names[:4])
        return few if len(self.names) <= 4 else f"{few}, ... ({len(self.names)} in all)"

    def find(self, name: str) -> int | None:
        """The column `name`: exactly so, or else whatever its capitals; None if it is not there.

        Raises:
            InputError: several columns are called so.
        """
        lower = tuple(other.lower() for other in self.names)
        for names, wanted in ((self.names, name), (lower, name.lower())):
            places = [place for place, other in enumerate(names) if other == wanted]
            if len(places) > 1:
                raise InputError(
                    f"{self.path} has the column {self.names[places[0]]!r} {len(places)} times "
                    f"(columns {', '.join(str(p + 1) for p in places)}); keep one."
                )
            if places:
                return places[0]
        return None

    def has(self, *names: str) -> bool:
        """Whether every one of `names` is a column, whatever its capitals."""
        lower = {name.lower() for name in self.names}
        return all(name.lower() in lower for name in names)

    def columns(self, numbers: Sequence[str], texts: Sequence[str] = ()) -> Columns:
        """Read columns by name; a column of numbers that is not there is NaN all through.

        Raises:
            InputError: no rows; a row longer than the header; a cell that is no number; a text
                column that is not there.
        """
        places = [self.find(name) for name in numbers]
        wanted = [(at, place) for at, place in enumerate(places) if place is not None]
        words = [self._must(name) for name in texts]
        rows: list[Doubles] = []
        kept: list[tuple[str, ...]] = []
        for line, cells in self._rows():
            row = np.full(len(numbers), np.nan)
            for at, place in wanted:
                if place < len(cells):
                    row[at] = self._number(cells[place], line, place)
            rows.append(row)
            kept.append(tuple(cells[p].strip() if p < len(cells) else "" for p in words))
        if not rows:
            raise InputError(f"{self.path} has a header and no rows.")
        return Columns(np.stack(rows), tuple(zip(*kept, strict=True)) if words else ())

    def _must(self, name: str) -> int:
        place = self.find(name)
        if place is None:
            raise InputError(
                f"{self.path} has no column {name!r}; it begins with {self.beginning}."
            )
        return place

    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        """(line in the file, cells) of every row that is not blank."""
        short = 0
        with self.path.open(encoding=self.encoding, newline="") as file:
            rows = csv.reader(file, delimiter=self.delimiter, skipinitialspace=True)
            next(rows)
            try:
                for cells in rows:
                    if not any(cell.strip() for cell in cells):
                        continue
                    if len(cells) > len(self.names) and any(
                        cell.strip() for cell in cells[len(self.names) :]
                    ):
                        raise InputError(
                            f"{self.path}, line {rows.line_num}: {len(cells)} cells under a header "
                            f"of {len(self.names)}. Is a decimal comma or a comma in a name to "
                            "blame?"
                        )
                    short += len(cells) < len(self.names)
                    yield rows.line_num, cells
            except UnicodeError as error:
                raise InputError(f"{self.path} is not text all through ({error}).") from error
            except csv.Error as error:
                raise InputError(f"{self.path}, line {rows.line_num}: {error}.") from error
        if short:
            logger.warning("%s: %d rows end early; what they lack is unobserved.", self.path, short)

    def _number(self, cell: str, line: int, place: int) -> float:
        text = cell.strip()
        if text.lower() in _ABSENT:
            return np.nan
        try:
            # where semicolons divide cells, a comma is the decimal mark
            value = float(text.replace(",", ".") if self.delimiter == ";" else text)
        except ValueError:
            raise InputError(
                f"{self.path}, line {line}, column {self.names[place]!r}: {text!r} is not a number."
            ) from None
        return value if np.isfinite(value) else np.nan
