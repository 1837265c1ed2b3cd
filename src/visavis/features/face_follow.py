"""Which of the faces in view is the one that is followed."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

logger = logging.getLogger("visavis")

Doubles = NDArray[np.float64]

PATIENCE_S = 1.0
"""How long the followed face may be gone before another one in view is followed instead."""


@dataclass
class Follow:
    """Which of the faces in view is the one we follow."""

    centre: Doubles | None = None
    size: float = 0.0
    seen_s: float = 0.0
    warned: bool = False

    def choose(self, faces: list[Doubles], time_s: float, *, stick: bool) -> Doubles | None:
        if len(faces) > 1 and not self.warned:
            logger.warning(
                "%d faces in view at %.2f s: the largest is followed, the others are not.",
                len(faces),
                time_s,
            )
            self.warned = True
        if self.centre is not None and time_s - self.seen_s > PATIENCE_S:
            self.centre = None
        if not faces:
            return None
        if self.centre is None or not stick:
            chosen = max(faces, key=_size)
        else:
            here = self.centre
            chosen = min(faces, key=lambda face: float(np.linalg.norm(_middle(face) - here)))
            # a head moves by far less than its own height between two frames
            gap = max(1.0, (time_s - self.seen_s) * 25.0)
            reach = self.size * min(0.4 + 0.05 * gap, 1.0)
            if np.linalg.norm(_middle(chosen) - here) > reach:
                return None
        self.centre, self.size, self.seen_s = _middle(chosen), _size(chosen), time_s
        return chosen


def _middle(face: Doubles) -> Doubles:
    centre: Doubles = face[:, :2].mean(axis=0)
    return centre


def _size(face: Doubles) -> float:
    return float(np.ptp(face[:, :2], axis=0).max())
