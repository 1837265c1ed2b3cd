"""What is wrong with a corpus on disk, as data: `visavis corpus check` prints it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing that is not as it should be, and what is done about it."""

    kind: str
    """In a word or two: "missing", "short", "not finite", "width", "lengths", "orphan", "twice"."""
    where: str
    """The file, or the id of the clip."""
    what: str
    """What came and what was wanted, in a sentence."""
    skipped: bool
    """Whether the clip is left out; if not, the sentence says how it is used all the same."""
