"""One more token of MReactor's reactions through all denoising steps, as a stream needs it.

`Denoiser` computes whole clips. Here is one token at a time, of which everything that a step does
not change is made once: how the step, v and the smoothness shape each layer, distances, what was
heard. Keys and values lie in rings: memory is never moved, and a step gives back its new ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from visavis.models._mreactor_denoiser import Denoiser, Layer, Manner
from visavis.nn.relative_attention import RelativeAttention, decayed


@dataclass(frozen=True)
class Rings:
    """Keys and values of B conversations' last `span` tokens, in slot token % span."""

    heard_keys: Tensor
    """[layers, B, heads, span, c]"""
    heard_values: Tensor
    """[layers, B K, heads, span, c]"""
    own: Tensor
    """[steps, layers, 2, B K, heads, span, c]"""


class Reach:
    """How far back each slot of a ring lies, and what an attention adds to its scores for that."""

    def __init__(self, token: Tensor, span: int, samples: int) -> None:
        """`token` int64 [B]: number of the new token, which is seen behind the ring's slots."""
        if bool((token == token[0]).all()):
            token, samples = token[:1], 1  # one row for all
        place = torch.arange(span, device=token.device)
        before = token[:, None] - 1
        held = before - (before - place) % span
        lag = torch.where(held < 0, span, token[:, None] - held)  # what is not there is too far
        lag = F.pad(lag, (0, 1)).to(torch.float32)[:, None, None]
        self.lag, self.span = lag.repeat_interleave(samples, 0), span

    def bias(self, attention: RelativeAttention) -> tuple[Tensor, Tensor | None]:
        """What is added to scores, [rows, heads, 1, span + 1], and what multiplies weights."""
        rates = attention.rates
        if attention.decay == "post":
            falling = torch.exp(-rates[:, None, None] * self.lag)
            return decayed(torch.zeros_like(rates), self.lag, span=self.span), falling
        return decayed(rates, self.lag, span=self.span), None


class LayerStep:
    """A layer with all that its denoising steps share."""

    def __init__(
        self,
        layer: Layer,
        shaping: Tensor,
        reach: Reach,
        heard: tuple[Tensor, Tensor] | None,
    ) -> None:
        """
        Args:
            layer: whose weights are used.
            shaping: `silu` of the steps' embeddings, [steps, B K, width].
            heard: keys and values of the speaker, [B K, heads, span + 1, c].
        """
        width = shaping.shape[-1]
        shaped = layer.adapt(shaping).unflatten(-1, (layer.parts, 3, width))
        shaped[..., 1, :] += 1
        # shift, 1 + scale and gate of each step's parts in turn, [B K, 1, width]
        self._shaped = shaped.permute(0, 2, 3, 1, 4)[..., None, :].flatten(0, 2).unbind()
        self.layer, self._heard, self._width = layer, heard, (width,)
        if layer.own is not None:
            attention = layer.own.attention
            joint = attention.query, attention.key, attention.value
            self._own_bias = reach.bias(layer.own)
            self._into = torch.cat([x.weight for x in joint]), torch.cat([x.bias for x in joint])
            self._own_out = _of(attention.out)
        if layer.heard is not None:
            self._bias = reach.bias(layer.heard)
            self._query, self._out = (
                _of(layer.heard.attention.query),
                _of(layer.heard.attention.out),
            )
        first, last = layer.feed_forward[0], layer.feed_forward[-1]
        assert isinstance(first, nn.Linear) and isinstance(last, nn.Linear)
        self._wide, self._narrow = _of(first), _of(last)

    def __call__(self, x: Tensor, step: int, past: Tensor, kept: list[Tensor]) -> Tensor:
        """x [B K, 1, width]; `past`: own keys and values, [2, B K, heads, span, c]. The new ones,
        [2, B K, heads, 1, c], are added to `kept`."""
        layer, each = self.layer, 3 * self.layer.parts
        shaped = iter(self._shaped[step * each : (step + 1) * each])
        if layer.own is not None:
            shift, scale, gate = next(shaped), next(shaped), next(shaped)
            entered = torch.addcmul(shift, F.layer_norm(x, self._width), scale)
            query, new = self._split(F.linear(entered, *self._into), layer.own)
            keys, values = torch.cat([past, new], -2).unbind()
            kept.append(new)
            mixed = _mixed(query, keys, values, *self._own_bias)
            x = torch.addcmul(x, gate, F.linear(mixed, *self._own_out))
        if layer.heard is not None:
            assert self._heard is not None
            shift, scale, gate = next(shaped), next(shaped), next(shaped)
            entered = torch.addcmul(shift, F.layer_norm(x, self._width), scale)
            query = layer.heard.attention.split(F.linear(entered, *self._query))
            mixed = _mixed(query, *self._heard, *self._bias)
            x = torch.addcmul(x, gate, F.linear(mixed, *self._out))
        shift, scale, gate = next(shaped), next(shaped), next(shaped)
        entered = torch.addcmul(shift, F.layer_norm(x, self._width), scale)
        wide = F.gelu(F.linear(entered, *self._wide))
        return torch.addcmul(x, gate, F.linear(wide, *self._narrow))

    @staticmethod
    def _split(joint: Tensor, own: RelativeAttention) -> tuple[Tensor, Tensor]:
        """[B K, 1, 3 width] to the query [B K, heads, 1, c] and keys and values
        [2, B K, heads, 1, c]."""
        heads = own.attention.heads
        apart = joint.view(len(joint), 3, heads, 1, -1)
        return apart[:, 0], apart[:, 1:].transpose(0, 1)


def _of(layer: nn.Linear) -> tuple[Tensor, Tensor]:
    """Weight and bias. A token's arithmetic is so little that calling modules would double it."""
    return layer.weight, layer.bias


def _mixed(
    query: Tensor, keys: Tensor, values: Tensor, bias: Tensor, falling: Tensor | None
) -> Tensor:
    """`RelativeAttention.mix` with the bias at hand, before its projection; [B K, 1, width]."""
    if falling is None:
        mixed = F.scaled_dot_product_attention(query, keys, values, attn_mask=bias)
    else:
        scores = query @ keys.transpose(-1, -2) * keys.shape[-1] ** -0.5 + bias
        mixed = (scores.softmax(-1) * falling) @ values
    return mixed.transpose(1, 2).flatten(2)


class TokenDenoiser:
    """A noisy token at any step to its clean one; made anew for each token."""

    def __init__(
        self,
        denoiser: Denoiser,
        rings: Rings,
        token: Tensor,
        tokens: Tensor,
        elements: Tensor | None,
        chosen: Tensor | None,
        manner: Manner,
        steps: Tensor,
        samples: int,
    ) -> None:
        """
        Args:
            rings: of B conversations; they are read only.
            token: number of the new token, [B].
            tokens: C of the new token, [B, 1, width].
            elements: vectors of S, [B, 1, S, subject].
            chosen: bool [B, K or 1, 1, S].
            steps: denoising steps in their order, int64 [steps].
            samples: K.
        """
        self._denoiser, self._rings = denoiser, rings
        reach = Reach(token, rings.own.shape[-2], samples)
        shaping = nn.functional.silu(denoiser.embedded(steps[:, None, None], manner))
        shaping = shaping.expand(-1, len(token), samples, -1).flatten(1, 2)

        heard = denoiser.heard(tokens, elements, chosen, first=token)
        rows = len(token) * samples
        new_keys: list[Tensor] = []
        new_values: list[Tensor] = []
        self._layers: list[LayerStep] = []
        for layer, made in zip(denoiser.each(), heard, strict=True):
            both = None
            if made is not None:
                number = len(new_keys)
                values = made[1].expand(-1, samples, -1, -1, -1).flatten(0, 1)
                new_keys.append(made[0])
                new_values.append(values)
                keys = torch.cat([rings.heard_keys[number], made[0]], -2)
                if len(keys) != rows:
                    keys = keys.repeat_interleave(samples, 0)
                both = keys, torch.cat([rings.heard_values[number], values], -2)
            self._layers.append(LayerStep(layer, shaping, reach, both))

        self._numbers = {int(t): i for i, t in enumerate(steps)}
        shape = denoiser.adapt(shaping).unflatten(-1, (2, -1))
        self._last = [(x[:, 0, None], 1 + x[:, 1, None]) for x in shape]
        extra = denoiser.beside(tokens, token)
        self._extra = None if extra is None else extra.repeat_interleave(samples, 0)
        self.heard_keys = _stacked(new_keys, rings.heard_keys)
        """Of the new token, [layers, B, heads, 1, c]."""
        self.heard_values = _stacked(new_values, rings.heard_values)
        self._own: list[Tensor] = []

    def __call__(self, x: Tensor, steps: Tensor) -> Tensor:
        """Noisy [B K, 1, numbers], all at one step, to clean; each step once, in their order."""
        step = self._numbers[int(steps[0])]
        x = self._denoiser.into(x)  # [B K, 1, width]
        if self._extra is not None:
            x = x + self._extra
        own = iter(self._rings.own[step])
        for layer in self._layers:
            past = next(own) if layer.layer.own is not None else x
            x = layer(x, step, past, self._own)
        shift, scale = self._last[step]
        normed = F.layer_norm(x, x.shape[-1:])
        clean: Tensor = self._denoiser.out(torch.addcmul(shift, normed, scale))
        return clean

    @property
    def own(self) -> Tensor:
        """Own keys and values of the new token, [steps, layers, 2, B K, heads, 1, c]."""
        ring = self._rings.own
        if not self._own:
            return ring[..., :1, :]
        new: Tensor = torch.stack(self._own).unflatten(0, ring.shape[:2])
        return new


def _stacked(new: list[Tensor], ring: Tensor) -> Tensor:
    return torch.stack(new) if new else ring[..., :1, :]
