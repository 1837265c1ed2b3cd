"""A running softmax over pieces against one softmax over the whole."""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from visavis.nn.running_attention import RunningAttention

CLOSE = {"atol": 1e-5, "rtol": 1e-5}


def parts(size: int, seed: int, scale: float = 1.0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    queries = torch.randn(2, 3, 2, 4, generator=generator) * scale
    keys, values = torch.randn(2, 2, 3, size, 4, generator=generator)
    return queries, keys, values


def whole(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None = None) -> Tensor:
    seen = None if mask is None else mask[:, None, None]
    mixed = F.scaled_dot_product_attention(queries, keys, values, attn_mask=seen)
    return mixed.transpose(-2, -3).flatten(-2)


def joined(
    queries: Tensor, keys: Tensor, values: Tensor, cuts: list[int], mask: Tensor | None = None
) -> RunningAttention:
    edges = [0, *cuts, keys.shape[-2]]
    pieces = [
        RunningAttention.over(
            queries, keys[..., a:b, :], values[..., a:b, :], None if mask is None else mask[:, a:b]
        )
        for a, b in itertools.pairwise(edges)
    ]
    total = pieces[0]
    for piece in pieces[1:]:
        total = total.join(piece)
    return total


@settings(max_examples=60, deadline=None)
@given(data=st.data(), size=st.integers(1, 30), seed=st.integers(0, 999))
def test_any_split_joined_is_softmax_over_the_whole(
    data: st.DataObject, size: int, seed: int
) -> None:
    inner = st.integers(1, max(1, size - 1))
    cuts = sorted(data.draw(st.sets(inner, max_size=5))) if size > 1 else []
    queries, keys, values = parts(size, seed)
    got = joined(queries, keys, values, cuts).mixed()
    torch.testing.assert_close(got, whole(queries, keys, values), **CLOSE)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), size=st.integers(2, 20), seed=st.integers(0, 999))
def test_masked_keys_are_not_read_and_wholly_masked_pieces_add_nothing(
    data: st.DataObject, size: int, seed: int
) -> None:
    flags = data.draw(st.lists(st.booleans(), min_size=size, max_size=size))
    mask = torch.tensor([[True, *flags[1:]], [*flags[:-1], True]])
    cuts = sorted(data.draw(st.sets(st.integers(1, size - 1), max_size=4)))
    queries, keys, values = parts(size, seed)
    hidden = ~mask[:, None, :, None]
    dirty = (keys.masked_fill(hidden, 1e4), values.masked_fill(hidden, -1e4))
    got = joined(queries, *dirty, cuts, mask).mixed()
    torch.testing.assert_close(got, whole(queries, keys, values, mask), **CLOSE)


def test_joining_does_not_depend_on_the_order() -> None:
    queries, keys, values = parts(12, 3)
    a = RunningAttention.over(queries, keys[..., :5, :], values[..., :5, :])
    b = RunningAttention.over(queries, keys[..., 5:, :], values[..., 5:, :])
    torch.testing.assert_close(a.join(b).mixed(), b.join(a).mixed(), **CLOSE)


@settings(max_examples=30, deadline=None)
@given(scale=st.floats(1e2, 1e8), cut=st.integers(1, 15), seed=st.integers(0, 99))
def test_huge_scores_neither_overflow_nor_vanish(scale: float, cut: int, seed: int) -> None:
    queries, keys, values = parts(16, seed, scale)
    got = joined(queries, keys, values, [cut]).mixed()
    assert got.isfinite().all()
    torch.testing.assert_close(got, whole(queries, keys, values), atol=1e-3, rtol=1e-3)


def test_its_size_does_not_grow_with_what_it_has_seen() -> None:
    short, long = (RunningAttention.over(*parts(size, 0)).tensors() for size in (2, 200))
    assert {n: x.shape for n, x in short.items()} == {n: x.shape for n, x in long.items()}
