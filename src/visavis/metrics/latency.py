"""How soon the listener answers: the distribution of reaction latencies.

FRSyn is one lag, the peak of a mean correlation over the whole clip, and says 0 to 49 frames also
where there is no relation at all. Here single events count: after each onset of a speaker's signal
(say a smile), how many frames until the listener's next onset, if one comes within the horizon?
The share of answered events is set beside what the listener's own rate of onsets gives by chance,
and the distribution beside that of the real listener.

Only the paired real reaction can serve as reference: other appropriate reactions were recorded with
other speakers, whose events come at other times.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import Metric

from visavis.errors import InputError
from visavis.metrics._excursions import excursions
from visavis.metrics._inputs import agree, numbers

Array = NDArray[np.float64]
FPS = 25.0
HORIZON = 100
"""Frames within which an onset counts as an answer: 4 s."""
HIGH, LOW = 0.5, 0.3
"""An onset is where a signal reaches HIGH after it was below LOW; for signals in [0, 1]."""
AU12 = 7
"""Smile: the lip corner puller among the 25 attributes."""


@dataclass(frozen=True)
class Latency:
    """A distribution of latencies."""

    events: int
    """Speaker onsets with a whole horizon in their clip, times samples."""
    answered: float
    """Share of events with an answer; NaN without events, as the next four."""
    chance: float
    """Share of all frames, events or not, that are followed by a listener onset as soon."""
    quartiles_s: tuple[float, float, float]
    """Seconds of the first, second and third quartile of the answered events' latencies."""
    histogram: NDArray[np.int64]
    """[horizon + 2] events by latency in frames; the last entry counts those not answered."""


def onsets(signal: Any, *, high: float = HIGH, low: float = LOW) -> NDArray[np.int64]:
    """Frames at which `signal` [T] reaches `high` after it was below `low`.

    What is up from the first frame on has no known onset and is not counted.
    """
    values = numbers("signal", signal, "T")
    found = excursions(values, high=high, low=low)
    return np.asarray(found[found[:, 0] > 0, 2])


def reaction_latency(
    speaker: Any,
    listener: Any,
    *,
    horizon: int = HORIZON,
    high: float = HIGH,
    low: float = LOW,
) -> Latency:
    """Latencies of the listener's next onset at or after each speaker onset.

    Args:
        speaker: [T] a signal of the speaker.
        listener: [T], or [M, T] for M samples, a signal of the listener.
        horizon: frames; a speaker onset closer to the clip's end is left out.
        high, low: thresholds of an onset, of both signals.

    Raises:
        InputError: lengths that differ, NaN, a horizon below 1.
    """
    histogram, chance = _count(speaker, listener, horizon=horizon, high=high, low=low)
    return _summary(histogram, chance)


def latency_gap(a: Latency, b: Latency) -> float:
    """Wasserstein distance of two latency distributions in seconds; no answer is at the horizon.

    NaN where one has no events.

    Raises:
        InputError: different horizons.
    """
    agree("horizon", a=len(a.histogram) - 2, b=len(b.histogram) - 2)
    if not (a.events and b.events):
        return math.nan
    below = [np.cumsum(x.histogram[:-2]) / x.events for x in (a, b)]
    return float(np.abs(below[0] - below[1]).sum() / FPS)


def _count(
    speaker: Any, listener: Any, *, horizon: int, high: float, low: float
) -> tuple[NDArray[np.int64], tuple[int, int]]:
    """The histogram, and (frames followed by an onset, frames), over samples."""
    if horizon < 1:
        raise InputError(f"horizon must be at least 1 frame, not {horizon}.")
    theirs = numbers("speaker", speaker, "T")
    many = numbers("listener", listener, "M T" if np.ndim(listener) == 2 else "T")
    many = many.reshape(-1, many.shape[-1])
    agree("T", speaker=len(theirs), listener=many.shape[1])
    whole = max(len(theirs) - horizon, 0)
    asked = onsets(theirs, high=high, low=low)
    asked = asked[asked < whole]
    histogram = np.zeros(horizon + 2, dtype=np.int64)
    followed = 0
    for mine in many:
        answers = np.append(onsets(mine, high=high, low=low), len(theirs) + horizon)
        wait = answers[np.searchsorted(answers, np.arange(whole))] - np.arange(whole)
        followed += int((wait <= horizon).sum())
        histogram += np.bincount(np.minimum(wait[asked], horizon + 1), minlength=horizon + 2)
    return histogram, (followed, whole * len(many))


def _summary(histogram: NDArray[np.int64], chance: tuple[int, int]) -> Latency:
    events, answered = int(histogram.sum()), int(histogram[:-1].sum())
    cumulated = np.cumsum(histogram[:-1])
    quartiles = (
        [float(np.searchsorted(cumulated, q * answered)) / FPS for q in (0.25, 0.5, 0.75)]
        if answered
        else [math.nan] * 3
    )
    return Latency(
        events=events,
        answered=answered / events if events else math.nan,
        chance=chance[0] / chance[1] if events and chance[1] else math.nan,
        quartiles_s=(quartiles[0], quartiles[1], quartiles[2]),
        histogram=histogram,
    )


class ReactionLatency(Metric):
    """Streaming `reaction_latency` of generated and real listeners; exact counts.

    Args:
        speaker_channel, listener_channel: columns; default AU12, a smile answered by a smile.
        horizon, high, low: as in `reaction_latency`.
    """

    full_state_update = False
    higher_is_better = False
    pred_histogram: Tensor
    pred_chance: Tensor
    real_histogram: Tensor
    real_chance: Tensor

    def __init__(
        self,
        *,
        speaker_channel: int = AU12,
        listener_channel: int = AU12,
        horizon: int = HORIZON,
        high: float = HIGH,
        low: float = LOW,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if horizon < 1:
            raise InputError(f"horizon must be at least 1 frame, not {horizon}.")
        self.speaker_channel, self.listener_channel = speaker_channel, listener_channel
        self.horizon, self.high, self.low = horizon, high, low
        for side in ("pred", "real"):
            counts = torch.zeros(horizon + 2, dtype=torch.int64)
            self.add_state(f"{side}_histogram", counts, dist_reduce_fx="sum")
            pair = torch.zeros(2, dtype=torch.int64)
            self.add_state(f"{side}_chance", pair, dist_reduce_fx="sum")

    def update(self, pred: Any, real: Any, speaker: Any) -> None:
        """Count one clip: pred [M, T, D], the paired real reaction [T, D], speaker [T, D']."""
        theirs = _column("speaker", numbers("speaker", speaker, "T D"), self.speaker_channel)
        sides = {"pred": numbers("pred", pred, "M T D"), "real": numbers("real", real, "T D")}
        agree("D", pred=sides["pred"].shape[-1], real=sides["real"].shape[-1])
        options: dict[str, Any] = {"horizon": self.horizon, "high": self.high, "low": self.low}
        found = {
            side: _count(theirs, _column(side, values, self.listener_channel), **options)
            for side, values in sides.items()
        }
        for side, (histogram, chance) in found.items():
            counts = getattr(self, f"{side}_histogram")
            counts += torch.from_numpy(histogram).to(counts.device)
            pair = getattr(self, f"{side}_chance")
            pair += torch.tensor(chance, device=pair.device)

    def report(self, side: str) -> Latency:
        """The distribution of "pred" or "real" counted so far in this process."""
        histogram = getattr(self, f"{side}_histogram").cpu().numpy()
        frames = getattr(self, f"{side}_chance").tolist()
        return _summary(histogram.copy(), (frames[0], frames[1]))

    def compute(self) -> dict[str, Tensor]:
        """`gap_s`, and events, answered, chance and median_s of pred and real."""
        sides = {side: self.report(side) for side in ("pred", "real")}
        found = {"gap_s": latency_gap(sides["pred"], sides["real"])}
        for side, value in sides.items():
            found[f"{side}_events"] = float(value.events)
            found[f"{side}_answered"] = value.answered
            found[f"{side}_chance"] = value.chance
            found[f"{side}_median_s"] = value.quartiles_s[1]
        return {name: torch.tensor(value, dtype=torch.float64) for name, value in found.items()}


def _column(name: str, values: Array, column: int) -> Array:
    if not 0 <= column < values.shape[-1]:
        raise InputError(
            f"{name} has {values.shape[-1]} channels (axis D), so there is no channel {column}."
        )
    return values[..., column]
