"""What a tracker's table says in our units, and how that becomes a Behaviour."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from visavis.behaviour import Behaviour, Source
from visavis.channels import STANDARD
from visavis.errors import InputError
from visavis.features.trackers._clock import frames_of, onto_clock, step_of

logger = logging.getLogger("visavis")

Doubles = NDArray[np.float64]

_BY_LABEL = ("au", "expression", "blendshapes")
"""Channels of which a tracker may know some labels and not others."""
_WHOLE = ("va", "rotation", "translation", "confidence")
"""Channels that are known in all their numbers or not at all."""


@dataclass(frozen=True)
class Reading:
    """N rows of a tracker, units, signs and orders ours; NaN is what was not told."""

    times: Doubles
    """[N] seconds from the clip's start."""
    channels: dict[str, Doubles]
    """Standard name -> [N, width]."""
    derived: frozenset[str] = frozenset()

    def behaviour(self, path: Path) -> Behaviour:
        """On the 25 fps clock; `translation` from the clip's median place.

        Raises:
            InputError: the times make no sense, or nothing is known of any frame.
        """
        step = step_of(self.times, path)
        frames = frames_of(self.times, step)
        put = {
            name: onto_clock(self.times, _smooth_turns(name, values), step, frames)
            for name, values in self.channels.items()
            if np.isfinite(values).any()
        }
        if not set(put) - {"confidence"}:
            raise InputError(f"{path}: no row of {len(self.times)} tells anything about a face.")
        values: dict[str, torch.Tensor] = {}
        observed: dict[str, torch.Tensor] = {}
        measured = np.zeros((frames, len(STANDARD["measured"].labels)))
        for name, array in put.items():
            known = np.isfinite(array)
            there = known.any(axis=1) if name in _BY_LABEL else known.all(axis=1)
            kept = np.where(known, array, 0.0)
            if name == "au" and _is_presence(self.channels[name]):
                kept = np.round(kept)  # presences: between a 0 and a 1 there is nothing
            if name == "translation":
                kept[there] -= np.median(kept[there], axis=0) if there.any() else 0.0
            channel = STANDARD[name]
            if channel.low is not None and channel.high is not None:
                kept = np.clip(kept, channel.low, channel.high)
            if name in _BY_LABEL:
                first = STANDARD["measured"].index(channel.labels[0])
                measured[:, first : first + known.shape[1]] = known
                _tell_missing(path, channel.labels, known, name)
            if name == "expression":
                total = kept.sum(axis=1, keepdims=True)
                there &= total[:, 0] > 0
                kept = kept / np.where(total > 0, total, 1.0)
            values[name] = torch.from_numpy(kept.astype(np.float32))
            observed[name] = torch.from_numpy(there)
        values["measured"] = torch.from_numpy(measured.astype(np.float32))
        return Behaviour.of(
            values,
            observed=observed,
            source=Source(str(path.resolve())),
            derived=self.derived & set(values),
        )


def _smooth_turns(name: str, values: Doubles) -> Doubles:
    """Angles without jumps of a whole turn, so that they may be interpolated."""
    if name != "rotation":
        return values
    known = np.isfinite(values).all(axis=1)
    smooth = values.copy()
    smooth[known] = np.unwrap(values[known], axis=0)
    return smooth


def _tell_missing(path: Path, labels: tuple[str, ...], known: NDArray[np.bool_], name: str) -> None:
    lacking = [label for column, label in enumerate(labels) if not known[:, column].any()]
    if lacking and len(lacking) < len(labels):
        few = ", ".join(lacking[:6]) + (f" and {len(lacking) - 6} more" if len(lacking) > 6 else "")
        logger.warning("%s does not tell %s: 0 in %s, and 0 in `measured`.", path.name, few, name)


def _is_presence(values: Doubles) -> bool:
    return bool(np.isin(values[np.isfinite(values)], (0.0, 1.0)).all())
