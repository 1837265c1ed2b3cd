"""What comes in from outside: any array or tensor, checked once, as float64."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.errors import InputError


def numbers(name: str, values: Any, axes: str) -> NDArray[np.float64]:
    """`values` as a finite float64 array with the axes named in `axes` ("M T D").

    Takes arrays, nested sequences and tensors on any device.

    Raises:
        InputError: not numbers, another number of axes, an empty axis, a NaN or an infinity;
            the text names the argument, the axis and the first bad place.
    """
    if hasattr(values, "detach"):
        values = values.detach().cpu().double().numpy()
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} must be numbers of shape [{spell(axes)}]: {error}.") from None
    wanted = axes.split()
    if array.ndim != len(wanted):
        raise InputError(
            f"{name} has shape {list(array.shape)}; wanted [{spell(axes)}], {len(wanted)} axes."
        )
    for axis, size in zip(wanted, array.shape, strict=True):
        if size == 0:
            raise InputError(f"{name} has shape {list(array.shape)}: its axis {axis} is empty.")
    finite = np.isfinite(array)
    if not finite.all():
        place = np.unravel_index(int(np.argmin(finite)), array.shape)
        where = ", ".join(f"{axis}={int(i)}" for axis, i in zip(wanted, place, strict=True))
        raise InputError(
            f"{name} holds {array[place]} at {where} ({int((~finite).sum())} such values). "
            "Fill unobserved frames or leave the clip out."
        )
    return array


def spell(axes: str) -> str:
    """ "M T D" as it is written in docstrings: "M, T, D"."""
    return ", ".join(axes.split())


def agree(axis: str, **sizes: int) -> None:
    """Raise unless all `sizes` of `axis` are the same; the text names each argument."""
    if len(set(sizes.values())) > 1:
        found = ", ".join(f"{name} has {size}" for name, size in sizes.items())
        raise InputError(f"axis {axis} must agree: {found}.")


def at_least(what: str, value: float, least: float) -> None:
    """Raise unless `value` is at least `least`."""
    if not value >= least:
        raise InputError(f"{what} must be at least {least}, not {value}.")
