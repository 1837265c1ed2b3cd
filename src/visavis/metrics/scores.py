"""What an evaluation returns: numbers that know how they were taken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Counts:
    """What in the data makes scores fragile."""

    dead_channels: int = 0
    """Channels constant in an appropriate real reaction, over all pairs of a clip and a target."""
    target_channels: int = 0
    """Of so many."""
    still_channels: int = 0
    """Channels constant in a prediction, over all clips and samples."""
    predicted_channels: int = 0
    still_speaker_channels: int = 0
    """Channels constant in a speaker, over all clips."""
    unfinite_clips: int = 0
    """Clips with a NaN or an infinity in prediction, target or speaker."""
    short_clips: int = 0
    """Clips too short for the lags of FRSyn."""
    clips: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def sentences(self) -> list[str]:
        """One phrase for each thing that was met."""
        told = (
            (self.unfinite_clips, f"clips of {self.clips} hold values that are not finite"),
            (self.short_clips, f"clips of {self.clips} are too short for the lags of FRSyn"),
            (
                self.still_channels,
                f"of {self.predicted_channels} predicted channels are constant",
            ),
            (self.dead_channels, f"of {self.target_channels} target channels are constant"),
            (self.still_speaker_channels, "channels of speakers are constant"),
        )
        return [f"{count} {what}" for count, what in told if count]


class Scores(dict[str, float]):
    """Score -> value: a plain dict that also carries its protocol, per-clip values and counts.

    Under `corrected` there are also "FRCorr/au", ... (one entry a group), "FRCorr/groups" (their
    plain mean) and "dead_channels" (constant channels a target, on average).
    """

    def __init__(
        self,
        values: Mapping[str, float],
        *,
        protocol: str,
        per_clip: Mapping[str, NDArray[np.float64]],
        counts: Counts,
    ) -> None:
        super().__init__(values)
        self.protocol = protocol
        """Name of the protocol the values were taken by."""
        self.per_clip = dict(per_clip)
        """Score -> [N]. Their mean is the score (but for the float32 rounding of FRSyn), and so
        they can be resampled; FRDvs only where it was asked for."""
        self.counts = counts

    def __repr__(self) -> str:
        shown = ", ".join(f"{name} {value:.4f}" for name, value in self.items())
        return f"Scores({self.protocol}: {shown})"

    def __reduce__(self) -> Any:
        return _again, (dict(self), self.protocol, self.per_clip, self.counts)


def _again(
    values: dict[str, float], protocol: str, per_clip: dict[str, Any], counts: Counts
) -> Scores:
    return Scores(values, protocol=protocol, per_clip=per_clip, counts=counts)
