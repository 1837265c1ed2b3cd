"""Packed layers give what the layers give."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from visavis.nn.attention import DecoderLayer, EncoderLayer
from visavis.nn.packed import (
    Affine,
    PackedDecoder,
    PackedEncoder,
    attention,
    attention_of_own,
)

CLOSE = {"atol": 1e-5, "rtol": 0.0}
WIDTH, HEADS = 16, 4


def drawn(layer: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=0.3)
    return layer.requires_grad_(False).eval()


def test_linear_layers_of_one_input_lie_side_by_side() -> None:
    one, two = drawn(nn.Linear(5, 3)), drawn(nn.Linear(5, 2))
    x = torch.randn(7, 5)
    torch.testing.assert_close(Affine.of(one, two)(x), torch.cat([one(x), two(x)], -1), **CLOSE)


def test_a_packed_decoder_layer_is_the_layer() -> None:
    layer = drawn(DecoderLayer(WIDTH, HEADS, 32))
    assert isinstance(layer, DecoderLayer)
    x, memory = torch.randn(2, 6, WIDTH), torch.randn(2, 9, WIDTH)
    expected = layer(x, memory, causal=False)
    cross = layer.cross_attention
    packed, told = PackedDecoder.of(layer), Affine.of(cross.key, cross.value)
    y = x.reshape(-1, WIDTH)
    three = packed.project(y)
    own = three[:, WIDTH:].view(2, 6, -1)
    y = packed.after_self(y, attention(three[:, :WIDTH], own, HEADS, None))
    seen = told(memory.reshape(-1, WIDTH)).view(2, 9, -1)
    y = packed.after_cross(y, attention(packed.query(y), seen, HEADS, None))
    torch.testing.assert_close(y.view(2, 6, WIDTH), expected, **CLOSE)


def test_a_packed_encoder_layer_is_the_layer() -> None:
    layer = drawn(EncoderLayer(WIDTH, HEADS, 32))
    assert isinstance(layer, EncoderLayer)
    x, packed = torch.randn(3, 5, WIDTH), PackedEncoder.of(layer)
    y = x.reshape(-1, WIDTH)
    three = packed.project(y)
    mixed = attention(three[:, :WIDTH], three[:, WIDTH:].view(3, 5, -1), HEADS, None)
    torch.testing.assert_close(packed.finish(y, mixed).view(x.shape), layer(x), **CLOSE)


@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("rows", [1, 2])
def test_samples_share_a_memory_and_its_bias(samples: int, rows: int) -> None:
    layer = drawn(DecoderLayer(WIDTH, HEADS, 32))
    assert isinstance(layer, DecoderLayer)
    mixer = layer.cross_attention
    x, memory = torch.randn(2 * samples, 4, WIDTH), torch.randn(2, 7, WIDTH)
    bias = torch.randn(rows, 1, 4, 7)
    keys, values = mixer.key(memory), mixer.value(memory)
    expected = mixer.biased(x, keys, values, bias, samples=samples)
    queries = mixer.query(x).reshape(-1, WIDTH)
    wide = torch.cat([torch.randn(2, 7, 5), keys, values, torch.randn(2, 7, 3)], -1)
    mixed = attention(queries, wide[..., 5 : 5 + 2 * WIDTH], HEADS, bias)
    torch.testing.assert_close(mixer.out(mixed).view(expected.shape), expected, **CLOSE)


def test_attention_over_a_frame_s_own_ticks_is_point_to_point_attention() -> None:
    layer = drawn(DecoderLayer(WIDTH, HEADS, 32))
    assert isinstance(layer, DecoderLayer)
    mixer = layer.cross_attention
    x, memory = torch.randn(2, 5, WIDTH), torch.randn(2, 10, WIDTH)
    keys, values = (y.view(10, 2, WIDTH) for y in (mixer.key(memory), mixer.value(memory)))
    mixed = attention_of_own(mixer.query(x).reshape(-1, WIDTH), keys, values, HEADS)
    expected = mixer.of_own(x, memory)
    torch.testing.assert_close(mixer.out(mixed).view(expected.shape), expected, **CLOSE)
