"""The three stages of expressive recovery (supplementary C.3, Eq. 1 to 4)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

from visavis.errors import InputError
from visavis.features.subjects.lexicon import (
    AffectLexicon,
    Lexicons,
    TableLexicon,
    VaderLexicon,
    vader_polarity,
)
from visavis.features.subjects.providers import (
    LexiconSubjectProvider,
    ProviderError,
    SubjectProvider,
)
from visavis.features.subjects.similarity import Similarity, TriggerSimilarity

logger = logging.getLogger("visavis")

PROPOSED = 8
"""Subjects asked of a provider; the supplementary's example has 7."""

_REMEMBERED = 50_000
"""Utterances."""


@dataclass(frozen=True)
class EmotionPrior:
    """A subject that was kept: what steers a reaction."""

    subject: str
    label: str
    polarity: float
    """s_i in [-1, 1]"""
    intensity: float
    """phi in [0, 1]"""
    similarity: float
    source: str
    """The lexicon that polarity and intensity come from."""


@dataclass(frozen=True)
class Candidate:
    """A subject that was proposed, and what became of it."""

    subject: str
    similarity: float
    prior: EmotionPrior | None
    """What the lexicon says; None where it does not know the subject."""
    dropped: str | None
    """Why it was not kept; None where it was."""


@dataclass
class ExpressiveRecovery:
    """An utterance to emotion priors. Thresholds are inclusive.

    A provider that does not answer is replaced by the lexicon's, with one warning.
    """

    provider: SubjectProvider = field(default_factory=LexiconSubjectProvider)
    similarity: Similarity = field(default_factory=TriggerSimilarity)
    lexicon: AffectLexicon = field(default_factory=lambda: Lexicons(TableLexicon(), VaderLexicon()))
    text_polarity: Callable[[str], float] = vader_polarity
    """s_text in [-1, 1]."""
    semantic: float = 0.5
    """tau_1"""
    deviation: float = 0.5
    """tau_2"""
    least: float = 0.5
    """tau_3"""
    proposed: int = PROPOSED
    _failures: int = field(default=0, init=False, repr=False)
    _known: dict[str, tuple[EmotionPrior, ...]] = field(
        default_factory=dict, init=False, repr=False
    )

    def __post_init__(self) -> None:
        if self.proposed < 1:
            raise InputError(f"proposed must be at least 1, not {self.proposed}.")

    def __call__(self, text: str) -> tuple[EmotionPrior, ...]:
        """The priors of an utterance, as proposed; one neutral prior where nothing was kept, none
        for an empty text. An utterance is recovered once, unless its provider did not answer."""
        if not text.strip():
            return ()
        found = self._known.get(text)
        if found is None:
            failures = self._failures
            found = self._recovered(text)
            if failures == self._failures:
                if len(self._known) >= _REMEMBERED:
                    self._known.pop(next(iter(self._known)))
                self._known[text] = found
        return found

    def _recovered(self, text: str) -> tuple[EmotionPrior, ...]:
        kept = tuple(c.prior for c in self.candidates(text) if c.dropped is None and c.prior)
        if kept:
            return kept
        polarity = self.text_polarity(text)
        return (EmotionPrior("", "Neutral", polarity, abs(polarity), 1.0, "text"),)

    def candidates(self, text: str) -> list[Candidate]:
        """Every subject that was proposed, with the reason for its fate."""
        subjects = self._proposed(text)
        polarity = self.text_polarity(text)
        near = self.similarity(text, subjects)
        return [self._judged(s, x, polarity) for s, x in zip(subjects, near, strict=True)]

    def _judged(self, subject: str, similarity: float, said: float) -> Candidate:
        found = self.lexicon.lookup(subject)
        prior = None
        if found is not None:
            prior = EmotionPrior(
                subject, found.label, found.polarity, found.intensity, similarity, found.source
            )
        dropped = None
        if similarity < self.semantic:
            dropped = f"similarity {similarity:.4g} is below {self.semantic:g}"
        elif found is None:
            dropped = "no lexicon knows it"
        elif abs(found.polarity - said) > self.deviation + 1e-12:
            dropped = (
                f"polarity {found.polarity:.4g} is further than {self.deviation:g} from the "
                f"text's {said:.4g}"
            )
        elif found.intensity < self.least:
            dropped = f"intensity {found.intensity:.4g} is below {self.least:g}"
        return Candidate(subject, similarity, prior, dropped)

    def _proposed(self, text: str) -> list[str]:
        try:
            return self.provider.propose(text, self.proposed)
        except ProviderError as error:
            self._failures += 1
            if self._failures == 1:
                logger.warning(
                    "subjects come from the lexicon, because their provider did not answer: %s",
                    error,
                )
            return LexiconSubjectProvider().propose(text, self.proposed)


@lru_cache(maxsize=1)
def default_recovery() -> ExpressiveRecovery:
    """Offline and deterministic: our table and VADER.

    Raises:
        MissingExtra: vaderSentiment is not installed.
    """
    return ExpressiveRecovery()
