"""A file, or a file inside a tar that stays packed: both are read by place and size."""

from __future__ import annotations

import io
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from visavis.errors import InputError


@dataclass(frozen=True)
class Piece:
    """`size` bytes of `path` from `start` on; `name` is what errors call it."""

    path: Path
    name: str
    start: int
    size: int
    packed: bool = False
    """Whether it lies inside an archive."""

    @classmethod
    def whole(cls, path: Path) -> Piece:
        """A file by itself."""
        return cls(path, str(path), 0, path.stat().st_size)

    def read(self) -> bytes:
        """All of it.

        Raises:
            InputError: it cannot be read, or the file has become shorter.
        """
        try:
            with self.path.open("rb") as file:
                file.seek(self.start)
                found = file.read(self.size)
        except OSError as error:
            raise InputError(f"cannot read {self.name}: {error.strerror or error}.") from error
        if len(found) < self.size:
            raise InputError(
                f"{self.name} is cut off: {self.size} bytes wanted, {len(found)} there."
            )
        return found

    def open(self) -> IO[bytes]:
        """A file to seek and read in; nothing outside the piece is seen.

        Raises:
            InputError: it cannot be opened.
        """
        try:
            return io.BufferedReader(_Window(self.path, self.start, self.size))
        except OSError as error:
            raise InputError(f"cannot read {self.name}: {error.strerror or error}.") from error


class _Window(io.RawIOBase):
    """A stretch of a file as a file."""

    def __init__(self, path: Path, start: int, size: int) -> None:
        self._file = path.open("rb", buffering=0)
        self._start, self._size, self._at = start, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise OSError("a place before the start of the file")
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        wanted = max(0, min(len(buffer), self._size - self._at))
        self._file.seek(self._start + self._at)
        got = self._file.readinto(memoryview(buffer)[:wanted]) or 0
        self._at += got
        return got

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


def packed(tar: Path) -> tuple[list[Piece], str | None]:
    """The files inside an uncompressed tar by place, and what is wrong with it, if anything.

    Only headers are read; nothing is unpacked, links and folders are passed over. Of a tar that
    is cut off, the files that are whole are given.

    Raises:
        InputError: this is no tar at all, or a compressed one.
    """
    pieces: list[Piece] = []
    size = tar.stat().st_size
    try:
        with tarfile.open(tar, "r:") as archive:
            for member in archive:
                if not member.isreg():
                    continue
                if member.offset_data + member.size > size:
                    return pieces, f"cut off inside {member.name}; {len(pieces)} files are whole"
                name = f"{tar}:{member.name}"
                pieces.append(Piece(tar, name, member.offset_data, member.size, packed=True))
    except (tarfile.TarError, OSError) as error:
        if not pieces:
            raise InputError(
                f"{tar} is not an uncompressed tar archive ({error}); download it again."
            ) from error
        return pieces, f"damaged after {len(pieces)} files ({error})"
    return pieces, None
