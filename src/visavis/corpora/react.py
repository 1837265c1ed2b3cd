"""REACT 2023 and 2024: NoXI, RECOLA and (2023) UDIVA, as the challenge lays them out on disk.

`docs/corpora-react.md` tells the tree, the indices, what is converted and what is skipped.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from visavis.appropriate import AppropriateMap
from visavis.behaviour import Behaviour
from visavis.channels import CONVENTIONS
from visavis.corpora._disk_corpus import Clip, DiskCorpus
from visavis.corpora._disk_read import read_npy
from visavis.corpora._disk_root import checked_root, checked_split
from visavis.corpora._disk_sound import SPEECH, checked_speech, heard
from visavis.corpora._disk_words import spoken, transcript_of
from visavis.corpora._problems import Problem
from visavis.corpora._react_index import (
    SPLITS,
    Pair,
    Place,
    holds_index,
    index_file,
    read_index,
)
from visavis.corpora._react_labels import ROWS, RULE, find_labels, no_labels, read_labels
from visavis.corpora._react_tree import (
    ATTRIBUTES,
    COEFFICIENTS,
    SOUND,
    Files,
    Tree,
    pictures,
    read_face,
    statistics,
)
from visavis.errors import InputError, nearest
from visavis.features import faceverse
from visavis.features.attributes import complete

log = logging.getLogger("visavis")

Side = Literal["speaker", "listener"]
SAMPLED = 256
"""Coefficient files, evenly spread, from which the means are computed where none are given."""


class React(DiskCorpus):
    """One split of REACT 2023 or 2024, in the order of its index, then with the roles swapped.

    Speakers have `au`, `va`, `expression`, `blendshapes`, `rotation`, `translation` and acoustic
    channels, listeners the same without acoustics. A dyad's id is the path of its speaker. Where a
    split has no coefficients (or no attributes) at all, they are computed from the other half and
    marked derived. Only the index and folder names are read before `corpus[i]`.

    Args:
        root: the folder with `train.csv`, `val.csv`, `test.csv` and a folder for each split.
        split: "train", "val" or "test".
        swap: also every pair with the roles swapped, as the challenge counts (1,612 of 806).
        speech: acoustic channels of the speaker, of `features.speech`; () reads no sound.
        convention: "arkit" converts FaceVerse coefficients to ours; "faceverse" leaves them.
        personal: the personalised task: `person_specific_<split>.csv` where it is there, and
            reactions of the paired listener alone.
        labels: which reactions are appropriate, instead of the challenge's matrix: a map, or the
            file of one (`visavis corpus label`).
        skip: ids of clips to leave out.

    Raises:
        InputError: the folder holds something else, half a corpus, or no such split; an index or
            a matrix does not fit; an unknown option.
    """

    name: ClassVar[str] = "react"
    version: ClassVar[int] = 1
    rule: ClassVar[str] = RULE

    def __init__(
        self,
        root: str | Path,
        split: str = "train",
        *,
        swap: bool = True,
        speech: Sequence[str] = SPEECH,
        convention: str = "arkit",
        personal: bool = False,
        labels: AppropriateMap | str | Path | None = None,
        skip: Collection[str] = (),
    ) -> None:
        if convention not in CONVENTIONS:
            raise InputError(
                f"unknown convention {convention!r}. {nearest(convention, CONVENTIONS)}"
            )
        where = checked_root(
            root,
            corpus="REACT 2023/2024",
            looked_for="train.csv, val.csv or test.csv",
            fits=holds_index,
        )
        there = [name for name in SPLITS if index_file(where, name, personal=personal).is_file()]
        checked_split(split, there, corpus=self.name, root=where)
        self.convention, self.personal, self.swap = convention, personal, swap
        self._index = index_file(where, split, personal=personal)
        self._speech = checked_speech(speech)
        tree = _tree(where, split, self._index)
        self._kinds = tree.kinds
        pairs = read_index(self._index)
        clips, problems = self._listed(pairs, tree)
        self._every = tuple(clip.id for clip in clips)  # skipped ones too: matrices count them
        self._pairs = pairs
        self._map_file: Path | None = None
        self._given = self._given_labels(labels)
        whole = [clip for clip in clips if clip.id not in {p.where for p in problems if p.skipped}]
        options = {
            "swap": swap,
            "speech": self._speech,
            "convention": convention,
            "personal": personal,
            "labels": self._given.fingerprint if self._given else None,
        }
        super().__init__(where, split, whole, problems=problems, skip=skip, options=options)
        self._labels_file = None if self._given else find_labels(where, split, self._index.name)
        self._warn(len(clips))

    def _given_labels(self, labels: AppropriateMap | str | Path | None) -> AppropriateMap | None:
        if labels is None or isinstance(labels, AppropriateMap):
            return labels
        self._map_file = Path(labels)
        return AppropriateMap.load(labels)

    def _warn(self, count: int) -> None:
        lost = count - len(self)
        if lost:
            gone = [p.where for p in self._found if p.skipped]
            named = f", the first is {gone[0]}" if gone else ""
            log.warning(
                "react %s: %d of %d clips are left out%s; the others keep their rows in every "
                "matrix.", self.split, lost, count, named,
            )  # fmt: skip
        if self._speech and SOUND not in self._kinds:
            log.warning("react %s: there is no %s, so speakers are silent.", self.split, SOUND)
        if self._given is None and self._labels_file is None:
            log.warning("react %s: %s", self.split, no_labels(self.root, self.split))

    # ------------------------------------------------------------------ clips

    def _listed(self, pairs: Sequence[Pair], tree: Tree) -> tuple[list[Clip], list[Problem]]:
        """All items of the index, and what is wrong with their files."""
        sides = [
            ((pair.first, tree.files(pair.first, seat="P1")),
             (pair.second, tree.files(pair.second, seat="P2")))
            for pair in pairs
        ]  # fmt: skip
        items = sides + ([(second, first) for first, second in sides] if self.swap else [])
        clips, problems = [], []
        for (speaker, theirs), (listener, ours) in items:
            clips.append(
                Clip(
                    id=speaker.path,
                    speaker=theirs,
                    listener=ours,
                    speaker_id=speaker.who,
                    listener_id=listener.who,
                    context=_context(speaker),
                )
            )
            problems += self._lacks(speaker, theirs, ours)
        return clips, problems

    def _lacks(self, place: Place, speaker: Files, listener: Files) -> list[Problem]:
        """Files of a clip that are not there though others of their kind are."""
        found = []
        for side, files in (("speaker", speaker), ("listener", listener)):
            for kind, path in ((ATTRIBUTES, files.attributes), (COEFFICIENTS, files.coefficients)):
                if kind not in self._kinds or path is not None:
                    continue
                needed = kind == ATTRIBUTES or ATTRIBUTES not in self._kinds
                told = "the clip is left out" if needed else "they are unobserved"
                what = f"the {side} has no file in {kind}; {told}."
                found.append(Problem("missing", place.path, what, skipped=needed))
        if self._speech and SOUND in self._kinds and speaker.sound is None:
            what = f"the speaker has no file in {SOUND}; acoustics are unobserved."
            found.append(Problem("missing", place.path, what, skipped=False))
        return found

    def _read(self, clip: Clip, side: str) -> Behaviour:
        files: Files = clip.speaker if side == "speaker" else clip.listener
        face = read_face(
            files,
            coefficients=COEFFICIENTS in self._kinds,
            rest=self._rest if self.convention == "arkit" else None,
            source=str(files.film or files.read[0]),
        )
        if face.layout.convention == "arkit" and len(self._faces) == 1:
            face = complete(face)
        if side == "speaker" and self._speech and SOUND in self._kinds:
            made, observed = heard(files.sound, face.frames, self._speech)
            face = face.with_channels(made, observed=observed)
        return spoken(face, self._transcript(clip)) if side == "speaker" else face

    def _transcript(self, clip: Clip) -> Path | None:
        return transcript_of(self.root / self.split, clip.id)

    @property
    def _faces(self) -> tuple[str, ...]:
        return tuple(kind for kind in (ATTRIBUTES, COEFFICIENTS) if kind in self._kinds)

    def _sources(self, clip: Clip) -> tuple[Path, ...]:
        sound = clip.speaker.sound if self._speech else None
        said = self._transcript(clip)
        own = (*clip.speaker.read, *clip.listener.read, *(p for p in (sound, said) if p))
        return (*own, *self._common)

    def _bearing(self) -> dict[str, Any]:
        suits = self._suits
        return {
            "rest": self._rest.tolist() if self.convention == "arkit" else None,
            "suits": None if suits is None else suits.fingerprint,
        }

    @cached_property
    def _common(self) -> tuple[Path, ...]:
        """Files that bear on every clip: index, labels, FaceVerse's means."""
        means = self.root / "mean_face.npy"
        label_files: tuple[Path, ...] = (self._map_file,) if self._map_file else ()
        if self._labels_file is not None:
            name, own = self._labels_file
            label_files = (self.root / name, *(() if own else (self.root / ROWS,)))
        return (self._index, *((means,) if means.is_file() else ()), *label_files)

    def pictures(
        self, index: int, side: Side = "listener", *, size: int | None = 224
    ) -> Iterator[NDArray[np.uint8]]:
        """The pictures of one side of a dyad: uint8 [size, size, 3], RGB, one after another.

        Raises:
            InputError: there are none on disk, or they cannot be read.
        """
        clip = self._clip(index)
        film = self._film(clip, side)
        if film is None:
            raise InputError(f"{clip.id}: the {side} has no pictures under {self.root}.")
        return pictures(film, size=size)

    def _film(self, clip: Clip, side: Side) -> Path | None:
        if side not in get_args(Side):
            raise InputError(f"unknown side {side!r}. {nearest(side, get_args(Side))}")
        files: Files = clip.speaker if side == "speaker" else clip.listener
        return files.film

    # ------------------------------------------------------------------ FaceVerse

    @cached_property
    def face_statistics(self) -> dict[str, NDArray[Any]]:
        """Mean and deviation [58] of FaceVerse coefficients: {"mean": ..., "std": ...}.

        `mean_face.npy` and `std_face.npy` of the root; else computed from at most 256 files of
        the training split, or of this one where that is not there.

        Raises:
            InputError: a file is damaged or has another width, or there is none.
        """
        files = {kind: self.root / f"{kind}_face.npy" for kind in ("mean", "std")}
        if all(path.is_file() for path in files.values()):
            return {kind: _vector(path) for kind, path in files.items()}
        if files["mean"].is_file():
            return {"mean": _vector(files["mean"])}
        folder = self.root / "train" / COEFFICIENTS
        folder = folder if folder.is_dir() else self.root / self.split / COEFFICIENTS
        found = sorted(path for path in folder.rglob("*.npy") if not path.stem.endswith("_full"))
        found = found or sorted(folder.rglob("*.npy"))
        step = max(1, len(found) // SAMPLED)
        return dict(statistics(found[::step][:SAMPLED]))

    @cached_property
    def _rest(self) -> Tensor:
        """FaceVerse's translation at rest, [3]."""
        if COEFFICIENTS not in self._kinds:
            return torch.zeros(3, dtype=torch.float64)
        return torch.from_numpy(self.face_statistics["mean"][-3:].astype(np.float64))

    # ------------------------------------------------------------------ labels

    @cached_property
    def labels(self) -> AppropriateMap:
        """Which dyads' listeners are appropriate to which dyad's speaker.

        The map that was given; else `neighbour_emotion_<split>.npy` (or the `person_specific_`
        one); else the split's part of the matrix of all splits, by `data_indices.csv`. Clips that
        are left out here keep their row and column in the file.

        Raises:
            InputError: there is no label file, or it does not fit the index.
        """
        if self._given is None and self._labels_file is None:
            raise InputError(no_labels(self.root, self.split))
        found = self._suits
        assert found is not None
        return replace(found, corpus=self.fingerprint)

    @cached_property
    def _suits(self) -> AppropriateMap | None:
        """The labels without the corpus's fingerprint, which takes long; None without labels."""
        if self._given is not None:
            found = self._given if self._given.ids == self.ids else self._given.select(self.ids)
        elif self._labels_file is not None:
            name, own = self._labels_file
            whole = read_labels(self.root, name, own=own, pairs=self._pairs, ids=self._every)
            found = whole.select(self.ids)
        else:
            return None
        if self.personal:
            found = found.same_listener({clip.id: clip.listener_id for clip in self._clips})
        return found

    def _appropriate(self, clip: Clip) -> list[Clip]:
        """The clips whose listener suits this clip's speaker, itself first; none if unlabelled."""
        if self._suits is None:
            return []
        return [self._clips[self._places[id]] for id in self._suits.of(clip.id)]

    def _past(self, clip: Clip) -> list[Clip]:
        suits = {c.id for c in self._appropriate(clip)} | {clip.id}
        return [c for c in self._meetings[clip.listener_id] if c.id not in suits]


def _tree(root: Path, split: str, index: Path) -> Tree:
    folder = root / split
    if not folder.is_dir():
        raise InputError(
            f"{index} is there, but the folder {folder} is not: this is half a corpus. Unpack the "
            f"{split} split beside its index."
        )
    tree = Tree(folder)
    if not {ATTRIBUTES, COEFFICIENTS} & set(tree.kinds):
        found = ", ".join(tree.kinds) or "none of the challenge's folders"
        raise InputError(
            f"{folder} has neither {ATTRIBUTES} nor {COEFFICIENTS} (found {found}): unpack them, "
            "or perceive the videos with `visavis perceive`."
        )
    return tree


def _context(place: Place) -> str:
    """Where the conversation was recorded, and UDIVA's task."""
    return place.site if len(place.folders) == 1 else f"{place.site} {place.folders[0]}"


def _vector(path: Path) -> NDArray[Any]:
    found = read_npy(path)
    if found.size != faceverse.WIDTH or not np.isfinite(found).all():
        raise InputError(f"{path} has shape {list(found.shape)}, wanted {faceverse.WIDTH} numbers.")
    return np.asarray(found.reshape(-1), np.float32)
