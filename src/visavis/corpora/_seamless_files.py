"""The tree of Seamless Interaction: whose files lie where, unpacked or in tars.

    <root>/{improvised,naturalistic}/{train,dev,test}/<batch>/<archive>/<id>.{npz,json,wav,mp4}
    <root>/{improvised,naturalistic}/{train,dev,test}/<batch>/<archive>.tar
    <root>/{interactions,participants,relationships}.csv

with ids such as V00_S0809_I00000582_P0947A. The same vendor, session and interaction with two
participants is a conversation; an interaction's number stands for its prompt in every session.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from visavis.corpora._disk_piece import Piece, packed
from visavis.corpora._disk_root import entries
from visavis.corpora._problems import Problem
from visavis.errors import InputError

KINDS = ("improvised", "naturalistic")
SPLITS = {"train": "train", "val": "dev", "test": "test"}
"""Our names -> theirs."""
ID = re.compile(r"V(\d+)_S(\d+)_I(\d+)_P(\d+[A-Z]?)")
"""Vendor, session, interaction, participant; actors have an A behind their number."""
SUFFIXES = ("npz", "json", "wav", "mp4", "safetensors")


@dataclass(frozen=True)
class Person:
    """One participant of one interaction, and the files about them by suffix."""

    id: str
    kind: str
    files: dict[str, Piece]

    def _part(self, number: int) -> str:
        found = ID.fullmatch(self.id)
        assert found is not None  # ids are matched when they are found
        return found.group(number)

    @property
    def vendor(self) -> str:
        return self._part(1)

    @property
    def session(self) -> str:
        return self._part(2)

    @property
    def interaction(self) -> str:
        """Of the prompt: the same number in other sessions is the same prompt."""
        return self._part(3)

    @property
    def participant(self) -> str:
        return self._part(4)

    @property
    def key(self) -> str:
        """Who this is; numbers are given by vendors, each its own."""
        return f"V{self.vendor}_P{self.participant}"

    @property
    def event(self) -> str:
        """The conversation: what two participants have in common."""
        return self.id.rpartition("_P")[0]


def fits(root: Path) -> bool:
    return any((root / kind).is_dir() for kind in KINDS)


def splits(root: Path) -> list[str]:
    """Our names of the splits that are there, in whichever kind."""
    return [
        ours
        for ours, theirs in SPLITS.items()
        if any((root / kind / theirs).is_dir() for kind in KINDS)
    ]


def people(root: Path, split: str, kinds: Sequence[str]) -> tuple[dict[str, Person], list[Problem]]:
    """Everybody in a split by id, in the order of ids."""
    problems: list[Problem] = []
    found: dict[str, Person] = {}
    for kind in kinds:
        folder = root / kind / SPLITS[split]
        if not folder.is_dir():
            continue
        for piece, file in _pieces(folder, problems):
            name = PurePosixPath(file)
            id, suffix = name.stem, name.suffix[1:]
            if suffix not in SUFFIXES or not ID.fullmatch(id):
                continue
            person = found.setdefault(id, Person(id, kind, {}))
            if suffix in person.files:
                what = f"also at {person.files[suffix].name}; that one is used."
                problems.append(Problem("twice", piece.name, what, skipped=True))
            else:
                person.files[suffix] = piece
    return dict(sorted(found.items())), problems


def _pieces(folder: Path, problems: list[Problem]) -> Iterator[tuple[Piece, str]]:
    """Files and members of tars below `<batch>`, each with its name."""
    for batch in entries(folder):
        if not (folder / batch).is_dir():
            continue
        for name in entries(folder / batch):
            place = folder / batch / name
            if place.is_dir():
                for file in entries(place):
                    if (place / file).is_file():
                        yield Piece.whole(place / file), file
            elif place.suffix == ".tar":
                yield from _members(place, problems)


def _members(tar: Path, problems: list[Problem]) -> Iterator[tuple[Piece, str]]:
    try:
        pieces, wrong = packed(tar)
    except InputError as error:
        problems.append(Problem("damaged", str(tar), str(error), skipped=True))
        return
    if wrong is not None:
        problems.append(Problem("damaged", str(tar), f"{wrong}.", skipped=True))
    for piece in pieces:
        yield piece, PurePosixPath(piece.name.rpartition(":")[2]).name


def conversations(people: dict[str, Person]) -> tuple[list[tuple[Person, Person]], list[Problem]]:
    """Pairs of people of one interaction, in the order of ids; who has no partner is reported."""
    events: dict[str, list[Person]] = {}
    for person in people.values():
        events.setdefault(person.event, []).append(person)
    pairs, problems = [], []
    for event, members in events.items():
        if len(members) == 2:
            pairs.append((members[0], members[1]))
            continue
        ids = ", ".join(person.id for person in members)
        what = f"{len(members)} people ({ids}), wanted two; left out."
        if len(members) == 1:
            what = f"the partner of {ids} is not here (perhaps in another archive); left out."
        problems.append(Problem("orphan", event, what, skipped=True))
    return pairs, problems
