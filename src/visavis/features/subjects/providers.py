"""Who proposes subjects for an utterance: a lexicon, a list, a function, a record of one."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from visavis.errors import InputError, VisavisError
from visavis.features.subjects.table import SubjectTable, subject_table
from visavis.files import atomic_path, existing_file

FORMAT = 1


class ProviderError(VisavisError):
    """A provider did not answer; the text says why."""


class SubjectProvider(Protocol):
    """Eq. 1 of the supplementary: an utterance to subjects l_1 ... l_k."""

    def propose(self, text: str, k: int) -> list[str]:
        """At most k subjects, the likeliest first.

        Raises:
            ProviderError: it did not answer.
        """


class LexiconSubjectProvider:
    """The subjects whose triggers stand in the text: offline, deterministic, the default.

    English alone: a text in another language triggers nothing.
    """

    def __init__(self, table: SubjectTable | None = None) -> None:
        self.table = table or subject_table()

    def propose(self, text: str, k: int) -> list[str]:
        return list(self.table.triggered(text))[:k]


class StaticSubjectProvider:
    """The same subjects whatever is said, or given text by text."""

    def __init__(self, subjects: Sequence[str] | Mapping[str, Sequence[str]]) -> None:
        self.subjects = subjects

    def propose(self, text: str, k: int) -> list[str]:
        found = self.subjects.get(text, ()) if isinstance(self.subjects, Mapping) else self.subjects
        return list(found)[:k]


class CallableSubjectProvider:
    """A function (text, k) -> subjects of the caller's: any model at all."""

    def __init__(self, function: Callable[[str, int], Iterable[str]]) -> None:
        self.function = function

    def propose(self, text: str, k: int) -> list[str]:
        try:
            answer = self.function(text, k)
            return clean(answer, k)
        except ProviderError:
            raise
        except Exception as error:  # whatever the caller's function may raise
            raise ProviderError(f"the function that proposes subjects failed: {error}") from error


class CachedSubjectProvider:
    """Answers are recorded in a JSON file once and replayed ever after.

    Without `inner` it only replays: an utterance that was never recorded is a `ProviderError`.
    """

    def __init__(self, inner: SubjectProvider | None, path: str | Path) -> None:
        """
        Raises:
            InputError: the file is no such record, or there is none and nothing to record from.
        """
        self.inner, self.path = inner, Path(path)
        self._lock = threading.Lock()
        self._known: dict[str, list[str]] = {}
        if inner is None or self.path.exists():
            self._known = _read(existing_file(self.path, wanted="a record of subjects (.json)"))

    def propose(self, text: str, k: int) -> list[str]:
        key = f"{k}|{text}"
        with self._lock:
            known = self._known.get(key)
        if known is not None:
            return list(known)
        if self.inner is None:
            raise ProviderError(f"{self.path} has no subjects for {text[:60]!r}.")
        found = self.inner.propose(text, k)
        with self._lock:
            self._known[key] = found
            about = {"format": FORMAT, "subjects": dict(sorted(self._known.items()))}
            with atomic_path(self.path) as temporary:
                temporary.write_text(
                    json.dumps(about, indent=1, ensure_ascii=False) + "\n", "utf-8"
                )
        return list(found)


def _read(file: Path) -> dict[str, list[str]]:
    try:
        about = json.loads(file.read_text("utf-8"))
        if about["format"] != FORMAT:
            raise ValueError(f"format {about['format']}, wanted {FORMAT}")
        return {str(key): clean(found, len(found)) for key, found in about["subjects"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, ProviderError) as error:
        raise InputError(f"{file} is no record of subjects: {error}.") from error


def clean(answer: object, k: int) -> list[str]:
    """Subjects from what a model gave: texts, trimmed, each once, at most k.

    Raises:
        ProviderError: it is no list of texts.
    """
    if isinstance(answer, str | Mapping) or not isinstance(answer, Iterable):
        raise ProviderError(f"subjects come as a list of texts, not as {type(answer).__name__}.")
    found: dict[str, str] = {}
    for subject in answer:
        if not isinstance(subject, str):
            raise ProviderError(f"a subject is a text, not {subject!r}.")
        trimmed = " ".join(subject.split())
        if trimmed:
            found.setdefault(trimmed.lower(), trimmed)
    return list(found.values())[:k]
