"""Outputs that are whole or not there at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from visavis.errors import InputError


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary file beside `path`; on success it replaces `path`, on failure it is gone.

    The temporary file keeps the suffix, since encoders choose a container by it. Missing parent
    folders are made.

    Raises:
        InputError: `path` is a folder, or its folder cannot be made or written.
    """
    target = Path(path)
    if target.is_dir():
        raise InputError(f"{target} is a folder; give the path of a file to write.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            prefix=f".{target.stem[:40]}-", suffix=target.suffix, dir=target.parent
        )
    except OSError as error:
        raise InputError(
            f"cannot write {target}: {error.strerror or error}. Choose a folder you may write to."
        ) from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes files private; an ordinary output obeys the user's umask
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def existing_file(path: str | Path, *, wanted: str = "a file") -> Path:
    """`path` as a Path to a file that is there.

    Raises:
        InputError: it does not exist, or is a folder.
    """
    found = Path(path)
    if found.is_dir():
        raise InputError(f"{found} is a folder; wanted {wanted}.")
    if not found.exists():
        raise InputError(f"{found} does not exist; wanted {wanted}.")
    return found
