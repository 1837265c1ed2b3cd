"""The three stages of expressive recovery; the supplementary's own example."""

from __future__ import annotations

import socket

import pytest

from visavis.errors import InputError
from visavis.features.subjects import (
    Affect,
    CallableSubjectProvider,
    CosineSimilarity,
    ExpressiveRecovery,
    LexiconSubjectProvider,
    ProviderError,
    StaticSubjectProvider,
    TriggerSimilarity,
    WordLexicon,
    default_recovery,
)
from visavis.features.subjects.lexicon import LABELS, vader_polarity
from visavis.features.subjects.table import SubjectTable, subject_table

TEXT = "I am feeling thrilled!"
PROPOSED = [
    *("Achievement", "University Acceptance", "Success", "Adventure"),
    *("Energy Burst", "Overreaction", "Future Plans"),
]


class Given:
    """Similarities as a table says."""

    name = "given"

    def __init__(self, **near: float) -> None:
        self.near = near

    def __call__(self, text: str, subjects: object) -> list[float]:
        assert isinstance(subjects, list)
        return [self.near.get(s.replace(" ", ""), 1.0) for s in subjects]


def test_the_supplementary_s_example_comes_out_with_its_subjects() -> None:
    near = Given(Adventure=0.45, EnergyBurst=0.4)
    recovery = ExpressiveRecovery(StaticSubjectProvider(PROPOSED), near)
    found = [(p.subject, p.label, p.polarity, p.intensity) for p in recovery(TEXT)]
    assert found == [
        ("Achievement", "Excitement", 0.9, 0.8),
        ("University Acceptance", "Joy", 0.7, 0.6),
        ("Success", "Happiness", 0.8, 0.7),
    ]
    assert {p.source for p in recovery(TEXT)} == {"mreactor"}


def test_each_dropped_subject_of_the_example_says_why() -> None:
    near = Given(Adventure=0.45, EnergyBurst=0.4)
    recovery = ExpressiveRecovery(StaticSubjectProvider(PROPOSED), near)
    why = {c.subject: c.dropped or "" for c in recovery.candidates(TEXT)}
    assert why["Adventure"] == "similarity 0.45 is below 0.5"
    assert why["Energy Burst"] == "similarity 0.4 is below 0.5"
    assert why["Overreaction"] == ("polarity -0.18 is further than 0.5 from the text's 0.5707")
    assert why["Future Plans"].startswith("polarity 0 is further")
    assert [s for s, reason in why.items() if not reason] == PROPOSED[:3]


def test_the_example_comes_out_offline_from_our_table_alone() -> None:
    """Provider, similarity and lexicon are the defaults."""
    kept = [p.subject for p in default_recovery()(TEXT)]
    assert {"Achievement", "University Acceptance", "Success"} & set(kept)
    recovery = ExpressiveRecovery(StaticSubjectProvider(PROPOSED))
    assert [p.subject for p in recovery(TEXT)] == PROPOSED[:3]


def test_vader_s_score_of_the_example() -> None:
    assert vader_polarity(TEXT) == pytest.approx(0.5707, abs=1e-4)


@pytest.mark.parametrize(
    ("polarity", "intensity", "similarity", "kept"),
    [
        (0.0, 0.5, 1.0, True),
        (0.0, 0.4999, 1.0, False),
        (0.5, 0.9, 1.0, True),
        (-0.5, 0.9, 1.0, True),
        (0.5001, 0.9, 1.0, False),
        (0.0, 0.9, 0.5, True),
        (0.0, 0.9, 0.4999, False),
    ],
)
def test_thresholds_are_inclusive(
    polarity: float, intensity: float, similarity: float, kept: bool
) -> None:
    recovery = ExpressiveRecovery(
        StaticSubjectProvider(["Thing"]),
        Given(Thing=similarity),
        WordLexicon({"thing": Affect("Hope", polarity, intensity, "test")}),
        text_polarity=lambda text: 0.0,
    )
    (prior,) = recovery("anything")
    assert (prior.subject == "Thing") is kept


def test_a_subject_that_no_lexicon_knows_is_dropped() -> None:
    recovery = ExpressiveRecovery(StaticSubjectProvider(["Xyzzy"]), Given())
    (candidate,) = recovery.candidates("anything")
    assert candidate.dropped == "no lexicon knows it"


def test_nothing_kept_is_one_neutral_prior_and_no_text_none() -> None:
    recovery = default_recovery()
    (prior,) = recovery("the table is made of wood")
    assert (prior.label, prior.polarity, prior.intensity) == ("Neutral", 0.0, 0.0)
    assert recovery("  ") == ()
    (prior,) = recovery("Das Wetter ist heute grau und still")
    assert prior.label == "Neutral"


def test_a_denial_turns_the_subjects_away() -> None:
    glad = {p.label for p in default_recovery()("I am happy")}
    denied = {p.label for p in default_recovery()("I am not happy")}
    assert "Happiness" in glad
    assert "Happiness" not in denied


def test_a_provider_that_fails_degrades_to_the_lexicon_with_one_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(text: str, k: int) -> list[str]:
        raise TimeoutError("too slow")

    recovery = ExpressiveRecovery(CallableSubjectProvider(broken))
    for _ in range(3):
        assert recovery(TEXT) == default_recovery()(TEXT)
    warnings = [r for r in caplog.records if r.levelname == "WARNING"]
    assert len(warnings) == 1
    assert "too slow" in warnings[0].getMessage()


def test_everything_runs_with_sockets_disabled(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_socket(*args: object, **kwargs: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", no_socket)
    monkeypatch.setattr(socket, "create_connection", no_socket)
    assert ExpressiveRecovery()(TEXT)


def test_similarity_by_vectors_is_their_cosine() -> None:
    class Letters:
        def encode(self, texts: object) -> object:
            assert isinstance(texts, list)
            return [[2.0, 0.0], [1.0, 1.0], [0.0, 3.0]][: len(texts)]

    near = CosineSimilarity(Letters())("text", ["a", "b"])  # type: ignore[arg-type]
    assert near == pytest.approx([0.5**0.5, 0.0])


# ---------------------------------------------------------------------- the table


def test_the_table_is_whole() -> None:
    table = subject_table()
    assert 190 <= len(table.subjects) <= 220
    assert len(table.by_name) == len(table.subjects)
    for s in table.subjects:
        assert s.label in LABELS
        assert -1 <= s.polarity <= 1
        assert 0 <= s.intensity <= 1
        assert s.source in ("mreactor", "visavis")
        assert s.triggers
        assert all(0 < x <= 1 for x in s.triggers.values())
        assert all(len(t.rstrip("$")) >= 3 for t in s.triggers), s
    used = {s.label for s in table.subjects}
    assert used == set(LABELS) - {"Positive", "Negative"}


def test_every_trigger_triggers_its_subject() -> None:
    table = subject_table()
    for subject in table.subjects:
        for trigger, relevance in subject.triggers.items():
            said = trigger.replace("_", " ").rstrip("$")
            assert table.triggered(f"then {said} there")[subject.name] >= relevance


def test_stems_whole_words_and_phrases_are_told_apart() -> None:
    from visavis.features.subjects.table import Subject

    table = SubjectTable(
        (
            Subject("A", "Joy", 0, 0, {"hap": 1.0, "sun$": 0.7}, "visavis"),
            Subject("B", "Joy", 0, 0, {"at_last": 0.9}, "visavis"),
        )
    )
    assert table.triggered("Happily!") == {"A": 1.0}
    assert table.triggered("Sunday") == {}
    assert table.triggered("the sun") == {"A": 0.7}
    assert table.triggered("At last, the sun") == {"B": 0.9, "A": 0.7}
    assert table.triggered("at lasting") == {}
    assert TriggerSimilarity(table)("the sun", ["a", "B", "C"]) == [0.7, 0.0, 0.0]


def test_the_lexicon_s_provider_proposes_the_most_relevant_first() -> None:
    found = LexiconSubjectProvider().propose("we were heartbroken", 3)
    assert found[0] == "Heartbreak"
    assert LexiconSubjectProvider().propose("we were heartbroken", 0) == []


def test_a_number_of_subjects_below_one_is_refused() -> None:
    with pytest.raises(InputError, match="proposed"):
        ExpressiveRecovery(proposed=0)


def test_an_answer_that_is_no_list_of_texts_is_a_provider_s_error() -> None:
    with pytest.raises(ProviderError, match="list of texts"):
        CallableSubjectProvider(lambda text, k: "Joy").propose("a", 3)
    with pytest.raises(ProviderError, match="a subject is a text"):
        CallableSubjectProvider(lambda text, k: [1]).propose("a", 3)  # type: ignore[list-item]
    tidy = CallableSubjectProvider(lambda text, k: [" Joy ", "joy", "", "New  Job"])
    assert tidy.propose("a", 5) == ["Joy", "New Job"]


def test_an_utterance_is_recovered_once_and_a_failed_one_again() -> None:
    asked: list[str] = []

    def provider(text: str, k: int) -> list[str]:
        asked.append(text)
        if len(asked) == 1:
            raise ConnectionError("not yet")
        return ["Success"]

    recovery = ExpressiveRecovery(CallableSubjectProvider(provider))
    lexicon, own, kept = recovery(TEXT), recovery(TEXT), recovery(TEXT)
    assert len(asked) == 2
    assert own == kept
    assert [p.subject for p in own] == ["Success"]
    assert lexicon == default_recovery()(TEXT)
