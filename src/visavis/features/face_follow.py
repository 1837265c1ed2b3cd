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


COLOUR = 60.0
"""Difference of mean colour (0 to 255, over three channels) that counts as much as a whole reach:
who somebody is, when two faces pass each other."""


@dataclass
class Follow:
    """Which of the faces in view is the one we follow."""

    centre: Doubles | None = None
    size: float = 0.0
    seen_s: float = 0.0
    colour: Doubles | None = None
    warned: bool = False

    def choose(
        self,
        faces: list[Doubles],
        time_s: float,
        *,
        stick: bool,
        colours: list[Doubles] | None = None,
    ) -> Doubles | None:
        """The followed one of `faces` (landmarks [478, 3] in pixels), or None if it is gone.

        The largest at first; then the one that is near where the followed one was and looks like
        it (`colours` [3] each). Away for `PATIENCE_S`, it is given up for whoever is there.
        """
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
            best = max(range(len(faces)), key=lambda i: size_of(faces[i]))
            self.colour = None if colours is None else colours[best]
        else:
            # a head moves by far less than its own height between two frames
            gap = max(1.0, (time_s - self.seen_s) * 25.0)
            reach = self.size * min(0.4 + 0.05 * gap, 1.0)
            steps = [float(np.linalg.norm(middle_of(face) - self.centre)) for face in faces]
            near = [i for i, step in enumerate(steps) if step <= reach]
            if not near:
                return None
            unlike = [0.0] * len(faces)
            if colours is not None and self.colour is not None and len(near) > 1:
                unlike = [float(np.linalg.norm(c - self.colour)) / COLOUR for c in colours]
            best = min(near, key=lambda i: steps[i] / reach + unlike[i])
            if colours is not None and self.colour is not None and len(faces) == 1:
                self.colour = 0.95 * self.colour + 0.05 * colours[best]
        chosen = faces[best]
        self.centre, self.size, self.seen_s = middle_of(chosen), size_of(chosen), time_s
        return chosen


def middle_of(face: Doubles) -> Doubles:
    """[2] pixels: the mean of a face's landmarks."""
    centre: Doubles = face[:, :2].mean(axis=0)
    return centre


def size_of(face: Doubles) -> float:
    """Pixels: the longer side of the box around a face's landmarks."""
    return float(np.ptp(face[:, :2], axis=0).max())


def colour_of(face: Doubles, frame: NDArray[np.uint8]) -> Doubles:
    """[3] mean colour of `frame` [H, W, 3] under a face's landmarks (y up)."""
    x = np.clip(face[:, 0].astype(np.intp), 0, frame.shape[1] - 1)
    y = np.clip((-face[:, 1]).astype(np.intp), 0, frame.shape[0] - 1)
    colour: Doubles = frame[y, x].mean(axis=0)
    return colour
