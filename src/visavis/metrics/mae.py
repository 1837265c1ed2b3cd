"""MAE of REACT 2026: mean absolute error over all pairs of a sample and an appropriate reaction."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.errors import InputError
from visavis.metrics._clip import PerClip, real_array, stacked, target_arrays
from visavis.metrics._device import Where, device_of
from visavis.metrics.protocol import Protocol

Real = NDArray[np.floating]

FIRST_CHANNEL = 15
"""The challenge leaves the 15 AUs out: channels 15 to 24 count (valence, arousal, expressions)."""


def mae(pred: Real, targets: Real, protocol: Protocol, where: Where = None) -> dict[str, float]:
    """MAE of one clip: `pred` [K, T, 25], `targets` [G, T, 25], over all K x G combinations.

    Raises:
        InputError: there are not 25 channels.
    """
    width = pred.shape[2]
    if width != 25:
        raise InputError(f"MAE is defined on the 25 facial attributes, but axis D is {width}.")
    columns = {"MAE": slice(FIRST_CHANNEL, width)}
    if protocol.strict:
        groups = protocol.groups(width)
        columns |= {f"MAE/{g.name}": g.columns for g in groups if g.start >= FIRST_CHANNEL}
    apart = np.zeros(width)
    if where is None:
        for sample in pred.astype(np.float64):
            apart += np.abs(sample - targets).mean(axis=(0, 1)) / len(pred)
    else:
        from visavis.metrics._torch_moments import on_device

        real = on_device(targets, where)
        each = [(sample - real).abs().mean((0, 1)) for sample in on_device(pred, where)]
        apart = (sum(each) / len(each)).cpu().numpy()
    return {name: float(apart[part].mean()) for name, part in columns.items()}


class MAE(PerClip):
    """MAE, one clip an update."""

    head = "MAE"
    higher_is_better = False

    def __init__(self, protocol: str | Protocol = "mars", **options: Any) -> None:
        super().__init__(protocol, **options)

    def names(self) -> tuple[str, ...]:
        return tuple(n for n in super().names() if n != "MAE/au")

    def update(self, pred: Any, targets: Any) -> None:
        """Count one clip: `pred` [K, T, 25], `targets` G of [T, 25].

        Raises:
            InputError: shapes do not agree (the axis is named), or there is no target.
        """
        ours = real_array("pred", pred, "KTD", self.protocol)
        theirs = stacked(target_arrays(targets, self.protocol), *ours.shape[1:])
        where = device_of(self.device, pred, targets)
        self.add(mae(ours, theirs, self.protocol, where), ours.shape[2])
