"""A results folder: what it is about, and rows that are whole or not there at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from visavis import __version__
from visavis.errors import InputError
from visavis.files import atomic_path

FORMAT = 1
STAMP = "bench.json"


@dataclass(frozen=True)
class Folder:
    """Rows, caches and predictions of one choice of clips of one corpus."""

    path: Path
    stamp: Mapping[str, Any]

    def read(self, name: str) -> dict[str, Any] | None:
        """The row of that name, if it is there."""
        path = self.row(name)
        return read_json(path) if path.is_file() else None

    def write(self, name: str, row: Mapping[str, Any]) -> None:
        write_json(self.row(name), row)

    def row(self, name: str) -> Path:
        return self.path / "rows" / f"{safe(name)}.json"

    def predictions(self, name: str) -> Path:
        """Folder of a row's predictions while it is being made."""
        return self.path / "predictions" / safe(name)

    @property
    def cache(self) -> Path:
        return self.path / "cache"


def opened(path: str | Path, stamp: Mapping[str, Any]) -> Folder:
    """The results folder `path`, new or begun earlier for the very same corpus and clips.

    Raises:
        InputError: it holds results of another corpus, version, choice of clips, seed or number
            of samples; the text says which.
    """
    folder = Path(path)
    kept = folder / STAMP
    wanted = json.loads(json.dumps({"format": FORMAT, **stamp}))
    if kept.is_file():
        refuse_other(read_json(kept), wanted, folder)
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(
            f"{folder} is not empty and holds no {STAMP}; give a new folder, or one that "
            "`visavis bench` began."
        )
    else:
        write_json(kept, wanted)
    return Folder(folder, wanted)


def refuse_other(found: Mapping[str, Any], wanted: Mapping[str, Any], where: Path) -> None:
    """Raise `InputError` naming every field in which results differ from what is asked for."""
    differing = [
        f"{key} (there: {_short(found.get(key))}; now: {_short(wanted.get(key))})"
        for key in sorted({*found, *wanted})
        if found.get(key) != wanted.get(key)
    ]
    if differing:
        raise InputError(
            f"{where} holds results of something else: {'; '.join(differing)}. Numbers of the two "
            "do not belong in one table. Give another --out, or delete the folder."
        )


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) < 80 else text[:77] + "..."


def read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as results ({error}).") from error
    if not isinstance(found, dict):
        raise InputError(f"{path} holds {str(found)[:40]!r}; wanted results of `visavis bench`.")
    return found


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    text = json.dumps(content, indent=1, allow_nan=False)
    with atomic_path(path) as temporary:
        temporary.write_text(text + "\n", "utf-8")


def safe(name: str) -> str:
    """A file's name for a row; two rows whose names differ in other characters stay apart."""
    plain = "".join(c if c.isalnum() or c in "._-" else "_" for c in name)
    if plain == name and not name.startswith("."):
        return name
    return f"{plain.lstrip('.')[-60:]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


@lru_cache(maxsize=1)
def code_version() -> str:
    """The package's version and a fingerprint of what numbers come from: its Python files."""
    home = Path(__file__).parent.parent
    digest = hashlib.sha256()
    for part in ("bench", "corpora", "features", "metrics", "models", "nn"):
        for path in sorted((home / part).rglob("*.py")):
            digest.update(path.relative_to(home).as_posix().encode())
            digest.update(path.read_bytes())
    return f"{__version__}+{digest.hexdigest()[:12]}"
