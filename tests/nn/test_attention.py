"""Our layers against torch's own, with copied weights."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from visavis.nn.alignment import point_bias
from visavis.nn.attention import (
    Attention,
    DecoderLayer,
    EncoderLayer,
    causal_attention,
)

CLOSE = {"atol": 1e-5, "rtol": 1e-5}


def qkv(frames: int, seed: int) -> list[Tensor]:
    made = torch.randn(3, 1, 2, frames, 4, generator=torch.Generator().manual_seed(seed))
    return [x.clone().requires_grad_() for x in made]


@settings(max_examples=25, deadline=None)
@given(frames=st.integers(1, 400), seed=st.integers(0, 99))
def test_blocks_of_causal_attention_are_causal_attention(frames: int, seed: int) -> None:
    mine, theirs = qkv(frames, seed), qkv(frames, seed)
    ours = causal_attention(*mine)
    stock = F.scaled_dot_product_attention(*theirs, is_causal=True)
    torch.testing.assert_close(ours, stock, **CLOSE)
    weights = torch.randn(ours.shape, generator=torch.Generator().manual_seed(seed + 1))
    (ours * weights).sum().backward()
    (stock * weights).sum().backward()
    for a, b in zip(mine, theirs, strict=True):
        torch.testing.assert_close(a.grad, b.grad, **CLOSE)


@pytest.mark.parametrize("frames", [127, 128, 129, 256, 257, 400])
def test_block_borders_lose_and_leak_no_key(frames: int) -> None:
    queries, keys, values = (x.detach() for x in qkv(frames, 0))
    stock = F.scaled_dot_product_attention(queries, keys, values, is_causal=True)
    torch.testing.assert_close(causal_attention(queries, keys, values), stock, **CLOSE)
    for block in (1, 7):
        ours = causal_attention(queries, keys, values, block=block)
        torch.testing.assert_close(ours, stock, **CLOSE)


def copy_attention(theirs: nn.MultiheadAttention, ours: Attention) -> None:
    with torch.no_grad():
        parts = (ours.query, ours.key, ours.value)
        for part in (*parts, ours.out):  # biases begin at zero, which would hide a missing one
            nn.init.normal_(part.bias)
        theirs.in_proj_weight.copy_(torch.cat([p.weight for p in parts]))
        theirs.in_proj_bias.copy_(torch.cat([p.bias for p in parts]))
        theirs.out_proj.load_state_dict(ours.out.state_dict())


def copy_rest(theirs: nn.Module, ours: EncoderLayer | DecoderLayer) -> None:
    theirs.linear1.load_state_dict(ours.feed_forward[0].state_dict())
    theirs.linear2.load_state_dict(ours.feed_forward[3].state_dict())
    for i, norm in enumerate(ours.norms):
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
        getattr(theirs, f"norm{i + 1}").load_state_dict(norm.state_dict())


def test_an_encoder_layer_is_torch_s_with_its_padding_mask() -> None:
    ours = EncoderLayer(16, 4, 24).eval()
    stock = nn.TransformerEncoderLayer(16, 4, 24, batch_first=True).eval()
    copy_attention(stock.self_attn, ours.attention)
    copy_rest(stock, ours)
    x, mask = torch.randn(3, 9, 16), torch.ones(3, 9, dtype=torch.bool)
    mask[1, 5:], mask[2, 1:] = False, False
    torch.testing.assert_close(ours(x), stock(x), **CLOSE)
    # (without gradients torch's fused path zeroes the padded rows)
    padded = stock(x.requires_grad_(), src_key_padding_mask=~mask)
    torch.testing.assert_close(ours(x, mask=mask[:, None, None])[mask], padded[mask], **CLOSE)


def test_an_encoder_layer_computes_only_the_queries_asked_for() -> None:
    layer, x = EncoderLayer(16, 4, 24).eval(), torch.randn(2, 9, 16)
    torch.testing.assert_close(layer(x[:, :2], memory=x), layer(x)[:, :2], **CLOSE)


@pytest.mark.parametrize("causal", [True, False])
def test_a_decoder_layer_is_torch_s_with_its_masks(causal: bool) -> None:
    ours = DecoderLayer(16, 4, 24).eval()
    stock = nn.TransformerDecoderLayer(16, 4, 24, batch_first=True).eval()
    copy_attention(stock.self_attn, ours.self_attention)
    copy_attention(stock.multihead_attn, ours.cross_attention)
    copy_rest(stock, ours)
    x, memory = torch.randn(2, 11, 16), torch.randn(2, 5, 16)
    mask = torch.ones(2, 5, dtype=torch.bool)
    mask[1, 2:] = False
    future = nn.Transformer.generate_square_subsequent_mask(11) if causal else None
    expected = stock(x, memory, tgt_mask=future, memory_key_padding_mask=~mask)
    got = ours(x, memory, causal=causal, memory_mask=mask[:, None, None])
    torch.testing.assert_close(got, expected, **CLOSE)


def test_a_causal_decoder_layer_may_hide_frames_as_well() -> None:
    layer, x = DecoderLayer(8, 2, 8).eval(), torch.randn(1, 6, 8)
    hidden = torch.ones(1, 1, 1, 6, dtype=torch.bool)
    hidden[..., 2] = False
    both = torch.ones(6, 6, dtype=torch.bool).tril() & hidden
    expected = layer(x, x, causal=False, self_mask=both)
    torch.testing.assert_close(layer(x, x, causal=True, self_mask=hidden), expected, **CLOSE)


def test_attention_over_one_token_needs_no_query() -> None:
    attention = Attention(16, 4).eval()
    nn.init.normal_(attention.value.bias)
    memory = torch.randn(3, 1, 16)
    whole = attention(torch.randn(3, 7, 16), memory)
    torch.testing.assert_close(attention.of_one(memory).expand(-1, 7, -1), whole, **CLOSE)


def test_keys_and_values_may_come_from_a_cache() -> None:
    attention, x = Attention(16, 4).eval(), torch.randn(2, 9, 16)
    parts = [attention.keys_values(chunk) for chunk in x.split([4, 1, 4], dim=1)]
    keys, values = (torch.cat(same, 2) for same in zip(*parts, strict=True))
    torch.testing.assert_close(attention.attend(x, keys, values), attention(x, x), **CLOSE)


def test_dropout_acts_only_in_training() -> None:
    layer, x = DecoderLayer(16, 4, 24, dropout=0.5), torch.randn(1, 200, 16)
    assert not torch.equal(layer(x, x), layer(x, x))
    layer.eval()
    assert torch.equal(layer(x, x), layer(x, x))


def test_attention_has_the_published_number_of_parameters() -> None:
    assert sum(p.numel() for p in Attention(128, 4).parameters()) == 4 * (128**2 + 128)


@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("rate", [1, 2])
def test_attention_to_a_frame_s_own_ticks_is_attention_with_a_band(samples: int, rate: int) -> None:
    torch.manual_seed(0)
    attention = Attention(8, 2, dropout=0.0)
    x, memory = torch.randn(2 * samples, 5, 8), torch.randn(2, 5 * rate, 8)
    band = point_bias(torch.arange(5), torch.arange(5 * rate), rate=rate)[None, None]
    keys, values = attention.key(memory), attention.value(memory)
    whole = attention.biased(x, keys, values, band, samples=samples)
    torch.testing.assert_close(attention.of_own(x, memory, samples=samples), whole, **CLOSE)


def test_samples_that_share_a_memory_attend_as_each_alone() -> None:
    torch.manual_seed(0)
    attention = Attention(8, 2, dropout=0.0)
    x, keys, values = torch.randn(6, 5, 8), torch.randn(2, 9, 8), torch.randn(2, 9, 8)
    bias = torch.randn(2, 2, 5, 9)
    together = attention.biased(x, keys, values, bias, samples=3)
    rows = [y.repeat_interleave(3, dim=0) for y in (keys, values, bias)]
    torch.testing.assert_close(together, attention.biased(x, *rows), **CLOSE)
    shares = attention.weights(x, keys, bias, samples=3)
    torch.testing.assert_close(shares.sum(-1), torch.ones(6, 2, 5), **CLOSE)
    mixed = shares @ attention.split(rows[1])
    torch.testing.assert_close(
        attention.out(mixed.transpose(-2, -3).flatten(-2)), together, **CLOSE
    )
