"""FRSyn: by how many frames a reaction has to be shifted to correlate best with the speaker.

|lag| of the peak of the channel-mean time-lagged correlation, in frames from 0 to `lags` (49).
"Lower is better", by convention of the field. REACT 2023 and 2024, called TLCC in the code.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.errors import InputError
from visavis.metrics._clip import PerClip, lifted, real_array
from visavis.metrics._device import Where, device_of
from visavis.metrics.lagged import correlations, windowed_correlation
from visavis.metrics.protocol import Group, Protocol

Real = NDArray[np.floating]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

_NEAR = 2e-6
"""Twice the worst rounding of a float32 mean over channels: lags closer than this to the peak are
decided in the published arithmetic."""
_TIE = 1e-9
_UNSURE = 1e-10
"""Around the edge of a tie curves of another device are not trusted: tenfold their difference."""


def offsets(pred: Real, speaker: Real, *, lags: int = 49, where: Where = None) -> I64:
    """Published offset of each prediction [M, T, D] from the `speaker` [T, D]: [M], signed.

    A prediction five frames behind the speaker gives -5. As published, the first lag at which any
    channel has no correlation (constant window, NaN) wins over every peak, and so a clip with a
    dead channel, or of less than lags + 2 frames, gives `lags`.
    """
    curves = correlations(pred, speaker, lags, where).mean(axis=2)
    found = np.empty(len(pred), dtype=np.int64)
    for m, curve in enumerate(curves):
        peak = int(np.argmax(curve))  # of the first NaN, if there is one
        if not np.isnan(curve[peak]):
            near = np.flatnonzero(curve >= curve[peak] - _NEAR)
            peak = peak if len(near) == 1 else _decide(pred[m], speaker, near, lags)
        found[m] = lags - peak
    return found


def _decide(pred: Real, speaker: Real, near: NDArray[np.intp], lags: int) -> int:
    """Which of the indices `near` has the peak when channels are averaged in float32."""
    import torch

    curves = torch.full((2 * lags + 1, pred.shape[1]), -2.0)
    for i in near:
        curves[int(i)] = torch.from_numpy(windowed_correlation(pred, speaker, int(i) - lags))
    return int(curves.mean(dim=1).argmax())


def live_offsets(
    pred: Real,
    speaker: Real,
    groups: Sequence[Group],
    *,
    lags: int = 49,
    where: Where = None,
) -> dict[str, F64]:
    """Well defined |offset| of each prediction, of all channels ("") and of each group: [M] each.

    Channels constant in the speaker are left out; elsewhere a window without variance correlates
    with 0. Of equal peaks the one nearest to lag 0 counts, and a prediction that is still in all
    channels has no peak and scores `lags`. NaN where every channel of the speaker is constant.
    """
    (pred,), (speaker,) = lifted(pred), lifted(speaker)
    curves = np.nan_to_num(correlations(pred, speaker, lags, where))
    live = (speaker != speaker[0]).any(axis=0)
    moves = (pred != pred[:, :1]).any(axis=1)
    nearest_first = np.argsort(np.abs(np.arange(-lags, lags + 1)), kind="stable")
    found = {}
    for name, columns in (("", slice(None)), *((g.name, g.columns) for g in groups)):
        used = live[columns]
        if not used.any():
            found[name] = np.full(len(pred), np.nan)
            continue
        curve = curves[:, :, columns][:, :, used].mean(axis=2)[:, nearest_first]
        edge = curve.max(axis=1, keepdims=True) - _TIE
        if where is not None and (np.abs(curve - edge) < _UNSURE).any():
            return live_offsets(pred, speaker, groups, lags=lags)
        peaks = (curve >= edge).argmax(axis=1)
        away = np.abs(nearest_first[peaks] - lags).astype(np.float64)
        still = ~moves[:, columns][:, used].any(axis=1)
        found[name] = np.where(still, float(lags), away)
    return found


def frsyn(pred: Real, speaker: Real, protocol: Protocol, where: Where = None) -> dict[str, float]:
    """FRSyn of one clip: `pred` [K, T, D], `speaker` [T, D]; {"FRSyn": ...} and groups.

    Raises:
        InputError: T or D differ; under `corrected`, the clip is too short for the lags.
    """
    scored = pred[:1] if protocol.synchrony == "first" else pred
    if not protocol.strict:
        away = np.abs(offsets(scored, speaker, lags=protocol.lags, where=where))
        return {"FRSyn": float(away.mean())}
    if pred.shape[1] < protocol.lags + 2:
        raise InputError(too_short(pred.shape[1], protocol))
    groups = protocol.groups(pred.shape[2])
    by_group = live_offsets(scored, speaker, groups, lags=protocol.lags, where=where)
    return {
        f"FRSyn/{name}" if name else "FRSyn": float(values.mean())
        for name, values in by_group.items()
    }


def too_short(frames: int, protocol: Protocol) -> str:
    return (
        f"FRSyn looks {protocol.lags} frames to either side and needs at least "
        f"{protocol.lags + 2} frames, but a clip has {frames}. Leave FRSyn out of `metrics`, or "
        "score longer clips."
    )


class FRSyn(PerClip):
    """FRSyn, one clip an update."""

    head = "FRSyn"
    higher_is_better = False

    def update(self, pred: Any, speaker: Any) -> None:
        """Count one clip: `pred` [K, T, D], `speaker` [T, D].

        Raises:
            InputError: shapes do not agree (the axis is named).
        """
        ours = real_array("pred", pred, "KTD", self.protocol)
        theirs = real_array("speaker", speaker, "TD", self.protocol)
        where = device_of(self.device, pred, speaker)
        self.add(frsyn(ours, theirs, self.protocol, where), ours.shape[2])

    def round(self, found: dict[str, float]) -> dict[str, float]:
        return rounded(found, self.protocol)


def rounded(
    found: dict[str, float], protocol: Protocol, *, only: str = "FRSyn"
) -> dict[str, float]:
    """The published FRSyn is a float32 mean; other entries of `found` stay as they are."""
    if protocol.strict:
        return found
    return {n: float(np.float32(v)) if n == only else v for n, v in found.items()}
