"""The signals a report shows: one person's values over time, and sums over people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from visavis.channels import AU_LABELS, BLENDSHAPES, EXPRESSION_LABELS
from visavis.errors import InputError

if TYPE_CHECKING:
    from visavis.behaviour import Behaviour

F64 = NDArray[np.float64]


@dataclass(frozen=True)
class Signal:
    """One curve: where it comes from and its range. `columns` are averaged."""

    name: str
    channel: str
    columns: tuple[int, ...]
    low: float
    high: float
    heat: bool = False


_AU_MEANING = {
    "AU1": "inner brow up", "AU2": "outer brow up", "AU4": "brow down", "AU6": "cheek up",
    "AU7": "lids tight", "AU9": "nose wrinkle", "AU10": "upper lip up", "AU12": "smile",
    "AU14": "dimple", "AU15": "corners down", "AU17": "chin up", "AU23": "lips tight",
    "AU24": "lips pressed", "AU25": "lips part", "AU26": "jaw drop",
}  # fmt: skip


def title(signal: Signal) -> str:
    """What a person reads above a curve."""
    meaning = _AU_MEANING.get(signal.name)
    return f"{signal.name} ({meaning})" if meaning else signal.name


def _shape(name: str, *shapes: str) -> Signal:
    return Signal(name, "blendshapes", tuple(BLENDSHAPES.index(s) for s in shapes), 0.0, 1.0)


SIGNALS: tuple[Signal, ...] = (
    Signal("valence", "va", (0,), -1.0, 1.0),
    Signal("arousal", "va", (1,), -1.0, 1.0),
    *(Signal(label, "au", (i,), 0.0, 1.0, heat=True) for i, label in enumerate(AU_LABELS)),
    *(Signal(label, "expression", (i,), 0.0, 1.0) for i, label in enumerate(EXPRESSION_LABELS)),
    _shape("mouth smile (coefficients)", "mouthSmileLeft", "mouthSmileRight"),
    _shape("blink (coefficients)", "eyeBlinkLeft", "eyeBlinkRight"),
    _shape("jaw open (coefficients)", "jawOpen"),
)


@dataclass(frozen=True)
class Person:
    """One person's signals.

    Attributes:
        name: how the report calls them.
        speaker: whether they are the speaker.
        values: channel -> [T, C] float64, NaN where not observed.
    """

    name: str
    speaker: bool
    values: dict[str, F64]
    frames: int

    def curve(self, signal: Signal) -> F64 | None:
        """[T], NaN where not observed; None if the channel is missing."""
        if signal.channel not in self.values:
            return None
        return np.asarray(self.values[signal.channel][:, list(signal.columns)].mean(axis=1))

    def mean(self, channel: str, column: int | None = None) -> float | None:
        """Mean of a channel's observed values (or of one column); None if there are none."""
        values = self.values.get(channel)
        if values is None:
            return None
        chosen = values if column is None else values[:, column]
        chosen = chosen[np.isfinite(chosen)]
        return float(chosen.mean()) if chosen.size else None

    def expression_shares(self) -> F64 | None:
        """Share of observed frames in which each of the 8 expressions is the strongest, [8]."""
        values = self.values.get("expression")
        if values is None:
            return None
        seen = values[np.isfinite(values).all(axis=1)]
        if not len(seen):
            return None
        return np.bincount(seen.argmax(axis=1), minlength=len(EXPRESSION_LABELS)) / len(seen)


def persons(behaviour: Behaviour, names: list[str], *, speaker: bool) -> list[Person]:
    """The persons of a behaviour with leading axes () or (K,).

    Raises:
        InputError: more leading axes.
    """
    if len(behaviour.lead) > 1:
        raise InputError(
            f"the behaviour has leading axes {list(behaviour.lead)}; give one clip, or K "
            "reactions: behaviour[0] takes the first of a batch."
        )
    wanted = sorted({s.channel for s in SIGNALS if behaviour.has(s.channel)})
    inside = behaviour.inside().cpu().numpy()
    found: dict[str, F64] = {}
    for channel in wanted:
        values = behaviour.filled(channel, 0.0).detach().double().cpu().numpy()
        known = behaviour.mask(channel).cpu().numpy() & inside
        found[channel] = np.where(known[..., None], values, np.nan)
    if not behaviour.lead:
        found = {channel: values[None] for channel, values in found.items()}
    return [
        Person(name, speaker, {c: v[i] for c, v in found.items()}, behaviour.frames)
        for i, name in enumerate(names)
    ]


def variety(listeners: list[Person], channel: str) -> float | None:
    """How far apart listeners are at the same moment; None for fewer than two, or no channel.

    The root mean square difference over pairs, frames observed in both, and columns.
    """
    values = [p.values[channel] for p in listeners if channel in p.values]
    if len(values) < 2:
        return None
    stack = np.stack(values)
    known = np.isfinite(stack)
    count = known.sum(axis=0)
    filled = np.where(known, stack, 0.0)
    # Sum over pairs of (a - b)^2 is n * sum(a^2) - (sum a)^2.
    squares = count * (filled**2).sum(axis=0) - filled.sum(axis=0) ** 2
    pairs = (count * (count - 1) / 2).sum()
    return float(np.sqrt(max(squares.sum(), 0.0) / pairs)) if pairs else None


def codes(curve: F64, signal: Signal) -> bytes:
    """One byte a frame: 0 to 254 from low to high, 255 where not observed."""
    share = (np.nan_to_num(curve) - signal.low) / (signal.high - signal.low)
    scaled = np.clip(np.round(share * 254.0), 0, 254)
    return np.where(np.isfinite(curve), scaled, 255).astype(np.uint8).tobytes()
