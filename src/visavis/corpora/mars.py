"""MARS, the corpus of REACT 2025 and 2026: 23 scripts, told again and again to other listeners.

`docs/corpora.md` has the tree, the quirks and what the evaluation on it needs.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Literal

from torch import Tensor

from visavis.appropriate import AppropriateMap
from visavis.behaviour import Behaviour
from visavis.channels import FPS
from visavis.corpora import _mars_files as files
from visavis.corpora._disk_corpus import Clip, DiskCorpus
from visavis.corpora._disk_root import checked_root, checked_split, entries
from visavis.corpora._disk_sound import SPEECH, checked_speech
from visavis.corpora._mars_files import Recording
from visavis.corpora._mars_read import EXTRA, Reader, rest_of
from visavis.corpora._problems import Problem
from visavis.errors import InputError, nearest

NATIVE_FPS = 30.0
"""The challenge's own loaders take every recording as 30 frames a second."""
Convention = Literal["arkit", "faceverse"]


class Mars(DiskCorpus):
    """One split of MARS.

    A dyad is a recording: the speaker has `au`, `va`, `expression`, the coefficients and acoustic
    channels, the listener all but the last. Who people are is not published, so that every
    recording counts as two new people.

    Args:
        root: the folder with the splits.
        split: "train", "val" or "test".
        clock: frames a second of what comes out; "native" keeps the recording's 30, as the
            `mars` protocol wants (models work at 25: `resample` their reactions).
        fps: of the files, if not the 30 that the challenge assumes.
        bidirectional: also every recording with roles swapped, as REACT 2025 had it.
        convention: of the coefficients: "arkit", converted to ours, or "faceverse", as they are.
        speech: acoustic channels of the speaker; default: the usual ones where there is sound.
        extra: "eeg" [T, 14] of both, "audio_features" [T, 768] of both.
        labels: which reactions are appropriate, instead of the corpus's rule: a map, or its file
            (`visavis corpus label`).
        skip: ids of clips to leave out.

    Raises:
        InputError: the root, split, an option or every clip is wrong; says what was looked for.
    """

    name = "mars"
    rule = "same session (script) and seat"

    def __init__(
        self,
        root: str | Path,
        split: str = "train",
        *,
        clock: float | Literal["native"] = FPS,
        fps: float = NATIVE_FPS,
        bidirectional: bool = False,
        convention: Convention = "arkit",
        speech: Sequence[str] | None = None,
        extra: Collection[str] = (),
        labels: AppropriateMap | str | Path | None = None,
        skip: Collection[str] = (),
    ) -> None:
        base = checked_root(
            root,
            corpus="MARS",
            looked_for=f"<split>/{files.ATTRIBUTES}/{{speaker,listener}}/session*/*.npy",
            fits=lambda path: bool(_splits(path)),
        )
        split = checked_split(split, _splits(base), corpus="MARS", root=base)
        for name in extra:
            if name not in EXTRA:
                raise InputError(f"MARS has no extra channel {name!r}. {nearest(name, EXTRA)}")
        if convention not in ("arkit", "faceverse"):
            raise InputError(f"unknown convention {convention!r}; 'arkit' or 'faceverse'.")
        self.clock = fps if clock == "native" else float(clock)
        if not (0 < self.clock < 1000 and 0 < fps < 1000):
            raise InputError(f"clock and fps must be positive, not {clock} and {fps}.")
        folder = base / split
        coefficients = (folder / files.COEFFICIENTS).is_dir()
        self._reader = Reader(
            split=folder,
            fps=fps,
            clock=self.clock,
            coefficients=coefficients,
            rest=rest_of(base, folder) if coefficients and convention == "arkit" else None,
            speech=_heard(folder, speech),
            extra=tuple(name for name in EXTRA if name in extra),
        )
        pairs, problems = files.recordings(folder)
        self._traits_of: dict[tuple[str, str, str], Tensor] = {}
        for role in files.ROLES:
            scores, wrong = files.personalities(folder, role)
            self._traits_of |= {(role, *key): value for key, value in scores.items()}
            problems += wrong
        clips = [_clip(speaker, listener, swapped=False) for speaker, listener in pairs]
        if bidirectional:
            clips += [_clip(listener, speaker, swapped=True) for speaker, listener in pairs]
        super().__init__(
            base,
            split,
            clips,
            problems=problems + _lacking(self._reader, clips),
            skip=skip,
            labels=labels,
            options={
                "clock": self.clock,
                "fps": fps,
                "rest": self._reader.rest,
                "speech": self._reader.speech,
                "extra": self._reader.extra,
            },
        )

    def _read(self, clip: Clip, side: str) -> Behaviour:
        who: Recording = clip.speaker if side == "speaker" else clip.listener
        return self._reader.read(who, speaking=side == "speaker")

    def listener(self, id: str) -> Behaviour:
        """The listener of a dyad by its id, cut as in the dyad; the speaker is not read."""
        clip = self._clips[self.index(id)]
        frames = min(
            max(1, round(who.frames * self.clock / self._reader.fps))
            for who in (clip.speaker, clip.listener)
        )
        return self._read(clip, "listener").window(0, frames)

    def _sources(self, clip: Clip) -> tuple[Path, ...]:
        tables = [files.personality_file(self._reader.split, role) for role in files.ROLES]
        return (
            *self._reader.sources(clip.speaker, speaking=True),
            *self._reader.sources(clip.listener, speaking=False),
            *(table for table in tables if table is not None),
        )

    def _group(self, clip: Clip) -> tuple[str | None, str]:
        who: Recording = clip.listener
        return clip.script, who.role

    def _traits(self, clip: Clip) -> Tensor | None:
        who: Recording = clip.listener
        return self._traits_of.get((who.role, who.session, who.name))


def _heard(folder: Path, speech: Sequence[str] | None) -> tuple[str, ...]:
    there = (folder / files.AUDIO).is_dir()
    if speech is None:
        return SPEECH if there else ()
    if speech and not there:
        raise InputError(f"there is no sound: {folder / files.AUDIO} does not exist.")
    return checked_speech(speech)


def _lacking(reader: Reader, clips: Sequence[Clip]) -> list[Problem]:
    """Files beside the attributes that a recording should have and lacks."""
    if "eeg" in reader.extra and not (reader.split / files.EEG).is_dir():
        archives = [name for name in entries(reader.split) if name.startswith(files.EEG)]
        hint = f"unpack {archives[0]} first." if archives else "the release of 2026 has it."
        raise InputError(f"{reader.split / files.EEG} does not exist; {hint}")
    wanted = {
        path
        for clip in clips
        for who, speaking in ((clip.speaker, True), (clip.listener, False))
        for path in reader.sources(who, speaking=speaking)
    }
    what = "not there; its channels are unobserved in every frame."
    return [
        Problem("missing", str(path), what, skipped=False)
        for path in sorted(wanted)
        if not path.is_file()
    ]


def _splits(root: Path) -> list[str]:
    return [name for name in entries(root) if (root / name / files.ATTRIBUTES).is_dir()]


def _clip(speaker: Recording, listener: Recording, *, swapped: bool) -> Clip:
    recording = f"{speaker.session}-{speaker.name}"
    return Clip(
        id=f"{recording}-swapped" if swapped else recording,
        speaker=speaker,
        listener=listener,
        speaker_id=f"{recording}/{speaker.role}",
        listener_id=f"{recording}/{listener.role}",
        script=speaker.session,
    )
