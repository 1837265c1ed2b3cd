"""Emotion priors on the clock."""

from __future__ import annotations

import pytest
import torch

from tests.people import person
from visavis.behaviour import Behaviour, Word
from visavis.channels import STANDARD, SUBJECT_SLOTS
from visavis.errors import InputError
from visavis.features.subjects import (
    LABELS,
    EmotionPrior,
    ExpressiveRecovery,
    subject_channel,
    with_word_channels,
)
from visavis.features.subjects.channel import letters, utterances
from visavis.features.text import frame_at

WORDS = tuple(Word(w, i * 0.4, i * 0.4 + 0.36) for i, w in enumerate(["we", "were", "heartbroken"]))


def slots(row: torch.Tensor) -> list[tuple[float, float, str]]:
    parts = row.reshape(SUBJECT_SLOTS, -1)
    return [
        (round(float(p[0]), 4), round(float(p[1]), 4), LABELS[int(p[2])])
        for p in parts
        if float(p[0]) > 0
    ]


def test_a_feeling_begins_with_its_word_and_stays_a_second() -> None:
    channel = subject_channel(WORDS, 60)
    assert channel.shape == (60, STANDARD["subjects"].size)
    assert slots(channel[19]) == []
    assert slots(channel[20]) == [(0.8, -0.8, "Grief")]
    last = int((0.8 + 0.36 + 1.0) * 25)
    assert slots(channel[last - 1]) == [(0.8, -0.8, "Grief")]
    assert slots(channel[last]) == []


def test_what_is_heard_comes_after_the_word_s_end_and_never_before() -> None:
    channel = subject_channel(WORDS, 60, reach="heard")
    end = frame_at(WORDS[-1].end_s)
    assert slots(channel[end]) == []
    assert slots(channel[end + 1]) == [(0.8, -0.8, "Grief")]
    for cut in (10, 29, 30, 41):  # a recogniser that knows only the words that ended by then
        known = [w for w in WORDS if w.end_s * 25 < cut]
        torch.testing.assert_close(
            subject_channel(known, 60, reach="heard")[:cut], channel[:cut], atol=0, rtol=0
        )


def test_utterances_end_at_marks_silences_and_length() -> None:
    def ends(*texts: str, gap: float = 0.0) -> list[str]:
        words = [Word(t, i + gap * i, i + 0.9) for i, t in enumerate(texts)]
        return [s.text for s in utterances(words) if s.ends]

    assert ends("Good.", "And", "you?") == ["Good.", "And you?"]
    assert ends("good", "and", "you") == ["good and you"]
    assert ends("good", "and", gap=1.0) == ["good", "and"]
    assert [len(t.split()) for t in ends(*["word"] * 19)] == [8, 8, 3]


def test_the_strongest_subjects_fill_the_slots() -> None:
    def many(text: str) -> list[EmotionPrior]:
        return [EmotionPrior(f"S{i}", "Joy", 0.1, i / 10, 1.0, "test") for i in range(6)]

    row = subject_channel(WORDS, 10, recovery=many)[0]
    assert [s[0] for s in slots(row)] == [0.5, 0.4, 0.3, 0.2]


def test_letters_of_a_subject_are_a_unit_vector_of_its_words() -> None:
    assert float((letters("University Acceptance") ** 2).sum()) == pytest.approx(1.0)
    assert (letters("Joy") == letters("joy")).all()
    assert not letters("").any()


def test_a_clip_without_words_has_them_unobserved() -> None:
    made = with_word_channels(person(12))
    assert not made.mask("text").any()
    assert not made.mask("subjects").any()
    assert bool(made.filled("subjects").eq(0).all())


def test_a_batch_gets_each_clip_s_own_words() -> None:
    clips = [
        Behaviour.of(person(40).channels, words=WORDS),
        person(30, seed=1),
    ]
    made = with_word_channels(Behaviour.stack(clips))
    assert made.mask("text")[0].all()
    assert not made.mask("text")[1, :30].any()
    torch.testing.assert_close(made.filled("subjects")[0], subject_channel(WORDS, 40))
    alone = with_word_channels(clips[0])
    torch.testing.assert_close(alone["text"], made.filled("text")[0])


def test_channels_that_are_there_stay() -> None:
    one = Behaviour.of(person(10).channels, words=WORDS)
    kept = one.with_channels({"text": torch.ones(10, 64)})
    made = with_word_channels(kept)
    assert bool(made["text"].eq(1).all())
    assert made["subjects"].shape == (10, STANDARD["subjects"].size)
    with pytest.raises(InputError, match="not 'roberta'"):
        with_word_channels(one, ["roberta"])


def test_another_reach_is_refused() -> None:
    with pytest.raises(InputError, match="span"):
        subject_channel(WORDS, 10, reach="all")  # type: ignore[arg-type]


def test_the_recovery_given_is_the_one_asked() -> None:
    asked: list[str] = []

    def recovery(text: str) -> tuple[EmotionPrior, ...]:
        asked.append(text)
        return ()

    subject_channel(WORDS, 40, recovery=recovery)
    assert asked == ["we", "we were", "we were heartbroken"]
    assert isinstance(ExpressiveRecovery()("we were heartbroken")[0], EmotionPrior)
