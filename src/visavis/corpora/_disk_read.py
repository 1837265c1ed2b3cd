"""Arrays and tables as other people wrote them: read without trust, and named when they fail.

Nothing here unpickles. An error always names the file; a file inside an archive goes by the name
that its caller gives it.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from visavis.errors import InputError, nearest
from visavis.files import existing_file

NDAny = NDArray[Any]
_SEPARATORS = (",", ";", "\t")


def read_npy(path: str | Path, *, width: int | None = None) -> NDAny:
    """The array in an `.npy` file.

    Args:
        path: of the file.
        width: numbers a frame. The array is then [T, width] float32: axes of one, as in
            (T, 1, 58), are taken away.

    Raises:
        InputError: the file is not there, is no npy file, is cut off, holds Python objects (a
            pickle, which is never opened) or something that is not numbers, or has another width.
    """
    found = existing_file(path, wanted="an array (.npy)")
    with found.open("rb") as file:
        return parse_npy(file, found.stat().st_size, str(found), width=width)


def parse_npy(file: IO[bytes], size: int, name: str, *, width: int | None = None) -> NDAny:
    """The array in an open npy file of `size` bytes, called `name` in errors; see `read_npy`."""
    shape, fortran, dtype = _header(file, size, name)
    flat = np.frombuffer(file.read(math.prod(shape) * dtype.itemsize), dtype=dtype)
    array = flat.reshape(shape[::-1]).T if fortran else flat.reshape(shape)
    return np.array(array) if width is None else as_frames(array, width, name)


def _header(file: IO[bytes], size: int, name: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether columns come first, and type, of an npy file whose numbers are all there."""
    form = np.lib.format
    try:
        version = form.read_magic(file)
        header = form.read_array_header_1_0 if version == (1, 0) else form.read_array_header_2_0
        shape, fortran, dtype = header(file)
    except (ValueError, EOFError, OSError, SyntaxError, TypeError) as error:
        raise InputError(f"{name} is not an npy file, or is damaged ({error}).") from error
    if dtype.hasobject:
        raise InputError(
            f"{name} holds pickled Python objects, which can run any program when they are opened "
            "and are refused. Save it again as a plain array of numbers."
        )
    if dtype.kind not in "biuf":
        raise InputError(f"{name} holds {dtype}, wanted numbers.")
    wanted, there = math.prod(shape) * dtype.itemsize, size - file.tell()
    if there < wanted:
        raise InputError(
            f"{name} is cut off: {list(shape)} {dtype} needs {wanted} bytes, but {there} "
            "are there. Copy it again."
        )
    return tuple(shape), bool(fortran), dtype


def as_frames(array: NDAny, width: int, name: str) -> NDArray[np.float32]:
    """An array as [T, width] float32, axes of one taken away.

    Raises:
        InputError: the last axis is not `width`, more than one other axis is longer than one, or
            there is no frame.
    """
    _frames_in(array.shape, width, name)
    return np.array(array.reshape(-1, width), dtype=np.float32)


def _frames_in(shape: tuple[int, ...], width: int, name: str) -> int:
    others = [n for n in shape[:-1] if n != 1]
    if len(shape) < 2 or shape[-1] != width or len(others) > 1:
        raise InputError(f"{name} has shape {list(shape)}, wanted [frames, {width}].")
    frames = math.prod(shape[:-1])
    if frames == 0:
        raise InputError(f"{name} has no frames.")
    return frames


def npy_shape(path: str | Path) -> tuple[int, ...]:
    """The shape of the array in an npy file, from its header alone.

    Raises:
        InputError: as `read_npy`.
    """
    found = existing_file(path, wanted="an array (.npy)")
    with found.open("rb") as file:
        return _header(file, found.stat().st_size, str(found))[0]


def npy_frames(path: str | Path, *, width: int) -> int:
    """How many frames `read_npy(path, width=width)` would give, from the header alone.

    Raises:
        InputError: as `read_npy`.
    """
    return _frames_in(npy_shape(path), width, str(path))


def read_text(path: str | Path, *, wanted: str = "a text file") -> str:
    """The text of a file, UTF-8 with or without a byte order mark.

    Raises:
        InputError: the file is not there, cannot be read or is not UTF-8.
    """
    found = existing_file(path, wanted=wanted)
    try:
        return found.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{found} is not UTF-8 text ({error}); save it as UTF-8.") from error
    except OSError as error:
        raise InputError(f"cannot read {found}: {error.strerror or error}.") from error


def read_table(path: str | Path, columns: Sequence[str] = ()) -> list[dict[str, str]]:
    """The rows of a CSV file with a header line; commas, semicolons or tabs between the cells.

    Args:
        path: of the file; UTF-8.
        columns: that must be there; others may be, too.

    Returns:
        One dict a row, column -> text without outer blanks. Empty lines are left out.

    Raises:
        InputError: the file is not there or is not UTF-8, a column is missing or named twice, or
            a row has more or fewer cells than the header (the line is named).
    """
    return parse_table(read_text(path, wanted="a table (.csv)"), str(path), columns)


def parse_table(text: str, name: str, columns: Sequence[str] = ()) -> list[dict[str, str]]:
    """The rows of a CSV text that came from the file `name`; see `read_table`."""
    first = text.partition("\n")[0]
    separator = max(_SEPARATORS, key=first.count)
    try:
        rows = [
            (number, [cell.strip() for cell in row])
            for number, row in _numbered(csv.reader(io.StringIO(text), delimiter=separator))
        ]
    except csv.Error as error:
        raise InputError(f"{name} is not a CSV table ({error}).") from error
    if not rows:
        raise InputError(f"{name} is empty; wanted a header line{_named(columns)}.")
    header = rows[0][1]
    for column in columns:
        if column not in header:
            raise InputError(f"{name} has no column {column!r}. {nearest(column, header)}")
    twice = {c for c in header if c and header.count(c) > 1}
    if twice:
        raise InputError(f"{name} names a column twice: {', '.join(sorted(twice))}.")
    table = []
    for number, row in rows[1:]:
        if len(row) != len(header):
            raise InputError(
                f"{name}, line {number}: {len(row)} cells, but the header has {len(header)}."
            )
        table.append(dict(zip(header, row, strict=True)))
    return table


def _numbered(reader: Any) -> list[tuple[int, list[str]]]:
    """Rows that are not empty, each with the number of its (last) line in the file."""
    return [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]


def _named(columns: Sequence[str]) -> str:
    return f" with {', '.join(columns)}" if columns else ""


def read_numbers(
    path: str | Path, *, width: int | None = None
) -> tuple[tuple[str, ...], NDArray[np.float32]]:
    """A CSV file of numbers: the labels of its header, and [T, width] float32.

    A first line of numbers is a row, not a header; the labels are then empty. Empty cells and
    `nan` are NaN.

    Raises:
        InputError: the file is not there or empty, a cell is no number, rows differ in length, or
            the width is not the one wanted.
    """
    text = read_text(path, wanted="a table of numbers (.csv)")
    lines = text.split("\n", 1)
    separator = max(_SEPARATORS, key=lines[0].count)
    cells = [cell.strip().strip('"') for cell in lines[0].split(separator)]
    labels = () if all(_is_number(cell) for cell in cells) else tuple(cells)
    body = (lines[1] if len(lines) > 1 else "") if labels else text
    if not body.strip():
        raise InputError(f"{path} has no rows of numbers.")
    try:
        values = np.loadtxt(
            io.StringIO(body),
            delimiter=separator,
            dtype=np.float32,
            ndmin=2,
            converters=None if "nan" not in body.lower() and not _gaps(body, separator) else _cell,
        )
    except ValueError as error:
        raise InputError(f"{path} is not a table of numbers ({error}).") from error
    if width is not None and values.shape[1] != width:
        raise InputError(f"{path} has {values.shape[1]} columns, wanted {width}.")
    if labels and len(labels) != values.shape[1]:
        raise InputError(f"{path}: the header has {len(labels)} cells, the rows {values.shape[1]}.")
    return labels, values


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _gaps(body: str, separator: str) -> bool:
    """Whether a cell may be empty."""
    return (
        separator * 2 in body
        or f"{separator}\n" in body
        or f"{separator}\r" in body
        or f"\n{separator}" in body
        or body.startswith(separator)
        or body.endswith(separator)
    )


def _cell(text: str) -> float:
    return float(text) if text.strip() else float("nan")
