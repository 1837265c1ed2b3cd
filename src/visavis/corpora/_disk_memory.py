"""What this machine remembers of files between runs: their hashes, so that opening is quick."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable
from pathlib import Path

from visavis.corpora._cache_content import Contents
from visavis.corpora._disk_root import digest
from visavis.errors import InputError

logger = logging.getLogger("visavis")

FOLDER = "VISAVIS_CACHE"
"""Environment variable: the folder to remember in; default `$XDG_CACHE_HOME/visavis` or
`~/.cache/visavis`. Removing it costs time, never a result."""


def contents_of(root: str | Path, of: Callable[[str], str] | None = None) -> Contents:
    """Hashes of the files of one corpus (or of one film), with a memory of their own.

    A file is read again when its size, inode or any of its dates differs (`_cache_content`).

    Args:
        root: names the memory.
        of: the hash of a file by its name; default: `_disk_root.digest`.
    """
    name = hashlib.blake2b(os.path.abspath(root).encode(), digest_size=8).hexdigest()
    return Contents(_folder() / f"contents-{name}.json", digest=of or _digest)


def remember(contents: Contents) -> None:
    """Write down what was read. Where that is not possible files are read again next time."""
    try:
        contents.memory.parent.mkdir(parents=True, exist_ok=True)
        contents.remember()
    except (OSError, InputError) as error:
        logger.debug("hashes of files are not remembered: %s", error)


def _folder() -> Path:
    if given := os.environ.get(FOLDER):
        return Path(given)
    if given := os.environ.get("XDG_CACHE_HOME"):
        return Path(given) / "visavis"
    return Path.home() / ".cache" / "visavis"


def _digest(name: str) -> str:
    return digest(Path(name))
