"""What the scores of the field share: one clip's arrays, and the mean over clips as a state."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import Metric

from visavis.errors import InputError
from visavis.metrics.protocol import Protocol, protocol_named

Real = NDArray[np.floating]
F64 = NDArray[np.float64]


def real_array(name: str, values: Any, axes: str, protocol: Protocol) -> Real:
    """`values` (array, tensor on any device, nested numbers) with the axes spelt in `axes`.

    The published scores see float32, as their pipelines do: whether float64 copies or the float32
    originals come in, the number is the same. `corrected` keeps the precision given.

    Raises:
        InputError: not numbers, another number of axes, an empty axis; `corrected`: not finite.
    """
    try:
        array = np.asarray(on_host(values))
        if array.dtype not in (np.float32, np.float64):
            array = array.astype(np.float32)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{name} must be numbers of shape [{', '.join(axes)}]: {error}.") from None
    if array.ndim != len(axes):
        raise InputError(f"{name} has shape {list(array.shape)}; wanted [{', '.join(axes)}].")
    for axis, size in zip(axes, array.shape, strict=True):
        if size == 0:
            raise InputError(f"{name} has shape {list(array.shape)}: its axis {axis} is empty.")
    if protocol.strict:
        refuse_unfinite(name, array, axes)
    else:
        array = array.astype(np.float32, copy=False)
    return array


def on_host(values: Any) -> Any:
    """A tensor of any device and precision as an array; anything else as it came."""
    if not isinstance(values, Tensor):
        return values
    held = values.detach().cpu()
    return (held.float() if held.dtype == torch.bfloat16 else held).numpy()


LARGEST = 1e70
"""Of a value that `corrected` scores: a correlation multiplies four such, and 1e308 is the end."""
SMALLEST = 1e-70
"""A signal with no value above it is scaled before it is squared."""


def usable(array: Real) -> bool:
    """Whether every value is finite and at most `LARGEST` in size."""
    sizes = np.abs(array) if array.dtype == np.float64 else array
    return bool(np.isfinite(array).all() and (sizes is array or sizes.max(initial=0.0) <= LARGEST))


def lifted(*parts: Real) -> tuple[Real, ...]:
    """`parts` [..., D], with channels that are tiny in all of them scaled by one power of two.

    Correlations do not change by it (a power of two rounds nothing), but squares no longer vanish.
    """
    if all(part.dtype != np.float64 for part in parts):
        return parts
    sizes = [np.abs(part).reshape(-1, part.shape[-1]).max(axis=0) for part in parts]
    size = np.max(sizes, axis=0)
    tiny = (size > 0) & (size < SMALLEST)
    if not tiny.any():
        return parts
    exponents = np.where(tiny, -np.frexp(size)[1], 0)
    half = exponents // 2  # in two steps: 2^1074 is no float64
    return tuple(np.ldexp(np.ldexp(part, half), exponents - half) for part in parts)


def refuse_unfinite(name: str, array: Real, axes: str, labels: Sequence[str] = ()) -> None:
    """Raise `InputError` at the first NaN, infinity or huge value; every axis of it is named."""
    if usable(array):
        return
    fine = np.isfinite(array) & (np.abs(array) <= np.float64(LARGEST))
    place = [int(i) for i in np.unravel_index(int(np.argmin(fine)), array.shape)]
    what = "finite values only: fill it or leave the clip out."
    if np.isfinite(array[tuple(place)]):
        what = f"values up to {LARGEST:g}, whose squares can be summed: give another unit."
    words = {"N": "clip", "K": "sample", "G": "target", "T": "frame", "D": "channel"}
    named = [f"{words[axis]} {i}" for axis, i in zip(axes, place, strict=True)]
    if labels and axes[-1] == "D":
        named[-1] += f" ({labels[place[-1]]})"
    raise InputError(
        f"{name} holds {array[tuple(place)]} at {', '.join(named)}. "
        f"The protocol 'corrected' scores {what}"
    )


def target_arrays(targets: Any, protocol: Protocol) -> list[Real]:
    """Targets [G, T, D], or G of [T, D], as a list of [T, D].

    Raises:
        InputError: there is none, or one is not [T, D].
    """
    found = [
        real_array(f"target {j}", target, "TD", protocol)
        for j, target in enumerate(iterated(targets, "targets"))
    ]
    if not found:
        raise InputError("no appropriate reaction was given; a clip needs at least one target.")
    return found


def iterated(values: Any, name: str) -> Iterable[Any]:
    """`values` if it can be gone through, one entry at a time."""
    try:
        iter(values)
    except TypeError:
        raise InputError(
            f"{name} must be a sequence of arrays, not {type(values).__name__}."
        ) from None
    return values  # type: ignore[no-any-return]


def stacked(targets: Sequence[Real], frames: int, width: int) -> Real:
    """Targets of equal length as [G, T, D].

    Raises:
        InputError: one of them has another T or D than the predictions; the axis is named.
    """
    for j, target in enumerate(targets):
        for axis, wanted, size in zip("TD", (frames, width), target.shape, strict=True):
            if size != wanted:
                raise InputError(
                    f"axis {axis} must agree: predictions have {wanted}, target {j} has {size}. "
                    "Cut or align them to the same length first."
                )
    return np.stack(targets)


def means(rows: Sequence[Mapping[str, float]], *, strict: bool) -> dict[str, float]:
    """Mean over clips of each name, by exact summation: the order of clips does not matter.

    Where `strict`, a clip without a value (NaN) is left out, and "NAME/groups" is the plain mean
    of the group scores; else NaN spreads.
    """
    if not rows:
        raise InputError("no clip was scored; update the metric, or give at least one clip.")
    found = {}
    for name in rows[0]:
        values = [row[name] for row in rows]
        if strict:
            values = [v for v in values if not math.isnan(v)]
        found[name] = mean(values)
    return with_group_means(found) if strict else found


def mean(values: Sequence[float]) -> float:
    """Their mean by exact summation; NaN of none, and of any infinite or NaN."""
    if not values or not all(map(math.isfinite, values)):
        return float(np.mean(values)) if values else math.nan
    return math.fsum(values) / len(values)


def with_group_means(scores: Mapping[str, float]) -> dict[str, float]:
    """`scores` and, behind the groups of each score, "NAME/groups": their plain mean."""
    found: dict[str, float] = {}
    for name, value in scores.items():
        found[name] = value
        head = name.partition("/")[0]
        parts = [v for n, v in scores.items() if n.startswith(f"{head}/") and not math.isnan(v)]
        if name != head and name == [n for n in scores if n.startswith(f"{head}/")][-1]:
            found[f"{head}/groups"] = mean(parts)
    return found


def kind_of(metric: Metric, *settings: object) -> Tensor:
    """A number that differs between kinds of metric, to be kept as a state.

    A `MetricCollection` takes metrics whose states agree after the first clip for one and the
    same, and then updates only the first; two scores that happen to begin equal would merge.
    """
    text = f"{type(metric).__name__} {settings!r}"
    return torch.tensor(zlib.crc32(text.encode()), dtype=torch.int64)


class PerClip(Metric):
    """A streaming score: `update` with one clip at a time, `compute` gives means over clips.

    Clips may differ in length. The state is the list of the clips' values, so that any split
    over processes gives the same mean to the last bit.
    """

    full_state_update = False
    head = ""
    """Name of the score."""
    values: list[Tensor]
    width: Tensor

    def __init__(self, protocol: str | Protocol = "react2024", **options: Any) -> None:
        super().__init__(**options)
        self.protocol = protocol_named(protocol)
        self.add_state("values", default=[], dist_reduce_fx="cat")
        # a process that saw no clip learns from the others what the columns of `values` are
        self.add_state("width", torch.zeros((), dtype=torch.int64), dist_reduce_fx="max")
        self.add_state("kind", kind_of(self, self.protocol), dist_reduce_fx="max")

    def add(self, row: Mapping[str, float], width: int) -> None:
        """Count one clip of `width` channels."""
        if self.width not in (0, width):
            raise InputError(
                f"axis D must agree between clips: {width} channels after {int(self.width)}."
            )
        self.width = torch.tensor(width, device=self.device)
        found = torch.tensor([list(row.values())], dtype=torch.float64, device=self.device)
        self.values.append(found)

    def names(self) -> tuple[str, ...]:
        """Names of the columns of `values`."""
        if not self.protocol.strict:
            return (self.head,)
        groups = self.protocol.groups(int(self.width))
        return (self.head, *(f"{self.head}/{group.name}" for group in groups))

    def rows(self) -> list[dict[str, float]]:
        """The values of each clip seen so far (after a sync: of all processes)."""
        held = self.values if isinstance(self.values, list) else [self.values]
        table = torch.cat(held).tolist() if held else []
        return [dict(zip(self.names(), row, strict=True)) for row in table]

    def compute(self) -> dict[str, Tensor]:
        """{"FRCorr": mean over clips} and, under `corrected`, one entry a group and their mean."""
        found = self.round(means(self.rows(), strict=self.protocol.strict))
        return {
            name: torch.tensor(value, dtype=torch.float64, device=self.device)
            for name, value in found.items()
        }

    def round(self, found: dict[str, float]) -> dict[str, float]:
        return found
