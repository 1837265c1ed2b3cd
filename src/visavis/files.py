"""Outputs that are whole or not there at all, and inputs that are what they seem."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from visavis.errors import InputError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary file beside `path`; on success it replaces `path`, on failure it is gone.

    The temporary file keeps the suffix, since encoders choose a container by it. Missing parent
    folders are made. A symbolic link is followed, not replaced.

    Raises:
        InputError: `path` is a folder or a device, its folder cannot be made or written, or the
            disk is full.
    """
    target = Path(path)
    try:
        target = target.resolve()
        if target.is_dir():
            raise InputError(f"{path} is a folder; give the path of a file to write.")
        if target.exists() and not target.is_file():
            raise InputError(f"{path} is no ordinary file; give the path of a file to write.")
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            prefix=f".{target.stem[:40]}-", suffix=target.suffix, dir=target.parent
        )
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"cannot write {path}: {reason}. Choose a folder you may write to."
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
    except OSError as error:
        if error.errno in _FULL:
            raise InputError(f"cannot write {path}: the disk (or your quota) is full.") from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def existing_file(path: str | Path, *, wanted: str = "a file") -> Path:
    """`path` as a Path to an ordinary file that is there.

    Raises:
        InputError: it does not exist, cannot be looked at, or is a folder, a pipe or a device.
    """
    found = Path(path)
    try:
        if found.is_dir():
            raise InputError(f"{found} is a folder; wanted {wanted}.")
        if not found.exists():
            raise InputError(f"{found} does not exist; wanted {wanted}.")
        if not found.is_file():
            raise InputError(f"{found} is no ordinary file; wanted {wanted}.")
    except OSError as error:
        raise InputError(f"cannot look at {found}: {error.strerror or error}.") from error
    return found


def keep_apart(output: str | Path, *inputs: str | Path | None) -> None:
    """Refuse to write over something that is being read.

    Raises:
        InputError: `output` is one of the `inputs`, by whatever name or link.
    """
    for source in inputs:
        there = source is not None and os.path.exists(output) and os.path.exists(source)
        if there and os.path.samefile(output, str(source)):
            raise InputError(f"{output} is the input itself; choose another place for the output.")
