"""Relative attention with learned decay: the worked numbers of the specification (7.5)."""

from __future__ import annotations

import pytest
import torch

from visavis.nn.cache import Recall
from visavis.nn.relative_attention import RelativeAttention, decayed, lags

X = torch.zeros(1)


def rows(back: bool) -> torch.Tensor:
    """Softmax rows at eps 0.5 over four tokens with equal scores."""
    bias = decayed(torch.tensor([0.5]), lags(4, 4, X), back=torch.tensor([back]))
    return bias[0].softmax(-1)


def test_the_bias_is_minus_eps_times_the_distance() -> None:
    bias = decayed(torch.tensor([0.5]), lags(4, 4, X))[0]
    assert bias.tolist() == [
        [0.0, -0.5, -1.0, -1.5],
        [-0.5, 0.0, -0.5, -1.0],
        [-1.0, -0.5, 0.0, -0.5],
        [-1.5, -1.0, -0.5, 0.0],
    ]


def test_weights_in_both_directions() -> None:
    first, second = [0.4551, 0.2760, 0.1674, 0.1015], [0.2350, 0.3875, 0.2350, 0.1425]
    expected = torch.tensor([first, second, second[::-1], first[::-1]])
    torch.testing.assert_close(rows(False), expected, atol=6e-5, rtol=0)


def test_weights_that_look_back_only() -> None:
    expected = torch.tensor(
        [
            [1.0, 0.0, 0.0, 0.0],
            [0.3775, 0.6225, 0.0, 0.0],
            [0.1863, 0.3072, 0.5065, 0.0],
            [0.1015, 0.1674, 0.2760, 0.4551],
        ]
    )
    torch.testing.assert_close(rows(True), expected, atol=6e-5, rtol=0)


def attention(**kwargs: object) -> RelativeAttention:
    torch.manual_seed(0)
    return RelativeAttention(16, 4, **kwargs).double()  # type: ignore[arg-type]


def set_rates(module: RelativeAttention, rate: float) -> None:
    with torch.no_grad():
        module.raw_rates.fill_(torch.tensor(rate).expm1().log() if rate < 50 else rate)


TOKENS = torch.randn(2, 9, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_rates_begin_at_alibi_s_slopes_a_frame() -> None:
    made = RelativeAttention(16, 8, stride=5.0).rates
    torch.testing.assert_close(made, 5.0 * 2.0 ** -torch.arange(1.0, 9.0), atol=1e-5, rtol=0)
    assert bool((made > 0).all())


def test_no_decay_is_plain_attention_and_much_is_each_token_s_own_value() -> None:
    plain, near = attention(decay="none"), attention()
    set_rates(near, 1e-9)
    torch.testing.assert_close(near(TOKENS, TOKENS), plain(TOKENS, TOKENS), atol=1e-6, rtol=0)
    set_rates(near, 1e4)
    own = near.attention.out(near.attention.value(TOKENS))
    torch.testing.assert_close(near(TOKENS, TOKENS), own, atol=1e-9, rtol=0)


def test_shifting_both_sides_leaves_the_scores_alone() -> None:
    module = attention()
    far = torch.cat([torch.randn(2, 5, 16, dtype=torch.float64), TOKENS], 1)
    keys, _ = module.keys_values(far)
    late = module.weights(TOKENS, keys[..., 5:, :], module.bias(9, 14, TOKENS)[None, ..., 5:])
    soon = module.weights(TOKENS, module.keys_values(TOKENS)[0], module.bias(9, 9, TOKENS)[None])
    torch.testing.assert_close(late, soon)


def test_heads_that_look_back_do_not_see_ahead() -> None:
    changed = TOKENS.clone()
    changed[:, 5:] = 7.0
    back = attention(direction="back")
    torch.testing.assert_close(back(changed, changed)[:, :5], back(TOKENS, TOKENS)[:, :5])
    mixed = attention(direction="mixed")
    weights = mixed.weights(TOKENS, mixed.keys_values(TOKENS)[0], mixed.bias(9, 9, TOKENS)[None])
    ahead = weights.triu(1).sum((-1, -2))[0]
    assert ahead[0] == ahead[2] == 0
    assert float(ahead[1].detach()) > 0.1


def test_the_other_reading_fades_the_weights_after_the_softmax() -> None:
    module, plain = attention(decay="post"), attention(decay="none")
    keys, values = module.keys_values(TOKENS)
    bias = module.bias(9, 9, TOKENS)[None]
    weights = module.weights(TOKENS, keys, bias)
    flat = plain.weights(TOKENS, keys, bias)
    fading = torch.exp(-module.rates.double()[:, None, None] * lags(9, 9, TOKENS).abs())
    torch.testing.assert_close(weights, flat * fading)
    assert float(weights.detach().sum(-1).max()) < 1
    torch.testing.assert_close(
        module.mix(TOKENS, keys, values, bias),
        module.attention.out((weights @ values).transpose(1, 2).flatten(2)),
    )


def test_mixing_weighs_values_by_the_weights() -> None:
    module = attention(direction="mixed")
    keys, values = module.keys_values(TOKENS)
    bias = module.bias(9, 9, TOKENS)[None]
    by_hand = (module.weights(TOKENS, keys, bias) @ values).transpose(1, 2).flatten(2)
    torch.testing.assert_close(module(TOKENS, TOKENS), module.attention.out(by_hand))


@pytest.mark.parametrize("decay", ["scores", "post"])
def test_a_stream_with_recall_is_the_whole_sequence(decay: str) -> None:
    module, span = attention(direction="back", decay=decay), 4
    whole = module(TOKENS, TOKENS, span=span)
    past = [torch.zeros(2, 4, span, 4, dtype=torch.float64) for _ in range(2)]
    parts = []
    for start, stop in ((0, 2), (2, 3), (3, 9)):
        recall = Recall(past, span)
        empty = torch.zeros(1, 1, 1, span + stop - start, dtype=torch.float64)
        empty[..., : max(span - start, 0)] = float("-inf")
        new = TOKENS[:, start:stop]
        parts.append(module(new, new, span=span, recall=recall, hidden=empty))
        past = recall.kept
    torch.testing.assert_close(torch.cat(parts, 1), whole)


def test_the_rates_learn() -> None:
    module = attention()
    module(TOKENS, TOKENS).pow(2).sum().backward()
    assert bool(module.raw_rates.grad.abs().gt(0).all())  # type: ignore[union-attr]
