"""Emotion priors on the clock, and all channels that words give."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from visavis.behaviour import Behaviour, Word, words_of
from visavis.channels import STANDARD, SUBJECT_LETTERS, SUBJECT_SLOTS
from visavis.errors import InputError
from visavis.features.subjects.lexicon import LABELS
from visavis.features.subjects.recovery import EmotionPrior, default_recovery
from visavis.features.text import HOLD_S, Reach, frame_at, text_channel, word_vector

GAP_S = 0.5
"""A silence of this length ends an utterance; gaps between turns are shorter (Heldner, 2010)."""
LONGEST = 8
"""Words of an utterance at most: what runs on is cut, so that a feeling has its moment."""
_END = re.compile(r"[.!?;:…][\"')\]]*$")
Recovery = Callable[[str], Sequence[EmotionPrior]]


@dataclass(frozen=True)
class Said:
    """An utterance as far as it has been said when its last word here is."""

    text: str
    word: Word
    """The last of its words."""
    ends: bool
    """Whether the utterance ends with it."""


def utterances(words: Sequence[Word]) -> Iterator[Said]:
    """Every beginning of every utterance, word by word: "I", "I am", "I am glad"."""
    so_far: list[str] = []
    for i, word in enumerate(words):
        so_far.append(word.text)
        following = words[i + 1] if i + 1 < len(words) else None
        ends = (
            following is None
            or following.start_s - word.end_s >= GAP_S
            or bool(_END.search(word.text))
            or len(so_far) >= LONGEST
        )
        yield Said(" ".join(so_far), word, ends)
        if ends:
            so_far = []


def subject_channel(
    words: Sequence[Word],
    frames: int,
    *,
    reach: Reach = "span",
    recovery: Recovery | None = None,
) -> Tensor:
    """What is said, as emotion priors on the clock: a channel `subjects` [T, slots x 19].

    A frame has the priors of the utterance so far, the strongest first, at most `SUBJECT_SLOTS`;
    each is intensity, polarity, the label's place in `LABELS`, and 16 numbers from the subject's
    letters. Intensity 0 is an empty slot. They stay until the next word, at most a second.

    Args:
        words: with times in seconds.
        frames: T at 25 a second.
        reach: "span": from the moment a word begins. "heard": from the frame after its end, what a
            live recogniser could know (as `text_channel`).
        recovery: text to priors, called for every beginning of an utterance; the offline one by
            default.

    Raises:
        InputError: an unknown `reach`; MissingExtra: no `recovery`, and no vaderSentiment.
    """
    if reach not in ("span", "heard"):
        raise InputError(f"reach is 'span' or 'heard', not {reach!r}.")
    recovery = recovery or default_recovery()
    out = np.zeros((frames, STANDARD["subjects"].size), np.float32)
    said = list(utterances(words))
    for i, now in enumerate(said):
        begin = now.word.start_s if reach == "span" else now.word.end_s
        until = now.word.end_s + HOLD_S
        later = [s.word for s in said[i + 1 :]]
        if later:
            until = min(until, later[0].start_s if reach == "span" else later[0].end_s)
        shift = 0 if reach == "span" else 1
        first = frame_at(begin) + shift
        last = min(frames, max(frame_at(until) + shift, first + 1))
        first = max(0, first)
        if first < last:
            out[first:last] = _row(recovery(now.text))
    return torch.from_numpy(out)


def _row(priors: Sequence[EmotionPrior]) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    row = np.zeros((SUBJECT_SLOTS, 3 + SUBJECT_LETTERS), np.float32)
    strongest = sorted(priors, key=lambda p: -p.intensity)[:SUBJECT_SLOTS]
    for slot, prior in zip(row, strongest, strict=False):
        slot[:3] = prior.intensity, prior.polarity, LABELS.index(prior.label)
        slot[3:] = letters(prior.subject)
    return row.reshape(-1)


def letters(subject: str) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """A subject as a unit vector [16] from its words' letters; zero for no words.

    `word_vector` folded: 64 is a multiple of 16, so this is the same hashing at 16.
    """
    vectors = [word_vector(w) for w in subject.split()]
    if not vectors:
        return np.zeros(SUBJECT_LETTERS, np.float32)
    folded = np.sum(vectors, axis=0).reshape(-1, SUBJECT_LETTERS).sum(0)
    return np.asarray(folded / max(float(np.linalg.norm(folded)), 1e-9), np.float32)


def with_word_channels(
    speaker: Behaviour,
    names: Iterable[str] = ("text", "subjects"),
    *,
    reach: Reach = "span",
    recovery: Recovery | None = None,
    silent: bool = False,
) -> Behaviour:
    """The behaviour [T, ...] or [B, T, ...] with the channels of its words that it lacks.

    A clip without words has them unobserved: nobody knows what was said. With `silent` it counts as
    one in which nothing was said: live, nobody knows before the first word whether any will come.

    Raises:
        InputError: a name that words do not give.
    """
    makers: dict[str, Callable[[Sequence[Word], int], Tensor]] = {
        "text": lambda words, frames: text_channel(words, frames, reach=reach),
        "subjects": lambda words, frames: subject_channel(
            words, frames, reach=reach, recovery=recovery
        ),
    }
    lacking = [n for n in names if n not in speaker.layout]
    for name in lacking:
        if name not in makers:
            raise InputError(f"words give {' and '.join(makers)} here, not {name!r}.")
    if not lacking:
        return speaker
    if len(speaker.lead) > 1:
        raise InputError(f"words are of clips [B, T], not of leading axes {list(speaker.lead)}.")
    clips = range(speaker.lead[0]) if speaker.lead else range(1)
    said = [words_of(speaker, i) for i in clips]
    channels, observed = {}, {}
    there = torch.tensor([silent or bool(words) for words in said], device=speaker.device)
    for name in lacking:
        rows = torch.stack([makers[name](words, speaker.frames) for words in said])
        channels[name] = (rows if speaker.lead else rows[0]).to(speaker.device)
        known = there[:, None].expand(-1, speaker.frames)
        observed[name] = known if speaker.lead else known[0]
    return speaker.with_channels(channels, observed=observed)
