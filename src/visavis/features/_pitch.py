"""Fundamental frequency and periodicity by YIN, all frames at once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

RATE = 16_000
LOWEST_HZ = 60.0
HIGHEST_HZ = 500.0
SPAN = 1024
"""Samples that one frame reads, all before its end: 64 ms."""
LONGEST = int(RATE / LOWEST_HZ) + 1
SHORTEST = int(RATE / HIGHEST_HZ)
FIRST_DIP = 0.15
"""The first dip of the difference function below this is the period (YIN, step 4)."""
VOICED_BELOW = 0.30
"""A frame whose best dip stays above this has no pitch."""
FRAME = RATE // 25
QUIETEST = 1e-3
"""Root mean square (-60 dBFS) of the frame itself under which it has no pitch, so that the end of
a vowel in the span does not voice the silence after it."""


def pitch(spans: Floats) -> tuple[Doubles, Doubles]:
    """YIN (de Cheveigne and Kawahara, 2002, eqs. 6-8 with parabolic interpolation).

    Args:
        spans: [T, 1024], the samples before each frame's end, 16 kHz.

    Returns:
        Hz [T], 0 where unvoiced, else about 60 to 500; and periodicity [T] in [0, 1], one less
        the normalised difference at the chosen period (0 for a frame too quiet).
    """
    if not len(spans):
        return np.zeros(0), np.zeros(0)
    # Doubles, so that how many frames are computed together cannot flip a choice of dip.
    x = spans.astype(np.float64)
    x -= x.mean(axis=1, keepdims=True)
    normal = _normalised_difference(x)
    rows = np.arange(len(x))
    middle = normal[:, 1:-1]
    dip = (middle <= normal[:, :-2]) & (middle < normal[:, 2:])
    dip[:, : SHORTEST - 1] = False
    good = dip & (middle < FIRST_DIP)
    best = np.where(dip, middle, np.inf).argmin(axis=1)
    lag = np.where(good.any(axis=1), good.argmax(axis=1), best) + 1
    before, here, after = normal[rows, lag - 1], normal[rows, lag], normal[rows, lag + 1]
    bend = before - 2.0 * here + after
    shift = np.where(bend > 0.0, 0.5 * (before - after) / np.where(bend > 0.0, bend, 1.0), 0.0)
    loud = np.sqrt(np.mean(np.square(spans[:, -FRAME:], dtype=np.float64), axis=1)) > QUIETEST
    found = loud & dip.any(axis=1)
    hertz = np.where(found & (here < VOICED_BELOW), RATE / (lag + np.clip(shift, -1.0, 1.0)), 0.0)
    return hertz, np.where(found, np.clip(1.0 - here, 0.0, 1.0), 0.0)


def _normalised_difference(x: Doubles) -> Doubles:
    """[T, 1024] -> cumulative mean normalised difference for lags 0..LONGEST+1, [T, lags]."""
    from scipy.fft import irfft, rfft

    lags = LONGEST + 2
    kept = SPAN - lags
    # Linear correlation of the first `kept` samples with the whole span, for all lags at once:
    # it does not wrap, since kept + lags <= the size of the transform.
    whole = rfft(x, n=SPAN, axis=1)
    head = rfft(x[:, :kept], n=SPAN, axis=1)
    correlation = irfft(np.conj(head) * whole, n=SPAN, axis=1)[:, :lags]
    squares = np.concatenate([np.zeros((len(x), 1)), np.cumsum(x * x, axis=1)], axis=1)
    energy = squares[:, kept : kept + lags] - squares[:, :lags]
    difference = np.maximum(energy[:, :1] + energy - 2.0 * correlation, 0.0)
    mean = np.cumsum(difference[:, 1:], axis=1) / np.arange(1, lags)
    normal: Doubles = np.ones_like(difference)
    np.divide(difference[:, 1:], mean, out=normal[:, 1:], where=mean > 0.0)
    return normal
