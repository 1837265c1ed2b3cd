"""ViCo, also called RLD: short clips of a speaker and one listener, cut from films on the net.

`docs/corpora.md` has the two trees, the channels and what is not documented.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.appropriate import AppropriateMap
from visavis.behaviour import Behaviour, Source
from visavis.channels import Channel, Layout
from visavis.corpora import _vico_files as files
from visavis.corpora._disk_clock import beside, resample
from visavis.corpora._disk_corpus import Clip, DiskCorpus
from visavis.corpora._disk_perceive import Faces, behind, kept_below, perceived
from visavis.corpora._disk_piece import Piece
from visavis.corpora._disk_read import as_frames
from visavis.corpora._disk_root import by_name, checked_root, checked_split
from visavis.corpora._disk_sound import SPEECH, checked_speech, heard
from visavis.corpora._problems import Problem
from visavis.corpora._vico_files import Row
from visavis.errors import InputError

NATIVE_FPS = 30.0
"""The baseline takes every film as 30 frames a second."""
COEFFICIENTS = 257
"""Deep3DFaceRecon: identity 80, expression 64, texture 80, angles 3, light 27, place 3."""
BFM = {
    "bfm_expression": (slice(80, 144), 64),
    "bfm_angle": (slice(224, 227), 3),
    "bfm_translation": (slice(254, 257), 3),
}
"""Our name -> columns. The expression basis and the axes are another model's, so they keep names
of their own; identity, texture and light do not move with the face and are left out."""
LAYOUT = Layout(
    tuple(
        Channel(name, tuple(f"{name}{i}" for i in range(width))) for name, (_, width) in BFM.items()
    )
)


class Vico(DiskCorpus):
    """One split of ViCo.

    Both people have `bfm_expression`, `bfm_angle` and `bfm_translation` where the baseline's
    coefficients lie in `recons`, and with `faces` the channels of `visavis.perceive`, seen in
    their films. The speaker has acoustic channels. A dyad's context is the listener's attitude.
    Nothing says which other listeners would be appropriate; the paired one alone is.

    Args:
        root: the folder with the tables, `videos` and `audios`.
        split: "train", "test", ..., as the tables have them.
        faces: where behaviours perceived from the films are kept: "beside" them, or a folder (as
            `<film's name>.safetensors`). None leaves the films alone; "found" is "beside" if any
            behaviour lies there, else None.
        perceive: make those that are not there when a clip is read; slow.
        fps: of the coefficients, if not the 30 that the baseline assumes.
        speech: acoustic channels of the speaker.
        labels: which reactions are appropriate, instead of the corpus's rule: a map, or its file
            (`visavis corpus label`).
        skip: ids of clips to leave out.

    Raises:
        InputError: the root, split or every clip is wrong; there is neither `recons` nor `faces`.
    """

    name = "vico"
    rule = "the paired listener alone"

    def __init__(
        self,
        root: str | Path,
        split: str = "train",
        *,
        faces: Faces = "found",
        perceive: bool = False,
        fps: float = NATIVE_FPS,
        speech: Sequence[str] = SPEECH,
        labels: AppropriateMap | str | Path | None = None,
        skip: Collection[str] = (),
    ) -> None:
        base = checked_root(
            root,
            corpus="ViCo",
            looked_for=f"a table with the columns {', '.join(files.CHALLENGE)} "
            f"(or {', '.join(files.RELEASE)})",
            fits=lambda path: bool(files.tables(path)),
        )
        tables = files.tables(base)
        split = checked_split(split, sorted(tables), corpus="ViCo", root=base)
        if not 0 < fps < 1000:
            raise InputError(f"fps must be positive, not {fps}.")
        self._table, self._fps, self._speech = tables[split], fps, checked_speech(speech)
        self._perceive = perceive
        self._home = _first(base, files.VIDEOS)
        self._films = by_name(self._home, ".mp4")
        self._sounds = by_name(_first(base, files.SOUNDS), ".wav")
        self._fits = by_name(base / files.RECONS, ".mat")
        beside_them = faces in ("found", "beside")
        self._seen = {} if faces is None else kept_below(self._home if beside_them else Path(faces))
        if faces == "found":
            faces = "beside" if self._seen else None
        self._faces = None if faces is None else str(faces)
        if not self._fits and faces is None:
            raise InputError(
                f"{base} has no coefficients (recons/*.mat). Make them with the baseline's "
                "face_recon_videos.py, or give faces='beside' and perceive=True to look at the "
                "films with visavis.perceive."
            )
        problems: list[Problem] = []
        rows = files.rows(self._table, split)
        self._sound_of = {row.id: row.sound for row in rows}
        usable = [clip for row in rows if self._is_there(clip := _clip_of(row), problems)]
        super().__init__(
            base,
            split,
            usable,
            problems=problems,
            skip=skip,
            labels=labels,
            options={
                "faces": self._faces is not None,
                "recons": bool(self._fits),
                "fps": fps,
                "speech": self._speech,
            },
        )

    def _is_there(self, clip: Clip, problems: list[Problem]) -> bool:
        """Whether both sides can be read; what lacks is noted."""
        fine = True
        for name in (clip.speaker, clip.listener):
            lacking = []
            if self._fits and name not in self._fits:
                lacking.append(f"recons/{name}.mat")
            if self._faces is not None and not self._kept(name).is_file():
                if not self._perceive:
                    lacking.append(str(self._kept(name)))
                elif name not in self._films:
                    lacking.append(f"{self._home.name}/{name}.mp4")
            for path in lacking:
                problems.append(Problem("missing", path, "the clip is left out.", skipped=True))
            fine = fine and not lacking
        return fine

    def _kept(self, name: str) -> Path:
        if name in self._seen:
            return self._seen[name]
        if self._faces != "beside":
            return Path(str(self._faces)) / f"{name}.safetensors"
        film = self._films.get(name)
        return (self._home if film is None else film.parent) / f"{name}.safetensors"

    # ------------------------------------------------------------------ one side of a clip

    def _read(self, clip: Clip, side: str) -> Behaviour:
        name: str = clip.speaker if side == "speaker" else clip.listener
        behaviour = self._watched(name)
        if side == "listener" or not self._speech:
            return behaviour
        made, observed = heard(
            self._sounds.get(self._sound_of[clip.id]), behaviour.frames, self._speech
        )
        return beside(behaviour, Behaviour.of(made, observed=observed))

    def listener(self, id: str) -> Behaviour:
        """The listener of a dyad by its id, cut as in the dyad; no sound is measured."""
        clip = self._clips[self.index(id)]
        speaker, listener = self._watched(clip.speaker), self._watched(clip.listener)
        return listener.window(0, min(speaker.frames, listener.frames))

    def _watched(self, name: str) -> Behaviour:
        film = self._films.get(name)
        source = None if film is None else Source(str(film.resolve()))
        fit = None
        if self._fits:
            values = _coefficients(self._fits[name])
            fit = resample(
                Behaviour.of(
                    {key: values[:, columns] for key, (columns, _) in BFM.items()},
                    layout=LAYOUT,
                    fps=self._fps,
                    source=source,
                    nan_is_absent=True,
                )
            )
        if self._faces is None:
            assert fit is not None  # one of the two is there, or the corpus would not be
            return fit
        piece = None if film is None else Piece.whole(film)
        seen = perceived(piece, self._kept(name), allowed=self._perceive).without("speech")
        if fit is None:
            return seen
        frames = min(fit.frames, seen.frames)
        return beside(seen.window(0, frames), fit.window(0, frames))

    def _sources(self, clip: Clip) -> tuple[Path, ...]:
        names = (clip.speaker, clip.listener)
        found = [self._fits[name] for name in names if name in self._fits]
        if self._faces is not None:
            found += [behind(self._films.get(name), self._kept(name)) for name in names]
        sound = self._sounds.get(self._sound_of[clip.id])
        return (*found, *([sound] if sound and self._speech else ()), self._table)


def _first(root: Path, names: Sequence[str]) -> Path:
    """The first of the folders that is there, or else the first."""
    return root / next((name for name in names if (root / name).is_dir()), names[0])


def _clip_of(row: Row) -> Clip:
    return Clip(
        id=row.id,
        speaker=row.speaker,
        listener=row.listener,
        speaker_id=row.speaker_id,
        listener_id=row.listener_id,
        context=row.attitude,
    )


def _coefficients(path: Path) -> NDArray[np.float32]:
    """[T, 257] of a `.mat` file of the baseline.

    Raises:
        InputError: the file is damaged, of another kind or of another shape.
    """
    from scipy.io import loadmat

    try:
        found: dict[str, Any] = loadmat(str(path), variable_names=["coeff"])
    except NotImplementedError as error:
        raise InputError(f"{path} is a MATLAB 7.3 file; save it as version 5 (-v7).") from error
    except Exception as error:  # scipy's reader raises a dozen kinds of a damaged file
        raise InputError(f"{path} is not a MATLAB file, or is cut off ({error}).") from error
    if "coeff" not in found or not isinstance(found["coeff"], np.ndarray):
        raise InputError(f"{path} has no variable 'coeff'; wanted the fit of Deep3DFaceRecon.")
    if found["coeff"].dtype.kind not in "fiu":
        raise InputError(f"{path}: 'coeff' holds {found['coeff'].dtype}, wanted numbers.")
    return as_frames(found["coeff"], COEFFICIENTS, str(path))
