"""Behaviours on another clock: 30 frames a second to 25, or one clip stretched to the length of
another. Deterministic, and by timestamps alone.

Frame i of a recording at f frames a second covers [i/f, (i+1)/f) and speaks for its middle. A new
frame takes the value of the old recording at its own middle: by linear interpolation between the
two old middles around it, or for labels 0/1 and pictures the nearest one. Before the first middle
and after the last the nearest value stands. Where only one of the two neighbours was observed it
is taken alone; where neither was, the new frame is unobserved.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from visavis.behaviour import Behaviour, Word
from visavis.channels import FPS, Channel
from visavis.errors import InputError


def resample(behaviour: Behaviour, fps: float = FPS) -> Behaviour:
    """The behaviour of one clip at `fps`; its length is round(frames * fps / its own fps).

    Words and source keep their seconds.

    Raises:
        InputError: `fps` is not positive, or this is a batch.
    """
    if not 0.0 < fps < float("inf"):
        raise InputError(f"fps is {fps}; give a positive number of frames a second.")
    if behaviour.fps == fps:
        return behaviour
    frames = max(1, round(behaviour.frames * fps / behaviour.fps))
    return replace(_sampled(behaviour, frames, behaviour.fps / fps), fps=fps)


def stretch(behaviour: Behaviour, frames: int) -> Behaviour:
    """The behaviour of one clip slowed down or sped up to `frames` frames of the same clock.

    This is how real reactions of other lengths are laid beside a prediction. The challenge on
    MARS re-synthesises them with a transformer whose checkpoint is not released; ours is a plain
    resampling, the same in every run, so scores of the two are close relatives, not equal.

    Words move along with the frames.

    Raises:
        InputError: `frames` is not positive, or this is a batch.
    """
    if frames < 1:
        raise InputError(f"a clip cannot be stretched to {frames} frames; give 1 or more.")
    if behaviour.frames == frames:
        return behaviour
    factor = frames / behaviour.frames
    words = tuple(
        Word(w.text, w.start_s * factor, w.end_s * factor)
        for w in behaviour.words
        if isinstance(w, Word)
    )
    return replace(_sampled(behaviour, frames, 1.0 / factor), words=words)


def _sampled(behaviour: Behaviour, frames: int, step: float) -> Behaviour:
    """`frames` new frames, each `step` old frames after the one before."""
    if behaviour.lead or behaviour.lengths is not None:
        raise InputError(f"one clip at a time; this is a batch {list(behaviour.lead)}.")
    if behaviour.frames < 1:
        raise InputError("a clip without frames cannot be brought to another clock.")
    channels, observed = {}, {}
    for channel in behaviour.layout:
        mask = behaviour.observed.get(channel.name)
        values, seen = sampled(
            behaviour.channels[channel.name], mask, channel, frames=frames, step=step
        )
        channels[channel.name] = values
        if seen is not None:
            observed[channel.name] = seen
    return replace(behaviour, channels=channels, observed=observed)


def sampled(
    values: Tensor, mask: Tensor | None, channel: Channel, *, frames: int, step: float
) -> tuple[Tensor, Tensor | None]:
    """One channel [T * rate, ...] and its mask [T] (or None) at `frames` new frames."""
    rate = channel.rate
    low, high, share = _around(len(values), frames * rate, step)
    weight = share.reshape(-1, *([1] * (values.ndim - 1)))
    nearest = torch.where(share < 0.5, low, high)
    if channel.kind in ("binary", "pixels"):
        taken = values[nearest]
        return taken, None if mask is None else _frames_of(_ticks(mask, rate)[nearest], rate)
    if mask is None:
        return torch.lerp(values[low], values[high], weight.to(values.dtype)), None
    seen = _ticks(mask, rate)
    before, after = seen[low], seen[high]
    # a lone observed neighbour stands for both
    low, high = torch.where(before, low, high), torch.where(after, high, low)
    there = before | after
    mixed = torch.lerp(values[low], values[high], weight.to(values.dtype))
    return mixed, _frames_of(there, rate)


def _around(ticks: int, count: int, step: float) -> tuple[Tensor, Tensor, Tensor]:
    """For each of `count` new ticks: the old ticks around its middle, and the way between."""
    at = np.clip((np.arange(count, dtype=np.float64) + 0.5) * step - 0.5, 0.0, ticks - 1)
    low = np.floor(at).astype(np.int64)
    high = np.minimum(low + 1, ticks - 1)
    return torch.from_numpy(low), torch.from_numpy(high), torch.from_numpy(at - low)


def _ticks(mask: Tensor, rate: int) -> Tensor:
    return mask.repeat_interleave(rate) if rate > 1 else mask


def _frames_of(ticks: Tensor, rate: int) -> Tensor:
    """A frame is observed where all its ticks are."""
    return ticks.reshape(-1, rate).all(dim=1) if rate > 1 else ticks
