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
from visavis.channels import FPS, Channel, Layout
from visavis.errors import InputError

NEAR = 2
"""Frames by which two recordings of one clip may differ without a word: encoders round."""


def resample(behaviour: Behaviour, fps: float = FPS, *, frames: int | None = None) -> Behaviour:
    """The behaviour [..., T, ...] at `fps`; its length is round(frames * fps / its own fps).

    `frames` sets the length where another clip has already settled it; past the end the last
    frame stands.

    Words and source keep their seconds.

    Raises:
        InputError: `fps` is not positive, or this is a padded batch.
    """
    if not 0.0 < fps < float("inf"):
        raise InputError(f"fps is {fps}; give a positive number of frames a second.")
    if frames is None:
        frames = max(1, round(behaviour.frames * fps / behaviour.fps))
    if behaviour.fps == fps and behaviour.frames == frames:
        return behaviour
    return replace(_sampled(behaviour, frames, behaviour.fps / fps), fps=fps)


def stretch(behaviour: Behaviour, frames: int) -> Behaviour:
    """The behaviour slowed down or sped up to `frames` frames of the same clock.

    This is how real reactions of other lengths are laid beside a prediction. The challenge on
    MARS re-synthesises them with a transformer whose checkpoint is not released; ours is a plain
    resampling, the same in every run, so scores of the two are close relatives, not equal.

    Words move along with the frames.

    Raises:
        InputError: `frames` is not positive, or this is a padded batch or has words clip by clip.
    """
    if frames < 1:
        raise InputError(f"a clip cannot be stretched to {frames} frames; give 1 or more.")
    if behaviour.frames == frames:
        return behaviour
    factor = frames / behaviour.frames
    if any(not isinstance(word, Word) for word in behaviour.words):
        raise InputError("this batch has words clip by clip; stretch its clips one at a time.")
    words = tuple(
        Word(w.text, w.start_s * factor, w.end_s * factor)
        for w in behaviour.words
        if isinstance(w, Word)
    )
    return replace(_sampled(behaviour, frames, 1.0 / factor), words=words)


def beside(first: Behaviour, second: Behaviour) -> Behaviour:
    """The channels of two behaviours of one person, of equal length and clock, in one.

    Raises:
        InputError: they differ in frames, or one channel is in both.
    """
    return replace(
        first,
        channels={**first.channels, **second.channels},
        layout=Layout((*first.layout.channels, *second.layout.channels), first.layout.convention),
        observed={**first.observed, **second.observed},
        derived=first.derived | second.derived,
        words=first.words or second.words,
        source=first.source or second.source,
    )


def _sampled(behaviour: Behaviour, frames: int, step: float) -> Behaviour:
    """`frames` new frames, each `step` old frames after the one before."""
    if behaviour.lengths is not None:
        raise InputError("a padded batch cannot change its clock; take its clips one at a time.")
    if behaviour.frames < 1:
        raise InputError("a clip without frames cannot be brought to another clock.")
    axis = len(behaviour.lead)
    channels, observed = {}, {}
    for channel in behaviour.layout:
        values, seen = _channel(
            behaviour.channels[channel.name],
            behaviour.observed.get(channel.name),
            channel,
            places=_around(behaviour.frames * channel.rate, frames * channel.rate, step),
            axis=axis,
        )
        channels[channel.name] = values
        if seen is not None:
            observed[channel.name] = seen
    return replace(behaviour, channels=channels, observed=observed)


def _channel(
    values: Tensor,
    mask: Tensor | None,
    channel: Channel,
    *,
    places: tuple[Tensor, Tensor, Tensor],
    axis: int,
) -> tuple[Tensor, Tensor | None]:
    """One channel [..., T * rate, *width] and its mask [..., T] (or None) at new places."""
    low, high, share = places
    seen = None if mask is None else mask.repeat_interleave(channel.rate, dim=-1)
    if channel.kind in ("binary", "pixels"):
        nearest = torch.where(share < 0.5, low, high)
        there = None if seen is None else seen[..., nearest]
        return values.index_select(axis, nearest), _frames(there, channel.rate)
    before, after = values.index_select(axis, low), values.index_select(axis, high)
    width = [1] * len(channel.width)
    weight = share.to(values.dtype).reshape(-1, *width)
    mixed = torch.lerp(before, after, weight.expand_as(before))
    if seen is None:
        return mixed, None
    first, second = seen[..., low], seen[..., high]
    shaped = (*first.shape, *width)
    mixed = torch.where(first.reshape(shaped), mixed, after)  # a lone neighbour stands for both
    mixed = torch.where(second.reshape(shaped), mixed, before)
    return mixed, _frames(first | second, channel.rate)


def _around(ticks: int, count: int, step: float) -> tuple[Tensor, Tensor, Tensor]:
    """For each of `count` new ticks: the old ticks around its middle, and the way between."""
    at = np.clip((np.arange(count, dtype=np.float64) + 0.5) * step - 0.5, 0.0, ticks - 1)
    low = np.floor(at).astype(np.int64)
    high = np.minimum(low + 1, ticks - 1)
    return torch.from_numpy(low), torch.from_numpy(high), torch.from_numpy(at - low)


def _frames(ticks: Tensor | None, rate: int) -> Tensor | None:
    """A frame is observed where all its ticks are."""
    if ticks is None or rate == 1:
        return ticks
    return ticks.reshape(*ticks.shape[:-1], -1, rate).all(dim=-1)
