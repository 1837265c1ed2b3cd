"""Every choice that makes a score comparable, under the name its table goes by.

The same metric gives different numbers in different repositories; a number here always travels
with one of these protocols. `docs/metrics.md` tells what each published table used and why
`corrected` differs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from visavis.errors import InputError, nearest

METRICS = ("FRCorr", "FRDist", "FRDiv", "FRVar", "FRDvs", "FRSyn")
"""The scores of the field, in the order of its tables."""


@dataclass(frozen=True)
class Group:
    """Channels that are scored together: columns `start` to `stop` (excluded)."""

    name: str
    start: int
    stop: int
    weight: float
    """Of the group's time warping in FRDist."""

    @property
    def columns(self) -> slice:
        return slice(self.start, self.stop)


ATTRIBUTES = (
    Group("au", 0, 15, 1 / 15),
    Group("va", 15, 17, 1.0),
    Group("expression", 17, 25, 1 / 8),
)
"""The 25 facial attributes. Valence and arousal weigh 1, not 1/2: so the challenge has it."""

COEFFICIENTS = (
    Group("blendshapes", 0, 52, 1 / 52),
    Group("rotation", 52, 55, 1 / 3),
    Group("translation", 55, 58, 1 / 3),
)
"""The 58 coefficients; no published score divides them, so the weights are one over the width."""


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """How the scores are taken. The defaults are those of REACT 2024."""

    name: str
    about: str
    metrics: tuple[str, ...] = METRICS
    """What the protocol defines."""
    over_samples: Literal["sum", "mean"] = "sum"
    """How FRCorr and FRDist join the K samples of a clip; the mean over clips follows."""
    factor: float = 1.0
    """FRCorr and FRDist are multiplied by it."""
    epsilon: float = 1e-8
    """Added to the denominator of the CCC, in float32: 1e-50 is zero there."""
    one_warp: bool = False
    """FRDist warps all channels along one path, unweighted, instead of three groups apart."""
    synchrony: Literal["first", "all"] = "first"
    """Which of the K samples FRSyn looks at."""
    lags: int = 49
    """FRSyn looks from -lags to lags frames: 2 s at 25 fps, also where the clips have 30."""
    strict: bool = False
    """Refuse what is not finite or not defined, and leave out channels dead in the target."""

    def groups(self, width: int) -> tuple[Group, ...]:
        """Named channel groups of clips with `width` channels; one group "all" if unknown."""
        if width == ATTRIBUTES[-1].stop:
            return ATTRIBUTES
        if width == COEFFICIENTS[-1].stop:
            return COEFFICIENTS
        return (Group("all", 0, width, 1 / width),)

    def warps(self, width: int) -> tuple[tuple[slice, float], ...] | None:
        """Columns and weight of each time warping of FRDist; None where it is not defined.

        The published grouped score knows 25 channels only. The official code reads the first 25
        of 58 without a word; that number means nothing and is not given.
        """
        if self.one_warp:
            return ((slice(0, width), 1.0),)
        if not self.strict and width != ATTRIBUTES[-1].stop:
            return None
        return tuple((group.columns, group.weight) for group in self.groups(width))

    def join(self, total: float, samples: int) -> float:
        """The score of a clip from the sum over its `samples` samples."""
        return self.factor * (total if self.over_samples == "sum" else total / samples)


PROTOCOLS: Mapping[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            name="react2024",
            about="REACT 2023 and 2024 as published: sums over samples, FRSyn of the first sample",
        ),
        Protocol(
            name="react2024_serial",
            about="REACT 2023 and 2024 with the serial functions: FRSyn of all samples",
            synchrony="all",
        ),
        Protocol(
            name="reactface",
            about="ReactFace as released: sums over samples x 10, one warp, no epsilon",
            factor=10.0,
            epsilon=1e-50,
            one_warp=True,
        ),
        Protocol(
            name="reactface_serial",
            about="ReactFace with the serial functions: means over samples x 10, FRSyn of all",
            over_samples="mean",
            factor=10.0,
            epsilon=1e-50,
            one_warp=True,
            synchrony="all",
        ),
        Protocol(
            name="mars",
            about="REACT 2025 and 2026 on MARS: ten aligned targets a clip, lags of 49 frames "
            "at 30 fps, no FRDvs",
            metrics=("FRCorr", "FRDist", "FRDiv", "FRVar", "FRSyn"),
        ),
        Protocol(
            name="corrected",
            about="well defined: means over samples, every sample scored, dead channels left out "
            "and counted, every score also by group",
            over_samples="mean",
            epsilon=0.0,
            synchrony="all",
            strict=True,
        ),
    )
}


def protocol_named(name: str | Protocol) -> Protocol:
    """The protocol of that name (or the one given).

    Raises:
        InputError: there is none; the nearest name is suggested.
    """
    if isinstance(name, Protocol):
        return name
    if not isinstance(name, str):
        raise InputError(f"a protocol is a name or a Protocol, not {name!r}.")
    if name not in PROTOCOLS:
        raise InputError(f"unknown protocol {name!r}. {nearest(name, PROTOCOLS)}")
    return PROTOCOLS[name]
