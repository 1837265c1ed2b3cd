from __future__ import annotations

import itertools

import numpy as np
import pytest

from visavis.corpora import SimulatedDyads
from visavis.corpora._random import stream
from visavis.corpora._script import draw_script, draw_telling
from visavis.corpora._sentences import KEY_WORDS, PLAIN, TOLD, choose, fill
from visavis.corpora._vocabulary import CONTEXTS, EVENT_KINDS


def test_there_are_23_contexts_with_names_of_their_own() -> None:
    assert len({context.name for context in CONTEXTS}) == 23


@pytest.mark.parametrize("words", [0, 1, 2, 7, 8, 9, 23])
def test_plain_talk_has_as_many_words_as_there_is_room(words: int) -> None:
    assert len(fill(words, np.random.default_rng(0))) == words


def test_a_clause_fits_its_room_or_is_the_shortest() -> None:
    rng = np.random.default_rng(0)
    for room in range(-2, 8):
        for kind in EVENT_KINDS:
            _, rest = choose(kind, room, rng)
            assert len(rest) <= max(room, min(len(r) for _, r in TOLD[kind]))


def test_the_word_that_tells_falls_on_its_event() -> None:
    told = 0
    for number in range(20):
        script = draw_script("s", 30.0, stream(number, "script"))
        telling = draw_telling(script, stream(number, "telling"))
        starts = np.array([word.start_s for word in telling.words])
        for time, silence, kind in zip(telling.times, script.silences, script.kinds, strict=True):
            if silence:
                continue
            nearest = int(np.abs(starts - time).argmin())
            told += telling.words[nearest].text in KEY_WORDS[EVENT_KINDS[kind]]
            assert abs(starts[nearest] - time) < 0.05
    assert told > 100


def test_words_come_in_order_and_do_not_overlap() -> None:
    for dyad in SimulatedDyads("val", size=14, frames=400, audio=False):
        words = dyad.speaker.words
        assert all(word.end_s > word.start_s for word in words)
        assert all(a.end_s <= b.start_s for a, b in itertools.pairwise(words))
        assert words[-1].end_s <= 16.0
        assert "{n}" not in " ".join(word.text for word in words)


def test_tellings_of_a_script_say_the_same_words_at_most_0_4_seconds_apart() -> None:
    corpus = SimulatedDyads("val", size=14, audio=False)
    one, two = corpus[0].speaker.words, corpus[1].speaker.words
    assert [w.text for w in one] == [w.text for w in two]
    shifts = [abs(a.start_s - b.start_s) for a, b in zip(one, two, strict=True)]
    assert 0.05 < max(shifts) <= 0.8


def test_plain_clauses_have_the_length_they_are_filed_under() -> None:
    assert all(len(c) == length for length, clauses in PLAIN.items() for c in clauses)
    assert min(len(clauses) for clauses in PLAIN.values()) >= 2
