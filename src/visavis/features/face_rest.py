"""A person's face at rest, found in the clip itself.

Nobody shows a neutral face on request, so each distance of `face_geometry.MEASURES` takes a robust
quantile over the clip (eyes are mostly open: the median; lips are apart while talking: a low
quantile), held within a tolerance of the mean adult face. Thus a person who smiles all through is
still seen to smile, and a clip of one frame is read against the mean adult.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from visavis.features.face_geometry import MEASURES
from visavis.features.face_sides import QUARTERS, quarters_of

Doubles = NDArray[np.float64]

# name without side: (mean adult in mm, tolerance in mm, quantile of the clip)
_TABLE: dict[str, tuple[float, float, float]] = {
    "aperture": (9.5, 3.5, 0.6),
    "lid": (6.0, 3.0, 0.6),
    "underlid": (-3.5, 2.5, 0.4),
    "gaze_out": (0.7, 2.5, 0.5),
    "gaze_up": (1.0, 2.0, 0.5),
    "brow_inner": (17.0, 8.0, 0.4),
    "brow_outer": (18.5, 8.0, 0.4),
    "corner_out": (26.0, 5.0, 0.4),
    "corner_up": (-61.0, 6.0, 0.4),
    "upper_lip": (-57.0, 5.0, 0.4),
    "lower_lip": (-73.0, 8.0, 0.7),
    "nostril": (-37.5, 5.0, 0.4),
    "cheek": (-30.0, 6.0, 0.4),
    "brow_gap": (27.0, 6.0, 0.5),
    "lip_gap": (1.0, 2.0, 0.15),
    "chin": (-103.0, 9.0, 0.75),
    "chin_side": (0.0, 5.0, 0.5),
    "mouth_side": (0.0, 4.0, 0.5),
    "protrusion": (13.0, 8.0, 0.5),
    "upper_red": (6.0, 4.0, 0.6),
    "lower_red": (8.0, 4.0, 0.6),
    "seen_eye": (1.0, 0.0, 0.5),
    "seen_mouth": (1.0, 0.0, 0.5),
}


def _columns() -> tuple[Doubles, Doubles, Doubles]:
    def row(name: str) -> tuple[float, float, float]:
        return _TABLE[name.removesuffix("Left").removesuffix("Right")]

    mean, tolerance, quantile = np.array([row(name) for name in MEASURES]).T
    return mean, tolerance, quantile


ADULT, TOLERANCE, QUANTILE = _columns()
"""The mean adult at rest [M], how far a person may differ [M] (mm), and the quantile taken [M]."""
_SEEN = [MEASURES.index(name) for name in QUARTERS]
_GROUPS = {
    quarters: np.array([c for c, name in enumerate(MEASURES) if quarters_of(name) == quarters])
    for quarters in dict.fromkeys(quarters_of(name) for name in MEASURES)
}
"""Distances by the quarters of the face of which one must be seen to tell them."""
PRIOR_FRAMES = 25
"""The mean adult counts as much as one second of the clip."""


def rest_of(measures: Doubles) -> Doubles:
    """The rest pose [M] behind distances [T, M] of one clip; [0, M] gives the mean adult.

    The quantiles of `_TABLE` over the frames in which a distance's quarter of the face was seen
    (`face_sides`), shrunk towards the mean adult by `PRIOR_FRAMES` and then held within `TOLERANCE`
    of it.
    """
    seen = measures[:, _SEEN] >= 0.5
    if seen.all():
        return _rest_of(measures, np.arange(len(MEASURES)))
    rest = ADULT.copy()
    for quarters, columns in _GROUPS.items():
        there = seen[:, list(quarters)].any(axis=1)
        rest[columns] = _rest_of(measures[there][:, columns], columns)
    return rest


def _rest_of(measures: Doubles, columns: NDArray[np.intp]) -> Doubles:
    """The same for the distances `columns` [N] alone, [T, N], all of them seen."""
    frames = len(measures)
    adult, tolerance = ADULT[columns], TOLERANCE[columns]
    if frames == 0:
        return adult
    ordered = np.sort(measures, axis=0)
    at = QUANTILE[columns] * (frames - 1)
    below = np.floor(at).astype(int)
    above, column = np.minimum(below + 1, frames - 1), np.arange(len(columns))
    part = at - below
    found = ordered[below, column] * (1 - part) + ordered[above, column] * part
    shrunk = (frames * found + PRIOR_FRAMES * adult) / (frames + PRIOR_FRAMES)
    rest: Doubles = np.clip(shrunk, adult - tolerance, adult + tolerance)
    return rest


class RunningRest:
    """The same rest pose without looking ahead, for live use: from the last minute so far.

    It is computed anew each `every` frames, so in a stream the first seconds lean on the mean
    adult and settle as the person is seen.
    """

    def __init__(self, *, window: int = 1500, every: int = 25) -> None:
        self._window, self._every = window, every
        self._seen: list[Doubles] = []
        self._since = 0
        self._rest = ADULT.copy()

    def update(self, measures: Doubles) -> Doubles:
        """Take one frame's distances [M]; return the rest pose [M] to read it against."""
        self._seen.append(measures)
        self._since += 1
        if self._since >= self._every or len(self._seen) == 1:
            del self._seen[: -self._window]
            self._rest = rest_of(np.stack(self._seen))
            self._since = 0
        return self._rest
