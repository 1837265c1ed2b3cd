"""Our table of psychological subjects: `subjects.csv`, written for this project.

A row: subject, emotion label, polarity in [-1, 1], intensity in [0, 1], triggers, source. Three
rows have the numbers of MReactor's supplementary (source "mreactor"); the others are our own
estimates on Russell's circumplex (1980), not norms of raters (source "visavis").

A trigger is the beginning of a word, or the whole word where it ends in `$`, or a phrase where it
has `_`; behind a colon stands its relevance to the subject in [0, 1], 1 by default.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

_WORD = re.compile(r"[\w']+(?:-[\w']+)*")
_SHORTEST_STEM = 3


def words_of_text(text: str) -> list[str]:
    """Lower-case words, apostrophes straight."""
    return _WORD.findall(text.lower().replace("’", "'"))  # noqa: RUF001


@dataclass(frozen=True)
class Subject:
    """One row."""

    name: str
    label: str
    polarity: float
    intensity: float
    triggers: Mapping[str, float]
    source: str


class SubjectTable:
    """Subjects by name and by what triggers them."""

    def __init__(self, subjects: tuple[Subject, ...]) -> None:
        self.subjects = subjects
        self.by_name = {s.name.lower(): s for s in subjects}
        self._stems: dict[str, list[tuple[int, float]]] = {}
        self._whole: dict[str, list[tuple[int, float]]] = {}
        self._phrases: dict[str, list[tuple[int, float]]] = {}
        for place, subject in enumerate(subjects):
            for trigger, relevance in subject.triggers.items():
                if "_" in trigger:
                    found, key = self._phrases, trigger.replace("_", " ").lower()
                elif trigger.endswith("$"):
                    found, key = self._whole, trigger[:-1]
                else:
                    found, key = self._stems, trigger
                found.setdefault(key, []).append((place, relevance))

    def triggered(self, text: str) -> dict[str, float]:
        """Subjects that the text triggers, the most relevant first (ties in the table's order)."""
        best: dict[int, float] = {}
        words = words_of_text(text)
        hits: list[tuple[int, float]] = []
        for word in words:
            hits += self._whole.get(word, [])
            for end in range(_SHORTEST_STEM, len(word) + 1):
                hits += self._stems.get(word[:end], [])
        joined = f" {' '.join(words)} "
        for phrase, found in self._phrases.items():
            if f" {phrase} " in joined:
                hits += found
        for place, relevance in hits:
            best[place] = max(best.get(place, 0.0), relevance)
        order = sorted(best, key=lambda place: (-best[place], place))
        return {self.subjects[place].name: best[place] for place in order}


@lru_cache(maxsize=1)
def subject_table() -> SubjectTable:
    """The table that comes with the package."""
    text = files(__package__).joinpath("subjects.csv").read_text("utf-8")
    return SubjectTable(tuple(_subject(row) for row in csv.DictReader(text.splitlines())))


def _subject(row: dict[str, str]) -> Subject:
    triggers = {}
    for item in row["triggers"].split():
        name, _, relevance = item.partition(":")
        triggers[name] = float(relevance or 1.0)
    numbers = float(row["polarity"]), float(row["intensity"])
    return Subject(row["subject"], row["label"], *numbers, triggers, row["source"])
