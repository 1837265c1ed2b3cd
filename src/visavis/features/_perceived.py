"""What was perceived so far: a line a finished file, added as it is finished."""

from __future__ import annotations

import fcntl
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from visavis.errors import InputError

logger = logging.getLogger("visavis")

JOURNAL = "perceived.jsonl"


@dataclass(frozen=True)
class Entry:
    """A line of the journal: a behaviour and what it was perceived from."""

    file: str
    behaviour: str
    look: tuple[int, ...]
    """Size, dates, inode and device of the file: while they are the same, so is its content."""
    sha256: str
    size: int
    """Bytes of the behaviour."""
    options: str
    frames: int = 0
    face: float | None = None
    notes: tuple[str, ...] = field(default=())


def look(path: Path) -> tuple[int, ...]:
    """Size, dates, inode and device; while they are the same, so is the content. Empty if the
    file is not there."""
    try:
        found = path.stat()
    except OSError:
        return ()
    # the ctime is among them: no tool sets it back
    return (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_dev)


@contextmanager
def journal(out: Path) -> Iterator[tuple[dict[str, Entry], Callable[[Entry], None]]]:
    """The finished files so far, and a function that adds one; one run at a time."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        handle = (out / JOURNAL).open("a+", encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write to {out}: {error.strerror or error}.") from error
    with handle:
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(
                f"another run is writing to {out}; wait for it, or choose another folder."
            ) from error
        except OSError as error:
            logger.debug("no locks on %s (%s)", out, error)
        handle.seek(0)
        text = handle.read()
        if text and not text.endswith("\n"):
            handle.write("\n")  # after the half line of a killed run

        def write(entry: Entry) -> None:
            handle.write(json.dumps(asdict(entry)) + "\n")
            handle.flush()

        yield dict(_entries(text)), write


def _entries(text: str) -> Iterator[tuple[str, Entry]]:
    """Lines that can be read; a killed run may leave half a line."""
    for line in text.splitlines():
        try:
            data = json.loads(line)
            entry = Entry(**{**data, "look": tuple(data["look"]), "notes": tuple(data["notes"])})
        except (ValueError, TypeError, KeyError):
            continue
        yield entry.file, entry
