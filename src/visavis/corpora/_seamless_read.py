"""One participant of Seamless Interaction as a behaviour."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.behaviour import Behaviour, Source, Word
from visavis.channels import EXPRESSION_LABELS, FPS, STANDARD, Channel, Layout
from visavis.corpora._disk_piece import Piece
from visavis.corpora._disk_read import as_frames, parse_npy
from visavis.errors import InputError

MOVEMENT_FPS = 30.0
"""Of everything in the npz files."""
SCORES = ("Anger", "Contempt", "Disgust", "Fear", "Happy", "Neutral", "Sad", "Surprise")
"""Columns of `emotion_scores`: the order that public users of the corpus read (alphabetical);
its authors do not document it."""
SUM_TOLERANCE = 0.05
"""A frame whose emotion scores do not sum to 1 within this is unobserved."""
MOVEMENT = re.compile(r"movement(_v\d+)?:(\w+)\.npy")
"""Keys; some copies of the corpus name the version of the features."""


def _own(name: str, width: int) -> Channel:
    return Channel(name, tuple(f"{name}{i}" for i in range(width)))


EXTRA = {
    "fau": ("FAUValue", _own("fau", 24)),
    "head_rotation": ("alignment_head_rotation", _own("head_rotation", 3)),
    "head_translation": ("alignment_translation", _own("head_translation", 3)),
    "gaze": ("gaze_encodings", _own("gaze", 2)),
    "head": ("head_encodings", _own("head", 3)),
    "face_code": ("expression", _own("face_code", 128)),
}
"""Our name -> key and channel. Units, signs and axes of these are not documented, so they keep
names of their own: `fau` is not `au`, `head_rotation` is not `rotation`."""
NEEDED = ("emotion_valence", "emotion_arousal", "emotion_scores", "is_valid")


def movement_keys(npz: Piece) -> dict[str, str]:
    """Feature -> member of the npz, e.g. "FAUValue" -> "movement:FAUValue.npy"; empty where the
    file has no movement features, as at some sites.

    Raises:
        InputError: it is no npz file.
    """
    with _zip(npz) as archive:
        return _keys(archive)


def _zip(npz: Piece) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(npz.open())
    except (zipfile.BadZipFile, OSError) as error:
        raise InputError(f"{npz.name} is not an npz file, or is cut off ({error}).") from error


def _keys(archive: zipfile.ZipFile) -> dict[str, str]:
    found = [match for name in archive.namelist() if (match := MOVEMENT.fullmatch(name))]
    found.sort(key=lambda match: match.group(1) or "")  # the latest version last: it wins
    return {match.group(2): match.group(0) for match in found}


def movement(npz: Piece, extra: Iterable[str]) -> Behaviour:
    """`va`, `expression` and the channels of `extra`, at 30 frames a second.

    Frames that the tracker calls invalid are unobserved, and so are emotion scores that are no
    probabilities.

    Raises:
        InputError: the file is damaged, or lacks a feature; the key is named.
    """
    with _zip(npz) as archive:
        keys = _keys(archive)
        wanted = [*NEEDED, *(EXTRA[name][0] for name in extra)]
        for key in wanted:
            if key not in keys:
                raise InputError(
                    f"{npz.name} has no movement:{key}; it has "
                    f"{', '.join(sorted(keys)) or 'no movement features'}."
                )
        arrays = {key: _array(archive, keys[key], npz.name) for key in wanted}
    frames = len(arrays["is_valid"])
    for key, array in arrays.items():
        if len(array) != frames:
            raise InputError(
                f"{npz.name}: {keys[key]} has {len(array)} frames, is_valid has {frames}."
            )

    def rows(key: str, width: int) -> NDArray[np.float32]:
        array = arrays[key]
        return as_frames(array.reshape(frames, -1), width, f"{npz.name}:{keys[key]}")

    valid = rows("is_valid", 1)[:, 0] > 0.5
    scores = rows("emotion_scores", len(SCORES))
    values = {
        "va": np.hstack([rows("emotion_valence", 1), rows("emotion_arousal", 1)]),
        "expression": scores[:, [SCORES.index(label) for label in EXPRESSION_LABELS]],
    }
    values |= {name: rows(EXTRA[name][0], len(EXTRA[name][1].labels)) for name in extra}
    observed = dict.fromkeys(values, valid)
    sums = np.abs(scores.sum(axis=1) - 1) <= SUM_TOLERANCE
    observed["expression"] = valid & sums & (scores >= -SUM_TOLERANCE).all(axis=1)
    for array in values.values():
        array[~valid] = 0.0
    return Behaviour.of(
        values,
        layout=Layout(tuple(STANDARD[n] if n in STANDARD else EXTRA[n][1] for n in values)),
        fps=MOVEMENT_FPS,
        observed=observed,
        nan_is_absent=True,
    )


def _array(archive: zipfile.ZipFile, member: str, name: str) -> NDArray[Any]:
    try:
        with archive.open(member) as file:
            return parse_npy(file, archive.getinfo(member).file_size, f"{name}:{member}")
    except (zipfile.BadZipFile, OSError, EOFError, RuntimeError) as error:
        raise InputError(f"{name}: {member} is damaged ({error}).") from error


# ---------------------------------------------------------------------- what was said


@dataclass(frozen=True)
class Said:
    """The json beside a recording."""

    words: tuple[Word, ...]
    unplaced: int
    """Words without a time; they are left out."""
    voiced: tuple[tuple[float, float], ...]
    """Stretches of speech in seconds."""


def said(piece: Piece) -> Said:
    """Words and voice activity of a json file.

    Raises:
        InputError: it is no JSON, or not of this form.
    """
    try:
        data = json.loads(piece.read())
        voiced = tuple((float(s["start"]), float(s["end"])) for s in data["metadata:vad"] or ())
        words, unplaced = [], 0
        for sentence in data.get("metadata:transcript") or ():
            for word in sentence.get("words") or ():
                if word.get("start") is None or word.get("end") is None:
                    unplaced += 1
                else:
                    words.append(Word(str(word["word"]), float(word["start"]), float(word["end"])))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(
            f"{piece.name} is not a description of this corpus ({type(error).__name__}: {error}); "
            "wanted 'metadata:vad' and, if there is one, 'metadata:transcript'."
        ) from error
    return Said(tuple(sorted(words, key=lambda w: w.start_s)), unplaced, voiced)


def activity(voiced: Iterable[tuple[float, float]], frames: int) -> NDArray[np.float32]:
    """Voice activity [frames, 1] at 25 fps: the share of a frame that lies in speech."""
    edges = np.arange(frames + 1) / FPS
    spoken = np.zeros(frames)
    for start, end in voiced:
        spoken += np.clip(np.minimum(edges[1:], end) - np.maximum(edges[:-1], start), 0.0, None)
    return np.clip(spoken * FPS, 0.0, 1.0).astype(np.float32)[:, None]


def video_source(piece: Piece | None) -> Source | None:
    """The film, where it lies unpacked."""
    return None if piece is None or piece.packed else Source(str(piece.path.resolve()))
