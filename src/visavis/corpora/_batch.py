"""Dyads -> one Batch: cropping, targets, history, padding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from visavis.behaviour import Behaviour
from visavis.channels import WORDS
from visavis.corpora._disk_clock import NEAR, stretch
from visavis.dyad import TRAITS, Batch, Dyad
from visavis.errors import InputError


def collate(
    dyads: Sequence[Dyad],
    *,
    crop: int | None = None,
    targets: int = 8,
    rng: np.random.Generator | Sequence[np.random.Generator] | int = 0,
    listener: Callable[[str], Behaviour] | None = None,
    history: int | None = None,
    negatives: int = 0,
    pool: Sequence[str] = (),
) -> Batch:
    """One batch of B dyads.

    Args:
        dyads: clips with the same channels.
        crop: frames of a random window, one a dyad, the same for speaker, listener and targets;
            shorter clips stay whole. None keeps every clip whole, as a test does.
        targets: at most this many appropriate listeners a dyad; the paired one is always first,
            the others are a random subset. One of another length is brought to the pair's
            (`_disk_clock.stretch`).
        rng: source of windows and subsets, or its seed; equal seeds give equal batches. One a
            dyad makes what is drawn for a dyad independent of its neighbours.
        listener: the listener of a dyad by its id, e.g. `corpus.listener`. Without it, targets
            are those that are among `dyads` themselves.
        history: frames of the same listener in another clip, drawn from `Dyad.history` with a
            random window in it; a shorter clip comes whole. None leaves `Batch.history` out.
        negatives: real reactions a dyad that are not appropriate to its speaker, half of them (the
            first) by its own listener, from `Dyad.history`, where there are any; the others are
            drawn evenly from what of `pool` the label map does not call appropriate.
        pool: ids of the split's dyads, e.g. `corpus.ids`; without it, those in the batch.

    Returns:
        speaker and listener [B, T, ...], targets [B, N, T, ...] and target_mask [B, N], where N
        is the longest list here; places beyond a dyad's own list hold its paired listener and
        are masked. `personal_mask` [B, N] marks the targets by the very listener of the row.
        `lengths` [B] are frames before padding. `traits` where any listener's are known.
        `negatives` [B, M, T, ...] with `negative_mask` and `negative_personal` (by the very
        listener) where they are asked for.

    Raises:
        InputError: no dyads; a crop, a history or a number of targets below 1, or of negatives
            below 0; a dyad without a history where one is wanted; no negative for any dyad.
    """
    if not dyads:
        raise InputError("a batch needs at least one dyad.")
    if any(n is not None and n < 1 for n in (crop, targets, history)):
        raise InputError(
            f"crop, targets and history must be at least 1, not {crop}, {targets} and {history}."
        )
    if negatives < 0:
        raise InputError(f"negatives must be at least 0, not {negatives}.")
    if isinstance(rng, int):
        rng = np.random.default_rng(rng)
    sources = [rng] * len(dyads) if isinstance(rng, np.random.Generator) else rng
    here = {dyad.id: dyad.listener for dyad in dyads}
    speakers, listeners, lists, personal, past = [], [], [], [], []
    wrong: list[list[Behaviour]] = []
    wrong_own: list[list[bool]] = []
    for dyad, rng in zip(dyads, sources, strict=True):
        frames = min(dyad.speaker.frames, dyad.listener.frames)
        length = frames if crop is None else min(crop, frames)
        start = int(rng.integers(frames - length + 1))
        chosen, own = [dyad.listener], [True]
        for name in _others(dyad, targets - 1, rng, None if listener else here):
            chosen.append(here[name] if listener is None or name in here else listener(name))
            own.append(name in dyad.personal)
        if history is not None:
            past.append(_past(dyad, history, rng, listener, here))
        if negatives:
            found = _inappropriate(dyad, negatives, rng, pool or tuple(here), set(here), listener)
            clips = [here[n] if listener is None or n in here else listener(n) for n in found]
            wrong.append([_cut(clip, start, length, frames) for clip in clips])
            wrong_own.append([name in dyad.history for name in found])
        speakers.append(dyad.speaker.window(start, start + length))
        cut = [_cut(target, start, length, frames) for target in chosen]
        listeners.append(cut[0])
        lists.append(cut)
        personal.append(own)
    mask, same = _even(lists, personal, [cut[0] for cut in lists])
    extra = _negatives(wrong, wrong_own, listeners) if negatives else {}
    return Batch(
        speaker=Behaviour.stack(speakers),
        listener=Behaviour.stack(listeners),
        targets=Behaviour.stack([Behaviour.stack(cut) for cut in lists]),
        target_mask=mask,
        lengths=torch.tensor([clip.frames for clip in speakers]),
        ids=tuple(dyad.id for dyad in dyads),
        history=Behaviour.stack(past) if past else None,
        personal_mask=same,
        traits=_traits(dyads),
        **extra,
    )


def _even(
    lists: Sequence[list[Behaviour]], own: Sequence[Sequence[bool]], spare: Sequence[Behaviour]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Lists brought to the length of the longest by `spare`; which were there, which are own."""
    count = max(len(cut) for cut in lists)
    mask = torch.zeros(len(lists), count, dtype=torch.bool)
    same = torch.zeros_like(mask)
    for row, cut in enumerate(lists):
        mask[row, : len(cut)] = True
        same[row, : len(cut)] = torch.tensor(own[row], dtype=torch.bool)
        cut.extend([spare[row]] * (count - len(cut)))
    return mask, same


def _negatives(
    wrong: Sequence[list[Behaviour]], own: Sequence[Sequence[bool]], spare: Sequence[Behaviour]
) -> dict[str, Any]:
    if not any(wrong):
        raise InputError(
            "inappropriate reactions were wanted, but every reaction here is appropriate to every "
            "speaker: give `pool` (e.g. corpus.ids) and `listener`."
        )
    mask, same = _even(wrong, own, spare)
    stacked = Behaviour.stack([Behaviour.stack(cut) for cut in wrong])
    return {"negatives": stacked, "negative_mask": mask, "negative_personal": same}


def _inappropriate(
    dyad: Dyad,
    count: int,
    rng: np.random.Generator,
    pool: Sequence[str],
    here: set[str],
    listener: Callable[[str], Behaviour] | None,
) -> list[str]:
    """At most `count` ids of reactions that are not appropriate to the dyad's speaker."""
    suits = {dyad.id, *dyad.appropriate}
    own = [n for n in dyad.history if n not in suits and (listener is not None or n in here)]
    order = rng.permutation(len(own))[: (count + 1) // 2]
    found = [own[i] for i in order]
    known = [n for n in pool if n in here] if listener is None else pool
    for i in rng.permutation(len(known)):
        if len(found) == count:
            break
        if known[i] not in suits and known[i] not in found:
            found.append(known[i])
    return found


def _past(
    dyad: Dyad,
    frames: int,
    rng: np.random.Generator,
    listener: Callable[[str], Behaviour] | None,
    here: dict[str, Behaviour],
) -> Behaviour:
    """A random window of at most `frames` of one other clip of the dyad's listener."""
    names = [name for name in dyad.history if listener is not None or name in here]
    if not names:
        why = (
            "has none"
            if not dyad.history
            else "has some, but none in this batch: give `listener`, e.g. corpus.listener"
        )
        raise InputError(
            f"a history of the listener was wanted, but {dyad.id} {why}. Leave out `history`, or "
            "choose dyads whose listener also met other scripts."
        )
    name = names[int(rng.integers(len(names)))]
    clip = here[name] if listener is None or name in here else listener(name)
    length = min(frames, clip.frames)
    start = int(rng.integers(clip.frames - length + 1))
    return clip.window(start, start + length)


def _traits(dyads: Sequence[Dyad]) -> torch.Tensor | None:
    """[B, 5], NaN where unknown; None where all are."""
    if all(dyad.traits is None for dyad in dyads):
        return None
    unknown = torch.full((len(TRAITS),), float("nan"))
    return torch.stack([unknown if d.traits is None else d.traits for d in dyads])


def _others(
    dyad: Dyad, count: int, rng: np.random.Generator, known: dict[str, Behaviour] | None
) -> list[str]:
    """At most `count` ids of other appropriate dyads, in random order."""
    names = [n for n in dyad.appropriate if n != dyad.id and (known is None or n in known)]
    order = rng.permutation(len(names))[:count]
    return [names[i] for i in order]


def _cut(target: Behaviour, start: int, length: int, frames: int) -> Behaviour:
    """Frames of a target, brought to the `frames` of its pair first where it has others."""
    if not frames <= target.frames <= frames + NEAR:  # a frame or two more are an encoder's
        target = stretch(target, frames)
    cut = target.window(start, start + length)
    return cut.without(WORDS) if cut.words else cut  # words lie along one leading axis only
