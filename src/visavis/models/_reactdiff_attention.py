"""Attention of the Multi-Modality Transformer: who sees whom, and what is kept between windows."""

from __future__ import annotations

import torch
from torch import Tensor

from visavis.nn.attention import Attention
from visavis.nn.cache import Recall

_SHORTEST, _GROWTH = 4.0, 3.0


def attended(
    attention: Attention,
    x: Tensor,
    memory: tuple[Tensor, Tensor],
    bias: Tensor | None,
    recall: Recall | None,
) -> Tensor:
    """x [N, T, C] over memory, a pair of what keys and values are made of, [N, S, C] each."""
    keys = attention.split(attention.key(memory[0]))
    values = attention.split(attention.value(memory[1]))
    if recall is not None:
        keys, values = recall.join(keys, values)
    return attention.attend(x, keys, values, mask=bias)


def decay(heads: int, queries: int, keys: int, *, causal: bool, like: Tensor) -> Tensor:
    """What is added to scores of `queries` frames that end where `keys` frames do, [heads, Q, K].

    Linear in the lag (ALiBi; Press et al., 2022). Heads differ in how far they see: 4, 12, 36, ...
    frames, the last without end; every other head looks back only, or all when `causal`.
    """
    lag = torch.arange(keys - queries, keys, device=like.device)[:, None]
    lag = (lag - torch.arange(keys, device=like.device)).to(like.dtype)
    biases = []
    for head in range(heads):
        rate = 0.0 if head == heads - 1 else 1 / (_SHORTEST * _GROWTH**head)
        bias = -rate * lag.abs()
        if causal or head % 2 == 0:
            bias = bias.masked_fill(lag < 0, float("-inf"))
        biases.append(bias)
    return torch.stack(biases)


def whole_clip(
    positions: str, heads: int, x: Tensor, inside: Tensor | None, span: int | None
) -> Tensor | None:
    """The bias of a clip x [N, T, C] that sees itself; None where nothing is to be added.

    With a `span` nothing looks ahead, and nothing further back than `span` frames, itself included.
    """
    frames = x.shape[1]
    bias = None
    if span is not None:
        bias = _banded(positions, heads, frames, 0, span, x)[None]
    elif positions == "decay":
        bias = decay(heads, frames, frames, causal=False, like=x)[None]
    if inside is None:
        return bias
    hidden = torch.zeros(len(x), 1, 1, frames, dtype=x.dtype, device=x.device)
    hidden = hidden.masked_fill(~inside[:, None, None], float("-inf"))
    return hidden if bias is None else _seen(bias + hidden)


def streamed(
    positions: str, heads: int, frames: int, span: int, filled: Tensor, like: Tensor
) -> Tensor:
    """The bias of new frames behind a memory of `span`, [N, heads, frames, span + frames].

    Each frame sees itself and `span - 1` before; `filled` int64 [N] are the frames of the memory
    that are real, its last ones.
    """
    bias = _banded(positions, heads, frames, span, span, like)
    real = torch.arange(span + frames, device=like.device) >= span - filled[:, None]
    return bias[None].masked_fill(~real[:, None, None], float("-inf"))


def _banded(
    positions: str, heads: int, frames: int, before: int, span: int, like: Tensor
) -> Tensor:
    """[heads, frames, before + frames], of frames that see `span` frames up to themselves."""
    bias = decay(heads, frames, before + frames, causal=True, like=like)
    if positions == "off":
        bias = torch.where(bias.isinf(), bias, 0.0)
    place = torch.arange(before + frames, device=like.device)
    lag = place[before:, None] - place
    return bias.masked_fill(lag >= span, float("-inf"))


def _seen(bias: Tensor) -> Tensor:
    """Where a frame of padding sees nothing it sees everything: a softmax of nothing is NaN."""
    return bias.masked_fill(bias.isinf().all(-1, keepdim=True), 0.0)
