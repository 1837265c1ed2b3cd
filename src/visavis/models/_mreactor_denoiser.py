"""Multiple generation (supplementary C.3, D.1): layers of relative and subject attention."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from visavis.models._mreactor_config import MReactorConfig
from visavis.nn.positions import sinusoid
from visavis.nn.relative_attention import RelativeAttention
from visavis.nn.step_embedding import step_embedding
from visavis.nn.value_modulation import SetPool, ValueModulation

LISTENER = 83
"""25 attributes and 58 coefficients."""
_STEP_WIDTH = 128


@dataclass(frozen=True)
class Known:
    """What K reactions to B clips are denoised from, whatever the step: computed once."""

    tokens: Tensor
    """C, [B, N, width]."""
    keys: tuple[Tensor | None, ...]
    """A layer [B K, heads, S, c]; None where a layer does not attend to the speaker."""
    values: tuple[Tensor | None, ...]
    """Likewise, modulated by S."""
    own_biases: tuple[Tensor | None, ...]
    """Added to the scores of a layer's attentions, [1 or B K, heads, N, S]."""
    biases: tuple[Tensor | None, ...]


@dataclass(frozen=True)
class Manner:
    """What beside c steers a reaction; each may be absent."""

    variation: Tensor | None
    """v, [B, K, variation]"""
    smoothness: Tensor | None
    """[B, K] in [0, 1]"""


class Layer(nn.Module):
    """Relative attention to the reaction's own frames, relative attention to the speaker whose
    values S modulates, feed-forward; each scaled, shifted and gated by the step (AdaLN-zero)."""

    def __init__(self, config: MReactorConfig) -> None:
        super().__init__()
        width, kind = config.width, config.attention
        relative = kind == "relative_subject"

        def attention() -> RelativeAttention:
            return RelativeAttention(
                width,
                config.heads,
                decay=config.decay if relative else "none",
                direction=config.facing,
                stride=config.patch,
                dropout=config.dropout,
            )

        self.own = attention() if kind != "cross" else None
        self.heard = attention() if kind != "self" else None
        modulated = relative and config.subjects
        self.modulation = ValueModulation(width, config.subject) if modulated else None
        self.feed_forward = nn.Sequential(
            nn.Linear(width, config.hidden),
            nn.GELU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.hidden, width),
        )
        self.parts = 1 + (self.own is not None) + (self.heard is not None)
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.adapt = nn.Linear(width, 3 * self.parts * width)
        nn.init.zeros_(self.adapt.weight)
        nn.init.zeros_(self.adapt.bias)

    def remember(
        self, tokens: Tensor, pooled: Tensor | None, there: Tensor | None
    ) -> tuple[Tensor, Tensor] | None:
        """C [B, N, width] to keys [B, heads, N, c] and values [B, K or 1, heads, N, c]."""
        if self.heard is None:
            return None
        attention = self.heard.attention
        values = attention.value(tokens)
        if self.modulation is None or pooled is None or there is None:
            values = values[:, None]
        else:
            values = self.modulation(values, pooled, there)
        return attention.split(attention.key(tokens)), attention.split(values)

    def forward(
        self,
        x: Tensor,
        step: Tensor,
        keys: Tensor | None,
        values: Tensor | None,
        *,
        own_bias: Tensor | None,
        bias: Tensor | None,
        watch: dict[str, list[Tensor]] | None,
    ) -> Tensor:
        """x [R, N, C] at steps [R, C]; keys and values [R, heads, S, c]."""
        shaped = iter(self.adapt(step)[:, None].chunk(3 * self.parts, -1))

        def entering() -> tuple[Tensor, Tensor]:
            shift, scale, gate = next(shaped), next(shaped), next(shaped)
            return self.norm(x) * (1 + scale) + shift, gate

        if self.own is not None:
            entered, gate = entering()
            if watch is not None and own_bias is not None:
                own_keys, _ = self.own.keys_values(entered)
                watch["own"].append(self.own.weights(entered, own_keys, own_bias))
            mixed = self.own(entered, entered, bias=own_bias)
            x = x + gate * mixed
        if self.heard is not None:
            assert keys is not None and values is not None and bias is not None
            entered, gate = entering()
            if watch is not None:
                watch["heard"].append(self.heard.weights(entered, keys, bias))
            x = x + gate * self.heard.mix(entered, keys, values, bias)
        entered, gate = entering()
        out: Tensor = x + gate * self.feed_forward(entered)
        return out


class Denoiser(nn.Module):
    """Noisy reactions to clean ones (x0), given c = {C, S}, v, the smoothness and the step."""

    def __init__(self, config: MReactorConfig) -> None:
        super().__init__()
        self.config = config
        width, numbers = config.width, config.patch * LISTENER
        self.into = nn.Linear(numbers, width)
        self.step = nn.Sequential(nn.Linear(_STEP_WIDTH, width), nn.SiLU(), nn.Linear(width, width))
        self.variation = nn.Linear(config.variation, width) if config.variation else None
        self.smoothness = None
        if config.smoothness:
            self.smoothness = nn.Sequential(nn.Linear(1, width), nn.SiLU(), nn.Linear(width, width))
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        modulated = config.attention == "relative_subject" and config.subjects
        self.pool = SetPool(width, config.subject) if modulated else None
        self.placed = config.attention != "relative_subject"
        # without attention to the speaker a token must know of its own moment's
        self.timed = nn.Linear(width, width) if config.timed or config.attention == "self" else None
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.adapt = nn.Linear(width, 2 * width)
        nn.init.zeros_(self.adapt.weight)
        nn.init.zeros_(self.adapt.bias)
        self.out = nn.Linear(width, numbers)

    @property
    def own_attentions(self) -> int:
        """Attentions to the own past, whose keys and values a stream keeps for every step."""
        return sum(layer.own is not None for layer in self.each())

    @property
    def heard_attentions(self) -> int:
        return sum(layer.heard is not None for layer in self.each())

    def each(self) -> list[Layer]:
        """The layers."""
        return [layer for layer in self.layers if isinstance(layer, Layer)]

    def _place(self, count: int, first: Tensor | int, like: Tensor) -> Tensor | None:
        """Plain attention does not know where a token stands: [1 or B, N, width] to be added to
        the tokens from number `first`, one or [B], on."""
        if not self.placed:
            return None
        place = torch.arange(count, device=like.device)[None]
        place = place + (first[:, None] if isinstance(first, Tensor) else first)
        return sinusoid(place, self.config.width).to(like)

    def beside(self, tokens: Tensor, first: Tensor | int = 0) -> Tensor | None:
        """What is added to a reaction's tokens of the same moments as C [B, N, width]."""
        timed: Tensor | None = None if self.timed is None else self.timed(tokens)
        place = self._place(tokens.shape[1], first, tokens)
        if timed is None or place is None:
            return place if timed is None else timed
        return timed + place

    def heard(
        self,
        tokens: Tensor,
        elements: Tensor | None,
        chosen: Tensor | None,
        *,
        first: Tensor | int = 0,
    ) -> list[tuple[Tensor, Tensor] | None]:
        """The speaker's keys [B, heads, N, c] and values [B, K or 1, heads, N, c] to each layer.

        Args:
            tokens: C, [B, N, width].
            elements: vectors of S, [B, N, S, subject].
            chosen: bool [B, K or 1, N, S].
            first: number of the first token, one or [B].
        """
        pooled = there = None
        if self.pool is not None and elements is not None and chosen is not None:
            pooled, there = self.pool(tokens, elements, chosen), chosen.any(-1)
        place = self._place(tokens.shape[1], first, tokens)
        placed = tokens if place is None else tokens + place
        return [layer.remember(placed, pooled, there) for layer in self.each()]

    def remember(
        self,
        tokens: Tensor,
        elements: Tensor | None,
        chosen: Tensor | None,
        samples: int,
        *,
        hidden: Tensor | None = None,
    ) -> Known:
        """`heard` for K `samples` of whole clips, and what distances add to scores.

        `hidden`: [B, 1, 1, N], -inf for tokens that are not there.
        """
        count = tokens.shape[1]
        each = None if hidden is None else hidden.repeat_interleave(samples, 0)

        def biased(attention: RelativeAttention | None) -> Tensor | None:
            if attention is None:
                return None
            bias = attention.bias(count, count, tokens, span=self.config.span)[None]
            return bias if each is None else bias + each

        keys: list[Tensor | None] = []
        values: list[Tensor | None] = []
        for made in self.heard(tokens, elements, chosen):
            if made is None:
                keys.append(None)
                values.append(None)
                continue
            keys.append(made[0].repeat_interleave(samples, 0))
            values.append(made[1].expand(-1, samples, -1, -1, -1).flatten(0, 1))
        return Known(
            tokens,
            tuple(keys),
            tuple(values),
            tuple(biased(layer.own) for layer in self.each()),
            tuple(biased(layer.heard) for layer in self.each()),
        )

    def embedded(self, steps: Tensor, manner: Manner) -> Tensor:
        """Steps [..., B, K], v and smoothness as one vector, [..., B, K, width]."""
        found: Tensor = self.step(step_embedding(steps, _STEP_WIDTH))
        if self.variation is not None and manner.variation is not None:
            found = found + self.variation(manner.variation)
        if self.smoothness is not None and manner.smoothness is not None:
            found = found + self.smoothness(manner.smoothness[..., None])
        return found

    def forward(
        self,
        noisy: Tensor,
        steps: Tensor,
        known: Known,
        manner: Manner,
        *,
        watch: dict[str, list[Tensor]] | None = None,
    ) -> Tensor:
        """Noisy reactions [B, K, N, numbers] at steps [B, K] to clean ones."""
        clips, samples = noisy.shape[:2]
        step = nn.functional.silu(self.embedded(steps, manner)).flatten(0, 1)
        x, beside = self.into(noisy), self.beside(known.tokens)
        x = (x if beside is None else x + beside[:, None]).flatten(0, 1)
        for i, layer in enumerate(self.each()):
            x = layer(
                x,
                step,
                known.keys[i],
                known.values[i],
                own_bias=known.own_biases[i],
                bias=known.biases[i],
                watch=watch,
            )
        shift, scale = self.adapt(step)[:, None].chunk(2, -1)
        clean: Tensor = self.out(self.norm(x) * (1 + scale) + shift).unflatten(0, (clips, samples))
        return clean
