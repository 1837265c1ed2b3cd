"""Transcripts of corpora that come without: a user's own, in a folder beside the other kinds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from visavis.behaviour import Behaviour
from visavis.features.words import read_words

TRANSCRIPTS = "transcripts"
ENDINGS = (".json", ".srt", ".vtt")


def transcript_of(split: Path, name: str) -> Path | None:
    """`<split>/transcripts/<name>` with an ending of a recogniser's or of subtitles, if there."""
    for ending in ENDINGS:
        path = split / TRANSCRIPTS / f"{name}{ending}"
        if path.is_file():
            return path
    return None


def spoken(behaviour: Behaviour, transcript: Path | None) -> Behaviour:
    """The behaviour [T, ...] with what its transcript says; words past its end are left out.

    Raises:
        InputError: the transcript cannot be read.
    """
    if transcript is None:
        return behaviour
    said = tuple(w for w in read_words(transcript) if w.start_s < behaviour.duration_s)
    return replace(behaviour, words=said)
