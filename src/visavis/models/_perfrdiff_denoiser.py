"""PerFRDiff's denoiser: post-norm decoder layers whose memory is what is known of the speaker.

The memory does not depend on the noisy window, so its keys and values are computed once for all
diffusion steps and samples; only the token of the step is new each time. Where a memory is short,
queries and outputs are folded into them too (`Folded`). Some maps can be shifted a row
(`nn.low_rank`): the cross-attention's projections of two layers, and the output.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from visavis.models._clip_decoder import ATTRIBUTES
from visavis.nn.attention import Attention
from visavis.nn.low_rank import Dense, LowRank, Shift, shifted
from visavis.nn.step_embedding import step_embedding

TABLE = 500
"""Learned positions of the window and of the memory (released)."""
_STEP_WIDTH = 64
Parts = tuple[Shift | None, Shift | None, Shift | None]
"""Shifts of query, key and value."""


def edited_layers(layers: int) -> tuple[int, ...]:
    """From 0: the last layer and the one two before it, as the published 4 and 6 of 7."""
    return tuple(sorted({max(layers - 3, 0), layers - 1}))


def targets(width: int, layers: int) -> dict[str, tuple[int, int]]:
    """What a hypernetwork shifts: name -> (out, in)."""
    found = {f"layer{i}": (3 * width, width) for i in edited_layers(layers)}
    return found | {"out": (ATTRIBUTES, width)}


def parts_of(shift: Shift | None, width: int, *, query: bool) -> Parts:
    """A shift of the joined projection [3 C, C] as those of query, key and value."""
    if shift is None:
        return None, None, None
    rows = [slice(i * width, (i + 1) * width) for i in range(3)]
    made: list[Shift]
    if isinstance(shift, LowRank):
        made = [LowRank(shift.up[:, r], shift.down) for r in rows]
    else:
        made = [Dense(shift.weight[:, r]) for r in rows]
    return made[0] if query else None, made[1], made[2]


@dataclass(frozen=True)
class Folded:
    """A layer's cross-attention over a short memory, for sampling on a processor.

    Scores are x (W_q K^T) and answers shares (V W_o), with the products in brackets computed once:
    fewer numbers than W_q and W_o have, where heads x S is less than the width. The first token of
    each head is the step's, which `put` writes.
    """

    keys: Tensor
    """[R, heads, 1 + S, C], scaled."""
    bias: Tensor
    """What the queries' bias adds to the scores, [R, heads, 1 + S]."""
    values: Tensor
    """[R, heads, 1 + S, C]."""

    @classmethod
    def of(cls, cross: Attention, keys: Tensor, values: Tensor) -> Folded:
        """Keys and values [R, heads, S, c], folded behind an empty place."""
        parts = cls._parts(cross, keys, values)
        return cls(*(torch.cat([torch.zeros_like(x[:, :, :1]), x], 2) for x in parts))

    @staticmethod
    def _parts(cross: Attention, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        heads, size = cross.heads, keys.shape[-1]
        keys = keys * size**-0.5
        query = cross.query.weight.unflatten(0, (heads, size))
        bias = (keys @ cross.query.bias.view(heads, size, 1))[..., 0]
        return keys @ query, bias, values @ cross.out.weight.t().unflatten(0, (heads, size))

    def put(self, cross: Attention, keys: Tensor, values: Tensor) -> None:
        """Writes the step's keys and values [R, heads, 1, c]."""
        made = self._parts(cross, keys, values)
        for whole, part in zip((self.keys, self.bias, self.values), made, strict=True):
            whole[:, :, :1] = part

    def __call__(self, cross: Attention, x: Tensor) -> Tensor:
        """x [R, F, C] to what the attention answers [R, F, C]."""
        heads = self.keys.shape[1]
        asked = self.keys.flatten(1, 2).transpose(1, 2)
        scores = torch.baddbmm(self.bias.flatten(1)[:, None], x, asked)
        shares = scores.unflatten(2, (heads, -1)).softmax(-1).flatten(2)
        return torch.baddbmm(cross.out.bias, shares, self.values.flatten(1, 2))


@dataclass(frozen=True)
class Memory:
    """What R rows know, ready for any number of diffusion steps."""

    keys: tuple[Tensor, ...]
    """A layer [R, heads, S, C / heads], without the step's token."""
    values: tuple[Tensor, ...]
    shifts: Mapping[str, Shift]
    heard: Tensor | None
    """[R, L, C], added to the noisy window's tokens."""
    folded: tuple[Folded | None, ...]
    """A layer each, where that is cheaper; else keys and values are read."""


class Layer(nn.Module):
    """Self-attention inside the window, cross-attention, GELU feed-forward; post-norm."""

    def __init__(self, width: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.own = Attention(width, heads, dropout=dropout)
        self.cross = Attention(width, heads, dropout=dropout)
        self.feed_forward = nn.Sequential(
            nn.Linear(width, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, width)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.drop = nn.Dropout(dropout)

    def keys_values(self, memory: Tensor, parts: Parts) -> tuple[Tensor, Tensor]:
        """Memory [R, S, C] to keys and values [R, heads, S, C / heads]."""
        cross = self.cross
        return tuple(  # type: ignore[return-value]
            cross.split(shifted(layer, memory, part))
            for layer, part in ((cross.key, parts[1]), (cross.value, parts[2]))
        )

    def met(self, x: Tensor) -> Tensor:
        """x [R, K, L, C] after the self-attention within each window."""
        flat = x.flatten(0, 1)
        out: Tensor = self.norms[0](flat + self.drop(self.own(flat, flat)))
        return out.view_as(x)

    def answered(self, x: Tensor, keys: Tensor, values: Tensor, query: Shift | None) -> Tensor:
        """x [R, K, L, C] over the memory; the K samples of a row share it, as one long query."""
        joined = x.flatten(1, 2)
        queries = self.cross.split(shifted(self.cross.query, joined, query))
        mixed = nn.functional.scaled_dot_product_attention(
            queries, keys, values, dropout_p=self.cross.dropout if self.training else 0.0
        )
        out: Tensor = self.cross.out(mixed.transpose(1, 2).flatten(2))
        return out.view_as(x)

    def finish(self, x: Tensor, mixed: Tensor) -> Tensor:
        """What follows the cross-attention, with its answer."""
        x = self.norms[1](x + self.drop(mixed))
        out: Tensor = self.norms[2](x + self.drop(self.feed_forward(x)))
        return out


class Denoiser(nn.Module):
    """Predicts clean windows of 25 attributes; 22,986,777 parameters as published, less the maps of
    conditions that the released configuration removes (26,624)."""

    def __init__(
        self, width: int, heads: int, hidden: int, layers: int, dropout: float, *, query: bool
    ) -> None:
        super().__init__()
        self.width, self.edits_query = width, query
        self.into = nn.Linear(ATTRIBUTES, width)
        self.positions = nn.Parameter(torch.rand(TABLE, width))
        self.memory_positions = nn.Parameter(torch.rand(TABLE, width))
        self.step = nn.Sequential(nn.Linear(_STEP_WIDTH, width), nn.SiLU(), nn.Linear(width, width))
        self.layers = nn.ModuleList(Layer(width, heads, hidden, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, ATTRIBUTES)

    def _layers(self) -> list[Layer]:
        return [layer for layer in self.layers if isinstance(layer, Layer)]

    def _parts(self, number: int, shifts: Mapping[str, Shift]) -> Parts:
        return parts_of(shifts.get(f"layer{number}"), self.width, query=self.edits_query)

    def remember(
        self, tokens: Tensor, shifts: Mapping[str, Shift], heard: Tensor | None = None
    ) -> Memory:
        """Tokens [R, S, C] of what is known of the speaker, S below `TABLE`, and a row's shifts."""
        tokens = tokens + self.memory_positions[1 : tokens.shape[1] + 1]
        pairs = [
            layer.keys_values(tokens, self._parts(i, shifts))
            for i, layer in enumerate(self._layers())
        ]
        folded = tuple(
            Folded.of(layer.cross, *pair) if self._folds(i, pair[0], shifts) else None
            for i, (layer, pair) in enumerate(zip(self._layers(), pairs, strict=True))
        )
        keys, values = zip(*pairs, strict=True)
        return Memory(keys, values, shifts, heard, folded)

    def _folds(self, number: int, keys: Tensor, shifts: Mapping[str, Shift]) -> bool:
        _, heads, size, _ = keys.shape
        plain = self._parts(number, shifts)[0] is None and keys.is_cpu
        once = not self.training and not torch.is_grad_enabled()
        return once and plain and heads * size < self.width

    def forward(self, noisy: Tensor, steps: Tensor, memory: Memory, *, sides: int = 1) -> Tensor:
        """Noisy windows [R, K, L, 25] at steps [R] to clean ones [R * sides, K, L, 25].

        The memory has `sides` rows for each of R, one after another: windows with and without the
        condition are the same until they meet it.
        """
        x = self.into(noisy) + self.positions[: noisy.shape[2]]
        if memory.heard is not None:
            x = x.repeat_interleave(sides, 0) + memory.heard[:, None]
        steps = steps.repeat_interleave(sides)
        step = self.step(step_embedding(steps, _STEP_WIDTH))[:, None] + self.memory_positions[:1]
        for i, layer in enumerate(self._layers()):
            parts = self._parts(i, memory.shifts)
            keys, values = layer.keys_values(step, parts)
            x = layer.met(x)
            if len(x) < len(steps):
                x = x.repeat_interleave(sides, 0)
            folded = memory.folded[i]
            if folded is not None:
                folded.put(layer.cross, keys, values)
                mixed = folded(layer.cross, x.flatten(1, 2)).view_as(x)
            else:
                keys = torch.cat([keys, memory.keys[i]], 2)
                values = torch.cat([values, memory.values[i]], 2)
                mixed = layer.answered(x, keys, values, parts[0])
            x = layer.finish(x, mixed)
        return shifted(self.out, self.norm(x), memory.shifts.get("out"))
