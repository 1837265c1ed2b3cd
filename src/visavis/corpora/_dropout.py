"""Modalities that are lost: for a whole clip, or in bursts of frames.

After the design of EMC (a modality compensation framework, IJCB 2024), whose paper tells that face
or speech may be missing; the rates below, bursts included, are chosen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from numbers import Real

import numpy as np
import torch
from numpy.typing import NDArray

from visavis.behaviour import Behaviour
from visavis.errors import InputError, nearest
from visavis.features.absence import lose

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Dropout:
    """How often a speaker's modalities are lost. At most one of the first four befalls a clip.

    Rates are probabilities of a clip. `Dropout.emc()` has the rates for training.

    Raises:
        InputError: what is no number, a rate outside [0, 1], rates that exceed 1 together, or a
            run below one frame.
    """

    face: float = 0.0
    """The whole face is lost: attributes, coefficients, pixels."""
    speech: float = 0.0
    """All acoustics are lost."""
    words: float = 0.0
    """All words are lost."""
    intermittent: float = 0.0
    """Face or speech comes and goes, in runs of frames (a two-state Markov chain)."""
    both: float = 1 / 3
    """Of the intermittent clips, those where face and speech come and go independently."""
    seen_frames: float = 100.0
    """Mean length of a run that is there."""
    lost_frames: float = 25.0
    """Mean length of a run that is lost: a second."""
    keep_one: float = 0.9
    """Of the clips that lose both, those where at no frame both are lost."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, Real):
                raise InputError(f"dropout: {field.name} must be a number, not {value!r}.")
        for name in ("face", "speech", "words", "intermittent", "both", "keep_one"):
            rate = getattr(self, name)
            if not 0.0 <= rate <= 1.0:
                raise InputError(f"dropout: {name} is a rate in [0, 1], not {rate}.")
        total = self.face + self.speech + self.words + self.intermittent
        if total > 1.0 + 1e-9:
            raise InputError(
                f"dropout: face, speech, words and intermittent exclude one another, so together "
                f"they are at most 1, not {total:g}."
            )
        for name in ("seen_frames", "lost_frames"):
            if not 1.0 <= getattr(self, name) < float("inf"):
                raise InputError(
                    f"dropout: {name} is a mean run of at least 1 frame, not {getattr(self, name)}."
                )

    @classmethod
    def emc(cls) -> Dropout:
        """Half of the clips whole, an eighth without face, an eighth without speech, a quarter
        with bursts (chosen for EMC, whose paper gives no rates)."""
        return cls(face=0.125, speech=0.125, intermittent=0.25)

    @classmethod
    def of(cls, given: Dropout | Mapping[str, float] | None) -> Dropout | None:
        """From what a corpus was given: a mapping names fields; those not named are at default.

        Raises:
            InputError: a name that is no field (the nearest is suggested), or an impossible rate.
        """
        if given is None or isinstance(given, cls):
            return given
        if not isinstance(given, Mapping):
            raise InputError(f"dropout must be a Dropout or a mapping of its rates, not {given!r}.")
        known = [field.name for field in fields(cls)]
        for name in given:
            if name not in known:
                raise InputError(
                    f"dropout knows no modality or rate {name!r}. {nearest(str(name), known)}"
                )
        return cls(**given)


def dropped(speaker: Behaviour, rates: Dropout, rng: np.random.Generator) -> Behaviour:
    """`speaker` with what this draw loses unobserved (words: taken out).

    A modality that the clip does not have cannot be lost; draws are the same all the same.
    """
    fate = rng.random()
    for name in ("face", "speech", "words"):
        if fate < getattr(rates, name):
            return _lose(speaker, name, np.ones(speaker.frames, dtype=bool))
        fate -= getattr(rates, name)
    if fate >= rates.intermittent:
        return speaker
    chosen = ("face", "speech")
    if rng.random() >= rates.both:
        chosen = (chosen[int(rng.integers(2))],)  # type: ignore[assignment]
    lost = [_runs(speaker.frames, rates, rng) for _ in chosen]
    if len(lost) == 2 and rng.random() < rates.keep_one:
        lost[1] &= ~lost[0]
    for name, frames in zip(chosen, lost, strict=True):
        speaker = _lose(speaker, name, frames)
    return speaker


def _runs(frames: int, rates: Dropout, rng: np.random.Generator) -> Bools:
    """[T] which frames are lost; geometric runs, begun in the chain's stationary state."""
    share = rates.lost_frames / (rates.lost_frames + rates.seen_frames)
    state = bool(rng.random() < share)
    lost = np.zeros(frames, dtype=bool)
    start = 0
    while start < frames:
        mean = rates.lost_frames if state else rates.seen_frames
        stop = start + int(rng.geometric(1.0 / mean))
        lost[start:stop] = state
        start, state = stop, not state
    return lost


def _lose(speaker: Behaviour, name: str, lost: Bools) -> Behaviour:
    return lose(speaker, name, torch.from_numpy(lost))
