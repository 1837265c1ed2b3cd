"""Dyads -> one Batch: cropping, targets, padding."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from visavis.behaviour import Behaviour
from visavis.dyad import Batch, Dyad
from visavis.errors import InputError


def collate(
    dyads: Sequence[Dyad],
    *,
    crop: int | None = None,
    targets: int = 8,
    rng: np.random.Generator | int = 0,
    listener: Callable[[str], Behaviour] | None = None,
) -> Batch:
    """One batch of B dyads.

    Args:
        dyads: clips with the same channels.
        crop: frames of a random window, one a dyad, the same for speaker, listener and targets;
            shorter clips stay whole. None keeps every clip whole, as a test does.
        targets: at most this many appropriate listeners a dyad; the paired one is always first,
            the others are a random subset.
        rng: source of windows and subsets, or its seed; equal seeds give equal batches.
        listener: the listener of a dyad by its id, e.g. `corpus.listener`. Without it, targets
            are those that are among `dyads` themselves.

    Returns:
        speaker and listener [B, T, ...], targets [B, N, T, ...] and target_mask [B, N], where N
        is the longest list here; places beyond a dyad's own list hold its paired listener and
        are masked. `lengths` [B] are frames before padding.

    Raises:
        InputError: no dyads, a crop or number of targets below 1, or a target shorter than the
            paired listener (stretch it first).
    """
    if not dyads:
        raise InputError("a batch needs at least one dyad.")
    if targets < 1 or (crop is not None and crop < 1):
        raise InputError(f"crop and targets must be at least 1, not {crop} and {targets}.")
    rng = np.random.default_rng(rng) if isinstance(rng, int) else rng
    here = {dyad.id: dyad.listener for dyad in dyads}
    speakers, listeners, lists = [], [], []
    for dyad in dyads:
        frames = min(dyad.speaker.frames, dyad.listener.frames)
        length = frames if crop is None else min(crop, frames)
        start = int(rng.integers(frames - length + 1))
        chosen = [dyad.listener]
        for name in _others(dyad, targets - 1, rng, None if listener else here):
            chosen.append(here[name] if listener is None or name in here else listener(name))
        speakers.append(dyad.speaker.window(start, start + length))
        cut = [_cut(target, start, length, dyad.id) for target in chosen]
        listeners.append(cut[0])
        lists.append(cut)
    count = max(len(cut) for cut in lists)
    mask = torch.zeros(len(dyads), count, dtype=torch.bool)
    for row, cut in enumerate(lists):
        mask[row, : len(cut)] = True
        cut.extend([cut[0]] * (count - len(cut)))
    return Batch(
        speaker=Behaviour.stack(speakers),
        listener=Behaviour.stack(listeners),
        targets=Behaviour.stack([Behaviour.stack(cut) for cut in lists]),
        target_mask=mask,
        lengths=torch.tensor([clip.frames for clip in speakers]),
        ids=tuple(dyad.id for dyad in dyads),
    )


def _others(
    dyad: Dyad, count: int, rng: np.random.Generator, known: dict[str, Behaviour] | None
) -> list[str]:
    """At most `count` ids of other appropriate dyads, in random order."""
    names = [n for n in dyad.appropriate if n != dyad.id and (known is None or n in known)]
    order = rng.permutation(len(names))[:count]
    return [names[i] for i in order]


def _cut(target: Behaviour, start: int, length: int, id: str) -> Behaviour:
    if target.frames < start + length:
        raise InputError(
            f"a target of {id} has {target.frames} frames, but frames {start} to "
            f"{start + length} were wanted; bring appropriate listeners to one length first."
        )
    return target.window(start, start + length)
