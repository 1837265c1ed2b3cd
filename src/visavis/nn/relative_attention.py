"""Attention whose weights fall with distance at a rate that each head learns.

The relative attention of MReactor's supplementary (D.1): a decay term eps (x - y) suppresses
distant frames. Where it enters is not printed there; here it is subtracted from the scores, ALiBi
with learned slopes (Press et al., 2022), or, with `decay = "post"`, multiplies the weights after
the softmax. Nothing else tells a token's place, so a model may be given longer sequences than it
was trained on.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from visavis.nn.alignment import slopes
from visavis.nn.attention import Attention
from visavis.nn.cache import Recall

Decay = Literal["scores", "post", "none"]
Direction = Literal["both", "back", "mixed"]


def lags(queries: int, keys: int, like: Tensor) -> Tensor:
    """x - y of queries that end where the keys end, [queries, keys]; negative ahead of a query."""
    place = torch.arange(keys, device=like.device, dtype=like.dtype)
    return place[keys - queries :, None] - place


def decayed(
    rates: Tensor, lag: Tensor, *, back: Tensor | None = None, span: int | None = None
) -> Tensor:
    """-eps |x - y|, [heads, Q, K]; -inf where a key is not seen.

    Args:
        rates: eps, [heads].
        lag: x - y, [Q, K].
        back: bool [heads], the heads that see nothing ahead of a query; none by default.
        span: keys that a query reaches back, its own included; None is all.
    """
    bias = -rates[:, None, None] * lag.abs()
    if back is not None:
        bias = bias.masked_fill(back[:, None, None] & (lag < 0), float("-inf"))
    return bias if span is None else bias.masked_fill(lag >= span, float("-inf"))


class RelativeAttention(nn.Module):
    """Multi-head attention over a memory whose tokens run beside the queries'."""

    back: Tensor

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        decay: Decay = "scores",
        direction: Direction = "both",
        stride: float = 1.0,
        dropout: float = 0.0,
    ) -> None:
        """
        Args:
            decay: where eps |x - y| enters; "none" is plain attention.
            direction: "back" sees nothing ahead; "mixed": every other head, from the first.
            stride: frames between two tokens, for the rates to begin with.
        """
        super().__init__()
        self.attention = Attention(width, heads, dropout=dropout)
        self.decay, self.direction = decay, direction
        looks = {"both": [False], "back": [True], "mixed": [True, False]}[direction]
        self.register_buffer(
            "back", torch.tensor([looks[h % len(looks)] for h in range(heads)]), persistent=False
        )
        if decay != "none":  # softplus of it begins at ALiBi's slopes, per frame
            self.raw_rates = nn.Parameter(torch.expm1(stride * slopes(heads)).log())

    @property
    def rates(self) -> Tensor:
        """eps a token, positive, [heads]; 0 for plain attention."""
        if self.decay == "none":
            return torch.zeros(self.attention.heads, device=self.back.device)
        return F.softplus(self.raw_rates)

    def keys_values(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Memory [N, S, C] to keys and values [N, heads, S, C / heads]."""
        return self.attention.keys_values(memory)

    def bias(self, queries: int, keys: int, like: Tensor, *, span: int | None = None) -> Tensor:
        """What is added to the scores of queries that end where the keys end, [heads, Q, K]."""
        rates = torch.zeros_like(self.rates) if self.decay == "post" else self.rates
        return decayed(rates, lags(queries, keys, like), back=self.back, span=span)

    def weights(self, x: Tensor, keys: Tensor, bias: Tensor) -> Tensor:
        """What values are weighed by, [N, heads, T, S]; rows sum to 1, or with "post" to less."""
        scores = self.attention.split(self.attention.query(x)) @ keys.transpose(-1, -2)
        shares = (scores * keys.shape[-1] ** -0.5 + bias).softmax(-1)
        if self.decay == "post":
            lag = lags(x.shape[1], keys.shape[-2], x).abs()
            shares = shares * torch.exp(-self.rates[:, None, None] * lag)
        out: Tensor = shares
        return out

    def mix(self, x: Tensor, keys: Tensor, values: Tensor, bias: Tensor) -> Tensor:
        """x [N, T, C] over keys and values [N, heads, S, c] under a bias [N or 1, heads, T, S]."""
        attention = self.attention
        if self.decay == "post":
            mixed = self.weights(x, keys, bias) @ values
        else:
            mixed = F.scaled_dot_product_attention(
                attention.split(attention.query(x)),
                keys,
                values,
                attn_mask=bias,
                dropout_p=attention.dropout if self.training else 0.0,
            )
        joined: Tensor = attention.out(mixed.transpose(-2, -3).flatten(-2))
        return joined

    def forward(
        self,
        x: Tensor,
        memory: Tensor,
        *,
        bias: Tensor | None = None,
        hidden: Tensor | None = None,
        span: int | None = None,
        recall: Recall | None = None,
    ) -> Tensor:
        """x [N, T, C] over memory [N, S, C], which ends where x ends.

        Args:
            bias: as of `bias`, with an axis before it, where the caller made it once for many
                calls; then `hidden` and `span` are not read.
            hidden: what is added to all heads' scores, [N, 1, 1, K]: -inf for keys not there.
            recall: keys and values of the tokens before, which are seen too.
        """
        keys, values = self.keys_values(memory)
        if recall is not None:
            keys, values = recall.join(keys, values)
        if bias is None:
            bias = self.bias(x.shape[1], keys.shape[-2], x, span=span)[None]
            bias = bias if hidden is None else bias + hidden
        return self.mix(x, keys, values, bias)
