"""Smoothness: jerk, the third derivative, which the eye takes for trembling or flicker.

FRVar counts any movement, smooth or not. Action units are rounded first: between two thresholds of
0.5 nothing is shown, so only real flicker is left; valence, arousal and expressions are taken as
they are, apart from the action units.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.errors import InputError
from visavis.metrics._inputs import agree, numbers
from visavis.metrics._means import MeanOverClips

Array = NDArray[np.float64]
FPS = 25.0


@dataclass(frozen=True)
class Group:
    """Channels whose smoothness is one number."""

    channels: slice
    rounded: bool = False
    """Labels: taken as 1 from 0.5 on, else 0."""


ATTRIBUTE_GROUPS: Mapping[str, Group] = {
    "au": Group(slice(0, 15), rounded=True),
    "va_expression": Group(slice(15, 25)),
}
"""Of the 25 facial attributes."""
COEFFICIENT_GROUPS: Mapping[str, Group] = {
    "blendshapes": Group(slice(0, 52)),
    "rotation": Group(slice(52, 55)),
    "translation": Group(slice(55, 58)),
}
"""Of the 58 coefficients."""


def jerk(behaviour: Any) -> Array:
    """Mean absolute third difference of each channel, per frame cubed at 25 fps, [D].

    Times 15,625 it is per second cubed.

    Args:
        behaviour: [T, D] at 25 fps, at least 4 frames.

    Raises:
        InputError: another shape, fewer than 4 frames, NaN.
    """
    values = numbers("behaviour", behaviour, "T D")
    return _mean_difference(values, 3)


def tempo(behaviour: Any) -> Array:
    """Frequency in Hz that a sine of the same jerk and speed would have, [D].

    sqrt(mean |third difference| / mean |first difference|) of a sine; blind to its amplitude,
    which jerk is not: a face at half the amplitude has half the jerk at the same tempo. NaN for a
    channel that does not move. Between 0 and 12.5.

    Args:
        behaviour: [T, D] at 25 fps, at least 4 frames.
    """
    values = numbers("behaviour", behaviour, "T D")
    third, first = _mean_difference(values, 3), _mean_difference(values, 1)
    still = first == 0
    ratio = np.where(still, np.nan, third / np.where(still, 1.0, first))
    # a difference multiplies a sine of frequency f by 2 sin(pi f / fps)
    return np.asarray(FPS / math.pi * np.arcsin(np.minimum(np.sqrt(ratio) / 2, 1.0)))


def group_jerk(behaviour: Any, groups: Mapping[str, Group] = ATTRIBUTE_GROUPS) -> dict[str, float]:
    """Mean `jerk` over the channels of each group.

    Raises:
        InputError: a group that reaches beyond the channels.
    """
    values = numbers("behaviour", behaviour, "T D")
    found = {}
    for name, group in groups.items():
        stop = group.channels.stop
        if stop is None or stop > values.shape[1] or not len(values[0, group.channels]):
            raise InputError(
                f"behaviour has {values.shape[1]} channels (axis D); group {name!r} wants "
                f"{group.channels.start} to {stop}."
            )
        chosen = values[:, group.channels]
        chosen = (chosen >= 0.5).astype(np.float64) if group.rounded else chosen
        found[name] = float(jerk(chosen).mean())
    return found


def _mean_difference(values: Array, order: int) -> Array:
    if len(values) < 4:
        raise InputError(f"behaviour has {len(values)} frames (axis T); jerk needs at least 4.")
    return np.asarray(np.abs(np.diff(values, n=order, axis=0)).mean(0))


class Jerk(MeanOverClips):
    """Streaming mean jerk of each group, of generated and real reactions, and their ratio.

    A ratio of 1 is as smooth as people; below is sluggish, above trembles.
    """

    higher_is_better = None

    def __init__(self, groups: Mapping[str, Group] = ATTRIBUTE_GROUPS, **options: Any) -> None:
        self.groups = dict(groups)
        names = tuple(f"{side}_{name}" for side in ("pred", "real") for name in self.groups)
        super().__init__(names, **options)

    def update(self, pred: Any, real: Any) -> None:
        """Count one clip: pred [M, T, D], real [N, T', D]."""
        samples, targets = numbers("pred", pred, "M T D"), numbers("real", real, "N T D")
        agree("D", pred=samples.shape[2], real=targets.shape[2])
        means = {
            "pred": self._mean(samples),
            "real": self._mean(targets),
        }
        self.add({f"{side}_{name}": x for side, row in means.items() for name, x in row.items()})

    def _mean(self, clips: Sequence[Array] | Array) -> dict[str, float]:
        rows = [group_jerk(clip, self.groups) for clip in clips]
        return {name: float(np.mean([row[name] for row in rows])) for name in self.groups}

    def compute(self) -> dict[str, Any]:
        found = super().compute()
        ratios = {f"ratio_{g}": found[f"pred_{g}"] / found[f"real_{g}"] for g in self.groups}
        return found | ratios
