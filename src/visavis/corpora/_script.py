"""Scripts: what is told, when something happens in it, and one speaker's telling of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from visavis.behaviour import Word
from visavis.corpora._random import Array, Ints
from visavis.corpora._sentences import choose, fill
from visavis.corpora._vocabulary import CONTEXTS, EVENT_KINDS, Context

EVENT_GAP_S = (1.3, 3.9)
"""Uniform gap between events, 2.6 s on average (simulator study, setting A)."""
STRETCH_S = 7.5
"""A clip of 30 s has four stretches, each about one theme."""
THEME_SHARE = 0.65
"""Share of a stretch's events that are of its theme."""
PAUSE_SHARE = 0.15
"""Share of events that are pauses; the rest is drawn from the context's themes."""
STRENGTH = (0.7, 1.3)
WORDS_ONLY_SHARE = 0.20
"""Share of events that neither the face nor the voice shows."""
JITTER_S = 0.4
"""Largest shift of an event between two tellings of a script."""
PAUSE_S = (0.7, 1.3)
"""Silence at a pause event; longer than the gaps between turns of about 0.2 s (Heldner, 2010)."""
WORD_S = 0.34
"""A word with its gap: 175 words a minute, conversational English (Yuan et al., 2006)."""
SHORTEST_WORD_S = 0.18
"""Below this, a word is left out instead."""
PAUSE = EVENT_KINDS.index("pause")


@dataclass(frozen=True)
class Script:
    """A story of E events. Several speakers tell it, at the same moments up to a jitter."""

    id: str
    context: Context
    seconds: float
    times: Array
    """[E] seconds."""
    kinds: Ints
    """[E] indices into EVENT_KINDS."""
    strengths: Array
    words_only: NDArray[np.bool_]
    stretches: Ints
    """[E] number of the stretch that an event lies in."""
    stretch_count: int
    silences: Array
    """[E] seconds of silence that begin at the event (0 but for pauses)."""
    words: tuple[str, ...]
    word_times: Array
    """[W, 2] start and end, seconds."""


@dataclass(frozen=True)
class Telling:
    """One speaker's telling: the script's events and words at this speaker's moments."""

    times: Array
    """[E] seconds."""
    words: tuple[Word, ...]


def draw_script(id: str, seconds: float, rng: np.random.Generator) -> Script:
    """A fresh script of a random context."""
    context = CONTEXTS[int(rng.integers(len(CONTEXTS)))]
    count = int(seconds / EVENT_GAP_S[0]) + 2
    times = np.cumsum(rng.uniform(*EVENT_GAP_S, count)) - EVENT_GAP_S[0] + 0.4
    times = times[times < max(seconds - 0.8, times[0] + 0.1)]
    count = len(times)
    stretch_count = max(1, round(seconds / STRETCH_S))
    stretches = np.minimum((times / seconds * stretch_count).astype(np.int64), stretch_count - 1)
    weights = np.asarray(context.themes) / sum(context.themes)
    themes = rng.choice(4, size=stretch_count, p=weights)
    stray = rng.choice(4, size=count, p=weights)
    kinds = np.where(rng.random(count) < THEME_SHARE, themes[stretches], stray)
    kinds = np.where(rng.random(count) < PAUSE_SHARE, PAUSE, kinds)
    silences = np.where(kinds == PAUSE, rng.uniform(*PAUSE_S, count), 0.0)
    words, word_times = _draw_words(context, times, kinds, silences, seconds, rng)
    return Script(
        id=id,
        context=context,
        seconds=seconds,
        times=times,
        kinds=kinds,
        strengths=rng.uniform(*STRENGTH, count),
        words_only=(rng.random(count) < WORDS_ONLY_SHARE) & (kinds != PAUSE),
        stretches=stretches,
        stretch_count=stretch_count,
        silences=silences,
        words=words,
        word_times=word_times,
    )


def draw_telling(script: Script, rng: np.random.Generator) -> Telling:
    """The script told by one speaker: events shifted by at most JITTER_S, words with them."""
    shifts = rng.uniform(-JITTER_S, JITTER_S, len(script.times))
    anchors = np.concatenate(([0.0], script.times, [script.seconds]))
    moved = anchors + np.concatenate(([0.0], shifts, [0.0]))
    moved = np.clip(moved, 0.0, script.seconds)
    spans = np.interp(script.word_times, anchors, moved)
    words = tuple(
        Word(text, start, end)
        for text, (start, end) in zip(script.words, spans.tolist(), strict=True)
    )
    return Telling(moved[1:-1], words)


def _draw_words(
    context: Context,
    times: Array,
    kinds: Ints,
    silences: Array,
    seconds: float,
    rng: np.random.Generator,
) -> tuple[tuple[str, ...], Array]:
    """Sentences from event to event: the rest of a clause from its event on, plain clauses, and
    the lead of the next event's clause, so that every key word begins at its event."""
    starts = np.concatenate(([0.1], times + silences))
    stops = np.concatenate((times, [seconds - 0.1]))
    counts = np.maximum((stops - starts) / WORD_S, 0.0).astype(np.int64)
    clauses = [
        choose(EVENT_KINDS[kind], int(room) - 2, rng)
        for kind, room in zip(kinds, counts[1:], strict=True)
    ]
    texts: list[str] = []
    spans: list[Array] = []
    for i, (start, stop) in enumerate(zip(starts, stops, strict=True)):
        rest = list(clauses[i - 1][1]) if i else []
        lead = list(clauses[i][0]) if i < len(clauses) else []
        if (len(rest) + len(lead)) * SHORTEST_WORD_S > stop - start:
            lead = []
        if len(rest) * SHORTEST_WORD_S > stop - start:
            continue
        said = rest + fill(int(counts[i]) - len(rest) - len(lead), rng) + lead
        count = len(said)
        if count == 0:
            continue
        slots = rng.uniform(0.7, 1.3, count) * np.array([_weight(word) for word in said])
        edges = start + (stop - start) * np.concatenate(([0.0], np.cumsum(slots) / slots.sum()))
        lengths = 0.88 * np.diff(edges)
        nouns = rng.integers(len(context.nouns), size=count)
        texts += [
            word.replace("{n}", context.nouns[j]) for word, j in zip(said, nouns, strict=True)
        ]
        spans.append(np.stack((edges[:-1], edges[:-1] + lengths), axis=1))
    return tuple(texts), np.concatenate(spans) if spans else np.zeros((0, 2))


def _weight(word: str) -> float:
    """How long a word takes beside others: long words take longer."""
    return 0.6 + 0.1 * len(word)
