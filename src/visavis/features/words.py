"""Transcripts onto the clock: .srt, .vtt, and the JSON that speech recognisers write."""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from visavis.behaviour import Word
from visavis.errors import InputError
from visavis.files import existing_file

_TIME = r"(?:(\d+):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})"
_CUE = re.compile(rf"^\s*{_TIME}\s*-->\s*{_TIME}")
_INSIDE = re.compile(rf"<{_TIME}>")
_MARKS = re.compile(r"<[^>]*>|\{\\[^}]*\}")


def read_words(path: str | Path, *, speaker: str | None = None) -> tuple[Word, ...]:
    """The words of a transcript, in order, with times in seconds.

    Where a file times whole lines, a line's time is shared out among its words by their number of
    letters: an estimate. Words that an aligner left without times get theirs the same way, from the
    gap between their neighbours.

    Args:
        path: .srt, .vtt or .json (whisper, WhisperX, whisper.cpp, or a list of words with
            `word` or `text`, `start`, `end`).
        speaker: only this voice, where the file tells voices apart ("SPEAKER_00", `<v Ada>`).

    Raises:
        InputError: no such file, none of these formats, times that run backwards, or a speaker who
            says nothing.
    """
    file = existing_file(path, wanted="a transcript (.srt, .vtt or .json)")
    readers: Mapping[str, Callable[[str], list[_Piece]]] = {
        ".srt": _cues,
        ".vtt": _cues,
        ".json": _json,
    }
    ending = file.suffix.lower()
    if ending not in readers:
        raise InputError(
            f"{file.name} is no transcript that is known; wanted {', '.join(readers)}."
        )
    try:
        text = file.read_bytes().decode("utf-8-sig")
        pieces = readers[ending](text.replace("\r\n", "\n"))
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is not UTF-8 text ({error.reason}); save it as UTF-8.") from error
    except KeyError as error:
        raise InputError(
            f"{file} cannot be read as a transcript: a segment or word has no {error}; each wants "
            "a text, start and end in seconds."
        ) from error
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{file} cannot be read as a transcript: {error}.") from error
    if not pieces and text.strip() not in ("", "WEBVTT", "[]", "{}") and ending != ".json":
        raise InputError(f"{file} has text but no line with times such as 00:00:01,000 --> ...")
    if speaker is not None:
        voices = sorted({p.voice for p in pieces if p.voice})
        pieces = [p for p in pieces if p.voice == speaker]
        if not pieces:
            known = ", ".join(voices) or "nobody by name"
            raise InputError(f"{file} has no voice {speaker!r}; it has {known}.")
    for piece in pieces:
        if not 0 <= piece.start <= piece.end < math.inf:
            raise InputError(
                f"{file}: {piece.text!r} runs from {piece.start:g} to {piece.end:g} s; times must "
                "not be negative or run backwards."
            )
    words = [w for piece in pieces for w in _shared_out(piece)]
    return tuple(sorted(words, key=lambda w: (w.start_s, w.end_s)))


class _Piece:
    """A line or a word with its time."""

    def __init__(self, text: str, start: float, end: float, voice: str = "") -> None:
        self.text, self.start, self.end, self.voice = text.strip(), start, end, voice


def _shared_out(piece: _Piece) -> list[Word]:
    """A piece's words, its time divided by letters."""
    texts = piece.text.split()
    total = sum(len(t) for t in texts)
    out, done = [], 0
    for text in texts:
        begin = piece.start + (piece.end - piece.start) * done / total
        done += len(text)
        out.append(Word(text, begin, piece.start + (piece.end - piece.start) * done / total))
    return out


# ------------------------------------------------------------------ subtitles


def _seconds(parts: tuple[str | None, ...]) -> float:
    hours, minutes, seconds, fraction = parts
    whole = int(hours or 0) * 3600 + int(minutes or 0) * 60 + int(seconds or 0)
    return whole + float(f"0.{fraction}")


def _cues(text: str) -> list[_Piece]:
    found: list[_Piece] = []
    for block in re.split(r"\n\s*\n", text):
        lines = block.strip("\n").split("\n")
        at = next((i for i, line in enumerate(lines) if _CUE.match(line)), None)
        if at is None:  # a header, a note, a style
            continue
        match = _CUE.match(lines[at])
        assert match is not None
        start, end = _seconds(match.groups()[:4]), _seconds(match.groups()[4:])
        body = " ".join(lines[at + 1 :])
        voice = re.search(r"<v(?:\.[^\s>]*)?\s+([^>]+)>", body)
        found += _timed(body, start, end, voice.group(1).strip() if voice else "")
    return found


def _timed(body: str, start: float, end: float, voice: str) -> list[_Piece]:
    """A cue's text, cut where it carries times of its own."""
    cuts = list(_INSIDE.finditer(body))
    times = [start, *(_seconds(c.groups()) for c in cuts), end]
    begins = [0, *(c.end() for c in cuts)]
    stops = [*(c.start() for c in cuts), len(body)]
    pieces = []
    for i, (b, s) in enumerate(zip(begins, stops, strict=True)):
        plain = html.unescape(_MARKS.sub("", body[b:s]))
        if plain.strip():
            pieces.append(_Piece(plain, times[i], times[i + 1], voice))
    return pieces


# ------------------------------------------------------------------ JSON


def _json(text: str) -> list[_Piece]:
    data = json.loads(text)
    if isinstance(data, list):
        return _words(data, "")
    for key, reader in (
        ("segments", _segments),
        ("transcription", _cpp),
        ("chunks", _chunks),
        ("word_segments", lambda items: _words(items, "")),
        ("words", lambda items: _words(items, "")),
    ):
        if isinstance(data.get(key), list):
            return reader(data[key])
    raise ValueError("it has none of segments, chunks, words, transcription")


def _segments(items: list[Any]) -> list[_Piece]:
    """whisper and WhisperX: words where they are, whole lines where not."""
    pieces = []
    for item in items:
        voice = str(item.get("speaker", ""))
        if item.get("words"):
            pieces += _words(item["words"], voice, item.get("start"), item.get("end"))
        else:
            pieces.append(_Piece(item["text"], float(item["start"]), float(item["end"]), voice))
    return pieces


def _cpp(items: list[Any]) -> list[_Piece]:
    """whisper.cpp: offsets in milliseconds."""
    return [
        _Piece(item["text"], item["offsets"]["from"] / 1000, item["offsets"]["to"] / 1000)
        for item in items
    ]


def _chunks(items: list[Any]) -> list[_Piece]:
    """A recognition pipeline's chunks; the last may not know its end."""
    pieces = []
    for item in items:
        start, end = item["timestamp"]
        pieces.append(_Piece(item["text"], float(start), float(start if end is None else end)))
    return pieces


def _words(
    items: list[Any], voice: str, start: float | None = None, end: float | None = None
) -> list[_Piece]:
    """Words; a run of words without times shares the gap between its neighbours."""
    pieces: list[_Piece] = []
    waiting: list[str] = []
    before = start
    for item in items:
        text = str(item.get("word", item.get("text", "")))
        if item.get("start") is None or item.get("end") is None:
            waiting.append(text)
            continue
        begin, stop = float(item["start"]), float(item["end"])
        if waiting:
            since = begin if before is None else min(float(before), begin)
            pieces.append(_Piece(" ".join(waiting), since, begin, voice))
            waiting = []
        pieces.append(_Piece(text, begin, stop, str(item.get("speaker", voice))))
        before = stop
    if waiting:
        if before is None:
            raise ValueError(f"no time is given for {' '.join(waiting)!r}")
        pieces.append(
            _Piece(" ".join(waiting), float(before), max(float(before), end or 0.0), voice)
        )
    return pieces
