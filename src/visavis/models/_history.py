"""A listener's history of any length as windows of the length that an encoder reads."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch
from torch import Tensor

from visavis.behaviour import Behaviour
from visavis.channels import FPS
from visavis.errors import InputError, MissingChannel
from visavis.models._appropriate_loss import real

logger = logging.getLogger("visavis")

LEAST_S = 1.0
"""Less than this tells nothing of a person."""
SHORT_S = 9.6
"""The shortest history that PerReactor's paper tried (its Table 4)."""


def observed_frames(history: Behaviour, names: Sequence[str]) -> Tensor:
    """The frames [F, C] of a history [T, ...] in which all the channels were observed.

    Raises:
        MissingChannel: a channel is not there.
        InputError: not one clip, or less than `LEAST_S` of it was observed.
    """
    if not isinstance(history, Behaviour):
        raise InputError(
            f"a history is a Behaviour of the listener, not {type(history).__name__}; make one "
            "with visavis.perceive(path)."
        )
    if history.lead:
        raise InputError(
            f"a persona is made from one clip [T], not from leading axes {list(history.lead)}."
        )
    if history.fps != FPS:
        raise InputError(f"a history is wanted at {FPS:g} frames a second, not {history.fps:g}.")
    lacking = [n for n in names if n not in history.layout]
    if lacking:
        raise MissingChannel(
            f"the history lacks {', '.join(lacking)}; visavis.perceive(path) of a film of the "
            "listener gives them."
        )
    values, keep = real(history, *names)
    kept = values[keep]
    if len(kept) < LEAST_S * FPS:
        raise InputError(
            f"the listener was observed in {len(kept)} of the history's {history.frames} frames; "
            f"a persona needs {LEAST_S:g} s ({LEAST_S * FPS:g} frames) at least, and is better "
            f"with {SHORT_S:g} s or more."
        )
    if len(kept) < SHORT_S * FPS:
        logger.warning(
            "a history of %.1f s is short: the model was made for %.1f s and more",
            len(kept) / FPS,
            SHORT_S,
        )
    return kept


def cut(frames: Tensor, size: int) -> Tensor:
    """Frames [F, C] as windows [W, size, C] that cover them all; the last ends with the history.

    A history that is shorter than a window comes round again.
    """
    count = len(frames)
    if count < size:
        return frames[torch.arange(size, device=frames.device) % count][None]
    starts = [*range(0, count - size, size), count - size]
    return torch.stack([frames[s : s + size] for s in starts])


def first_windows(history: Behaviour, names: Sequence[str], size: int) -> Tensor:
    """One window a clip of a batch of histories [B, T, ...], for training: [B, size, C].

    Raises:
        InputError: a clip has no observed frame.
    """
    values, keep = real(history, *names)
    windows = []
    for row, seen in zip(values, keep, strict=True):
        if not bool(seen.any()):
            raise InputError("a history in this batch has no observed frame.")
        windows.append(cut(row[seen][:size], size)[0])
    return torch.stack(windows)
