"""Keys and values of the latest tokens: what attention over a stream must remember.

A `Tape` grows by concatenation and carries gradients: for whole clips, where all rows stand at the
same token. A ring is a tensor that is written in place and never grows, at a `Place`: for
conversations, whose rows come and go and stand at tokens of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
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


class Recall:
    """Keys and values of the last frames, one pair an attention, in the order they are called."""

    def __init__(self, past: Sequence[Tensor], span: int) -> None:
        """`past`: keys and values in turn, each [N, heads, span, c]."""
        self._past, self._span = list(past), span
        self.kept: list[Tensor] = []
        """The same after this window."""

    def join(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values [N, heads, t, c] behind those before, [N, heads, span + t, c]."""
        joined = []
        for new in (keys, values):
            whole = torch.cat([self._past[len(self.kept)], new], dim=-2)
            self.kept.append(whole[..., whole.shape[-2] - self._span :, :])
            joined.append(whole)
        return joined[0], joined[1]


class Place:
    """Where t new tokens of some rows of a ring go, and which token each slot then holds.

    Made once a step and shared by all rings of a size. A ring is a tensor [rows, S + spare, C].
    """

    def __init__(
        self,
        counts: Sequence[int],
        tokens: int,
        size: int,
        *,
        rows: Tensor | None = None,
        spare: int = 0,
        device: torch.device | None = None,
    ) -> None:
        """
        Args:
            counts: tokens that each of N rows has seen before.
            tokens: t, at most `size`; 0 to look at what is held.
            size: S, slots of a ring.
            rows: int64 [N], which rows of the store; None is all of them, in order.
            spare: slots behind them for what is not kept; they hold no token.
        """
        assert tokens <= size
        self.rows, self._counts, self._tokens, self._size = rows, counts, tokens, size
        self._spare, self._device = spare, device
        self.alike = len(set(counts)) == 1
        """Whether all rows stand at the same token."""
        self.ends = counts[0] + tokens
        """Tokens that the first row has seen then."""
        first = counts[0] % size
        self.slice = slice(first, first + tokens) if self.alike and first + tokens <= size else None
        """The slots, where they are one stretch for all rows."""

    @cached_property
    def queries(self) -> Tensor:
        """Numbers of the new tokens, [N, t]; [1, t] where all rows are alike."""
        counts = self._counts[:1] if self.alike else self._counts
        before = torch.tensor(counts, dtype=torch.int64, device=self._device)
        return before[:, None] + torch.arange(self._tokens, device=self._device)

    @cached_property
    def held(self) -> Tensor:
        """Number of the token in each slot once the new ones are in, [N or 1, S + spare]; negative:
        none."""
        counts = self._counts[:1] if self.alike else self._counts
        latest = torch.tensor(counts, dtype=torch.int64, device=self._device)[:, None]
        latest = latest + self._tokens - 1
        slots = torch.arange(self._size, device=self._device)
        held = latest - (latest - slots) % self._size
        return torch.nn.functional.pad(held, (0, self._spare), value=-1) if self._spare else held

    def write(self, store: Tensor, new: Tensor) -> Tensor:
        """New [N, t, C] into the store [rows, S + spare, C]; the rows' slots."""
        if self.slice is not None:
            if self.rows is None:
                store[:, self.slice] = new
                return store
            store[self.rows, self.slice] = new
            return store[self.rows]
        rows = self.rows
        if rows is None:
            rows = torch.arange(len(new), device=new.device)
        store[rows[:, None], self.queries % self._size] = new
        return store if self.rows is None else store[self.rows]

    def beside(self, store: Tensor, extra: Tensor) -> Tensor:
        """Extra [N, spare, C] into the spare slots; the rows' slots, [N, S + spare, C]."""
        rows = slice(None) if self.rows is None else self.rows
        store[rows, self._size :] = extra
        return store[rows]
