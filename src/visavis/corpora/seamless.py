"""Seamless Interaction: 4,000 hours of pairs face to face, free for research (CC-BY-NC 4.0).

`docs/corpora.md` has the tree, the channels, the quirks and what its authors say is wrong.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

from visavis.appropriate import AppropriateMap
from visavis.behaviour import Behaviour
from visavis.corpora import _seamless_files as files
from visavis.corpora import _seamless_read as read
from visavis.corpora._disk_clock import beside, resample
from visavis.corpora._disk_corpus import Clip, DiskCorpus
from visavis.corpora._disk_perceive import Faces, behind, kept_below, perceived
from visavis.corpora._disk_root import checked_root, checked_split
from visavis.corpora._disk_sound import SPEECH, checked_speech, heard
from visavis.corpora._problems import Problem
from visavis.corpora._seamless_files import Person
from visavis.corpora._seamless_tables import read_tables
from visavis.errors import InputError, nearest

LATE_S = 0.5
"""Words or speech that end later than this after the end of the clip are reported."""
DEFAULT_EXTRA = ("fau", "head_rotation", "gaze")


LOOKED_AT = 64
"""People beside whose films behaviours are looked for."""


class Seamless(DiskCorpus):
    """One split of Seamless Interaction, unpacked or in tars.

    A conversation of two people gives two dyads: either is the speaker once. Both have `va` and
    `expression` of the corpus's own tracker, resampled from 30 frames a second, with frames that
    it calls invalid unobserved, and the channels of `extra`, whose meaning is not documented and
    which so have names of their own. With `faces` they also have coefficients and `au`, seen in
    the film by `visavis.perceive`. The speaker has words and acoustic channels; `voice` comes
    from the corpus's voice activity.

    Args:
        root: the folder with `improvised` and `naturalistic`.
        split: "train", "val" (their dev) or "test".
        kinds: of conversation.
        extra: of "fau" [T, 24], "head_rotation" [T, 3], "head_translation" [T, 3], "gaze"
            [T, 2], "head" [T, 3], "face_code" [T, 128].
        faces: where behaviours perceived from the films are kept: "beside" them, or a folder
            (as `<id>.safetensors`). None leaves the films alone; "found" is "beside" if any of
            the first 64 people's lies there, else None.
        perceive: make those that are not there when a clip is read; slow.
        speech: acoustic channels of the speaker.
        labels: which reactions are appropriate, instead of the corpus's rule: a map, or its file
            (`visavis corpus label`).
        skip: ids of dyads to leave out.

    Raises:
        InputError: the root, split, an option, a table or every clip is wrong.
    """

    name = "seamless"
    rule = "same prompt, either seat, but for the conversation's own other direction"

    def __init__(
        self,
        root: str | Path,
        split: str = "train",
        *,
        kinds: Sequence[str] = files.KINDS,
        extra: Collection[str] = DEFAULT_EXTRA,
        faces: Faces = "found",
        perceive: bool = False,
        speech: Sequence[str] = SPEECH,
        labels: AppropriateMap | str | Path | None = None,
        skip: Collection[str] = (),
    ) -> None:
        base = checked_root(
            root,
            corpus="Seamless Interaction",
            looked_for="improvised/ or naturalistic/, with dev/, train/ or test/ in it",
            fits=files.fits,
        )
        split = checked_split(split, files.splits(base), corpus="Seamless Interaction", root=base)
        kinds = (kinds,) if isinstance(kinds, str) else tuple(kinds)
        for kind in kinds:
            if kind not in files.KINDS:
                raise InputError(f"unknown kind {kind!r}. {nearest(kind, files.KINDS)}")
        for name in extra:
            if name not in read.EXTRA:
                raise InputError(f"no channel {name!r} here. {nearest(name, read.EXTRA)}")
        self._extra = tuple(name for name in read.EXTRA if name in extra)
        self._perceive, self._speech = perceive, checked_speech(speech)
        people, problems = files.people(base, split, kinds)
        self._seen_in: dict[str, Path] = {}
        self._faces = "beside" if faces == "found" else None if faces is None else str(faces)
        if faces == "found" and not any(
            self._kept(who).is_file() for who in islice(people.values(), LOOKED_AT)
        ):
            self._faces = None
        if perceive and self._faces is None:
            raise InputError(
                "perceive=True needs a place to keep what is seen: faces='beside', or a folder."
            )
        if self._faces not in (None, "beside"):
            self._seen_in = kept_below(Path(str(self._faces)))
        pairs, alone = files.conversations(people)
        self._tables, wrong = read_tables(base)
        problems += alone + wrong
        clips = []
        for first, second in pairs:
            if lacking := _lacking(first) + _lacking(second):
                problems += lacking
                continue
            clips += [self._clip_of(first, second), self._clip_of(second, first)]
        super().__init__(
            base,
            split,
            clips,
            problems=problems + self._unprompted(clips),
            skip=skip,
            labels=labels,
            options={
                "extra": self._extra,
                "faces": self._faces is not None,
                "speech": self._speech,
            },
        )

    def _clip_of(self, speaker: Person, listener: Person) -> Clip:
        known = (speaker.vendor, speaker.session)
        return Clip(
            id=f"{speaker.id}-P{listener.participant}",
            speaker=speaker,
            listener=listener,
            speaker_id=speaker.key,
            listener_id=listener.key,
            script=f"I{speaker.interaction}",
            context=self._tables.relations.get(known, speaker.kind),
        )

    def _unprompted(self, clips: Sequence[Clip]) -> list[Problem]:
        """Prompts that the table of prompts does not have."""
        prompts = self._tables.prompts
        lost = sorted(
            {clip.script or "" for clip in clips if prompts} - {f"I{number}" for number in prompts}
        )
        what = (
            "the prompt is not in interactions.csv; clips of it count as one script all the same."
        )
        return [Problem("orphan", script, what, skipped=False) for script in lost]

    def _appropriate(self, clip: Clip) -> list[Clip]:
        return [
            other
            for other in super()._appropriate(clip)
            if other is clip or other.speaker.event != clip.speaker.event
        ]

    def _traits(self, clip: Clip) -> Tensor | None:
        who: Person = clip.listener
        return self._tables.traits.get((who.vendor, who.participant))

    # ------------------------------------------------------------------ one side of a clip

    def _read(self, clip: Clip, side: str) -> Behaviour:
        who: Person = clip.speaker if side == "speaker" else clip.listener
        behaviour = self._watched(who)
        return self._heard(who, behaviour) if side == "speaker" else behaviour

    def listener(self, id: str) -> Behaviour:
        """The listener of a dyad by its id, cut as in the dyad; no sound is measured."""
        clip = self._clips[self.index(id)]
        speaker, listener = self._watched(clip.speaker), self._watched(clip.listener)
        return listener.window(0, min(speaker.frames, listener.frames))

    def _watched(self, who: Person) -> Behaviour:
        """What somebody's face does."""
        behaviour = resample(read.movement(who.files["npz"], self._extra))
        behaviour = replace(behaviour, source=read.video_source(who.files.get("mp4")))
        return behaviour if self._faces is None else _with_face(behaviour, self._seen(who), who.id)

    def _kept(self, who: Person) -> Path:
        """Where the behaviour perceived from somebody's film is kept."""
        if who.id in self._seen_in:
            return self._seen_in[who.id]
        if self._faces != "beside":
            return Path(str(self._faces)) / f"{who.id}.safetensors"
        folder = next(iter(who.files.values())).path.parent
        doubled = folder / f"{who.id}.mp4.safetensors"
        return doubled if doubled.is_file() else folder / f"{who.id}.safetensors"

    def _seen(self, who: Person) -> Behaviour:
        return perceived(who.files.get("mp4"), self._kept(who), allowed=self._perceive)

    def _heard(self, who: Person, behaviour: Behaviour) -> Behaviour:
        said = read.said(who.files["json"])
        sound = who.files.get("wav")
        made, observed = heard(
            None if sound is None else sound.read() if sound.packed else sound.path,
            behaviour.frames,
            self._speech,
        )
        if "voice" in made:
            made["voice"] = torch.from_numpy(read.activity(said.voiced, behaviour.frames))
            observed.pop("voice", None)
        heard_too = (
            behaviour if not made else beside(behaviour, Behaviour.of(made, observed=observed))
        )
        return replace(heard_too, words=said.words)

    def _sources(self, clip: Clip) -> tuple[Path, ...]:
        found = [
            piece.path
            for who in (clip.speaker, clip.listener)
            for suffix, piece in who.files.items()
            if suffix in ("npz", "json") or (suffix == "wav" and who is clip.speaker)
        ]
        if self._faces is not None:
            for who in (clip.speaker, clip.listener):
                film = who.files.get("mp4")
                found.append(behind(None if film is None else film.path, self._kept(who)))
        return (*dict.fromkeys(found), *self._tables.files)

    def _doubts(self, clip: Clip, speaker: Behaviour, listener: Behaviour) -> list[Problem]:
        """What shows that a conversation's times are misplaced, as one in ten is said to be."""
        said = read.said(clip.speaker.files["json"])
        found = []
        ends = [word.end_s for word in said.words] + [stop for _, stop in said.voiced]
        last = max(ends, default=0.0)
        if last > speaker.duration_s + LATE_S:
            what = (
                f"speech ends at {last:.1f} s, the clip at {speaker.duration_s:.1f} s: its times "
                "may be misplaced; used as it is."
            )
            found.append(Problem("times", clip.id, what, skipped=False))
        backward = [word for word in said.words if word.end_s < word.start_s]
        if backward or any(stop < start for start, stop in said.voiced):
            what = "words or stretches of speech end before they begin; used as they are."
            found.append(Problem("times", clip.id, what, skipped=False))
        if said.unplaced:
            what = f"{said.unplaced} words of the transcript have no time; they are left out."
            found.append(Problem("words", clip.id, what, skipped=False))
        return found


def _lacking(who: Person) -> list[Problem]:
    """Files of somebody without which their conversation is left out."""
    found = [
        Problem("missing", f"{who.id}.{suffix}", "not there; the pair is left out.", skipped=True)
        for suffix in ("npz", "json")
        if suffix not in who.files
    ]
    if "npz" in who.files:
        try:
            keys = read.movement_keys(who.files["npz"])
        except InputError as error:
            return [*found, Problem("damaged", who.files["npz"].name, str(error), skipped=True)]
        if any(key not in keys for key in read.NEEDED):
            what = "no movement features (not every site has them); the pair is left out."
            found.append(Problem("missing", who.files["npz"].name, what, skipped=True))
    return found


def _with_face(own: Behaviour, seen: Behaviour, id: str) -> Behaviour:
    """The corpus's own channels, and those of the film that it lacks, on the clip's length."""
    frames = min(own.frames, seen.frames)
    lacking = [
        name
        for name in ("au", "blendshapes", "rotation", "translation")
        if name in seen and name not in own
    ]
    if "blendshapes" not in lacking:
        raise InputError(f"what was perceived of {id} has no blendshapes; perceive it again.")
    return beside(own.window(0, frames), seen.select(*lacking).window(0, frames))
