"""Words and subjects to emotion label, polarity and intensity, from lexicons in order of trust."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

from visavis.errors import require
from visavis.features.subjects.table import SubjectTable, subject_table, words_of_text

LABELS = (
    *("Neutral", "Positive", "Negative"),
    *("Excitement", "Joy", "Happiness", "Amusement", "Pride", "Love", "Gratitude", "Relief"),
    *("Hope", "Calm", "Interest", "Awe", "Surprise", "Confusion", "Doubt", "Boredom"),
    *("Embarrassment", "Guilt", "Shame", "Disappointment", "Despair", "Sadness", "Grief"),
    *("Loneliness", "Distress", "Compassion", "Fear", "Anxiety", "Anger", "Frustration"),
    *("Disgust", "Contempt", "Envy"),
)
"""Emotion labels; models embed them by place, so new ones go to the end. A lexicon without labels
says Positive, Negative or Neutral by the sign of its polarity."""

_NEUTRAL = 0.05
"""|polarity| below this is Neutral (VADER's own limit for a compound score)."""
_VADER_RANGE = 4.0


@dataclass(frozen=True)
class Affect:
    """What a lexicon says of one entry."""

    label: str
    polarity: float
    """[-1, 1]"""
    intensity: float
    """[0, 1]"""
    source: str
    """Which lexicon."""


class AffectLexicon(Protocol):
    """Stage 1's prior lexicon (supplementary C.3)."""

    def lookup(self, subject: str) -> Affect | None:
        """What is known of a subject, None where nothing is."""


def label_of(polarity: float) -> str:
    """The label of a lexicon that has none."""
    if abs(polarity) < _NEUTRAL:
        return "Neutral"
    return "Positive" if polarity > 0 else "Negative"


class TableLexicon:
    """Our own table of subjects (`subjects.csv`), by exact name."""

    def __init__(self, table: SubjectTable | None = None) -> None:
        self.table = table or subject_table()

    def lookup(self, subject: str) -> Affect | None:
        row = self.table.by_name.get(subject.strip().lower())
        if row is None:
            return None
        return Affect(row.label, row.polarity, row.intensity, row.source)


class WordLexicon:
    """Affect by word. A phrase is its exact entry, else the mean polarity and the greatest
    intensity of its known words (our rule; specification 7.4)."""

    def __init__(self, words: Mapping[str, Affect], *, beginnings: Sequence[str] = ()) -> None:
        """
        Args:
            words: lower-case.
            beginnings: entries of `words` that stand for every word that begins so (LIWC's `*`).
        """
        self.words = words
        self._beginnings = sorted(beginnings, key=len, reverse=True)

    def _one(self, word: str) -> Affect | None:
        found = self.words.get(word)
        if found is None:
            start = next((b for b in self._beginnings if word.startswith(b)), None)
            found = None if start is None else self.words[start]
        return found

    def lookup(self, subject: str) -> Affect | None:
        parts = words_of_text(subject)
        whole = self.words.get(" ".join(parts)) or (
            self._one(parts[0]) if len(parts) == 1 else None
        )
        if whole is not None or len(parts) < 2:
            return whole
        known = [a for a in (self._one(p) for p in parts) if a is not None]
        if not known:
            return None
        polarity = sum(a.polarity for a in known) / len(known)
        strongest = max(known, key=lambda a: a.intensity)
        same = (strongest.polarity >= 0) == (polarity >= 0)
        label = strongest.label if same else label_of(polarity)
        return Affect(label, polarity, strongest.intensity, strongest.source)


class VaderLexicon(WordLexicon):
    """VADER (Hutto and Gilbert, 2014), as its package brings it: valence / 4 is the polarity, its
    size the intensity, and there are no labels.

    Raises:
        MissingExtra: vaderSentiment is not installed.
    """

    def __init__(self) -> None:
        entries = _analyzer().lexicon
        super().__init__({w: _of_valence(v) for w, v in entries.items()})


def _of_valence(valence: float) -> Affect:
    polarity = valence / _VADER_RANGE
    return Affect(label_of(polarity), polarity, abs(polarity), "vader")


class Lexicons:
    """Several lexicons; the first that knows a subject answers."""

    def __init__(self, *lexicons: AffectLexicon) -> None:
        self.lexicons = lexicons

    def lookup(self, subject: str) -> Affect | None:
        found = (lexicon.lookup(subject) for lexicon in self.lexicons)
        return next((affect for affect in found if affect is not None), None)


@lru_cache(maxsize=1)
def _analyzer() -> Any:
    vader = require("vaderSentiment.vaderSentiment", extra="words")
    return vader.SentimentIntensityAnalyzer()


def vader_polarity(text: str) -> float:
    """VADER's compound score of a text, [-1, 1]; "I am feeling thrilled!" is 0.5707.

    Raises:
        MissingExtra: vaderSentiment is not installed.
    """
    return float(_analyzer().polarity_scores(text)["compound"])
