"""What writers of small corpora share: arrays, sound and tables, whole or not there at all."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from visavis.dyad import Dyad
from visavis.errors import InputError
from visavis.files import atomic_path

Progress = Callable[[int, int | None], None]


class Writable(Protocol):
    """What a writer needs of a corpus: its dyads, one after another. A corpus that also has
    `sound(dyad) -> (samples [N], rate)` gets sound files."""

    split: str

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Dyad]: ...


def fresh_folder(path: Path) -> Path:
    """`path`, made; it must not be there yet, or be empty.

    Raises:
        InputError: it holds something, or cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        if any(path.iterdir()):
            raise InputError(f"{path} holds something already; choose a new folder.")
    except OSError as error:
        raise InputError(f"cannot make the folder {path}: {error.strerror or error}.") from error
    return path


def write_npy(path: Path, array: NDArray[Any]) -> None:
    """Write an npy file; never a pickle."""
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.lib.format.write_array(file, np.ascontiguousarray(array), allow_pickle=False)


def npy_bytes(array: NDArray[Any]) -> bytes:
    """The content of an npy file."""
    file = io.BytesIO()
    np.lib.format.write_array(file, np.ascontiguousarray(array), allow_pickle=False)
    return file.getvalue()


def write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV file with a header line."""
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


def write_sound(corpus: object, dyad: Dyad, path: Path) -> bool:
    """Write the speaker's voice as a wav, if the corpus has it; says whether it did."""
    sound = getattr(corpus, "sound", None)
    if sound is None:
        return False
    from visavis.media import Audio, write_audio

    samples, rate = sound(dyad)
    write_audio(path, Audio(np.asarray(samples, np.float32)[:, None], rate))
    return True
