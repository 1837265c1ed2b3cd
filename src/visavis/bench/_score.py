"""Scores of predictions on disk, one clip at a time: protocols, jerk, shuffled speakers, FRRea."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from visavis.bench._clips import Clips, Real, aligned
from visavis.bench._predict import Predictions
from visavis.errors import InputError
from visavis.metrics._scoring import run, undefined
from visavis.metrics._sources import Clip, Source
from visavis.metrics.evaluate import choose
from visavis.metrics.frcorr import frcorr
from visavis.metrics.protocol import Protocol, protocol_named
from visavis.metrics.smoothness import Group, group_jerk

Progress = Callable[[int, int | None], None]

JERK_GROUPS: Mapping[str, Group] = {
    "au": Group(slice(0, 15), rounded=True),
    "va": Group(slice(15, 17)),
    "expression": Group(slice(17, 25)),
}
"""The trained test bounds jerk in each of the three groups."""
SHORTEST_FRREA = 75


@dataclass(frozen=True)
class Stored(Source):
    """Clips whose predictions lie on disk."""

    clips: Clips
    predictions: Predictions
    copies: int
    """How often a single reaction is repeated: under means over samples any two do."""

    def clip(self, index: int) -> Clip:
        pred = self.predictions.of(index)
        if len(pred) < self.copies:
            pred = pred.repeat(self.copies, axis=0)
        return Clip(pred, self.clips.real(index), self.clips.heard[self.clips.ids[index]])


def source(clips: Clips, predictions: Predictions, protocol: Protocol) -> Stored:
    """The clips under one protocol."""
    counts = {len(predictions.of(n)) for n in range(len(clips))}
    means = protocol.over_samples == "mean" and protocol.synchrony == "all"
    samples = min(2, predictions.samples) if counts == {1} and means else predictions.samples
    lengths = tuple(len(clips.heard[name]) for name in clips.ids)
    return Stored(protocol, samples, 25, lengths, clips, predictions, samples)


def score(
    clips: Clips,
    predictions: Predictions,
    protocol: str,
    metrics: Sequence[str] | None,
    *,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Values, per-clip values and what is not defined here, of some scores (None: all)."""
    chosen = protocol_named(protocol)
    stored = source(clips, predictions, chosen)
    reasons = undefined(stored)
    asked = chosen.metrics if metrics is None else tuple(metrics)
    if len(set(stored.lengths)) > 1 and "FRDvs" in asked:
        reasons["FRDvs"] = "clips differ in length"
    if clips.gaps and "FRSyn" in asked:
        reasons["FRSyn"] = "some speakers' faces are not observed throughout"
    wanted = [name for name in asked if name not in reasons]
    found: dict[str, Any] = {"values": {}, "per_clip": {}, "not_defined": {}}
    found["not_defined"] = {name: reasons[name] for name in asked if name in reasons}
    if wanted:
        names, _ = choose(stored, wanted)
        scores = run(stored, names, per_clip=False, workers=None, progress=progress)
        found["values"] = {name: plain(value) for name, value in scores.items()}
        found["per_clip"] = {
            name: [plain(float(v)) for v in values] for name, values in scores.per_clip.items()
        }
    return found


def jerks(clips: Clips, predictions: Predictions) -> dict[str, list[float]]:
    """Mean jerk of the K reactions to each clip, by group."""
    rows = [
        [group_jerk(reaction, JERK_GROUPS) for reaction in predictions.of(n)]
        for n in range(len(clips))
    ]
    return {
        name: [float(np.mean([sample[name] for sample in row])) for row in rows]
        for name in JERK_GROUPS
    }


def shuffled(clips: Clips, predictions: Predictions) -> list[float | None]:
    """FRCorr (corrected) of each clip's targets with the reactions to another script's speaker."""
    protocol = protocol_named("corrected")
    found: list[float | None] = []
    for number, other in enumerate(elsewhere(clips.groups)):
        frames = len(clips.heard[clips.ids[number]])
        pred = np.stack([_fit(reaction, frames) for reaction in predictions.of(other)])
        targets = np.stack(clips.real(number))
        found.append(plain(frcorr(pred, targets, protocol)["FRCorr"]))
    return found


def elsewhere(groups: Sequence[str]) -> list[int]:
    """For each clip a clip of another group, each used once.

    Clips sorted by group are moved on by the size of the largest group, so no group meets itself.

    Raises:
        InputError: one group holds more than half of the clips.
    """
    order = sorted(range(len(groups)), key=lambda n: groups[n])
    largest = max(groups.count(g) for g in set(groups))
    if 2 * largest > len(groups):
        raise InputError(
            f"speakers cannot be shuffled across scripts: one script holds {largest} of the "
            f"{len(groups)} clips. Choose clips of at least two scripts, as many of each."
        )
    found = [0] * len(groups)
    for rank, number in enumerate(order):
        found[number] = order[(rank + largest) % len(groups)]
    return found


def _fit(reaction: Real, frames: int) -> Real:
    """Cut to `frames`, or stretched where it is shorter."""
    return reaction[:frames] if len(reaction) >= frames else aligned(reaction, frames)


def realism(
    clips: Clips, predictions: Predictions, numbers: Sequence[int] | None = None
) -> float | None:
    """FRRea of all reactions (or those to some clips) against the paired real ones; None where it
    is not defined: clips under 75 frames, or too few that move."""
    from visavis.metrics.realism import FRRea

    own = [clips.seen[targets[0]] for targets in clips.targets]
    shortest = min(min(len(x) for x in own), min(len(x) for x in clips.heard.values()))
    if shortest < SHORTEST_FRREA:
        return None
    metric = FRRea(25)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that windows are few: the table says how many clips
        for number in range(len(clips)) if numbers is None else numbers:
            metric.update(predictions.of(number), own[number][None])
    try:
        return plain(float(metric.report().distance))
    except InputError:
        return None


def plain(value: float) -> float | None:
    """JSON has no NaN."""
    return value if math.isfinite(value) else None
