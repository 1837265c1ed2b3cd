"""The folder a corpus lies in: what was looked for, and what was found instead."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from visavis.errors import InputError, nearest

WHOLE = 8 * 2**20
"""Bytes: files up to this size are hashed whole, larger ones in SAMPLES pieces of PIECE bytes."""
SAMPLES, PIECE = 64, 65536
SHOWN = 8


def checked_root(
    root: str | Path, *, corpus: str, looked_for: str, fits: Callable[[Path], bool]
) -> Path:
    """`root` as a folder that holds the corpus.

    Raises:
        InputError: it is not there, is no folder, or holds something else: says what was looked
            for and what was found, and names the folder above or below it that would do.
    """
    path = Path(root)
    if not path.exists():
        raise InputError(f"{path} does not exist; wanted the folder of {corpus}, with {looked_for}")
    if not path.is_dir():
        raise InputError(f"{path} is a file; wanted the folder of {corpus}, with {looked_for}")
    if fits(path):
        return path
    near = [
        path.resolve().parent,
        *(path / name for name in entries(path) if (path / name).is_dir()),
    ]
    better = [place for place in near[:50] if fits(place)]
    hint = f" It looks as if {better[0]} is meant." if better else ""
    raise InputError(
        f"{path} does not hold {corpus}: looked for {looked_for}, found {listed(path)}.{hint}"
    )


def checked_split(split: str, known: Sequence[str], *, corpus: str, root: Path) -> str:
    """`split`, if it is one of `known`.

    Raises:
        InputError: it is not, or there is none at all.
    """
    if split in known:
        return split
    if not known:
        raise InputError(f"{corpus} at {root} has no split: found {listed(root)}.")
    raise InputError(f"{corpus} at {root} has no split {split!r}. {nearest(split, known)}")


def entries(folder: Path) -> list[str]:
    """Sorted names in a folder, without those that begin with a dot (`._x` of macOS, `.DS_Store`).

    Raises:
        InputError: the folder cannot be read.
    """
    try:
        return sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except OSError as error:
        raise InputError(f"cannot read the folder {folder}: {error.strerror or error}.") from error


def listed(folder: Path) -> str:
    """What is in a folder, in a few words."""
    names = entries(folder)
    if not names:
        return "an empty folder"
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def digest(path: Path) -> str:
    """A short digest of a file's content and size, not of its name or date.

    A file above 8 MiB is read in 64 pieces spread over it, so that hours of film cost
    milliseconds; a change between two pieces that keeps the size is not seen.
    """
    size = path.stat().st_size
    found = hashlib.blake2b(str(size).encode(), digest_size=12)
    with path.open("rb") as file:
        if size <= WHOLE:
            found.update(file.read())
        else:
            for piece in range(SAMPLES):
                file.seek(piece * (size - PIECE) // (SAMPLES - 1))
                found.update(file.read(PIECE))
    return found.hexdigest()


def by_name(folder: Path, suffix: str) -> dict[str, Path]:
    """Name without suffix -> file, for the files with a suffix in a folder and below.

    Raises:
        InputError: two files have one name.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob(f"*{suffix}")) if folder.is_dir() else ():
        name = path.name.removesuffix(suffix)
        if name.startswith("."):
            continue
        if name in found:
            raise InputError(f"two files have one name: {found[name]} and {path}; move one.")
        found[name] = path
    return found
