"""The labels of REACT 2023 and 2024: matrices of 0 and 1, of one split or of all together.

For P pairs a matrix is [2P, 2P], in the order of the items (`_react_index`): row a speaker, and a
1 in column j says that the listener of item j reacts appropriately to that speaker.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.appropriate import AppropriateMap
from visavis.corpora._disk_read import read_npy, read_table
from visavis.corpora._disk_root import digest
from visavis.corpora._react_index import PERSONAL, Key, Pair
from visavis.errors import InputError
from visavis.files import existing_file

log = logging.getLogger("visavis")

I64 = NDArray[np.int64]
RULE = "the challenge's matrix"

GLOBAL = ("Approprirate_facial_reaction.npy", "Appropriate_facial_reaction.npy")
"""The matrix of all splits; the first is how the release spells it."""
ROWS = "data_indices.csv"


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
    prefix = PERSONAL if index.startswith(PERSONAL) else ""
    kind = "masked_neighbour" if prefix and split != "train" else "neighbour"
    own = f"{prefix}{kind}_emotion_{split}.npy"
    if (root / own).is_file():
        return own, True
    if (root / ROWS).is_file():
        for name in GLOBAL:
            if (root / name).is_file():
                return name, False
    return None


def read_labels(
    root: Path, name: str, *, own: bool, pairs: Sequence[Pair], ids: Sequence[str]
) -> AppropriateMap:
    """The map in a matrix file.

    Args:
        root: of the corpus.
        name: of the file, and `own`: whether it is of this split alone (`find_labels`).
        pairs: of the index, all of them.
        ids: of the items that are asked for: all 2P, or the first P.

    Raises:
        InputError: the matrix does not fit the index, holds other numbers than 0 and 1, or has a
            row without any reaction.
    """
    path, items = root / name, 2 * len(pairs)
    matrix = open_matrix(path) if own else split_matrix(root, name, pairs)
    if matrix.shape != (items, items):
        raise InputError(
            f"{path} has shape {list(matrix.shape)}, but the index lists {len(pairs)} pairs: "
            f"wanted [{items}, {items}], every pair in both roles."
        )
    part = np.asarray(matrix[: len(ids), : len(ids)])
    recipe: dict[str, Any] = {"rule": RULE, "file": name, "digest": digest(path)}
    bare = int((part.diagonal() == 0).sum())
    try:
        found = AppropriateMap.from_matrix(ids, part, add_paired=True, recipe=recipe)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    if bare:
        log.warning("%s: %d rows lack their own reaction; it is added.", path, bare)
    return found


def no_labels(root: Path, split: str) -> str:
    """What to do where no label file is found."""
    return (
        f"nothing in {root} says which reactions are appropriate: looked for "
        f"neighbour_emotion_{split}.npy, and for {GLOBAL[0]} with {ROWS}. Make labels with "
        "`visavis corpus label --corpus react --rule similar` and give their file as labels=."
    )
