"""Any folder of pairs of files: a psychologist's own recordings, the same day.

`docs/corpora.md` shows the manifest; without one, `*_speaker.*` and `*_listener.*` are paired.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from visavis.appropriate import AppropriateMap
from visavis.behaviour import Behaviour
from visavis.corpora._disk_clock import beside
from visavis.corpora._disk_corpus import Clip, DiskCorpus
from visavis.corpora._disk_perceive import behind
from visavis.corpora._disk_root import checked_root, checked_split
from visavis.corpora._disk_sound import SPEECH, checked_speech, heard
from visavis.corpora._folder_manifest import Row, find, rows_by_name, rows_of
from visavis.corpora._folder_read import is_film, kept_for, read_side, read_words
from visavis.corpora._problems import Problem
from visavis.errors import InputError

ONLY = "train"
"""The split of a folder that does not tell splits."""


class Folder(DiskCorpus):
    """One split of a folder of pairs.

    A side is a film (perceived on first use, and kept), a behaviour that visavis wrote, a CSV
    with columns `channel.label`, or an npy array of 25 attributes, 58 coefficients, 52
    blendshapes or 83 of both. All come at 25 frames a second; the listener has no acoustic
    channels. Dyads of one `script` have mutually appropriate listeners; without a script the
    paired one alone is.

    Args:
        root: the folder.
        split: as the column `split` of the manifest has it; without such a column, "train".
        manifest: a CSV or JSON-lines file; default `manifest.csv` or `manifest.jsonl` in the
            root, else the files' names.
        faces: where what is seen in films is kept: "beside" them as `<name>.safetensors`, or a
            folder.
        perceive: whether films may be perceived when a clip is first read; slow.
        speech: acoustic channels measured where the manifest names a `sound`.
        labels: which reactions are appropriate, instead of the corpus's rule: a map, or its file
            (`visavis corpus label`).
        skip: ids of clips to leave out.

    Raises:
        InputError: no pair can be found (an example of a manifest is shown), the manifest is
            wrong (its line is named), or there is no such split.
    """

    name = "folder"
    rule = "same script; without a script the paired listener alone"

    def __init__(
        self,
        root: str | Path,
        split: str = ONLY,
        *,
        manifest: str | Path | None = None,
        faces: str | Path | Literal["beside"] = "beside",
        perceive: bool = True,
        speech: Sequence[str] = SPEECH,
        labels: AppropriateMap | str | Path | None = None,
        skip: Collection[str] = (),
    ) -> None:
        base = checked_root(
            root, corpus="a folder of pairs", looked_for="files", fits=lambda path: path.is_dir()
        )
        self._manifest = find(base, manifest)
        rows, problems = rows_by_name(base) if self._manifest is None else rows_of(self._manifest)
        splits = sorted({row.split for row in rows if row.split is not None})
        if splits and any(row.split is None for row in rows):
            first = next(row.id for row in rows if row.split is None)
            raise InputError(f"{self._manifest}: {first} has no split, others have; name them all.")
        split = checked_split(split, splits or [ONLY], corpus="the folder", root=base)
        self._faces, self._perceive, self._speech = str(faces), perceive, checked_speech(speech)
        self._usual: tuple[tuple[str, ...], ...] | None = None
        clips = [
            Clip(
                id=row.id,
                speaker=row,
                listener=row,
                speaker_id=row.speaker_id,
                listener_id=row.listener_id,
                script=row.script,
                context=row.context,
            )
            for row in rows
            if row.split in (None, split) and _is_there(row)
        ]
        super().__init__(
            base,
            split,
            clips,
            problems=problems,
            skip=skip,
            labels=labels,
            options={"speech": self._speech},
        )

    # ------------------------------------------------------------------ one side of a clip

    def _read(self, clip: Clip, side: str) -> Behaviour:
        row: Row = clip.speaker
        path = row.speaker if side == "speaker" else row.listener
        whole = read_side(path, fps=row.fps, kept=self._kept(path), perceive=self._perceive)
        if side == "listener":
            return _cut(whole.without("speech", "words"), row)
        if row.sound is not None and self._speech:
            made, observed = heard(row.sound, whole.frames, self._speech)
            whole = beside(whole.without("speech"), Behaviour.of(made, observed=observed))
        if row.transcript is not None:
            whole = replace(whole, words=read_words(row.transcript))
        return _cut(whole, row)

    def listener(self, id: str) -> Behaviour:
        """The listener of a dyad by its id, cut as in the dyad; no sound is measured."""
        clip = self._clips[self.index(id)]
        row: Row = clip.speaker
        speaker = read_side(
            row.speaker, fps=row.fps, kept=self._kept(row.speaker), perceive=self._perceive
        )
        listener = self._read(clip, "listener")
        return listener.window(0, min(_cut(speaker, row).frames, listener.frames))

    def _kept(self, path: Path) -> Path | None:
        return kept_for(path, self._faces, self.root) if is_film(path) else None

    def _sources(self, clip: Clip) -> tuple[Path, ...]:
        row: Row = clip.speaker
        found = []
        for path in (row.speaker, row.listener):
            kept = self._kept(path)
            found.append(path if kept is None else behind(path, kept))
        others = (row.sound, row.transcript, self._manifest)
        return (*found, *(path for path in others if path is not None))

    def _doubts(self, clip: Clip, speaker: Behaviour, listener: Behaviour) -> list[Problem]:
        """Channels that other clips have and this one lacks: they cannot share a batch."""
        came = (speaker.layout.names, listener.layout.names)
        if self._usual is None:
            self._usual = came
        return [
            Problem(
                "channels",
                clip.id,
                f"the {side} has {', '.join(names)}, clips before it {', '.join(usual)}; they "
                "cannot be in one batch.",
                skipped=False,
            )
            for side, names, usual in zip(("speaker", "listener"), came, self._usual, strict=True)
            if names != usual
        ]


def _is_there(row: Row) -> bool:
    paths = (row.speaker, row.listener, row.transcript, row.sound)
    return all(path is None or path.is_file() for path in paths)


def _cut(whole: Behaviour, row: Row) -> Behaviour:
    """The stretch of a recording that a row names."""
    start = round(row.start_s * whole.fps)
    stop = whole.frames if row.end_s is None else min(round(row.end_s * whole.fps), whole.frames)
    if start >= stop:
        raise InputError(
            f"{row.id} is to run from {row.start_s:g} s, but its recording ends at "
            f"{whole.duration_s:g} s."
        )
    return whole.window(start, stop)
