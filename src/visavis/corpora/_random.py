"""Random streams of the simulator: every draw depends on what is drawn, never on the order."""

from __future__ import annotations

import zlib
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

Array: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]


def stream(*key: int | str) -> np.random.Generator:
    """A generator for one thing, e.g. `stream(seed, "test", "listener", 3)`."""
    words = [zlib.crc32(part.encode()) if isinstance(part, str) else part for part in key]
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(words)))


def wander(
    rng: np.random.Generator, frames: int, width: int, *, sd: float, time_constant: float
) -> Array:
    """Ornstein-Uhlenbeck noise [width, frames] in its stationary state.

    Args:
        sd: standard deviation of every value.
        time_constant: frames after which the correlation has fallen to 1/e.
    """
    keep = float(np.exp(-1.0 / time_constant))
    noise = rng.standard_normal((width, frames))
    noise[:, 1:] *= np.sqrt(1.0 - keep * keep)
    return sd * np.asarray(lfilter([1.0], [1.0, -keep], noise, axis=1))
