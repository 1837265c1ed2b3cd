"""Behaviours joined: one after the other in time, or side by side as a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from visavis.behaviour import Behaviour, Source, Word, Words, words_of
from visavis.errors import InputError


def cat(parts: Sequence[Behaviour]) -> Behaviour:
    """One behaviour after the other in time; leading axes and layouts must agree."""
    first = agreeing(parts, "join")
    if len(parts) == 1 and first.lengths is None:
        return first
    if any(p.lead != first.lead for p in parts):
        raise InputError(f"cannot join leading axes {[list(p.lead) for p in parts]} in time.")
    if any(p.lengths is not None for p in parts):
        raise InputError("padded batches cannot be joined in time; join their clips.")
    offsets = np.cumsum([0, *(p.frames for p in parts)]) / first.fps
    if any(p.words and isinstance(p.words[0], tuple) for p in parts):
        words: Words = tuple(
            tuple(w.moved(s) for p, s in zip(parts, offsets, strict=False) for w in words_of(p, i))
            for i in range(first.lead[0])
        )
    else:
        words = tuple(
            w.moved(s)
            for p, s in zip(parts, offsets, strict=False)
            for w in p.words
            if isinstance(w, Word)
        )
    axis = len(first.lead)
    masked = {n for p in parts for n in p.observed}
    return replace(
        first,
        channels={n: torch.cat([p.channels[n] for p in parts], axis) for n in first.layout.names},
        observed={n: torch.cat([p.mask(n) for p in parts], axis) for n in masked},
        words=words,
        derived=frozenset().union(*(p.derived for p in parts)),
    )


def stack(clips: Sequence[Behaviour]) -> Behaviour:
    """A batch [B, ..., T]; shorter clips are padded with zeros and `lengths` says so."""
    first = agreeing(clips, "batch")
    if any(c.lead != first.lead for c in clips):
        raise InputError(f"cannot batch leading axes {[list(c.lead) for c in clips]}.")
    if any(c.lengths is not None for c in clips):
        raise InputError("padded batches cannot be batched again.")
    if any(c.words and isinstance(c.words[0], tuple) for c in clips):
        raise InputError("clips that hold words clip by clip cannot be batched; drop the words.")
    frames = max(c.frames for c in clips)
    masked = {n for c in clips for n in c.observed}
    axis = len(first.lead)

    def padded(values: Tensor, ticks: int) -> Tensor:
        missing = ticks - values.shape[axis]
        if not missing:
            return values
        shape = (*values.shape[:axis], missing, *values.shape[axis + 1 :])
        return torch.cat([values, values.new_zeros(shape)], axis)

    lengths = torch.tensor([c.frames for c in clips], device=first.device)
    return Behaviour(
        {
            n: torch.stack([padded(c.channels[n], frames * first.layout[n].rate) for c in clips])
            for n in first.layout.names
        },
        first.layout,
        first.fps,
        {n: torch.stack([padded(c.mask(n), frames) for c in clips]) for n in masked},
        lengths if len({c.frames for c in clips}) > 1 else None,
        tuple(flat_words(c) for c in clips) if any(c.words for c in clips) else (),
        tuple(single_source(c) for c in clips) if any(c.source for c in clips) else None,
        frozenset().union(*(c.derived for c in clips)),
    )


def agreeing(parts: Sequence[Behaviour], verb: str) -> Behaviour:
    if not parts:
        raise InputError(f"there is nothing to {verb}.")
    first = parts[0]
    for part in parts[1:]:
        if part.layout.convention != first.layout.convention:
            raise InputError(
                f"cannot {verb} coefficients of different conventions "
                f"({first.layout.convention} and {part.layout.convention}); convert one first."
            )
        if part.layout != first.layout:
            raise InputError(
                f"cannot {verb} different channels: {', '.join(first.layout.names)} and "
                f"{', '.join(part.layout.names)}; select() the same ones first."
            )
        if part.fps != first.fps:
            raise InputError(f"cannot {verb} {first.fps:g} and {part.fps:g} frames a second.")
    return first


def flat_words(clip: Behaviour) -> tuple[Word, ...]:
    return tuple(w for w in clip.words if isinstance(w, Word))


def single_source(clip: Behaviour) -> Source | None:
    return clip.source if isinstance(clip.source, Source) else None
