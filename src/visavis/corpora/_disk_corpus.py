"""What corpora of files have in common: clips by id, who is appropriate, what is wrong."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from visavis.appropriate import AppropriateMap
from visavis.behaviour import Behaviour
from visavis.corpora._disk_clock import NEAR, stretch
from visavis.corpora._disk_doubts import unseen
from visavis.corpora._disk_memory import contents_of, remember
from visavis.corpora._problems import Problem
from visavis.dyad import Dyad
from visavis.errors import InputError, nearest

Progress = Callable[[int, int | None], None]


@dataclass(frozen=True)
class Clip:
    """One dyad before anything large is read."""

    id: str
    speaker: Any
    """Where this side lies, in the corpus's own words."""
    listener: Any
    speaker_id: str
    listener_id: str
    script: str | None = None
    context: str | None = None


class DiskCorpus(ABC):
    """One split of a corpus of files. A subclass lists the clips and reads one side of a clip.

    Nothing is read but indices and headers until `corpus[i]`; problems found on the way are in
    `problems()`. Instances travel to worker processes.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    """Of the reading: part of the fingerprint, raised when the same files give other numbers."""
    rule: ClassVar[str]
    """Which listeners are appropriate, in words."""

    def __init__(
        self,
        root: Path,
        split: str,
        clips: Sequence[Clip],
        *,
        problems: Sequence[Problem] = (),
        skip: Collection[str] = (),
        labels: AppropriateMap | str | Path | None = None,
        options: dict[str, Any] | None = None,
    ) -> None:
        self.root, self.split = root, split
        self._options = options or {}
        self._found = list(problems)
        self._clips = self._unique(clips, skip)
        if not self._clips:
            raise InputError(
                f"{self.name} at {root} has no usable clip in split {split!r}"
                + "".join(f"; {p.where}: {p.what}" for p in self._found[:3])
                + "."
            )
        self._places = {clip.id: place for place, clip in enumerate(self._clips)}
        self._map = None if labels is None else self._mapped(labels)

    def _mapped(self, labels: AppropriateMap | str | Path) -> AppropriateMap:
        """A map that stands in for the rule: of these clips, perhaps of others too."""
        found = labels if isinstance(labels, AppropriateMap) else AppropriateMap.load(labels)
        self._options["labels"] = found.fingerprint
        return found if found.ids == self.ids else found.select(self.ids)

    def _unique(self, clips: Sequence[Clip], skip: Collection[str]) -> tuple[Clip, ...]:
        """The clips of the split without those to skip; of two with one id, the first."""
        if isinstance(skip, str):
            skip = (skip,)
        known: dict[str, Clip] = {}
        for clip in clips:
            if clip.id in known:
                what = "two clips have this id; the first is used"
                self._found.append(Problem("twice", clip.id, what, skipped=True))
            else:
                known[clip.id] = clip
        for id in skip:
            if id not in known:
                raise InputError(f"cannot skip {id!r}: no such clip. {nearest(id, known)}")
        return tuple(clip for id, clip in known.items() if id not in skip)

    # ------------------------------------------------------------------ what a subclass gives

    @abstractmethod
    def _read(self, clip: Clip, side: str) -> Behaviour:
        """The speaker or the listener of a clip, at its own length."""

    @abstractmethod
    def _sources(self, clip: Clip) -> tuple[Path, ...]:
        """The files behind a clip, tables included where they matter to it; some may lack."""

    def _traits(self, clip: Clip) -> Tensor | None:
        """Big Five of the clip's listener, [5] in [0, 1], if they are known."""
        return None

    def _group(self, clip: Clip) -> Any:
        """Clips of one group have mutually appropriate listeners."""
        return clip.id if clip.script is None else clip.script

    def _bearing(self) -> dict[str, Any]:
        """What is computed from other files than a clip's sources and bears on every clip."""
        return {}

    def _doubts(self, clip: Clip, speaker: Behaviour, listener: Behaviour) -> list[Problem]:
        """What is odd about a clip that could be read."""
        return []

    # ------------------------------------------------------------------ a corpus

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of the dyads in order, unique."""
        return tuple(clip.id for clip in self._clips)

    def __len__(self) -> int:
        return len(self._clips)

    def __iter__(self) -> Iterator[Dyad]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        scripts = len({clip.script for clip in self._clips if clip.script is not None})
        return f"{type(self).__name__}({str(self.root)!r}, {self.split!r}): {len(self)} dyads" + (
            f", {scripts} scripts" if scripts else ""
        )

    def index(self, id: str) -> int:
        """Place of a dyad by its id. Raises `InputError` for an unknown one."""
        if id not in self._places:
            raise InputError(f"{id!r} is not in {self!r}. {nearest(id, self._places)[:400]}")
        return self._places[id]

    def _clip(self, index: int) -> Clip:
        if not -len(self) <= index < len(self):
            raise IndexError(f"dyad {index} of a {self.split} split of {len(self)} dyads.")
        return self._clips[index]

    def __getitem__(self, index: int) -> Dyad:
        """The dyad `index`; negative indices count from the end.

        Raises:
            IndexError: there is no such dyad.
            InputError: one of its files is damaged; the file is named.
        """
        clip = self._clip(index)
        speaker, listener = self.sides(clip)
        suits = self._suiting(clip)
        return Dyad(
            id=clip.id,
            speaker=speaker,
            listener=listener,
            speaker_id=clip.speaker_id,
            listener_id=clip.listener_id,
            split=self.split,
            script=clip.script,
            context=clip.context,
            appropriate=tuple(c.id for c in suits),
            personal=tuple(c.id for c in suits if c.listener_id == clip.listener_id),
            history=tuple(c.id for c in self._past(clip)),
            traits=self._traits(clip),
        )

    def _past(self, clip: Clip) -> list[Clip]:
        """Other clips of this clip's listener that may be shown of them: no appropriate ones."""
        group = self._group(clip)
        others = [c for c in self._meetings[clip.listener_id] if self._group(c) != group]
        if self._map is None:
            return others
        suits = {c.id for c in self._suiting(clip)}
        return [c for c in others if c.id not in suits]

    def has_history(self, index: int) -> bool:
        """Whether the listener of a dyad is in another clip that may be shown; reads no file."""
        return bool(self._past(self._clip(index)))

    def sides(self, clip: Clip) -> tuple[Behaviour, Behaviour]:
        """Speaker and listener, cut to the shorter of the two."""
        speaker, listener = self._read(clip, "speaker"), self._read(clip, "listener")
        frames = min(speaker.frames, listener.frames)
        return speaker.window(0, frames), listener.window(0, frames)

    def listener(self, id: str) -> Behaviour:
        """The listener of a dyad by its id, as `collate` wants targets and histories."""
        return self.sides(self._clips[self.index(id)])[1]

    def targets(self, id: str, labels: AppropriateMap | None = None) -> tuple[Behaviour, ...]:
        """The appropriate reactions to a dyad's speaker, the paired one first, all brought to
        its length by `_disk_clock.stretch`: what `evaluate_behaviours` wants.

        Args:
            id: of the dyad.
            labels: a map of this corpus; default `self.labels`. A drawn one (`labels.draw(10)`)
                gives the reactions that were drawn, as the `mars` protocol has ten.
        """
        labels = self.labels if labels is None else labels
        paired = self.listener(id)
        others = (self.listener(other) for other in labels.targets(id)[1:])
        return (paired, *(stretch(other, paired.frames) for other in others))

    @cached_property
    def _meetings(self) -> dict[str, list[Clip]]:
        """Listener -> the clips in which they listen."""
        return _grouped(self._clips, [clip.listener_id for clip in self._clips])

    @cached_property
    def _groups(self) -> dict[Any, list[Clip]]:
        return _grouped(self._clips, [self._group(clip) for clip in self._clips])

    def _appropriate(self, clip: Clip) -> list[Clip]:
        """The clips whose listener suits this clip's speaker, itself first."""
        return [clip, *(c for c in self._groups[self._group(clip)] if c is not clip)]

    def _suiting(self, clip: Clip) -> list[Clip]:
        """As `_appropriate`, by the map where one was given."""
        if self._map is None:
            return self._appropriate(clip)
        return [self._clips[self._places[id]] for id in self._map.of(clip.id)]

    @cached_property
    def labels(self) -> AppropriateMap:
        """Which dyads' listeners are appropriate to which dyad's speaker: by the map that was
        given, else by `rule`."""
        if self._map is not None:
            return replace(self._map, corpus=self.fingerprint)
        rows = tuple(
            np.sort(np.array([self._places[c.id] for c in self._appropriate(clip)]))
            for clip in self._clips
        )
        return AppropriateMap(self.ids, rows, recipe={"rule": self.rule}, corpus=self.fingerprint)

    def sources(self, index: int) -> tuple[Path, ...]:
        """The files that a dyad is read from, as far as they are there."""
        return tuple(path for path in self._sources(self._clip(index)) if path.is_file())

    @cached_property
    def reading(self) -> str:
        """Of all that shapes the dyads except what is in their `sources`: ids, people, scripts,
        labels, options, the reader's version. A cache of which this is another is another cache;
        of one whose files changed, the clips of these files alone are parsed again."""
        about = {"split": self.split, "version": self.version, **self._options, **self._bearing()}
        found = hashlib.blake2b(json.dumps(about, sort_keys=True).encode(), digest_size=8)
        for clip in self._clips:
            people = (clip.speaker_id, clip.listener_id, clip.script, clip.context)
            traits = self._traits(clip)
            known = None if traits is None else traits.tolist()
            found.update(repr((clip.id, *people, self._group(clip), known)).encode())
        return f"{self.name}-{found.hexdigest()}"

    @cached_property
    def fingerprint(self) -> str:
        """Of the files' content (`_disk_root.digest`) and of `reading`.

        Digests are remembered on this machine (`_disk_memory`): a file is read again only if its
        size, inode or one of its dates differs.

        Raises:
            InputError: a file cannot be read.
        """
        contents = contents_of(self.root)
        found = hashlib.blake2b(self.reading.encode(), digest_size=8)
        for index, clip in enumerate(self._clips):
            found.update(clip.id.encode())
            for path in self.sources(index):
                found.update(contents.of(path).encode())
        remember(contents)
        return f"{self.name}-{found.hexdigest()}"

    # ------------------------------------------------------------------ what is wrong

    def problems(self, *, deep: bool = True, progress: Progress | None = None) -> list[Problem]:
        """Everything that is not as it should be.

        Args:
            deep: read every clip; without, only what the index and headers show.
            progress: called with (clips read, clips).
        """
        found = list(self._found)
        if not deep:
            return found
        for done, clip in enumerate(self._clips, start=1):
            found.extend(self._judged(clip))
            if progress is not None:
                progress(done, len(self))
        return found

    def _judged(self, clip: Clip) -> list[Problem]:
        try:
            speaker, listener = self._read(clip, "speaker"), self._read(clip, "listener")
        except InputError as error:
            what = f"{error} Reading the clip fails; leave it out with skip=[{clip.id!r}]."
            return [Problem("damaged", clip.id, what, skipped=False)]
        found = []
        if abs(speaker.frames - listener.frames) > NEAR:
            what = (
                f"the speaker has {speaker.frames} frames, the listener {listener.frames}; both "
                f"are cut to {min(speaker.frames, listener.frames)}."
            )
            found.append(Problem("lengths", clip.id, what, skipped=False))
        for side, who in (("speaker", speaker), ("listener", listener)):
            found.extend(unseen(clip.id, side, who))
        return found + self._doubts(clip, speaker, listener)


def _grouped(clips: Sequence[Clip], keys: Sequence[Any]) -> dict[Any, list[Clip]]:
    found: dict[Any, list[Clip]] = {}
    for clip, key in zip(clips, keys, strict=True):
        found.setdefault(key, []).append(clip)
    return found
