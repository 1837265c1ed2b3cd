"""Transcripts beside the files of corpora that come without."""

from __future__ import annotations

from pathlib import Path

import pytest

from visavis.behaviour import Behaviour, Word
from visavis.corpora import SimulatedDyads, collate
from visavis.corpora._mars_make import write_mars
from visavis.corpora._react_write import write_react
from visavis.corpora.mars import Mars
from visavis.corpora.react import React
from visavis.errors import InputError

SAID = (
    '[{"word": "thrilled", "start": 0.2, "end": 0.6}, {"word": "late", "start": 9.0, "end": 9.4}]'
)


def dyads() -> SimulatedDyads:
    return SimulatedDyads("val", size=8, frames=40, audio=False)


def heard(speaker: Behaviour) -> list[str]:
    return [w.text for w in speaker.words if isinstance(w, Word)]


def put(path: Path, text: str = SAID) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_mars_hears_what_a_recogniser_wrote_of_a_speaker(tmp_path: Path) -> None:
    write_mars(dyads(), tmp_path)
    first = sorted((tmp_path / "val" / "facial-attributes" / "speaker").rglob("*.npy"))[0]
    inside = first.relative_to(tmp_path / "val" / "facial-attributes").with_suffix(".json")
    before = Mars(tmp_path, "val", speech=())
    mark = before.fingerprint
    put(tmp_path / "val" / "transcripts" / inside)
    corpus = Mars(tmp_path, "val", speech=())
    told = [heard(d.speaker) for d in corpus]
    assert told.count(["thrilled"]) == 1
    assert all(not d.listener.words for d in corpus)
    assert corpus.fingerprint != mark
    number = told.index(["thrilled"])
    batch = collate([corpus[number], corpus[(number + 1) % 8]], targets=1)
    assert [len(w) for w in batch.speaker.words] == [1, 0]  # type: ignore[arg-type]
    slow = Mars(tmp_path, "val", speech=(), clock="native")[number].speaker
    assert [(w.start_s, w.end_s) for w in slow.words] == [(0.2, 0.6)]  # type: ignore[union-attr]


def test_react_hears_the_speaker_of_either_half(tmp_path: Path) -> None:
    write_react(dyads(), tmp_path)
    corpus = React(tmp_path, "val", speech=())
    place, mark = len(corpus) - 1, corpus.fingerprint
    put(tmp_path / "val" / "transcripts" / f"{corpus.ids[place]}.json")
    again = React(tmp_path, "val", speech=())
    assert [i for i in range(len(again)) if heard(again[i].speaker)] == [place]
    assert again.fingerprint != mark


def test_a_transcript_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    write_react(dyads(), tmp_path)
    corpus = React(tmp_path, "val", speech=())
    put(tmp_path / "val" / "transcripts" / f"{corpus.ids[0]}.srt", "thrilled")
    with pytest.raises(InputError, match="no line with times"):
        React(tmp_path, "val", speech=())[0]
