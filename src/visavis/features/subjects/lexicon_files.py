"""Readers of affect lexicons that users have; none of them comes with this package."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from visavis.errors import InputError
from visavis.features.subjects.lexicon import Affect, WordLexicon, label_of
from visavis.files import existing_file

_LIWC = {
    "Positive": ("posemo", "emo_pos", "tone_pos", "positive emotion"),
    "Negative": ("negemo", "emo_neg", "tone_neg", "negative emotion"),
    "Anxiety": ("anx", "emo_anx", "anxiety"),
    "Anger": ("anger", "emo_anger"),
    "Sadness": ("sad", "emo_sad", "sadness"),
}
"""Our labels and what LIWC's dictionaries call them (2001 to 2022)."""
LIWC_POLARITY, LIWC_INTENSITY = 0.6, 0.5
"""LIWC says which category a word is in, not how strongly: chosen."""


def read_anew(path: str | Path) -> WordLexicon:
    """ANEW, or the norms of Warriner et al. (2013): a CSV with word, valence and arousal, 1 to 9.

    Polarity is (valence - 5) / 4, intensity (arousal - 1) / 8. Columns `word`, `valence`,
    `arousal`, or Warriner's `Word`, `V.Mean.Sum`, `A.Mean.Sum`.

    Raises:
        InputError: no such file, other columns, or a number outside 1 to 9.
    """
    file = existing_file(path, wanted="a CSV with word, valence, arousal")
    rows = csv.DictReader(_text(file).splitlines())
    named = {(n or "").strip().lower(): n for n in rows.fieldnames or ()}
    columns = []
    for names in (("word",), ("valence", "v.mean.sum"), ("arousal", "a.mean.sum")):
        found = next((named[n] for n in names if n in named), None)
        if found is None:
            raise InputError(
                f"{file} has no column {' or '.join(names)}; it has {', '.join(named) or 'none'}."
            )
        columns.append(found)
    words = {}
    for number, row in enumerate(rows, start=2):
        text = str(row[columns[0]]).strip().lower()
        valence, arousal = (_between(row[c], 1, 9, file, number) for c in columns[1:])
        polarity = (valence - 5) / 4
        words[text] = Affect(label_of(polarity), polarity, (arousal - 1) / 8, "anew")
    return _lexicon(words, file)


def read_sentiwordnet(path: str | Path) -> WordLexicon:
    """SentiWordNet 3.0 (Baccianella et al., 2010): its tab-separated file.

    A word's senses are averaged with weights 1, 1/2, 1/3, ... by their number; polarity is the
    positive less the negative score, intensity their sum.

    Raises:
        InputError: no such file, or a line that has not its columns.
    """
    file = existing_file(path, wanted="SentiWordNet_3.0.0.txt")
    sums: dict[str, list[float]] = {}
    for number, line in enumerate(_text(file).splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        parts = line.split("\t")
        if len(parts) < 5:
            raise InputError(
                f"{file}, line {number}: {len(parts)} columns; wanted POS, ID, PosScore, NegScore, "
                "SynsetTerms, Gloss, separated by tabs."
            )
        if not parts[2].strip():
            continue
        good, bad = (_between(x, 0, 1, file, number) for x in parts[2:4])
        for term in parts[4].split():
            name, _, sense = term.rpartition("#")
            if not name or not sense.isdecimal() or int(sense) < 1:
                raise InputError(f"{file}, line {number}: {term!r} is no term such as able#1.")
            weight = 1 / int(sense)
            total = sums.setdefault(name.replace("_", " ").lower(), [0.0, 0.0, 0.0])
            total[0] += weight * (good - bad)
            total[1] += weight * (good + bad)
            total[2] += weight
    words = {}
    for name, (difference, size, weight) in sums.items():
        polarity = difference / weight
        words[name] = Affect(label_of(polarity), polarity, size / weight, "sentiwordnet")
    return _lexicon(words, file)


def read_liwc(path: str | Path) -> WordLexicon:
    """A LIWC dictionary (.dic): categories between two lines of `%`, then words with category
    numbers; a word that ends in `*` stands for all that begin so.

    Words of positive emotion get polarity 0.6, of negative -0.6, all intensity 0.5: LIWC does not
    say how strong a word is.

    Raises:
        InputError: no such file, or no category of emotion in it.
    """
    file = existing_file(path, wanted="a LIWC dictionary (.dic)")
    parts = re.split(r"(?m)^%[ \t]*\r?$", _text(file))
    if len(parts) != 3:
        raise InputError(f"{file} has no categories between two lines of %.")
    numbers: dict[str, str] = {}
    for line in parts[1].splitlines():
        number, _, name = line.strip().partition("\t")
        known = name.strip().lower().split(" (")[0]
        for label, names in _LIWC.items():
            if known in names:
                numbers[number.strip()] = label
    if not numbers:
        raise InputError(
            f"{file} has none of the categories {', '.join(n[0] for n in _LIWC.values())}."
        )
    words: dict[str, Affect] = {}
    beginnings: list[str] = []
    for line in parts[2].splitlines():
        text, *codes = line.split("\t")
        labels = [numbers[c.strip()] for c in codes if c.strip() in numbers]
        if not labels:
            continue
        name = text.strip().lower()
        if name.endswith("*"):
            name = name[:-1]
            beginnings.append(name)
        label = next((x for x in labels if x not in ("Positive", "Negative")), labels[0])
        polarity = LIWC_POLARITY if label == "Positive" else -LIWC_POLARITY
        words[name] = Affect(label, polarity, LIWC_INTENSITY, "liwc")
    return _lexicon(words, file, beginnings)


READERS: dict[str, Callable[[str | Path], WordLexicon]] = {
    "anew": read_anew,
    "sentiwordnet": read_sentiwordnet,
    "liwc": read_liwc,
}


def _text(file: Path) -> str:
    try:
        return file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is not UTF-8 text ({error.reason}); save it as UTF-8.") from error


def _between(text: str | None, low: float, high: float, file: Path, line: int) -> float:
    try:
        value = float(text or "")
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise InputError(f"{file}, line {line}: {text!r} is no number from {low:g} to {high:g}.")
    return value


def _lexicon(words: dict[str, Affect], file: Path, beginnings: Sequence[str] = ()) -> WordLexicon:
    if not words:
        raise InputError(f"{file} holds no word.")
    return WordLexicon(words, beginnings=beginnings)
