"""The folders of REACT 2023 and 2024: where one person's files lie, and how they are read.

Everything is a pure function of paths. The quirks of the releases are settled here: persons by
their own name or as P1 and P2, sites in either spelling, frame folders or films, `_full.npy` twins.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from visavis.behaviour import Behaviour, Source
from visavis.channels import GROUPS, STANDARD
from visavis.corpora._disk_read import read_npy, read_numbers
from visavis.corpora._react_index import Place
from visavis.errors import InputError
from visavis.features import faceverse

ATTRIBUTES, COEFFICIENTS, SOUND, FILM = "Emotion", "3D_FV_files", "Audio_files", "Video_files"
LABELS = tuple(label for name in GROUPS["attributes"] for label in STANDARD[name].labels)
PICTURES = (".png", ".jpg", ".jpeg")
FILMS = (".mp4", ".avi", ".mkv", ".mov")
NEAR = 2
"""Frames by which a person's files may differ: 750 rows of attributes, 751 of coefficients."""

_SEAT = {"Expert_video": "P1", "Novice_video": "P2", "FC1": "P1", "FC2": "P2"}
_SEAT |= {"P25": "P1", "P41": "P1", "P45": "P1", "P26": "P2", "P42": "P2", "P46": "P2"}


@dataclass(frozen=True)
class Files:
    """One person in one clip. None: the file is not there."""

    attributes: Path | None
    coefficients: Path | None
    sound: Path | None
    film: Path | None
    """A film, or a folder of numbered pictures."""

    @property
    def read(self) -> tuple[Path, ...]:
        """What a face is read from."""
        return tuple(path for path in (self.attributes, self.coefficients) if path is not None)


class Tree:
    """One split's folder. Folders are listed once, not asked file by file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._names = cache(_names)
        self.kinds = tuple(
            kind for kind in (ATTRIBUTES, COEFFICIENTS, SOUND, FILM) if (folder / kind).is_dir()
        )

    def files(self, place: Place, *, seat: str) -> Files:
        """The files of a person; `seat` is "P1" for the first column of the index, else "P2"."""
        return Files(
            self._file(ATTRIBUTES, place, seat, (f"{place.clip}.csv",)),
            self._file(COEFFICIENTS, place, seat, (f"{place.clip}.npy", f"{place.clip}_full.npy")),
            self._file(SOUND, place, seat, (f"{place.clip}.wav",)),
            self._file(FILM, place, seat, (place.clip, *(f"{place.clip}{s}" for s in FILMS))),
        )

    def _file(self, kind: str, place: Place, seat: str, names: tuple[str, ...]) -> Path | None:
        if kind not in self.kinds:
            return None
        for site in dict.fromkeys((place.site, place.site.upper(), place.site.capitalize())):
            chat = self.folder.joinpath(kind, site, *place.folders)
            for person in dict.fromkeys((place.person, _SEAT.get(place.person, seat))):
                here = self._names(chat / person)
                for name in names:
                    if name in here:
                        return chat / person / name
        return None


def _names(folder: Path) -> frozenset[str]:
    try:
        return frozenset(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return frozenset()


def read_face(
    files: Files, *, coefficients: bool, rest: Tensor | None, source: str | None = None
) -> Behaviour:
    """One person's face from their files.

    Args:
        files: of the person.
        coefficients: whether the split has any; where this clip has none they are unobserved.
        rest: FaceVerse's rest, to convert to our convention; None leaves theirs.
        source: where the pictures lie.

    Raises:
        InputError: a file is damaged, has another width, or the files differ by more than 2
            frames in length.
    """
    channels: dict[str, Tensor] = {}
    lengths: dict[str, int] = {}
    if files.attributes is not None:
        values = read_attributes(files.attributes)
        channels |= _named("attributes", values)
        lengths[files.attributes.name] = len(values)
    if files.coefficients is not None:
        values = torch.from_numpy(read_npy(files.coefficients, width=faceverse.WIDTH))
        channels |= faceverse.split(values)
        lengths[files.coefficients.name] = len(values)
    frames = min(lengths.values())
    if max(lengths.values()) - frames > NEAR:
        told = " and ".join(f"{name} {count}" for name, count in lengths.items())
        raise InputError(f"{files.read[0].parent}: files of one clip differ in frames: {told}.")
    channels = {name: values[:frames] for name, values in channels.items()}
    absent = torch.zeros(frames, dtype=torch.bool)
    lost: dict[str, Tensor] = {}
    if coefficients and files.coefficients is None:
        nothing = torch.full((frames, faceverse.WIDTH), torch.nan)
        channels |= faceverse.split(nothing)
        lost = dict.fromkeys(GROUPS["coefficients"], absent)
    theirs = "blendshapes" in channels
    behaviour = Behaviour.of(
        channels,
        convention="faceverse" if theirs else "arkit",
        observed=lost,
        source=None if source is None else Source(source),
        nan_is_absent=True,
    )
    return (
        behaviour if rest is None or not theirs else faceverse.from_faceverse(behaviour, rest=rest)
    )


def read_attributes(path: Path) -> Tensor:
    """An emotion table, [T, 25] in our order: AUs, valence, arousal, expressions.

    Columns are taken by the header's names where it names all 25, else as they stand.
    """
    labels, values = read_numbers(path, width=len(LABELS))
    plain = [_plain(label) for label in labels]
    wanted = [_plain(label) for label in LABELS]
    if sorted(plain) == sorted(wanted) and plain != wanted:
        values = values[:, [plain.index(label) for label in wanted]]
    return torch.from_numpy(values)


def _plain(label: str) -> str:
    return re.sub("[^a-z0-9]", "", label.lower()).replace("au0", "au")


def _named(group: str, values: Tensor) -> dict[str, Tensor]:
    names = GROUPS[group]
    widths = [STANDARD[name].size for name in names]
    return dict(zip(names, values.split(widths, dim=-1), strict=True))


def pictures(film: Path, *, size: int | None = None) -> Iterator[NDArray[np.uint8]]:
    """The pictures of a film or of a folder of numbered pictures: uint8 [H, W, 3], RGB, in order.

    Args:
        film: as in `Files.film`.
        size: the shorter side is scaled to it and the middle square is cut out; None leaves it.

    Raises:
        InputError: the folder holds no picture, or a picture or film cannot be read.
    """
    from visavis.media import video_frames

    if not film.is_dir():
        yield from video_frames(film, size=size)
        return
    names = [n for n in os.listdir(film) if Path(n).suffix.lower() in PICTURES and n[0] != "."]
    if not names:
        raise InputError(f"{film} holds no picture; wanted 1.png, 2.png, ...")
    for name in sorted(names, key=_number):
        yield next(video_frames(film / name, size=size))


def _number(name: str) -> tuple[int, str]:
    digits = re.sub(r"\D", "", Path(name).stem)
    return int(digits or -1), name


def statistics(paths: list[Path]) -> Mapping[str, NDArray[Any]]:
    """Mean and deviation [58] of all frames of coefficient files, as the challenge ships them."""
    count, total, squares = 0, np.zeros(faceverse.WIDTH), np.zeros(faceverse.WIDTH)
    for path in paths:
        values = read_npy(path, width=faceverse.WIDTH).astype(np.float64)
        values = values[np.isfinite(values).all(1)]
        count += len(values)
        total += values.sum(0)
        squares += (values**2).sum(0)
    if not count:
        raise InputError("no coefficient file has a frame to take the mean of.")
    mean = total / count
    spread = np.sqrt(np.maximum(squares / count - mean**2, 0.0))
    return {"mean": mean.astype(np.float32), "std": spread.astype(np.float32)}
