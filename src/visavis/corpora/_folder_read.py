"""One file of somebody's behaviour, of any kind that people have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.behaviour import Behaviour, Source, Word
from visavis.channels import FPS, GROUPS, STANDARD
from visavis.corpora._disk_clock import resample
from visavis.corpora._disk_perceive import perceived
from visavis.corpora._disk_piece import Piece
from visavis.corpora._disk_read import read_npy, read_numbers, read_table, read_text
from visavis.errors import InputError, nearest

TIME = "time_s"
BY_WIDTH = {
    25: GROUPS["attributes"],
    58: GROUPS["coefficients"],
    52: ("blendshapes",),
    83: (*GROUPS["attributes"], *GROUPS["coefficients"]),
}
"""What the columns of an array are, by how many there are."""
ARRAYS = (".csv", ".npy", ".safetensors")


def is_film(path: Path) -> bool:
    return path.suffix.lower() not in ARRAYS


def kept_for(film: Path, faces: str, root: Path) -> Path:
    """Where the behaviour perceived from a film is kept: beside it, or under a folder."""
    place = film.parent
    if faces != "beside":
        try:
            place = Path(faces) / film.resolve().relative_to(root.resolve()).parent
        except ValueError:
            place = Path(faces)
    doubled = place / f"{film.name}.safetensors"  # `visavis perceive FOLDER`, with a wav beside
    return doubled if doubled.is_file() else place / f"{film.stem}.safetensors"


def read_side(path: Path, *, fps: float, kept: Path | None, perceive: bool) -> Behaviour:
    """A film, a behaviour, a table or an array as a behaviour at 25 frames a second.

    Args:
        path: what to read.
        fps: of tables without times and of arrays.
        kept: where what is seen in a film is kept; None for other files.
        perceive: whether a film may be perceived now.

    Raises:
        InputError: the file is damaged, or its channels cannot be told.
    """
    if kept is not None:
        return perceived(Piece.whole(path), kept, allowed=perceive)
    suffix = path.suffix.lower()
    if suffix == ".safetensors":
        found = Behaviour.load(path)
        if found.lead:
            raise InputError(f"{path} holds {list(found.lead)} behaviours; wanted one person's.")
    elif suffix == ".npy":
        found = _array(path, fps)
    else:
        found = _table(path, fps)
    return resample(found)


def _array(path: Path, fps: float) -> Behaviour:
    raw = read_npy(path)
    width = raw.shape[-1] if raw.ndim else 0
    if width not in BY_WIDTH:
        known = ", ".join(f"{n} ({' + '.join(names)})" for n, names in BY_WIDTH.items())
        raise InputError(
            f"{path} has shape {list(raw.shape)}; the channels of an array are told by its width: "
            f"{known}. Save anything else as a CSV with a column for each channel.label."
        )
    values = read_npy(path, width=width)
    names = BY_WIDTH[width]
    stops = np.cumsum([STANDARD[name].size for name in names])[:-1]
    parts = dict(zip(names, np.split(values, stops, axis=1), strict=True))
    return Behaviour.of(parts, fps=fps, source=Source(str(path)), nan_is_absent=True)


def _table(path: Path, fps: float) -> Behaviour:
    """A CSV as `Behaviour.to_dataframe` has it: `time_s`, then columns such as `au.AU12`."""
    labels, values = read_numbers(path)
    if not labels:
        raise InputError(f"{path} has no header; name its columns channel.label, e.g. au.AU12.")
    columns = {label: values[:, place] for place, label in enumerate(labels)}
    if TIME in columns:
        fps = _rate(columns.pop(TIME), path)
    names = list(dict.fromkeys(label.partition(".")[0] for label in columns))
    parts: dict[str, NDArray[np.float32]] = {}
    for name in names:
        if name not in STANDARD or STANDARD[name].kind == "pixels":
            raise InputError(
                f"{path}: {name!r} is no channel. {nearest(name, [TIME, *STANDARD])} Name columns "
                "channel.label, e.g. au.AU12, or bring them under another table."
            )
        wanted = [f"{name}.{label}" for label in STANDARD[name].labels]
        for label in wanted:
            if label not in columns:
                raise InputError(f"{path} has no column {label!r}, which {name} needs.")
        parts[name] = np.stack([columns[label] for label in wanted], axis=1)
    for label in columns:
        if label.partition(".")[2] not in STANDARD[label.partition(".")[0]].labels:
            raise InputError(f"{path}: {label!r} is no label of its channel.")
    return Behaviour.of(parts, fps=fps, source=Source(str(path)), nan_is_absent=True)


def _rate(times: NDArray[np.float32], path: Path) -> float:
    """Frames a second of even times."""
    if len(times) == 1:
        return FPS
    steps = np.diff(times.astype(np.float64))
    step = (float(times[-1]) - float(times[0])) / (len(times) - 1)
    if not np.isfinite(steps).all() or step <= 0 or np.abs(steps - step).max() > 0.5 * step:
        raise InputError(f"{path}: {TIME} is not even; resample the table to a fixed rate first.")
    return round(1.0 / step, 3)


def read_words(path: Path) -> tuple[Word, ...]:
    """The words of a transcript: a CSV with word, start_s, end_s, or JSON (a list, or lines) of
    objects with word (or text), start (or start_s) and end (or end_s).

    Raises:
        InputError: it is neither, or a time is no number.
    """
    if path.suffix.lower() == ".csv":
        entries: list[Any] = list(read_table(path, columns=("word", "start_s", "end_s")))
    else:
        entries = _json_entries(path)
    words = []
    for number, entry in enumerate(entries, start=1):
        try:
            text = str(entry["word"] if "word" in entry else entry["text"])
            start = float(entry["start_s"] if "start_s" in entry else entry["start"])
            end = float(entry["end_s"] if "end_s" in entry else entry["end"])
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{path}, word {number}: wanted word, start_s and end_s in seconds ({error!r})."
            ) from error
        words.append(Word(text, start, end))
    return tuple(sorted(words, key=lambda word: word.start_s))


def _json_entries(path: Path) -> list[Any]:
    text = read_text(path, wanted="a transcript (.csv, .json or .jsonl)")
    try:
        if text.lstrip().startswith("["):
            return list(json.loads(text))
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    except ValueError as error:
        raise InputError(f"{path} is not JSON ({error}); wanted a list of words.") from error
