"""A small corpus in REACT's layout, from dyads that are already here: for trials and for tests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from visavis.corpora._disk_make import write_npy
from visavis.corpora._react_index import Place, place_of
from visavis.corpora._react_labels import GLOBAL, ROWS, read_rows
from visavis.corpora._react_tree import ATTRIBUTES, COEFFICIENTS, FILM, LABELS, SOUND
from visavis.errors import InputError, nearest
from visavis.features import faceverse
from visavis.features.attributes import complete
from visavis.files import atomic_path

if TYPE_CHECKING:
    from visavis.behaviour import Behaviour
    from visavis.corpora._base import Corpus
    from visavis.dyad import Dyad

Progress = Callable[[int, int | None], None]
Sound = tuple[NDArray[np.float32], int]
Pictures = Callable[["Behaviour"], Iterator[NDArray[np.uint8]]]

REST = (0.0, 0.0, 1.75)
"""Translation of FaceVerse's model where our head is at rest; written into `mean_face.npy`."""
RATE = 44100
SITES = ("NoXI", "RECOLA", "UDIVA")
_RECOLA = {
    "train": ("group-1", "P25", "P26"),
    "val": ("group-2", "P41", "P42"),
    "test": ("group-3", "P45", "P46"),
}
"""One conversation a split."""
_TASKS = ("talk", "lego", "ghost", "animal")


@dataclass(frozen=True)
class Quirks:
    """How the releases differ; the defaults are those of REACT 2024 as it is downloaded."""

    sites: tuple[str, ...] = ("NoXI", "RECOLA")
    """Dealt out to the conversations in turn; RECOLA has one a split, UDIVA a folder more."""
    seats: bool = True
    """Persons are P1 and P2 in `Emotion`, as released; False: by their own names."""
    films: Literal["none", "frames", "mp4"] = "none"
    """Folders of numbered png files (2023), or mp4 files (newer)."""
    extra_frame: bool = True
    """Coefficients have a frame more than attributes: 751 against 750."""
    twins: bool = True
    """A `<clip>_full.npy` beside each `<clip>.npy`."""
    unlabelled: int = 0
    """So many pairs, the last ones, lack the first person's emotion table, as in RECOLA."""
    labels: Literal["split", "all", "none"] = "split"
    """`neighbour_emotion_<split>.npy`, or the matrix of all splits with `data_indices.csv`."""
    personal: bool = False
    """Also `person_specific_*` index and matrix."""
    sound: bool = True

    def __post_init__(self) -> None:
        for site in self.sites:
            if site not in SITES:
                raise InputError(f"unknown site {site!r}. {nearest(site, SITES)}")
        if not self.sites or self.sites == ("RECOLA",):
            raise InputError("RECOLA has one conversation a split: add NoXI or UDIVA to the sites.")


def write_react(
    corpus: Corpus,
    root: str | Path,
    *,
    split: str | None = None,
    quirks: Quirks | None = None,
    pictures: Pictures | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write a corpus as REACT lies on disk; `React(root, split)` reads it back.

    Every dyad becomes one pair: the speaker is the first column, the listener the second. A
    conversation is what one listener hears, so that persons on the right side stay themselves;
    the left side's do not, where a listener met several speakers. Words and traits have no place
    in this layout. Further splits may be written into the same root.

    Args:
        corpus: any; a SimulatedDyads with audio gives speakers a voice.
        root: a folder, made if it is not there.
        split: its name on disk; default: the corpus's own.
        quirks: how this release differs from others.
        pictures: draws a behaviour, if `quirks.films` asks for films; default: a moving square.
        progress: called with (dyads written, dyads).

    Returns:
        The root.

    Raises:
        InputError: the split is there already, or dyads lack a face.
    """
    quirks = quirks or Quirks()
    where, name = Path(root), split or corpus.split
    if (where / f"{name}.csv").exists():
        raise InputError(f"{where} has a {name} split already; choose another folder or split.")
    writer = _Writer(where, name, quirks, pictures or _square)
    pairs = _places(corpus, name, quirks)
    for number, (first, second) in enumerate(pairs):
        dyad = corpus[number]
        bare = number >= len(pairs) - quirks.unlabelled
        writer.person(first, dyad.speaker, seat="P1", emotion=not bare)
        writer.person(second, dyad.listener, seat="P2", emotion=True)
        if quirks.sound:
            writer.sound(first, _voice(corpus, dyad), dyad.speaker.frames)
            writer.sound(second, None, dyad.listener.frames)
        if progress is not None:
            progress(number + 1, len(pairs))
    writer.indices(pairs, corpus)
    return where


def _places(corpus: Corpus, split: str, quirks: Quirks) -> list[tuple[Place, Place]]:
    """Where the two sides of every dyad go: a conversation a listener, clips counted from 1."""
    chats: dict[str, tuple[str, str, str, str]] = {}
    counted: dict[str, int] = {}
    pairs = []
    for number in range(len(corpus)):
        listener = corpus[number].listener_id
        if listener not in chats:
            site = quirks.sites[len(chats) % len(quirks.sites)]
            used = Counter(chat[0] for chat in chats.values())
            if site == "RECOLA" and (used[site] or split not in _RECOLA):
                site = next(s for s in quirks.sites if s != "RECOLA")
            chats[listener] = (site, *_conversation(site, split, used[site]))
        site, folder, one, two = chats[listener]
        clip = counted[listener] = counted.get(listener, 0) + 1
        paths = (f"{site}/{folder}/{person}/{clip}" for person in (one, two))
        first, second = (place_of(path, "corpus") for path in paths)
        pairs.append((first, second))
    return pairs


def _conversation(site: str, split: str, number: int) -> tuple[str, str, str]:
    """Folder and persons of a conversation; of its own in every split."""
    day = {"train": 1, "val": 2, "test": 3}.get(split, 4)
    if site == "RECOLA":
        return _RECOLA[split]
    if site == "UDIVA":
        task = _TASKS[number % len(_TASKS)]
        return f"{task}/{day}{2 * number:02d}{day}{2 * number + 1:02d}", "FC1", "FC2"
    return f"{number + 1:03d}_2016-03-{16 + day}_Paris", "Expert_video", "Novice_video"


class _Writer:
    """Writes one split; what all splits share is extended, not replaced."""

    def __init__(self, root: Path, split: str, quirks: Quirks, pictures: Pictures) -> None:
        self.root, self.split, self.quirks, self.pictures = root, split, quirks, pictures
        self.frames = 0
        self.total, self.squares = np.zeros(faceverse.WIDTH), np.zeros(faceverse.WIDTH)

    def _path(self, kind: str, place: Place, name: str, seat: str | None = None) -> Path:
        folders = (kind, place.site, *place.folders, seat or place.person)
        return self.root.joinpath(self.split, *folders, name)

    def person(self, place: Place, who: Behaviour, *, seat: str, emotion: bool) -> None:
        """The face of one person in one clip."""
        face = complete(who)
        if emotion:
            table = face.pack("attributes").numpy()
            path = self._path(
                ATTRIBUTES, place, f"{place.clip}.csv", seat if self.quirks.seats else None
            )
            with atomic_path(path) as made:
                np.savetxt(made, table, "%.9g", ",", header=",".join(LABELS), comments="")
        theirs = faceverse.to_faceverse(face.select("coefficients"), rest=REST)
        values = theirs.pack("blendshapes", "rotation", "translation").numpy()
        self.frames += len(values)
        self.total += values.sum(0, dtype=np.float64)
        self.squares += (values.astype(np.float64) ** 2).sum(0)
        if self.quirks.extra_frame:
            values = np.concatenate([values, values[-1:]])
        for name in (place.clip, *([f"{place.clip}_full"] if self.quirks.twins else ())):
            write_npy(self._path(COEFFICIENTS, place, f"{name}.npy"), values[:, None])
        self._film(place, face)

    def _film(self, place: Place, face: Behaviour) -> None:
        if self.quirks.films == "none":
            return
        shown = list(self.pictures(face))
        if self.quirks.films == "mp4":
            from visavis.media import VideoWriter

            height, width, _ = shown[0].shape
            path = self._path(FILM, place, f"{place.clip}.mp4")
            path.parent.mkdir(parents=True, exist_ok=True)
            with VideoWriter(path, width=width, height=height) as film:
                for picture in shown:
                    film.write(picture)
            return
        from PIL import Image

        for number, picture in enumerate(shown, start=1):
            with atomic_path(self._path(FILM, place, place.clip) / f"{number}.png") as made:
                Image.fromarray(picture).save(made)

    def sound(self, place: Place, voice: Sound | None, frames: int) -> None:
        """Stereo at 44.1 kHz, as released; silence for who listens."""
        from visavis.media import Audio, resample, write_audio

        samples = np.zeros((round(frames / 25 * RATE), 2), np.float32)
        if voice is not None:
            heard = resample(Audio(voice[0][:, None].astype(np.float32), voice[1]), RATE).samples
            count = min(len(heard), len(samples))
            samples[:count] = heard[:count]
        path = self._path(SOUND, place, f"{place.clip}.wav")
        path.parent.mkdir(parents=True, exist_ok=True)
        write_audio(path, Audio(samples, RATE))

    def indices(self, pairs: Sequence[tuple[Place, Place]], corpus: Corpus) -> None:
        """Index, labels and FaceVerse's means."""
        lines = [",speaker_path,listener_path"]
        lines += [f"{n},{a.path},{b.path}" for n, (a, b) in enumerate(pairs)]
        names = [f"{self.split}.csv"]
        if self.quirks.personal:
            names.append(f"person_specific_{self.split}.csv")
        for name in names:
            with atomic_path(self.root / name) as made:
                made.write_text("\n".join(lines) + "\n", "utf-8")
        self._labels(pairs, corpus)
        if not (self.root / "mean_face.npy").exists():
            mean = self.total / self.frames
            spread = np.sqrt(np.maximum(self.squares / self.frames - mean**2, 0.0))
            mean[-3:] = REST
            write_npy(self.root / "mean_face.npy", mean.astype(np.float32))
            write_npy(self.root / "std_face.npy", spread.astype(np.float32))

    def _labels(self, pairs: Sequence[tuple[Place, Place]], corpus: Corpus) -> None:
        """Both roles follow the corpus's own labels: who suits a speaker was told alike."""
        suits = corpus.labels.matrix()
        count = len(pairs)
        matrix = np.zeros((2 * count, 2 * count))
        matrix[:count, :count] = matrix[count:, count:] = suits
        if self.quirks.labels == "split":
            write_npy(self.root / f"neighbour_emotion_{self.split}.npy", matrix)
        elif self.quirks.labels == "all":
            self._extend([a for a, _ in pairs], matrix)
        if self.quirks.personal:
            kind = "neighbour" if self.split == "train" else "masked_neighbour"
            ids = [place.who for pair in zip(*pairs, strict=True) for place in pair]
            who = np.array(ids[count:] + ids[:count])
            masked = matrix * (who[:, None] == who)
            write_npy(self.root / f"person_specific_{kind}_emotion_{self.split}.npy", masked)

    def _extend(self, places: Sequence[Place], matrix: NDArray[Any]) -> None:
        """Add this split to the matrix of all splits; its rows stand last."""
        table, path = self.root / ROWS, self.root / GLOBAL[0]
        keys = list(read_rows(table)) if table.exists() else []
        before, added = len(keys), len(places)
        whole = np.zeros((2, before + added, 2, before + added))
        if before:
            old = np.lib.format.open_memmap(path, mode="r").reshape(2, before, 2, before)
            whole[:, :before, :, :before] = old
        whole[:, before:, :, before:] = matrix.reshape(2, added, 2, added)
        lines = ["site,chat_index,clip_index"]
        lines += [",".join(key) for key in (*keys, *(place.key for place in places))]
        with atomic_path(table) as made:
            made.write_text("\n".join(lines) + "\n", "utf-8")
        write_npy(path, whole.reshape(2 * (before + added), -1))


def _voice(corpus: Any, dyad: Dyad) -> Sound | None:
    """What a speaker says, where the corpus can be asked for it."""
    if "mfcc78" not in dyad.speaker or not hasattr(corpus, "sound"):
        return None
    samples, rate = corpus.sound(dyad)
    return np.asarray(samples, np.float32), int(rate)


def _square(face: Behaviour) -> Iterator[NDArray[np.uint8]]:
    """A grey picture a frame, with a square that moves with the head."""
    turns = face.filled("rotation", 0.0) if "rotation" in face else torch.zeros(face.frames, 3)
    for turn in turns:
        picture = np.full((64, 64, 3), 128, np.uint8)
        x = int(np.clip(28 + 20 * float(turn[1]), 0, 56))
        y = int(np.clip(28 + 20 * float(turn[0]), 0, 56))
        picture[y : y + 8, x : x + 8] = (255, 200, 160)
        yield picture
