"""The indices of REACT 2023 and 2024: who met whom, and which reactions suit which speaker.

An index lists P pairs. Its 2P items are the P pairs as listed (first column speaks), then the same
pairs with the roles swapped; every matrix of the challenge is in that order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.corpora._disk_read import read_npy, read_table
from visavis.errors import InputError
from visavis.files import existing_file

I64 = NDArray[np.int64]
Key = tuple[str, str, str]
"""(SITE, chat, clip): a row of `data_indices.csv`; UDIVA's chat is `<pair>_<task>`."""

GLOBAL = ("Approprirate_facial_reaction.npy", "Appropriate_facial_reaction.npy")
"""The matrix of all splits; the first is how the release spells it."""
ROWS = "data_indices.csv"


@dataclass(frozen=True)
class Place:
    """A path of the index, e.g. `NoXI/010_2016-03-25_Paris/Expert_video/7`."""

    path: str
    """As the index has it: the id of the item whose speaker stands here."""
    site: str
    folders: tuple[str, ...]
    """Between site and person: (chat,), or (task, pair) for UDIVA."""
    person: str
    clip: str

    @property
    def key(self) -> Key:
        chat = self.folders[0] if len(self.folders) == 1 else "_".join(reversed(self.folders))
        return self.site.upper(), chat, self.clip

    @property
    def who(self) -> str:
        """The person, as the challenge tells persons apart: the path without the clip."""
        return self.path.rpartition("/")[0]


@dataclass(frozen=True)
class Pair:
    """One row of the index."""

    first: Place
    second: Place


def place_of(path: str, where: str) -> Place:
    """A path of an index, checked; `where` names the line in errors."""
    parts = PurePosixPath(path.replace("\\", "/")).parts
    if len(parts) not in (4, 5) or any(part in ("/", "..", ".") for part in parts):
        raise InputError(
            f"{where}: {path!r} is no path of this corpus; wanted site/chat/person/clip, or "
            "UDIVA/task/pair/person/clip, without a suffix."
        )
    return Place("/".join(parts), parts[0], parts[1:-2], parts[-2], parts[-1])


def read_index(path: Path) -> tuple[Pair, ...]:
    """The pairs of `train.csv`, `val.csv`, `test.csv` or `person_specific_*.csv`.

    Raises:
        InputError: a column is missing, a path is none, the two sides of a row are not one
            conversation, or a clip comes twice.
    """
    pairs = []
    seen: dict[str, int] = {}
    for line, row in enumerate(read_table(path, ("speaker_path", "listener_path")), start=2):
        where = f"{path}, line {line}"
        first, second = (place_of(row[name], where) for name in ("speaker_path", "listener_path"))
        if first.key != second.key:
            raise InputError(
                f"{where}: {first.path} and {second.path} are not one clip of one conversation."
            )
        for place in (first, second):
            if place.path in seen:
                raise InputError(
                    f"{where}: {place.path} stands in line {seen[place.path]} already; two clips "
                    "cannot have one id."
                )
            seen[place.path] = line
        pairs.append(Pair(first, second))
    if not pairs:
        raise InputError(f"{path} lists no pair.")
    return tuple(pairs)


def read_rows(path: Path) -> dict[Key, int]:
    """Key -> row of the global matrix, from `data_indices.csv`.

    Raises:
        InputError: a column is missing, or a key comes twice.
    """
    rows: dict[Key, int] = {}
    for row, line in enumerate(read_table(path, ("site", "chat_index", "clip_index"))):
        key = (line["site"].upper(), line["chat_index"], line["clip_index"])
        if key in rows:
            raise InputError(f"{path}: {'/'.join(key)} stands in rows {rows[key]} and {row}.")
        rows[key] = row
    return rows


def global_rows(pairs: Sequence[Pair], rows: Mapping[Key, int], path: Path) -> I64:
    """Row of each pair in the global matrix, [P].

    Raises:
        InputError: a pair has none. (The challenge's script drops such a pair, and every later
            row then stands one place off.)
    """
    lacking = [pair for pair in pairs if pair.first.key not in rows]
    if lacking:
        raise InputError(
            f"{len(lacking)} of {len(pairs)} pairs are not in {path}, the first is "
            f"{lacking[0].first.path}: it belongs to another release."
        )
    return np.array([rows[pair.first.key] for pair in pairs], np.int64)


def open_matrix(path: Path) -> NDArray[Any]:
    """A matrix of the challenge, [N, N]; read from the file as far as it is looked at.

    Raises:
        InputError: it is not there, damaged or cut off, pickled (refused), or not numbers.
    """
    existing_file(path, wanted="a matrix (.npy)")
    try:
        found = np.lib.format.open_memmap(path, mode="r")
    except (ValueError, OSError, EOFError):
        return read_npy(path)  # which says what is wrong with it
    return found if found.dtype.kind in "biuf" else read_npy(path)


def split_matrix(root: Path, name: str, pairs: Sequence[Pair]) -> NDArray[Any]:
    """The [2P, 2P] part of the matrix of all splits.

    Raises:
        InputError: the matrix is not [2Q, 2Q] for the Q rows of `data_indices.csv`, or a pair is
            none of these.
    """
    rows = read_rows(root / ROWS)
    matrix, count = open_matrix(root / name), len(rows)
    if matrix.shape != (2 * count, 2 * count):
        raise InputError(
            f"{root / name} has shape {list(matrix.shape)}, but {root / ROWS} lists {count} "
            f"pairs: wanted [{2 * count}, {2 * count}]."
        )
    places = global_rows(pairs, rows, root / ROWS)
    both = np.concatenate([places, places + count])
    part: NDArray[Any] = matrix[np.ix_(both, both)]
    return part


def find_labels(root: Path, split: str, index: str) -> tuple[str, bool] | None:
    """File name of the labels of a split by its index's name, and whether they are its own."""
    prefix = "person_specific_" if index.startswith("person_specific_") else ""
    kind = "masked_neighbour" if prefix and split != "train" else "neighbour"
    own = f"{prefix}{kind}_emotion_{split}.npy"
    if (root / own).is_file():
        return own, True
    if (root / ROWS).is_file():
        for name in GLOBAL:
            if (root / name).is_file():
                return name, False
    return None
