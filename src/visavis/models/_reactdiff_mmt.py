"""The Multi-Modality Transformer (Li et al., 2025, section 3.3): five streams to latents, and back.

At the released sizes it has 124,706,387 parameters: the 124,986,707 of the release less 280,320
that no output depends on (a second norm in each of 8 cross-attentions, and a perceptron in the
decoder), which are not built.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from visavis.models._outputs import attribute_channels, attributes_in_range, coefficient_channels
from visavis.models._reactdiff_attention import attended
from visavis.models._reactdiff_config import TransformerSpec
from visavis.models._reactdiff_inputs import STREAMS
from visavis.nn.attention import Attention, DecoderLayer
from visavis.nn.cache import Recall
from visavis.nn.low_rank import Shift, shifted

COEFFICIENTS, ATTRIBUTES = 58, 25
_STACKS, _LAYERS = 2, 2


def perceptron(into: int, hidden: int, out: int) -> nn.Sequential:
    """Linear, norm, SiLU, linear: every perceptron of the model."""
    return nn.Sequential(
        nn.Linear(into, hidden), nn.LayerNorm(hidden), nn.SiLU(), nn.Linear(hidden, out)
    )


class CrossBlock(nn.Module):
    """Cross-attention with residual and norm; no feed-forward, no dropout.

    Query, key and value each are brought to the width first, where they do not have it.
    """

    def __init__(self, query: int, memory: int, width: int, heads: int) -> None:
        super().__init__()
        self.query, self.key, self.value = (
            nn.Identity() if n == width else nn.Linear(n, width) for n in (query, memory, memory)
        )
        self.attention = Attention(width, heads, dropout=0.0)
        self.norm = nn.LayerNorm(width)

    def forward(
        self, x: Tensor, memory: Tensor, bias: Tensor | None, recall: Recall | None = None
    ) -> Tensor:
        """x [B, T, Q], memory [B, T, M] to [B, T, H]."""
        query = self.query(x)
        pair = (self.key(memory), self.value(memory))
        out: Tensor = self.norm(query + attended(self.attention, query, pair, bias, recall))
        return out


class Encoder(nn.Module):
    """Streams to latents: intra-class attention, inter-class attention, two perceptrons."""

    def __init__(self, spec: TransformerSpec, widths: Mapping[str, int]) -> None:
        super().__init__()
        width, heads, depth = spec.width, spec.heads, spec.depth
        self.faces = CrossBlock(widths["au"], widths["au"], width, heads)
        self.expressions = nn.ModuleList(
            CrossBlock(width, widths["expression"], width, heads) for _ in range(depth)
        )
        self.feelings = nn.ModuleList(
            CrossBlock(width, widths["va"], width, heads) for _ in range(depth)
        )
        self.voices = CrossBlock(widths["voice"], widths["mfcc"], width, heads)
        self.together = nn.ModuleList(CrossBlock(width, width, width, heads) for _ in range(depth))
        self.map = perceptron(width, 2 * width, spec.latent)
        self.to_reaction_space = perceptron(spec.latent, 2 * spec.latent, spec.latent)

    @property
    def attentions(self) -> int:
        return 2 + len(self.expressions) + len(self.feelings) + len(self.together)

    def forward(
        self, streams: Mapping[str, Tensor], bias: Tensor | None, recall: Recall | None = None
    ) -> Tensor:
        """Streams [B, T, C] to latents [B, T, d]."""
        face = self.faces(streams["au"], streams["au"], bias, recall)
        for expression, feeling in zip(self.expressions, self.feelings, strict=True):
            face = expression(face, streams["expression"], bias, recall)
            face = feeling(face, streams["va"], bias, recall)
        voice = self.voices(streams["voice"], streams["mfcc"], bias, recall)
        for block in self.together:
            face = block(face, voice, bias, recall)
        out: Tensor = self.to_reaction_space(self.map(face))
        return out


class PlainEncoder(nn.Module):
    """The ablation "w/o MMT": all streams of a frame through one perceptron."""

    attentions = 0

    def __init__(self, spec: TransformerSpec, widths: Mapping[str, int]) -> None:
        super().__init__()
        self.map = perceptron(sum(widths[s] for s in STREAMS), 2 * spec.width, spec.latent)

    def forward(
        self, streams: Mapping[str, Tensor], bias: Tensor | None, recall: Recall | None = None
    ) -> Tensor:
        out: Tensor = self.map(torch.cat([streams[s] for s in STREAMS], dim=-1))
        return out


class Decoder(nn.Module):
    """Latents to reactions: two stacks of transformer decoder layers and two heads.

    Each stack attends to its own input. Without attention (the ablation "w/o MMT") the heads alone.
    """

    def __init__(self, spec: TransformerSpec) -> None:
        super().__init__()
        latent = spec.latent
        self.heads, self.activations = spec.heads, spec.activations
        self.stacks = nn.ModuleList(
            nn.ModuleList(
                DecoderLayer(latent, spec.heads, 2 * latent, dropout=spec.dropout)
                for _ in range(_LAYERS)
            )
            for _ in range(_STACKS if spec.attention else 0)
        )
        self.to_coefficients = perceptron(latent, 2 * latent, COEFFICIENTS)
        self.to_attributes = perceptron(latent, 2 * latent, ATTRIBUTES)

    @property
    def mean_face(self) -> Tensor:
        """What coefficients begin from, [58]: the last layer's bias."""
        last = self.to_coefficients[-1]
        assert isinstance(last, nn.Linear)
        return last.bias

    @property
    def attentions(self) -> int:
        return 2 * _LAYERS * len(self.stacks)

    def forward(
        self,
        latents: Tensor,
        bias: Tensor | None,
        recall: Recall | None = None,
        shifts: Mapping[str, Shift] | None = None,
    ) -> dict[str, Tensor]:
        """Latents [N, T, d] to {"coefficients": [N, T, 58], "attributes": [N, T, 25]}.

        `shifts` are of the two heads' last maps, a row each: "coefficients" and "attributes".
        """
        x = latents
        for stack in self.stacks:
            memory = x
            assert isinstance(stack, nn.ModuleList)
            for layer in stack:
                assert isinstance(layer, DecoderLayer)
                own = attended(layer.self_attention, x, (x, x), bias, recall)
                x = layer.after_self(x, own)
                other = attended(layer.cross_attention, x, (memory, memory), bias, recall)
                x = layer.after_cross(x, other)
        edits = shifts or {}
        attributes = _headed(self.to_attributes, x, edits.get("attributes"))
        if self.activations:
            au, va, expression = attributes.split([15, 2, 8], dim=-1)
            attributes = torch.cat([au.sigmoid(), va.tanh(), expression.softmax(-1)], dim=-1)
        coefficients = _headed(self.to_coefficients, x, edits.get("coefficients"))
        return {"coefficients": coefficients, "attributes": attributes}


def _headed(head: nn.Sequential, x: Tensor, shift: Shift | None) -> Tensor:
    """A head whose last linear map may be shifted."""
    last = head[-1]
    assert isinstance(last, nn.Linear)
    return shifted(last, head[:-1](x), shift)


def as_channels(raw: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Raw reactions [..., 58] and [..., 25] as named channels in their ranges."""
    attributes = attribute_channels(attributes_in_range(raw["attributes"]))
    return attributes | coefficient_channels(raw["coefficients"])
