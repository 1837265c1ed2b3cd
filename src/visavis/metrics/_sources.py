"""The clips to score, checked once: from arrays with a neighbour matrix, or from lists."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.errors import InputError
from visavis.metrics._clip import (
    iterated,
    on_host,
    real_array,
    refuse_unfinite,
    target_arrays,
    usable,
)
from visavis.metrics.protocol import Protocol

Real = NDArray[np.floating]


@dataclass(frozen=True)
class Clip:
    """What is known of one clip."""

    pred: Real
    """[K, T, D]"""
    targets: Sequence[Real]
    """G of [T, D]: the appropriate real reactions, in the order given."""
    speaker: Real
    """[T, D]"""


@dataclass(frozen=True)
class Source(ABC):
    """N clips with K samples and D channels each."""

    protocol: Protocol
    samples: int
    width: int
    lengths: tuple[int, ...]
    """T of each clip."""

    def __len__(self) -> int:
        return len(self.lengths)

    @abstractmethod
    def clip(self, index: int) -> Clip: ...


@dataclass(frozen=True)
class Arrays(Source):
    """Clips of one length; clip j's real reaction suits clip i where neighbour[i, j] is 1."""

    pred: Real
    gt: Real
    speaker: Real
    neighbour: NDArray[np.bool_]

    def clip(self, index: int) -> Clip:
        suits = np.flatnonzero(self.neighbour[index])
        return Clip(
            _precision(self.pred[index], self.protocol),
            list(_precision(self.gt[suits], self.protocol)),
            _precision(self.speaker[index], self.protocol),
        )


def _precision(part: Real, protocol: Protocol) -> Real:
    """float32 for the published scores, as in their pipelines; `corrected` keeps float64."""
    keep = protocol.strict and part.dtype == np.float64
    return part if keep else part.astype(np.float32, copy=False)


@dataclass(frozen=True)
class Lists(Source):
    """Clips of any length with their own targets."""

    clips: tuple[Clip, ...]

    def clip(self, index: int) -> Clip:
        return self.clips[index]


def from_arrays(
    pred: Any, gt: Any, speaker: Any, neighbour: Any, protocol: Protocol, labels: Sequence[str]
) -> Arrays:
    """Check [N, K, T, D], [N, T, D], [N, T, D] and [N, N]; nothing large is copied.

    Raises:
        InputError: shapes do not agree (the axis is named), the matrix is not square or not 0/1,
            a clip has no appropriate reaction; `corrected`: a value is not finite.
    """
    parts = {}
    for name, values, axes in (
        ("pred", pred, "NKTD"),
        ("gt", gt, "NTD"),
        ("speaker", speaker, "NTD"),
    ):
        parts[name] = _plain_array(name, values, axes)
    ours = dict(zip("NKTD", parts["pred"].shape, strict=True))
    for name in ("gt", "speaker"):
        for axis, size in zip("NTD", parts[name].shape, strict=True):
            if size != ours[axis]:
                raise InputError(
                    f"axis {axis} must agree: pred has {ours[axis]} "
                    f"({list(parts['pred'].shape)}, [N, K, T, D]), {name} has {size} "
                    f"({list(parts[name].shape)}, [N, T, D])."
                )
    suits = neighbour_matrix(neighbour, ours["N"])
    if protocol.strict:
        named = labels if len(labels) == ours["D"] else ()
        for name, axes in (("pred", "NKTD"), ("gt", "NTD"), ("speaker", "NTD")):
            for index, clip in enumerate(parts[name]):
                if not usable(clip):
                    _refuse(name, index, clip, axes, named)
    lengths = (ours["T"],) * ours["N"]
    return Arrays(protocol, ours["K"], ours["D"], lengths, **parts, neighbour=suits)


def _as_array(name: str, values: Any, axes: str) -> NDArray[Any]:
    try:
        return np.asarray(on_host(values))
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            f"{name} must be numbers of shape [{', '.join(axes)}], entries of one size: {error}."
        ) from None


def _plain_array(name: str, values: Any, axes: str) -> Real:
    """`values` as an array, without a copy where it is one; finiteness is judged later."""
    array = _as_array(name, values, axes)
    if array.dtype.kind not in "fiub":
        raise InputError(f"{name} holds {array.dtype}; wanted numbers [{', '.join(axes)}].")
    if array.ndim != len(axes):
        hint = (
            f" One sample a clip is {name}[:, None]." if (name, array.ndim) == ("pred", 3) else ""
        )
        raise InputError(f"{name} has shape {list(array.shape)}; wanted [{', '.join(axes)}].{hint}")
    for axis, size in zip(axes, array.shape, strict=True):
        if size == 0:
            raise InputError(f"{name} has shape {list(array.shape)}: its axis {axis} is empty.")
    return array


def _refuse(name: str, index: int, clip: Real, axes: str, labels: Sequence[str]) -> None:
    refuse_unfinite(f"{name} of clip {index}", clip, axes[1:], labels)


def neighbour_matrix(values: Any, clips: int) -> NDArray[np.bool_]:
    """The matrix of appropriate reactions, bool [N, N].

    Raises:
        InputError: not [N, N], a value that is neither 0 nor 1, or a row without a 1.
    """
    matrix = _as_array("neighbour", values, "NN")
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise InputError(
            f"neighbour has shape {list(matrix.shape)}; wanted a square matrix [N, N]."
        )
    if matrix.shape[0] != clips:
        raise InputError(
            f"axis N must agree: pred has {clips} clips, neighbour is {list(matrix.shape)}."
        )
    wrong = np.argwhere(~((matrix == 0) | (matrix == 1)))
    if len(wrong):
        i, j = wrong[0]
        raise InputError(
            f"neighbour holds {matrix[i, j]} in row {i}, column {j}; wanted 0 or 1 everywhere "
            "(1: the real reaction of the column suits the speaker of the row)."
        )
    suits: NDArray[np.bool_] = matrix == 1
    alone = np.flatnonzero(~suits.any(axis=1))
    if len(alone):
        raise InputError(
            f"{len(alone)} clips have no appropriate reaction: row {alone[0]} of neighbour holds "
            "no 1. Set the diagonal to 1, so that each clip's own real reaction suits it."
        )
    return suits


def from_lists(
    pred: Any, targets: Any, speaker: Any, protocol: Protocol, labels: Sequence[str]
) -> Lists:
    """Check N clips: pred [K, T, D] each, G targets [T, D] each, speaker [T, D] each.

    Raises:
        InputError: as for arrays; clip and axis are named.
    """
    ours, theirs, speakers = (
        list(iterated(values, name))
        for name, values in (("pred", pred), ("targets", targets), ("speaker", speaker))
    )
    if not len(ours) == len(theirs) == len(speakers):
        raise InputError(
            f"axis N must agree: pred has {len(ours)} clips, targets {len(theirs)}, "
            f"speaker {len(speakers)}."
        )
    if not ours:
        raise InputError("no clip was given.")
    clips = []
    for n, parts in enumerate(zip(ours, theirs, speakers, strict=True)):
        try:
            clips.append(_clip(*parts, protocol))
        except InputError as error:
            raise InputError(f"clip {n}: {error}") from error
    first = clips[0].pred.shape
    for n, clip in enumerate(clips):
        for axis, place in (("K", 0), ("D", 2)):
            if clip.pred.shape[place] != first[place]:
                raise InputError(
                    f"axis {axis} must agree between clips: clip 0 has {first[place]}, "
                    f"clip {n} has {clip.pred.shape[place]}."
                )
    lengths = tuple(clip.pred.shape[1] for clip in clips)
    return Lists(protocol, first[0], first[2], lengths, tuple(clips))


def _clip(pred: Any, targets: Any, speaker: Any, protocol: Protocol) -> Clip:
    ours = real_array("pred", pred, "KTD", protocol)
    partner = real_array("speaker", speaker, "TD", protocol)
    for axis, wanted, size in zip("TD", ours.shape[1:], partner.shape, strict=True):
        if size != wanted:
            raise InputError(f"axis {axis} must agree: pred has {wanted}, speaker has {size}.")
    real = target_arrays(targets, protocol)
    for j, target in enumerate(real):
        if target.shape[1] != ours.shape[2]:
            raise InputError(
                f"axis D must agree: pred has {ours.shape[2]}, target {j} has {target.shape[1]}."
            )
    return Clip(ours, real, partner)
