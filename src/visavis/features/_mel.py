"""Log mel spectrum of a 25 fps frame, from sound at 16 kHz."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

RATE = 16_000
WINDOW = 512
"""Samples of one spectrum: 32 ms."""
STEP = 160
PER_FRAME = 4
"""Spectra averaged into one frame; the last one ends with the frame."""
FLOOR = 1e-10
"""Power below this counts as this: log mel of silence is -23.03."""
SPAN = WINDOW + (PER_FRAME - 1) * STEP
"""Samples that one frame reads, all before its end."""


def log_mel(spans: Floats, bands: int) -> Floats:
    """Natural log of the mean mel power of the four spectra of each frame.

    Args:
        spans: [T, 992], the samples before each frame's end, 16 kHz.
        bands: mel bands from 0 Hz to 8 kHz.

    Returns:
        [T, bands], from -23.03 (silence) up.
    """
    from scipy.fft import rfft

    hann = _hann()
    # In doubles, so that how many frames are computed together changes nothing.
    power: Doubles = np.zeros((len(spans), WINDOW // 2 + 1))
    for index in range(PER_FRAME):
        at = index * STEP
        spectrum = rfft(spans[:, at : at + WINDOW] * hann, axis=1)
        power += np.square(spectrum.real) + np.square(spectrum.imag)
    mel = (power / PER_FRAME) @ slaney_bank(bands)
    return np.asarray(np.log(np.maximum(mel, FLOOR)), np.float32)


@lru_cache(maxsize=4)
def slaney_bank(bands: int) -> Doubles:
    """Slaney's mel triangles of equal area (Auditory Toolbox, 1998), [257, bands].

    Linear to 1 kHz (66.7 Hz a mel), logarithmic above; straight in Hz.
    """
    top = _slaney_mel(RATE / 2.0)
    edges = _slaney_hertz(np.linspace(0.0, float(top), bands + 2))
    hertz = np.arange(WINDOW // 2 + 1)[:, None] * RATE / WINDOW
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    rising = (hertz - left) / (centre - left)
    falling = (right - hertz) / (right - centre)
    triangles = np.maximum(np.minimum(rising, falling), 0.0)
    return np.asarray(triangles * 2.0 / (right - left))


def _slaney_mel(hertz: npt.ArrayLike) -> Doubles:
    f = np.asarray(hertz, np.float64)
    return np.where(
        f < 1000.0, f * 0.015, 15.0 + 27.0 * np.log(np.maximum(f, 1.0) / 1000.0) / np.log(6.4)
    )


def _slaney_hertz(mel: npt.ArrayLike) -> Doubles:
    m = np.asarray(mel, np.float64)
    return np.where(m < 15.0, m / 0.015, 1000.0 * np.exp((m - 15.0) * np.log(6.4) / 27.0))


@lru_cache(maxsize=1)
def _hann() -> Doubles:
    """Periodic Hann window."""
    return np.asarray(0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(WINDOW) / WINDOW))
