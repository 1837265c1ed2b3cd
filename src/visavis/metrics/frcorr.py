"""FRCorr: how well generated reactions correlate with the best fitting appropriate real one.

    FRCorr = 1/N sum_clips join_samples max_targets mean_channels CCC

where `join` is a sum over the K samples in every published table (so the ceiling is K, less dead
channels) and a mean under `corrected`. Song et al., REACT 2023 and 2024.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.metrics._ccc_published import published_ccc, single
from visavis.metrics._clip import PerClip, lifted, real_array, stacked, target_arrays
from visavis.metrics._device import Where, device_of
from visavis.metrics.ccc import ccc_matrix, moments
from visavis.metrics.protocol import Group, Protocol

Real = NDArray[np.floating]
F64 = NDArray[np.float64]


def best_ccc(pred: Real, targets: Real, *, epsilon: float = 1e-8, where: Where = None) -> F64:
    """Of each prediction [M, T, D] the greatest channel-mean CCC over targets [G, T, D]: [M].

    Comparisons run in the order of the targets as in the published code, where a NaN stays if it
    comes first and is passed over if it comes later.
    """
    scores = published_ccc(single(pred), single(targets), epsilon=epsilon, where=where)
    best: F64 = scores[:, 0].copy()
    for column in scores.T[1:]:
        better = column > best
        best[better] = column[better]
    return best


def live_ccc(
    pred: Real, targets: Real, groups: Sequence[Group], *, where: Where = None
) -> dict[str, F64]:
    """The same over channels that move in the target, of all channels ("") and of each group.

    A channel that is constant in a target is left out of the mean for that target; one that is
    constant in the prediction only scores 0. NaN where no target has a moving channel. [M] each.
    """
    pred, targets = lifted(pred, targets)
    real = moments(targets, where)
    scores = ccc_matrix(moments(pred, where), real, epsilon=0.0)
    found = {}
    for name, columns in (("", slice(None)), *((g.name, g.columns) for g in groups)):
        live = ~real.constant[:, columns]
        channels = live.sum(axis=1)
        total = np.where(live, scores[:, :, columns], 0.0).sum(axis=2)
        usable = channels > 0
        if usable.any():
            found[name] = (total[:, usable] / channels[usable]).max(axis=1)
        else:
            found[name] = np.full(len(scores), np.nan)
    return found


def frcorr(pred: Real, targets: Real, protocol: Protocol, where: Where = None) -> dict[str, float]:
    """FRCorr of one clip: `pred` [K, T, D], `targets` [G, T, D]; {"FRCorr": ...} and groups."""
    samples, _, width = pred.shape
    if not protocol.strict:
        best = {"": best_ccc(pred, targets, epsilon=protocol.epsilon, where=where)}
    else:
        best = live_ccc(pred, targets, protocol.groups(width), where=where)
    return {
        f"FRCorr/{name}" if name else "FRCorr": protocol.join(float(values.sum()), samples)
        for name, values in best.items()
    }


class FRCorr(PerClip):
    """FRCorr, one clip an update.

    >>> metric = FRCorr(protocol="react2024")
    >>> metric.update(pred, targets)      # [K, T, D] and [G, T, D] (or G of [T, D])
    >>> metric.compute()["FRCorr"]
    """

    head = "FRCorr"
    higher_is_better = True

    def update(self, pred: Any, targets: Any) -> None:
        """Count one clip: `pred` [K, T, D], `targets` the G appropriate real reactions [T, D].

        Raises:
            InputError: shapes do not agree (the axis is named), or there is no target.
        """
        ours = real_array("pred", pred, "KTD", self.protocol)
        theirs = stacked(target_arrays(targets, self.protocol), *ours.shape[1:])
        where = device_of(self.device, pred, targets)
        self.add(frcorr(ours, theirs, self.protocol, where), ours.shape[2])
