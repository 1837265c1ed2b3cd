"""How near a subject is to an utterance in meaning (Eq. 2 of the supplementary)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from visavis.features.subjects.table import SubjectTable, subject_table
from visavis.features.text import text_vectors


class Similarity(Protocol):
    """Text and subjects to similarities in [-1, 1], one a subject."""

    name: str

    def __call__(self, text: str, subjects: Sequence[str]) -> list[float]: ...


class TextEncoder(Protocol):
    """Sentences as unit vectors."""

    def encode(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """[n, d]"""


class TriggerSimilarity:
    """The default, without an encoder: how relevant our table says the text's words are to a
    subject; 0 for a subject that it does not have."""

    name = "triggers"

    def __init__(self, table: SubjectTable | None = None) -> None:
        self.table = table or subject_table()

    def __call__(self, text: str, subjects: Sequence[str]) -> list[float]:
        found = {n.lower(): x for n, x in self.table.triggered(text).items()}
        return [found.get(s.strip().lower(), 0.0) for s in subjects]


class CosineSimilarity:
    """Cosine of an encoder's vectors."""

    def __init__(self, encoder: TextEncoder, *, name: str = "encoder") -> None:
        self.encoder, self.name = encoder, name

    def __call__(self, text: str, subjects: Sequence[str]) -> list[float]:
        if not subjects:
            return []
        vectors = np.asarray(self.encoder.encode([text, *subjects]), np.float64)
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        return [float(x) for x in vectors[1:] @ vectors[0]]


class RobertaTextEncoder:
    """Mean word vectors of a RoBERTa of the user's (as `roberta_channel` takes it).

    An encoder that was not tuned on sentence pairs calls all sentences alike (cosines near 1); then
    a threshold of 0.5 keeps everything. Give a sentence encoder's folder.
    """

    def __init__(self, weights: str | Path) -> None:
        self.weights = weights

    def encode(self, texts: Sequence[str]) -> NDArray[np.float64]:
        return np.stack([text_vectors(t.split() or [""], self.weights).mean(0) for t in texts])
