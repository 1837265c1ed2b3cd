"""Simple sentences for scripts, from templates written for this project.

A clause that tells of an event is cut before its key word: the lead is said before the event's
moment, the rest from that moment on. So the affective word falls on the event, and nobody reacts
to what was not yet said. `{n}` is one of the context's nouns.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from visavis.corpora._vocabulary import EVENT_KINDS

Clause = tuple[str, ...]

_TOLD = {
    "joy": """
        it was|wonderful; it was|brilliant fun; we were|happy; it was|lovely with everyone there;
        we were|delighted with the {n}; I was|thrilled about it; we were|laughing about the {n};
        it felt|great after all that; they were|cheering for the {n}; I was|glad to see the {n};
        we were|celebrating because of the {n}; I was|proud of us
        """,
    "sad": """
        it was|terrible; I was|crying about the {n}; we were|heartbroken over the {n};
        it was|awful for everyone; she was|miserable because of the {n}; he was|lonely after that;
        I felt|hopeless; it was|painful to lose the {n}; we were|grieving for a year;
        they were|hurt by the {n}; I felt|sorry for them; she was|desperate
        """,
    "surprise": """
        and then|suddenly we saw the {n}; it was|unbelievable; I was|shocked by the {n};
        it was|incredible with the {n}; we were|astonished at the {n}; I was|amazed about it;
        and then|unexpectedly we heard the {n}; it was|startling; we were|speechless;
        it was|extraordinary to see the {n}; and then|bang went the {n}; I was|stunned
        """,
    "dubious": """
        it was|supposedly about the {n}; it seemed|suspicious to me; it was|weird with the {n};
        that was|allegedly because of the {n}; it sounded|doubtful; I was|sceptical about the {n};
        it was|nonsense about the {n}; it looked|fishy; they were|apparently sure about it;
        that was|questionable at best; it was|strange about the {n}; it seemed|dishonest somehow
        """,
    "pause": "|well; |hmm; |so; |anyway; |let me think; |you know; |where was I; |right",
}
_PLAIN = """
    and; so; and then; you know; so anyway; and after that; I told them; so you see;
    and then we left; so we went home; it was a Monday; and we waited there;
    so we waited a while; and then they called us; she asked me about it; he had told me before;
    we had to see the {n}; so they talked about the {n}; and we went to the {n};
    and I told them about the {n}; so we stayed there for a while; then somebody asked me about it;
    and then we asked again about the {n}; so in the end we took the {n};
    I had been thinking about it for days
    """


def _split(text: str) -> list[str]:
    return [" ".join(part.split()) for part in text.split(";")]


def _told(text: str) -> tuple[tuple[Clause, Clause], ...]:
    halves = [part.partition("|") for part in _split(text)]
    return tuple((tuple(a.split()), tuple(b.split())) for a, _, b in halves)


TOLD: Mapping[str, tuple[tuple[Clause, Clause], ...]] = {
    kind: _told(_TOLD[kind]) for kind in EVENT_KINDS
}
"""Event kind -> (lead, rest) of each clause; the rest begins with the key word."""

PLAIN: Mapping[int, tuple[Clause, ...]] = {
    length: tuple(tuple(c.split()) for c in _split(_PLAIN) if len(c.split()) == length)
    for length in range(1, 9)
}
"""Clauses that tell nothing, by their number of words."""

KEY_WORDS: Mapping[str, tuple[str, ...]] = {
    kind: tuple(dict.fromkeys(rest[0] for _, rest in TOLD[kind])) for kind in EVENT_KINDS
}
"""The words that carry each kind of event."""


def choose(kind: str, room: int, rng: np.random.Generator) -> tuple[Clause, Clause]:
    """A clause whose rest has at most `room` words, or the shortest rest there is."""
    order = rng.permutation(len(TOLD[kind]))
    clauses = [TOLD[kind][i] for i in order]
    fitting = [clause for clause in clauses if len(clause[1]) <= room]
    return fitting[0] if fitting else min(clauses, key=lambda clause: len(clause[1]))


def fill(words: int, rng: np.random.Generator) -> list[str]:
    """Exactly `words` words of plain clauses."""
    said: list[str] = []
    while words > 0:
        length = min(words, max(PLAIN))
        options = PLAIN[length]
        said += options[int(rng.integers(len(options)))]
        words -= length
    return said
