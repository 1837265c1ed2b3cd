"""Keys and values of the latest tokens: what attention over a stream must remember.

Two stores with one method, `put`. A `Tape` grows by concatenation and carries gradients: for whole
clips, where all rows stand at the same token. A `Ring` is written in place and never grows: for
conversations, whose rows come and go and stand at tokens of their own.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor


class Cache(Protocol):
    """Keys and values [N, S, C] of the latest tokens."""

    def put(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Add those of t new tokens [N, t, C]; all that are held with them, [N, S, C]."""

    def beside(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """All that are held and behind them these, [N, S + e, C], which are not kept."""


class Tape:
    """Holds the last `keep` tokens, in order."""

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._held: tuple[Tensor, Tensor] | None = None

    def put(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        if self._held is not None:
            keys = torch.cat([self._held[0], keys], 1)
            values = torch.cat([self._held[1], values], 1)
        self._held = (keys[:, -self._keep :], values[:, -self._keep :]) if self._keep else None
        return keys, values

    def beside(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        if self._held is None:
            return keys, values
        return torch.cat([self._held[0], keys], 1), torch.cat([self._held[1], values], 1)


class Place:
    """Where t new tokens of some rows of a ring go, and which token each slot then holds.

    Made once a step and shared by all rings of a size.
    """

    def __init__(
        self, rows: Tensor | None, counts: Tensor, tokens: int, size: int, *, spare: int = 0
    ) -> None:
        """
        Args:
            rows: int64 [N], which rows of the store; None is all of them, in order.
            counts: int64 [N], tokens that each row has seen before.
            tokens: t, at most `size`; 0 to look at what is held.
            size: S, slots of a ring.
            spare: slots behind them for what is not kept; they hold no token.
        """
        assert tokens <= size
        self.rows, self._size = rows, size
        self.queries = counts[:, None] + torch.arange(tokens, device=counts.device)
        """Numbers of the new tokens, [N, t]."""
        latest = (counts + tokens - 1)[:, None]
        slots = torch.arange(size, device=counts.device)
        held = latest - (latest - slots) % size
        self.held = torch.nn.functional.pad(held, (0, spare), value=-1) if spare else held
        """Number of the token in each slot once the new ones are in, [N, S + spare]; negative:
        none."""
        self.slots = self.queries % size
        self.alike = len(counts) == 1 or bool((counts == counts[0]).all())
        """Whether all rows stand at the same token."""
        first = int(counts[0]) % size
        self.slice = slice(first, first + tokens) if self.alike and first + tokens <= size else None
        """The slots, where they are one stretch for all rows."""

    def write(self, store: Tensor, new: Tensor) -> Tensor:
        """New [N, t, C] into the store [rows, S + spare, C]; the rows' slots."""
        if self.rows is None:
            if self.slice is not None:
                store[:, self.slice] = new
            else:
                rows = torch.arange(len(new), device=new.device)
                store[rows[:, None], self.slots] = new
            return store
        if self.slice is not None:
            store[self.rows, self.slice] = new
        else:
            store[self.rows[:, None], self.slots] = new
        return store[self.rows]

    def beside(self, store: Tensor, extra: Tensor) -> Tensor:
        """Extra [N, spare, C] into the spare slots; the rows' slots, [N, S + spare, C]."""
        rows = slice(None) if self.rows is None else self.rows
        store[rows, self._size :] = extra
        return store[rows]


class Ring:
    """One cache of a step: a view on a store of rows, at the step's place."""

    def __init__(self, keys: Tensor, values: Tensor, place: Place) -> None:
        """Stores [rows, S, C], written in place."""
        self._keys, self._values, self._place = keys, values, place

    def put(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        return self._place.write(self._keys, keys), self._place.write(self._values, values)

    def beside(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """They take the spare slots, as many as there are."""
        return self._place.beside(self._keys, keys), self._place.beside(self._values, values)
