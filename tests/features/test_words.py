"""Transcripts of every kind onto the clock."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from visavis.errors import InputError
from visavis.features.words import read_words


def written(folder: Path, name: str, text: Any) -> Path:
    path = folder / name
    path.write_text(text if isinstance(text, str) else json.dumps(text), encoding="utf-8")
    return path


def said(path: Path, **options: Any) -> list[tuple[str, float, float]]:
    return [
        (w.text, pytest.approx(w.start_s), pytest.approx(w.end_s))
        for w in read_words(path, **options)
    ]


def test_an_srt_shares_a_lines_time_by_letters(tmp_path: Path) -> None:
    text = (
        "\ufeff1\r\n00:00:01,000 --> 00:00:03,000\r\n<i>Oh no</i>,\r\nreally?\r\n\r\n"
        "2\r\n01:00:00,500 --> 01:00:01,000\r\n{\\an8}Yes\r\n"
    )
    assert said(written(tmp_path, "a.srt", text)) == [
        ("Oh", 1.0, 1.0 + 2 * 2 / 12),
        ("no,", 1.0 + 2 * 2 / 12, 1.0 + 2 * 5 / 12),
        ("really?", 1.0 + 2 * 5 / 12, 3.0),
        ("Yes", 3600.5, 3601.0),
    ]


def test_a_vtt_may_time_its_words_and_name_its_voices(tmp_path: Path) -> None:
    text = (
        "WEBVTT - talk\n\nNOTE nothing here\n\nSTYLE\n::cue { color: red }\n\nintro\n"
        "00:01.000 --> 00:02.000 align:start\n<v Ada>I <00:01.400><c>lost</c> <00:01.700>it\n\n"
        "00:02.000 --> 00:02.500\n<v.loud Ben Bo>Tom &amp; me\n"
    )
    path = written(tmp_path, "a.vtt", text)
    words = said(path)
    assert words[:3] == [("I", 1.0, 1.4), ("lost", 1.4, 1.7), ("it", 1.7, 2.0)]
    assert [w for w, *_ in words[3:]] == ["Tom", "&", "me"]
    assert [w for w, *_ in said(path, speaker="Ben Bo")] == ["Tom", "&", "me"]
    with pytest.raises(InputError, match="Ada, Ben Bo"):
        read_words(path, speaker="Cy")


def test_whispers_words_are_taken_and_its_bare_segments_shared_out(tmp_path: Path) -> None:
    data = {
        "text": " Hi there. Bye",
        "segments": [
            {
                "start": 0.0,
                "end": 1.0,
                "text": " Hi there.",
                "words": [
                    {"word": " Hi", "start": 0.1, "end": 0.3, "probability": 0.9},
                    {"word": " there.", "start": 0.4, "end": 0.9, "probability": 0.8},
                ],
            },
            {"start": 2.0, "end": 2.5, "text": " Bye"},
        ],
    }
    assert said(written(tmp_path, "a.json", data)) == [
        ("Hi", 0.1, 0.3),
        ("there.", 0.4, 0.9),
        ("Bye", 2.0, 2.5),
    ]


def test_whisperx_numbers_without_times_fill_the_gap(tmp_path: Path) -> None:
    data = {
        "segments": [
            {
                "start": 1.0,
                "end": 4.0,
                "text": "in 1999 we met 7",
                "speaker": "SPEAKER_01",
                "words": [
                    {"word": "in", "start": 1.0, "end": 1.2, "score": 0.9, "speaker": "SPEAKER_01"},
                    {"word": "1999"},
                    {"word": "we", "start": 2.0, "end": 2.2, "score": 0.9},
                    {"word": "met", "start": 2.2, "end": 2.6, "score": 0.9},
                    {"word": "7"},
                ],
            }
        ]
    }
    words = said(written(tmp_path, "a.json", data), speaker="SPEAKER_01")
    assert words == [
        ("in", 1.0, 1.2),
        ("1999", 1.2, 2.0),
        ("we", 2.0, 2.2),
        ("met", 2.2, 2.6),
        ("7", 2.6, 4.0),
    ]


@pytest.mark.parametrize(
    "data",
    [
        {"transcription": [{"offsets": {"from": 500, "to": 900}, "text": " so"}]},
        {"text": "so", "chunks": [{"text": " so", "timestamp": [0.5, 0.9]}]},
        {"words": [{"text": "so", "start": 0.5, "end": 0.9}]},
        [{"word": "so", "start": 0.5, "end": 0.9}],
    ],
)
def test_other_recognisers_files_say_the_same(tmp_path: Path, data: Any) -> None:
    assert said(written(tmp_path, "a.json", data)) == [("so", 0.5, 0.9)]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.txt", "hello", "wanted .srt"),
        ("a.srt", "hello\nworld", "no line with times"),
        ("a.json", "{nonsense", "cannot be read"),
        ("a.json", '{"a": 1}', "none of segments"),
        ("a.json", '{"segments": [{"text": "hi"}]}', "cannot be read"),
        ("a.json", '[{"word": "hi", "start": 2.0, "end": 1.0}]', "backwards"),
        ("a.json", '[{"word": "hi", "start": NaN, "end": 1.0}]', "backwards"),
        ("a.json", '[{"word": "hi"}]', "no time is given"),
    ],
)
def test_a_file_that_is_no_transcript_is_said_to_be_none(
    tmp_path: Path, name: str, text: str, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        read_words(written(tmp_path, name, text))


def test_other_encodings_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.srt").write_bytes("1\n00:00:01,000 --> 00:00:02,000\nfüß\n".encode("latin-1"))
    with pytest.raises(InputError, match="UTF-8"):
        read_words(tmp_path / "a.srt")


def test_an_empty_transcript_has_no_words(tmp_path: Path) -> None:
    assert read_words(written(tmp_path, "a.srt", "")) == ()
    assert read_words(written(tmp_path, "a.json", {"segments": []})) == ()
