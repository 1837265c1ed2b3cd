"""An average of the weights over time: what is validated and kept instead of the last ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Ema:
    """a <- d a + (1 - d) w for every trained parameter, in float32.

    Args:
        decay: d. ReactDiff's MMT takes 0.999.
        power: d rises as 1 - (1 + step)^-power (0.6667 in k-diffusion's inverse-power warm-up);
            without it as (1 + step) / (10 + step). Either way at most `decay`: a plain average
            would still be a third initial weights after 1 / (1 - decay) steps.
    """

    def __init__(self, model: nn.Module, decay: float, *, power: float | None = None) -> None:
        self.decay, self.power = decay, power
        self._weights = {n: p for n, p in model.named_parameters() if p.requires_grad}
        self.average = {n: p.detach().float().clone() for n, p in self._weights.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """After the optimisers' step number `step` (from 0) of the stage."""
        risen = (1 + step) / (10 + step)
        if self.power is not None:
            risen = 1 - (1 + step) ** -self.power
        decay = min(self.decay, risen)
        now = [p.detach().float() for p in self._weights.values()]
        torch._foreach_lerp_(list(self.average.values()), now, 1 - decay)

    @contextmanager
    def swapped(self) -> Iterator[None]:
        """The model wears the average inside, and its own weights again afterwards."""
        own = {n: p.detach().clone() for n, p in self._weights.items()}
        self._put(self.average)
        try:
            yield
        finally:
            self._put(own)

    def keep(self) -> None:
        """The model takes the average for good."""
        self._put(self.average)

    def load(self, average: Mapping[str, Tensor]) -> None:
        """Go on from what `average` held."""
        with torch.no_grad():
            for name, value in average.items():
                self.average[name].copy_(value)

    @torch.no_grad()
    def _put(self, values: Mapping[str, Tensor]) -> None:
        for name, weight in self._weights.items():
            weight.copy_(values[name])
