"""Scores of all clips but one group's, group by group: what the jackknife of a score needs that is
no mean over clips (FRDvs compares clips with one another, FRRea their distributions)."""

from __future__ import annotations

import numpy as np

from visavis.bench._clips import Clips
from visavis.bench._predict import Predictions
from visavis.bench._score import plain, realism
from visavis.metrics._clip import with_group_means
from visavis.metrics.diversity import BetweenClips, by_group
from visavis.metrics.protocol import protocol_named

SCORES = ("FRDvs", "FRRea")
Left = dict[str, dict[str, float | None]]


def left_out(clips: Clips, predictions: Predictions) -> Left:
    """Score -> group -> its value without the clips of that group; None where it has none.

    FRDvs under `corrected`, also by group of channels.
    """
    found: Left = {"FRRea": {}}
    for name in sorted(set(clips.groups)):
        rest = [n for n, group in enumerate(clips.groups) if group != name]
        for score, value in between(clips, predictions, rest).items():
            found.setdefault(score, {})[name] = plain(value)
        found["FRRea"][name] = realism(clips, predictions, rest)
    return found


def between(clips: Clips, predictions: Predictions, numbers: list[int]) -> dict[str, float]:
    """FRDvs of some clips; {} where they differ in length or are fewer than two."""
    if len(numbers) < 2 or len({len(clips.heard[clips.ids[n]]) for n in numbers}) > 1:
        return {}
    sums = BetweenClips(predictions.whole(numbers[0]))
    for n in numbers:
        sums.add(predictions.whole(n))
    found = by_group("FRDvs", np.asarray(sums.channels()), protocol_named("corrected"))
    return with_group_means(found)
