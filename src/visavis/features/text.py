"""Words to numbers on the clock: offline by default, RoBERTa where its weights are given."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from visavis.behaviour import Word
from visavis.channels import FPS, STANDARD
from visavis.errors import InputError, require

F64 = NDArray[np.float64]
Reach = Literal["span", "heard"]

WIDTH = STANDARD["text"].size
HOLD_S = 1.0
"""How long a heard word stays, seconds."""


@lru_cache(maxsize=50_000)
def word_vector(word: str) -> NDArray[np.float32]:
    """A word as a unit vector [64] from its letters: the same on every machine.

    Signed feature hashing (Weinberger et al. 2009) of the word and its 3- to 5-letter pieces, as
    subword vectors have them (Bojanowski et al. 2017), but fixed rather than learned: words that
    share a stem are near, words that share a meaning are not. Case and punctuation are ignored;
    a word without letters or digits is zero.
    """
    plain = re.sub(r"[^\w']", "", word.lower())
    out = np.zeros(WIDTH, np.float32)
    if plain:
        framed = f"<{plain}>"
        pieces = [framed[i : i + n] for n in (3, 4, 5) for i in range(len(framed) - n + 1)]
        for piece in (framed, *pieces):
            code = zlib.crc32(piece.encode())
            out[code % WIDTH] += 1.0 if code >> 31 else -1.0
        out /= max(float(np.linalg.norm(out)), 1e-9)
    out.flags.writeable = False
    return out


def text_channel(words: Sequence[Word], frames: int, *, reach: Reach = "span") -> Tensor:
    """What is being said as a channel `text` [T, 64].

    Args:
        words: with times in seconds; those outside the clip say nothing.
        frames: T at 25 a second.
        reach: "span": a frame has the mean vector of the words spoken in it, weighted by their
            share of the frame. "heard": a word counts from the frame after its end, for one second
            or until the next: what a live recogniser could know, so models stay causal.

    Raises:
        InputError: an unknown `reach`.
    """
    vectors = [np.asarray(word_vector(w.text), np.float64) for w in words]
    return torch.from_numpy(_on_clock(words, vectors, frames, reach, WIDTH).astype(np.float32))


def roberta_channel(
    words: Sequence[Word],
    frames: int,
    *,
    weights: str | Path,
    reach: Reach = "span",
    progress: Callable[[int, int | None], None] | None = None,
) -> Tensor:
    """Contextual word vectors as a channel `roberta` [T, 768].

    The whole transcript is encoded, in pieces of at most 200 words with 50 words of what went
    before; a word is the mean of its tokens' last hidden states. With reach "heard" each word is
    encoded with nothing after it, so that the future does not leak through the context: slower.

    Args:
        weights: folder of a RoBERTa (or any encoder of width 768) with its tokenizer, as
            `save_pretrained` writes it. Nothing is downloaded.

    Raises:
        MissingExtra: transformers is not installed.
        InputError: the folder holds no such model, or its width is not 768.
    """
    model, tokenizer = _encoder(str(weights))
    width = STANDARD["roberta"].size
    if model.config.hidden_size != width:
        raise InputError(
            f"the encoder in {weights} has width {model.config.hidden_size}; channel roberta has "
            f"{width}, as RoBERTa base."
        )
    texts = [w.text for w in words]
    vectors: list[F64] = []
    size = 1 if reach == "heard" else 150
    for start in range(0, len(texts), size):
        first = max(0, start - 50)
        piece = texts[first : start + size]
        vectors += list(_encoded(model, tokenizer, piece))[start - first :]
        if progress is not None:
            progress(min(start + size, len(texts)), len(texts))
    return torch.from_numpy(_on_clock(words, vectors, frames, reach, width).astype(np.float32))


def text_vectors(words: Sequence[str], weights: str | Path) -> F64:
    """Contextual vectors of one sentence's words, [N, C]; `weights` as of `roberta_channel`, of
    any width."""
    model, tokenizer = _encoder(str(weights))
    return _encoded(model, tokenizer, list(words))


def frame_at(seconds: float) -> int:
    """The frame that a moment lies in; one that is a boundary but for rounding lies behind it, so
    that words moved by whole frames fall on frames moved likewise."""
    return int(np.floor(seconds * FPS + 1e-6))


def _on_clock(
    words: Sequence[Word], vectors: Sequence[F64], frames: int, reach: Reach, width: int
) -> F64:
    if reach not in ("span", "heard"):
        raise InputError(f"reach is 'span' or 'heard', not {reach!r}.")
    total, weight = np.zeros((frames, width)), np.zeros((frames, 1))
    ends = sorted(w.end_s for w in words)
    for word, vector in zip(words, vectors, strict=True):
        if reach == "span":
            begin, stop = word.start_s * FPS, word.end_s * FPS
        else:  # whole frames, from the one after the frame in which the word ended
            later = [e for e in ends if e > word.end_s]
            begin = frame_at(word.end_s) + 1
            stop = frame_at(min([word.end_s + HOLD_S, *later[:1]])) + 1
        for t in range(max(0, int(begin)), min(frames, int(np.ceil(stop)))):
            share = min(stop, t + 1) - max(begin, t)
            if share > 0:
                total[t] += share * vector
                weight[t] += share
    return np.asarray(total / np.maximum(weight, 1e-9))


@lru_cache(maxsize=1)
def _encoder(folder: str) -> tuple[Any, Any]:
    transformers = require("transformers", extra="audio")
    if not Path(folder).is_dir():
        raise InputError(f"{folder} is no folder; give one with config.json and the weights.")
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model = transformers.AutoModel.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise InputError(f"{folder} holds no text encoder: {error}") from error
    return model.eval(), tokenizer


def _encoded(model: Any, tokenizer: Any, texts: list[str]) -> F64:
    """Vectors of words [N, C]; a word that the tokenizer drops is zero."""
    tokens = tokenizer(
        texts,
        is_split_into_words=True,
        return_tensors="pt",
        truncation=True,
        max_length=min(512, tokenizer.model_max_length),
    )
    with torch.no_grad():
        hidden = model(**tokens).last_hidden_state[0].double().numpy()
    out = np.zeros((len(texts), hidden.shape[1]))
    count = np.zeros((len(texts), 1))
    for place, word in enumerate(tokens.word_ids(0)):
        if word is not None:
            out[word] += hidden[place]
            count[word] += 1
    return np.asarray(out / np.maximum(count, 1))
