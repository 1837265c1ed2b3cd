"""Precision and coverage of the appropriate set.

FRCorr and FRDist reward each sample for its one best match, so ten copies of a good reaction score
as well as ten different good ones. Coverage asks the other way round: how much of what people did
was also offered?

Rules, for one clip with M samples and N appropriate real reactions:

- distance: root mean square difference over frames and channels, frame by frame;
- radius: the median distance between two different appropriate reactions of the clip: as near to
  one of them as they are to each other;
- a sample speaks only for the real reaction that it is nearest to (the first of equals);
- precision: share of samples within the radius of theirs;
- coverage: share of real reactions that some sample within the radius speaks for.

A sample speaks for one reaction only because the mean of all reactions is nearer to each of them
than they are to each other: counted freely, ten copies of the mean would cover everything. Here
they cover 1 / N. At most min(M, N) / N can be reached (`ceiling`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.metrics._inputs import agree, at_least, numbers
from visavis.metrics._means import MeanOverClips

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Coverage:
    """Shares of one clip, all in [0, 1]."""

    precision: float
    coverage: float
    ceiling: float
    """What M different samples could cover at most."""
    radius: float
    """In the unit of the distances."""


def rms_distances(a: Any, b: Any, *, scale: Any = None) -> Array:
    """Root mean square difference of every a and b over frames and channels, [M, N].

    Args:
        a: [M, T, D].
        b: [N, T, D].
        scale: [D] units of the channels, by which both are divided; default 1.

    Raises:
        InputError: axes that do not agree, NaN, a scale that is not positive.
    """
    from scipy.spatial.distance import cdist

    left, right = numbers("pred", a, "M T D"), numbers("targets", b, "N T D")
    agree("T", pred=left.shape[1], targets=right.shape[1])
    agree("D", pred=left.shape[2], targets=right.shape[2])
    if scale is not None:
        units = numbers("scale", scale, "D")
        agree("D", scale=len(units), pred=left.shape[2])
        at_least("every scale", float(units.min()), np.finfo(float).tiny)
        left, right = left / units, right / units
    flat = left.reshape(len(left), -1), right.reshape(len(right), -1)
    return np.asarray(cdist(*flat)) / math.sqrt(flat[0].shape[1])


def coverage_from_distances(across: Any, within: Any, *, radius: float | None = None) -> Coverage:
    """Precision and coverage from any distance, such as the DTW of FRDist.

    Args:
        across: [M, N] distances of samples to appropriate reactions, >= 0.
        within: [N, N] distances among the appropriate reactions; those at distance 0 are one.
        radius: default the rule above; needs two different reactions, else every value is NaN.

    Raises:
        InputError: shapes that do not fit, a negative distance or radius, NaN.
    """
    found, among = numbers("across", across, "M N"), numbers("within", within, "N N")
    agree("N", across=found.shape[1], within_rows=len(among), within_columns=among.shape[1])
    at_least("a distance", float(min(found.min(), among.min())), 0.0)
    # equal reactions are one reaction: the first of them stands for all
    first = np.flatnonzero([not (among[j, :j] == 0).any() for j in range(len(among))])
    found, among = found[:, first], among[np.ix_(first, first)]
    if radius is None:
        if len(first) < 2:
            return Coverage(math.nan, math.nan, math.nan, math.nan)
        radius = float(np.median(among[np.triu_indices(len(first), 1)]))
    at_least("radius", radius, 0.0)
    nearest = found.argmin(1)
    inside = found.min(1) <= radius
    covered = len(np.unique(nearest[inside]))
    return Coverage(
        precision=float(inside.mean()),
        coverage=covered / len(first),
        ceiling=min(len(found), len(first)) / len(first),
        radius=radius,
    )


def coverage(
    pred: Any, targets: Any, *, scale: Any = None, radius: float | None = None
) -> Coverage:
    """Precision and coverage of one clip.

    Args:
        pred: [M, T, D] generated reactions.
        targets: [N, T, D] appropriate real reactions.
        scale: [D] units of the channels, such as their standard deviations in the corpus.
        radius: as in `coverage_from_distances`.
    """
    across = rms_distances(pred, targets, scale=scale)
    within = rms_distances(targets, targets, scale=scale)
    return coverage_from_distances(across, within, radius=radius)


class AppropriateCoverage(MeanOverClips):
    """Streaming means of `precision`, `coverage` and `ceiling` over clips.

    Clips with a single appropriate reaction have no radius: left out, counted in `undefined`.
    """

    higher_is_better = True

    def __init__(self, *, scale: Any = None, **options: Any) -> None:
        super().__init__(("coverage", "precision", "ceiling"), **options)
        self.scale = None if scale is None else numbers("scale", scale, "D")

    def update(self, pred: Any, targets: Any) -> None:
        """Count one clip: pred [M, T, D], targets [N, T, D]."""
        found = coverage(pred, targets, scale=self.scale)
        self.add(
            {
                "coverage": found.coverage,
                "precision": found.precision,
                "ceiling": found.ceiling,
            }
        )
