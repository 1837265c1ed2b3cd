"""The challenge's acoustic block: 78 numbers a frame, Kaldi's MFCC, all frames at once."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

COEFFICIENTS = 13
MEL_BINS = 23
LOWEST_HZ = 20.0
PRE_EMPHASIS = 0.97
LIFTER = 22.0
ENERGY_FLOOR = 1.0
"""On samples in [-1, 1], so a quiet window's log energy is exactly 0."""
COLUMNS = 2
"""Windows of 25 ms every 10 ms that fit into one frame of 40 ms."""
WIDTH = 3 * COEFFICIENTS * COLUMNS


def columns(rate: int) -> int:
    """How many 25 ms windows every 10 ms fit into one frame of `int(rate / 25)` samples."""
    width, step = _width_step(rate)
    return 1 + (int(rate / 25) - width) // step


def mfcc78(frames: Floats, rate: int) -> Floats:
    """Kaldi MFCCs with regression deltas of separate 40 ms frames.

    Each frame stands alone, as the challenge's loader calls it: windows of 25 ms every 10 ms with
    snipped edges; in each the mean is removed, the log energy taken (floor 1.0), pre-emphasis
    0.97, Povey window, power spectrum of the next power of two, 23 mel bins from 20 Hz to
    Nyquist, log, orthonormal cosine transform, 13 coefficients, lifter 22, no dither; the log
    energy stands in for coefficient 0. Then the 5-point regression twice over the 2 columns with
    replicated edges.

    Args:
        frames: [T, int(rate / 25)], samples in [-1, 1].
        rate: Hz, one for which `columns(rate)` is 2.

    Returns:
        [T, 78], kind (static, delta, delta-delta) x coefficient x column. With replicated edges
        both columns' deltas are equal and the delta-deltas are 0: the block really holds 39
        different numbers, and stays 78 wide because published weights expect it.
    """
    width, step = _width_step(rate)
    count = len(frames)
    starts = np.arange(COLUMNS) * step
    # In doubles: quiet bins of a loud window would otherwise be rounding noise, which depends on
    # how many frames are computed together.
    held = frames.astype(np.float64)
    windows = np.stack([held[:, at : at + width] for at in starts], axis=1)
    static = _cepstra(windows.reshape(-1, width), rate).reshape(count, COLUMNS, COEFFICIENTS)
    static = static.transpose(0, 2, 1)
    delta = static @ _regression()
    kinds = np.stack([static, delta, delta @ _regression()], axis=1)
    return kinds.reshape(count, WIDTH).astype(np.float32)


def _cepstra(windows: Doubles, rate: int) -> Doubles:
    """[M, W] windows -> [M, 13]."""
    from scipy.fft import rfft

    width = windows.shape[1]
    size = 1 << (width - 1).bit_length()
    centred = windows - windows.mean(axis=1, keepdims=True)
    energy = np.log(np.maximum(np.einsum("mw,mw->m", centred, centred), ENERGY_FLOOR))
    emphasised = np.empty_like(centred)
    emphasised[:, 0] = centred[:, 0] * (1.0 - PRE_EMPHASIS)
    np.multiply(centred[:, :-1], -PRE_EMPHASIS, out=emphasised[:, 1:])
    emphasised[:, 1:] += centred[:, 1:]
    emphasised *= _povey(width)
    spectrum = rfft(emphasised, n=size, axis=1)[:, : size // 2]
    power = np.square(spectrum.real) + np.square(spectrum.imag)
    mel = np.log(np.maximum(power @ _kaldi_mel(rate, size), np.finfo(np.float32).eps))
    cepstra: Doubles = mel @ _cosines()
    cepstra[:, 0] = energy
    return cepstra


def _width_step(rate: int) -> tuple[int, int]:
    return int(rate * 0.025), int(rate * 0.010)


@lru_cache(maxsize=8)
def _povey(width: int) -> Doubles:
    hann = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(width) / (width - 1))
    return np.asarray(hann**0.85)


@lru_cache(maxsize=8)
def _kaldi_mel(rate: int, size: int) -> Doubles:
    """Kaldi's triangles, straight in mel, without the Nyquist bin: [size / 2, 23]."""
    low, high = _mel(LOWEST_HZ), _mel(rate / 2.0)
    edges = np.linspace(low, high, MEL_BINS + 2)
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    mel = _mel(np.arange(size // 2) * rate / size)[:, None]
    rising = (mel - left) / (centre - left)
    falling = (right - mel) / (right - centre)
    return np.asarray(np.maximum(np.minimum(rising, falling), 0.0))


def _mel(hertz: npt.ArrayLike) -> Doubles:
    return np.asarray(1127.0 * np.log1p(np.asarray(hertz, np.float64) / 700.0))


@lru_cache(maxsize=1)
def _cosines() -> Doubles:
    """Orthonormal DCT-II with the lifter: [23, 13]."""
    k = np.arange(COEFFICIENTS)
    n = np.arange(MEL_BINS)[:, None]
    table = np.sqrt(2.0 / MEL_BINS) * np.cos(np.pi / MEL_BINS * (n + 0.5) * k)
    table[:, 0] = np.sqrt(1.0 / MEL_BINS)
    lifter = 1.0 + 0.5 * LIFTER * np.sin(np.pi * k / LIFTER)
    return np.asarray(table * lifter)


@lru_cache(maxsize=1)
def _regression() -> Doubles:
    """Delta over the columns as a matrix [from, to]: sum n (x[c+n] - x[c-n]) / 10, n = 1, 2."""
    table = np.zeros((COLUMNS, COLUMNS))
    for to in range(COLUMNS):
        for n in (1, 2):
            table[min(to + n, COLUMNS - 1), to] += n / 10.0
            table[max(to - n, 0), to] -= n / 10.0
    return table
