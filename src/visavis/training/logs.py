"""A run's numbers: JSON lines and CSV always, TensorBoard where it is asked for."""

from __future__ import annotations

import csv
import json
import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from visavis.errors import require
from visavis.files import atomic_path

logger = logging.getLogger("visavis")

Row = Mapping[str, Any]


class Log:
    """Rows of one run, in memory and in its folder: `log.jsonl`, `log.csv`.

    A full disk costs rows, not the run: it is said once, and the training goes on.

    Args:
        folder: where to write; None keeps the rows in memory only.
        tensorboard: also write event files for TensorBoard into the folder.

    Raises:
        MissingExtra: `tensorboard` without the package.
    """

    def __init__(self, folder: str | Path | None = None, *, tensorboard: bool = False) -> None:
        self.folder = None if folder is None else Path(folder)
        self.rows: list[dict[str, Any]] = []
        self._columns: list[str] = []
        self._failed = False
        self._board: Any = None
        if tensorboard and self.folder is not None:
            require("tensorboard", extra="train")
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(self.folder / "tensorboard"))

    def begin(self, step: int = 0) -> None:
        """Keep the rows up to `step` of what an earlier part of the run logged, and no others."""
        if self.folder is None:
            return
        path = self.folder / "log.jsonl"
        self.rows = [row for row in read_rows(path) if row["step"] <= step] if step else []
        with atomic_path(path) as temporary:
            temporary.write_text("".join(_line(row) for row in self.rows))
        self._write_table()

    def add(self, row: Row) -> None:
        """One row; the first key is "step"."""
        self.rows.append(dict(row))
        if self._board is not None:
            for name, value in row.items():
                if isinstance(value, float):
                    self._board.add_scalar(name, value, row["step"])
        if self.folder is None:
            return
        try:
            with (self.folder / "log.jsonl").open("a") as file:
                file.write(_line(row))
            if [n for n in row if n not in self._columns]:
                self._write_table()
            else:
                with (self.folder / "log.csv").open("a", newline="") as file:
                    csv.DictWriter(file, self._columns).writerow(dict(row))
        except OSError as error:
            if not self._failed:
                logger.error("cannot write the log (%s); training goes on without", error)
            self._failed = True

    def close(self) -> None:
        if self._board is not None:
            self._board.close()

    def _write_table(self) -> None:
        """The whole table: a validation brings columns that the rows before had not."""
        assert self.folder is not None
        self._columns = list(dict.fromkeys(n for row in self.rows for n in row))
        with atomic_path(self.folder / "log.csv") as temporary, temporary.open("w") as file:
            writer = csv.DictWriter(file, self._columns, lineterminator="\r\n")
            writer.writeheader()
            writer.writerows(self.rows)


def _line(row: Row) -> str:
    """JSON has no NaN: what is not finite is null."""
    clean = {
        n: None if isinstance(x, float) and not math.isfinite(x) else x for n, x in row.items()
    }
    return json.dumps(clean) + "\n"


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Whole rows of a log; a line that a kill cut short is left out."""
    if not path.is_file():
        return []
    found = []
    for line in path.read_text("utf-8", errors="replace").splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and isinstance(row.get("step"), int):
            found.append(row)
    return found
