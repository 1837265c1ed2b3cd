"""What files hold, by hash: read once, and again only when they may have changed.

A date says nothing about content: copying changes it, and tools set it back. So content decides.
To spare reading everything at every start, a file's hash is remembered together with its size,
dates, inode and device, and believed as long as all of them are the same. The date of the last
change of the inode (ctime) is among them; no tool can set it back, so that a file whose content
changed under an unchanged modification date is read again.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from visavis.errors import InputError
from visavis.files import atomic_path

_SETTLED_NS = 2_000_000_000
"""A file changed less than this before it was read may change again within the same tick of its
file system's clock (2 s on FAT), so its look is not remembered."""

Look = tuple[int, int, int, int, int]


def sha256(name: str) -> str:
    """SHA-256 of a whole file."""
    with open(name, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Contents:
    """Hashes of files, remembered in a file of its own.

    Args:
        memory: where to remember; not there yet at first. A damaged one is forgotten.
        reread: read every file once, whatever is remembered.
        digest: the hash of a file by its name.
    """

    def __init__(
        self, memory: Path, *, reread: bool = False, digest: Callable[[str], str] = sha256
    ) -> None:
        self.memory, self._digest = memory, digest
        self._fresh: dict[str, str] = {}
        self._known: dict[str, tuple[Look, str]] = {} if reread else _remembered(memory)
        self.learned = False
        """Whether `remember` has something to write."""
        self.read = 0
        """Files whose content was read so far."""

    def of(self, path: str | Path) -> str:
        """The hash of one file, looked at once in the life of this object.

        Raises:
            InputError: the file cannot be read, or changes while it is read.
        """
        name = os.path.abspath(path)
        if name not in self._fresh:
            self._fresh[name] = self._hash(name)
        return self._fresh[name]

    def again(self, paths: Sequence[str | Path]) -> tuple[str, ...]:
        """The hashes of files as they are now, even if they were looked at before."""
        for path in paths:
            self._fresh.pop(os.path.abspath(path), None)
        return tuple(self.of(path) for path in paths)

    def remember(self) -> None:
        """Write what was learned, for the next time, beside what others wrote meanwhile."""
        if not self.learned:
            return
        known = {**_remembered(self.memory), **self._known}
        lines = {name: [*look, digest] for name, (look, digest) in known.items()}
        with atomic_path(self.memory) as temporary:
            temporary.write_text(json.dumps(lines), "utf-8")
        self.learned = False

    def _hash(self, name: str) -> str:
        try:
            before = _look(name)
            found = self._known.get(name)
            if found is not None and found[0] == before:
                return found[1]
            began = time.time_ns()
            digest = self._digest(name)
            self.read += 1
            if _look(name) != before:
                raise InputError(f"{name} changes while it is read; wait until it is complete.")
        except OSError as error:
            raise InputError(f"cannot read {name}: {error.strerror or error}.") from error
        self.learned = True
        if before[2] < began - _SETTLED_NS:
            self._known[name] = (before, digest)
        else:
            self._known.pop(name, None)
        return digest


def _look(name: str) -> Look:
    found = os.stat(name)
    return (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_dev)


def _remembered(memory: Path) -> dict[str, tuple[Look, str]]:
    try:
        lines = json.loads(memory.read_text("utf-8"))
        return {
            name: ((int(a), int(b), int(c), int(d), int(e)), str(digest))
            for name, (a, b, c, d, e, digest) in lines.items()
        }
    except (OSError, ValueError, TypeError, AttributeError):
        return {}  # only a memory: what it held is read again
