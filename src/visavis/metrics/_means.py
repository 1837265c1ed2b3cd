"""Mean over clips of a few numbers: the state most streaming metrics share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from visavis.metrics._clip import kind_of


class MeanOverClips(Metric):
    """Means over clips of named values; a value that is NaN for a clip is left out and counted.

    Sums are float64, reduced by addition: neither the order of clips nor the number of processes
    matters beyond rounding. `compute` gives {name: mean, ..., "clips": clips seen,
    "undefined": clips for which the first value was NaN}.
    """

    full_state_update = False
    total: Tensor
    defined: Tensor
    clips: Tensor

    def __init__(self, names: tuple[str, ...], **options: Any) -> None:
        super().__init__(**options)
        self.names = names
        zeros = torch.zeros(len(names), dtype=torch.float64)
        self.add_state("total", zeros, dist_reduce_fx="sum")
        self.add_state("defined", zeros.clone(), dist_reduce_fx="sum")
        self.add_state("kind", kind_of(self, names), dist_reduce_fx="max")
        self.add_state("clips", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def add(self, values: Mapping[str, float]) -> None:
        """Count one clip."""
        row = torch.tensor([values[name] for name in self.names], dtype=torch.float64)
        row = row.to(self.total.device)
        known = ~row.isnan()
        self.total += torch.where(known, row, 0.0)
        self.defined += known
        self.clips += 1

    def compute(self) -> dict[str, Tensor]:
        means = self.total / self.defined  # 0/0 is NaN: no clip had a value
        found = dict(zip(self.names, means.unbind(), strict=True))
        return found | {"clips": self.clips, "undefined": self.clips - self.defined[0]}
