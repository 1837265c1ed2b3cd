"""The published scores once more, as plainly as they can be written: loops, one pair at a time.

Our own text of what the released code computes, NaN, float32 and the order of comparisons
included; nothing in it is shared with `visavis.metrics`. The golden files hold it, and it makes as
many further golden cases as a test can think of.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from tslearn.metrics import dtw

from benchmarks.peers import correlation

Array = np.ndarray[Any, Any]

EPSILON = {"reactface": 1e-50, "reactface_serial": 1e-50}
FACTOR = {"reactface": 10.0, "reactface_serial": 10.0}
SERIAL = ("react2024_serial", "reactface_serial")


def scores(
    pred: Array, targets: Sequence[Sequence[Array]], speaker: Array, protocol: str
) -> dict[str, float]:
    """`pred` [N, K, T, D], the targets [T, D] of each clip, `speaker` [N, T, D]."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch: the variance of one frame
        found = {
            "FRCorr": joined(
                [
                    [best_ccc(y, real, protocol) for y in clip]
                    for clip, real in zip(pred, targets, strict=True)
                ],
                protocol,
            ),
            "FRDist": joined(
                [
                    [least_dtw(y, real, protocol) for y in clip]
                    for clip, real in zip(pred, targets, strict=True)
                ],
                protocol,
            ),
            "FRDiv": float(np.mean([diversity(clip) for clip in pred])),
            "FRVar": float(torch.var(torch.from_numpy(pred), dim=2).mean()),
            "FRDvs": between(pred),
            "FRSyn": synchrony(pred, speaker, every=protocol in SERIAL),
        }
    if protocol == "mars":
        del found["FRDvs"]
    return found


def joined(table: list[list[float]], protocol: str) -> float:
    """Mean over clips of the sum over samples; ReactFace's serial code takes means."""
    whole = [sum(row) / (len(row) if protocol == "reactface_serial" else 1) for row in table]
    return float(np.mean(whole)) * FACTOR.get(protocol, 1.0)


def best_ccc(sample: Array, real: Sequence[Array], protocol: str) -> float:
    return max([correlation.ccc(target, sample, EPSILON.get(protocol, 1e-8)) for target in real])


def least_dtw(sample: Array, real: Sequence[Array], protocol: str) -> float:
    """Python's `min`: a NaN stays where it comes first."""
    return min([distance(sample, target, protocol) for target in real])


def distance(sample: Array, target: Array, protocol: str) -> float:
    if protocol.startswith("reactface"):
        return float(dtw(sample, target))
    if sample.shape[1] != 25:
        return float("nan")
    groups = ((slice(0, 15), 15.0), (slice(15, 17), 1.0), (slice(17, 25), 8.0))
    return sum(float(dtw(sample[:, g], target[:, g])) / share for g, share in groups)


def diversity(clip: Array) -> float:
    samples, frames, width = clip.shape
    if samples == 1:
        return 0.0
    wide = clip.astype(np.float64)
    total = sum(float(((a - b) ** 2).sum()) for a in wide for b in wide)
    return total / (samples * (samples - 1) * frames * width)


def between(pred: Array) -> float:
    clips, samples, frames, width = pred.shape
    wide = pred.astype(np.float64)
    total = sum(
        float(((a - b) ** 2).sum()) for m in range(samples) for a in wide[:, m] for b in wide[:, m]
    )
    return float(np.float64(total) / (clips * (clips - 1) * samples * frames * width))


def synchrony(pred: Array, speaker: Array, *, every: bool) -> float:
    kept = pred if every else pred[:, :1]
    found = [[abs(offset(y, s)) for y in clip] for clip, s in zip(kept, speaker, strict=True)]
    return float(np.mean(np.array(found, np.float32)))


def offset(sample: Array, speaker: Array) -> int:
    return correlation.offset(sample, speaker)
