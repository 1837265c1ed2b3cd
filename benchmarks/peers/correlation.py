"""FRCorr and FRSyn as a user has them today: one pair, one channel, one lag at a time.

Our own text of the published arithmetic (Pearson from NumPy in float64; mean and variance in the
array's own float32; float32 mean over channels before the peak is sought). The golden files hold
it to the official numbers to the last bit.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

F32 = NDArray[np.float32]


def ccc(x: F32, y: F32, epsilon: float = 1e-8) -> float:
    """Channel-mean concordance of two clips [T, D]."""
    with np.errstate(all="ignore"):
        return float(np.mean([_channel(x[:, d], y[:, d], epsilon) for d in range(x.shape[1])]))


def _channel(x: F32, y: F32, epsilon: float) -> float:
    rho = np.corrcoef(x, y)[0, 1]
    rho = np.clip(rho, -1, 1) if np.isfinite(rho) else 0.0
    above = 2 * rho * x.std() * y.std()
    return above / (x.var() + y.var() + (x.mean() - y.mean()) ** 2 + epsilon)


def frcorr(pred: F32, targets: Sequence[F32], epsilon: float = 1e-8) -> float:
    """Of one clip: sum over samples [K, T, D] of the best target."""
    return sum(max([ccc(target, sample, epsilon) for target in targets]) for sample in pred)


def curve(pred: F32, speaker: F32, lags: int = 49) -> torch.Tensor:
    """Channel-mean correlation at lags -lags..lags, float32 [2 lags + 1]."""
    rows = []
    with np.errstate(all="ignore"):
        for lag in range(-lags, lags + 1):
            ours = pred[lag:] if lag > 0 else pred[: lag or None]
            theirs = speaker[:-lag] if lag > 0 else speaker[-lag:]
            rows.append([np.corrcoef(theirs[:, d], ours[:, d])[0, 1] for d in range(pred.shape[1])])
    return torch.tensor(rows, dtype=torch.float32).mean(dim=1)


def offset(pred: F32, speaker: F32, lags: int = 49) -> int:
    """Signed offset of one sample [T, D]; `argmax` gives the first NaN before any peak."""
    return lags - int(curve(pred, speaker, lags).argmax())
