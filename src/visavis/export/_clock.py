"""One person's coefficients as plain arrays at the rate that a format wants."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from visavis.behaviour import Behaviour
from visavis.channels import GROUPS
from visavis.errors import InputError, MissingChannel

F64 = NDArray[np.float64]
RATES = (1.0, 240.0)
_log = logging.getLogger("visavis")


@dataclass(frozen=True)
class Frames:
    """N frames at `rate` a second.

    Attributes:
        blendshapes: [N, 52] in [0, 1], alphabetical.
        rotation: [N, 3] pitch, yaw, roll in radians, R = Ry Rx Rz.
        translation: [N, 3] metres from rest.
        held: how many frames were not observed and repeat the one before (or rest at the start).
    """

    rate: float
    blendshapes: F64
    rotation: F64
    translation: F64
    held: int

    def __len__(self) -> int:
        return len(self.blendshapes)


def one_person(behaviour: Behaviour) -> Behaviour:
    """The behaviour itself, if it is one clip of one person.

    Raises:
        InputError: it has leading axes (several reactions or clips), no frames, or coefficients
            of another convention than ours.
    """
    if behaviour.lead:
        raise InputError(
            f"one person is exported at a time, but {list(behaviour.lead)} came; "
            "take one, e.g. reactions[0]."
        )
    if not behaviour.frames:
        raise InputError("there are no frames to export.")
    if behaviour.layout.convention != "arkit":
        raise InputError(
            f"coefficients are exported in the arkit convention, not "
            f"{behaviour.layout.convention!r}. Convert them first (visavis.features.faceverse), "
            "or write .npz, which keeps them as they are."
        )
    return behaviour


def checked_rate(rate: float, *, whole: str | None = None) -> float:
    """The rate itself, if it lies in `RATES` and, where something counts it, is a whole number.

    Raises:
        InputError: it does not. `whole` names what counts, e.g. "a timecode counts".
    """
    if not RATES[0] <= rate <= RATES[1]:
        raise InputError(
            f"a rate of {rate:g} frames a second; wanted {RATES[0]:g} to {RATES[1]:g}."
        )
    if whole is not None and rate != round(rate):
        raise InputError(f"{whole} whole frames a second, not {rate:g}; try 30 or 60.")
    return float(rate)


def frames_at(behaviour: Behaviour, rate: float | None = None) -> Frames:
    """Coefficients [T] brought to `rate` frames a second; None keeps their own rate.

    Values are interpolated linearly between the centres of frames. Formats of animation have no
    word for absence: a frame that was not observed repeats the last one that was, and rests (all
    zero) before the first; the log counts them.

    Raises:
        MissingChannel: no blendshapes. (Without rotation or translation the head stays at rest.)
        InputError: several persons, no frames or none with a face, or a rate outside 1 to 240.
    """
    one_person(behaviour)
    if not behaviour.has("blendshapes"):
        raise MissingChannel(
            "only coefficients can be exported to an avatar, but this behaviour has "
            f"{', '.join(behaviour.layout.names)}; visavis.features.attributes.complete makes "
            "blendshapes from attributes."
        )
    rate = behaviour.fps if rate is None else checked_rate(rate)
    if not behaviour.mask("blendshapes").any():
        raise InputError("no frame of these blendshapes was observed: there is no face to export.")
    lost = np.zeros(behaviour.frames, bool)
    parts = []
    for name in GROUPS["coefficients"]:
        if not behaviour.has(name):
            parts.append(np.zeros((behaviour.frames, 3)))
            continue
        seen = behaviour.mask(name).cpu().numpy()
        values = behaviour.filled(name, 0.0).detach().cpu().double().numpy()
        lost |= ~seen
        parts.append(_at(_held(values, seen), behaviour.fps, rate, angles=name == "rotation"))
    if lost.any():
        _log.warning(
            "%d of %d frames were not observed; they hold the last observed pose.",
            lost.sum(),
            len(lost),
        )
    count = len(_centres(behaviour.frames, behaviour.fps, rate))
    shapes, rotation, translation = (
        p if len(p) == count else np.zeros((count, p.shape[1])) for p in parts
    )
    return Frames(rate, np.clip(shapes, 0.0, 1.0), rotation, translation, int(lost.sum()))


def _centres(frames: int, fps: float, rate: float) -> F64:
    """Moments of the new frames' centres, in old frames."""
    count = max(1, round(frames / fps * rate))
    return np.asarray((np.arange(count) + 0.5) * (fps / rate) - 0.5, dtype=np.float64)


def _held(values: F64, seen: NDArray[np.bool_]) -> F64:
    """Unobserved rows take the last observed row; zero before the first."""
    last = np.maximum.accumulate(np.where(seen, np.arange(len(seen)), -1))
    return np.where((last >= 0)[:, None], values[np.maximum(last, 0)], 0.0)


def _at(values: F64, fps: float, rate: float, *, angles: bool) -> F64:
    if rate == fps:
        return values
    if angles:
        values = np.unwrap(values, axis=0)
    when = _centres(len(values), fps, rate)
    own = np.arange(len(values))
    return np.stack([np.interp(when, own, column) for column in values.T], axis=1)
