"""Made-up reactions of the size of the challenge's: smooth signals, binary units, a simplex.

`indep`: predictions have nothing to do with any target, the worst case of a search.
`mixed`: each blends a time-warped appropriate reaction (30 to 100 %) with noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Real = NDArray[Any]


@dataclass(frozen=True)
class Reactions:
    pred: Real
    """[N, K, T, 25] float32"""
    gt: Real
    """[N, T, 25] float32"""
    appropriate: NDArray[np.int64]
    """[N, G] clips whose real reaction suits; the clip's own comes first"""

    @property
    def neighbour(self) -> NDArray[np.int64]:
        matrix = np.zeros((len(self.gt), len(self.gt)), np.int64)
        np.put_along_axis(matrix, self.appropriate, 1, axis=1)
        return matrix


def smooth(rng: np.random.Generator, shape: tuple[int, ...], width: int) -> Real:
    """Unit-variance noise along axis -2, smoothed over about `width` frames."""
    long = (*shape[:-2], shape[-2] + 2 * width, shape[-1])
    window = np.hanning(2 * width + 1)
    window /= np.sqrt((window**2).sum())
    size = long[-2] + 2 * width
    wave = np.fft.rfft(rng.normal(size=long).astype(np.float32), n=size, axis=-2)
    wave *= np.fft.rfft(window, n=size)[:, None]
    return np.fft.irfft(wave, n=size, axis=-2)[..., 2 * width : 2 * width + shape[-2], :]


def attributes(rng: np.random.Generator, lead: tuple[int, ...], frames: int, *, soft: bool) -> Real:
    """[*lead, T, 25]: units 0/1, or probabilities if `soft`; affect; expressions that sum to 1."""
    units = smooth(rng, (*lead, frames, 15), 12)
    units = 1 / (1 + np.exp(-3 * (units - 0.5))) if soft else units > 0.5
    affect = np.tanh(0.7 * smooth(rng, (*lead, frames, 2), 25))
    weights = np.exp(1.5 * smooth(rng, (*lead, frames, 8), 25))
    weights /= weights.sum(-1, keepdims=True)
    return np.concatenate([units, affect, weights], axis=-1).astype(np.float32)


def reactions(
    kind: str, *, clips: int = 64, samples: int = 10, frames: int = 750, targets: int = 10
) -> Reactions:
    """A test set of `kind` "indep" or "mixed"."""
    rng = np.random.default_rng(0)
    gt = attributes(rng, (clips,), frames, soft=False)
    rows = [
        [clip, *rng.choice(np.delete(np.arange(clips), clip), targets - 1, replace=False)]
        for clip in range(clips)
    ]
    pred = attributes(rng, (clips, samples), frames, soft=True)
    if kind == "mixed":
        for clip in range(clips):
            for sample in range(samples):
                time = np.arange(frames) + 6 * smooth(rng, (frames, 1), 40)[:, 0]
                warped = gt[rng.choice(rows[clip])][time.round().clip(0, frames - 1).astype(int)]
                share = np.float32(rng.uniform(0.3, 1))
                pred[clip, sample] = share * warped + (1 - share) * pred[clip, sample]
    return Reactions(pred, gt, np.array(rows))
