"""The One-Euro filter: steady when still, quick when moving (Casiez, Roussel & Vogel, CHI 2012).

A first-order low-pass whose cut-off rises with the speed of the signal, so that trembling of the
mesh is taken off a still face while a blink passes. It is causal, and it lags: a slow movement
arrives `1 / (2 pi CUTOFF_HZ)` seconds late (half a frame), a fast one by less.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]

CUTOFF_HZ = 8.0
"""Cut-off of a signal that stands still."""
SPEED_HZ = 1.0
"""Cut-off of the filter on the speed itself, as in the paper."""
FORGET_S = 0.2
"""After a longer gap the filter begins anew: what was before says nothing about now."""


class OneEuro:
    """Smooths a vector [M] that comes frame by frame.

    Args:
        beta: [M] or one number: Hz that the cut-off rises for each unit a second of speed.
        cutoff_hz: of a still signal.
    """

    def __init__(self, beta: Doubles | float, *, cutoff_hz: float = CUTOFF_HZ) -> None:
        self._beta = np.asarray(beta, dtype=np.float64)
        self._cutoff = cutoff_hz
        self._time = 0.0
        self._value: Doubles | None = None
        self._speed = np.zeros_like(self._beta)

    def __call__(self, value: Doubles, time_s: float) -> Doubles:
        """The smoothed value [M] at `time_s`, which must not decrease."""
        step = time_s - self._time
        self._time = time_s
        if self._value is None or step > FORGET_S:
            self._value, self._speed = value.copy(), np.zeros_like(value)
            return value
        if step <= 0.0:
            return self._value
        speed = (value - self._value) / step
        self._speed = self._speed + _share(SPEED_HZ, step) * (speed - self._speed)
        share = _share(self._cutoff + self._beta * np.abs(self._speed), step)
        self._value = self._value + share * (value - self._value)
        return self._value


def _share(cutoff_hz: Doubles | float, step_s: float) -> Doubles:
    """How much of the new value is taken (the paper's alpha)."""
    share: Doubles = 1.0 / (1.0 + 1.0 / (2.0 * np.pi * np.asarray(cutoff_hz) * step_s))
    return share
