"""Multimodal perception (supplementary C.1): who supports whom, and what is masked.

Stated there: encoders a modality, temporal correlation learning within and across modalities, and
binary temporal masks that suppress segments with weak evidence or low cross-modal support. How
evidence and support are measured is ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from visavis.models._mreactor_config import MReactorConfig
from visavis.nn.attention import FeedForward
from visavis.nn.cache import Recall
from visavis.nn.relative_attention import RelativeAttention

_MOMENTUM = 0.98
"""Of the online threshold in training."""


@dataclass(frozen=True)
class Perceived:
    """M modalities' tokens after masking."""

    tokens: Tensor
    """[B, M, N, C], zero where masked."""
    mask: Tensor
    """[B, M, N], 0 or 1; its gradient is the evidence's."""
    evidence: Tensor
    """[B, M, N] in [0, 1]."""


class CorrelationLayer(nn.Module):
    """Attention within a modality, then to the others; one block for all modalities."""

    def __init__(self, config: MReactorConfig) -> None:
        super().__init__()
        width, heads = config.perception_width, config.perception_heads
        self.within, self.across = (
            RelativeAttention(
                width,
                heads,
                decay=config.decay,
                direction=config.facing,
                stride=config.patch,
                dropout=config.dropout,
            )
            for _ in range(2)
        )
        self.feed_forward = FeedForward(width, 2 * width, dropout=config.dropout)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))

    def forward(
        self, x: Tensor, *, hidden: Tensor | None, span: int | None, recall: Recall | None
    ) -> Tensor:
        """x [B, M, N, C]; `hidden` [B, 1, 1, K]."""
        clips, modalities = x.shape[:2]
        each = None if hidden is None else hidden.repeat_interleave(modalities, 0)
        flat = self.norms[0](x).flatten(0, 1)
        mixed = self.within(flat, flat, hidden=each, span=span, recall=recall)
        x = x + mixed.unflatten(0, (clips, modalities))
        if modalities > 1:
            x = x + self._from_others(self.norms[1](x), hidden, span, recall)
        out: Tensor = x + self.feed_forward(self.norms[2](x))
        return out

    def _from_others(
        self, x: Tensor, hidden: Tensor | None, span: int | None, recall: Recall | None
    ) -> Tensor:
        """Each modality over every other, averaged."""
        clips, modalities = x.shape[:2]
        keys, values = self.across.keys_values(x.flatten(0, 1))
        if recall is not None:
            keys, values = recall.join(keys, values)
        bias = self.across.bias(x.shape[2], keys.shape[-2], x, span=span)[None]
        bias = bias if hidden is None else bias + hidden
        keys, values = (y.unflatten(0, (clips, modalities)) for y in (keys, values))
        found = []
        for m in range(modalities):
            parts = [
                self.across.mix(x[:, m], keys[:, n], values[:, n], bias)
                for n in range(modalities)
                if n != m
            ]
            found.append(torch.stack(parts).mean(0))
        return torch.stack(found, 1)


class TemporalMask(nn.Module):
    """Which tokens of a modality are kept: those with evidence of their own, or that the other
    modalities support."""

    threshold: Tensor

    def __init__(self, config: MReactorConfig) -> None:
        super().__init__()
        self.share, self.erased, self.erasing = config.masked, config.erased, config.erasing
        self.online = config.online
        closing = max(1, config.closing // config.patch)
        self.closing = closing + 1 - closing % 2
        self.score = nn.Parameter(torch.empty(len(config.modalities), config.perception_width))
        nn.init.normal_(self.score, std=config.perception_width**-0.5)
        self.offset = nn.Parameter(torch.zeros(len(config.modalities)))
        self.register_buffer("threshold", torch.zeros(len(config.modalities)))

    def evidence(self, x: Tensor) -> Tensor:
        """Tokens [B, M, N, C] to half their own score and half their support, in [0, 1]."""
        own = ((x * self.score[:, None]).sum(-1) + self.offset[:, None]).sigmoid()
        modalities = x.shape[1]
        if modalities == 1:
            return own
        unit = F.normalize(x, dim=-1, eps=1e-6)
        near = torch.einsum("bmtc,bntc->bmnt", unit, unit)
        near = near * ~torch.eye(modalities, dtype=torch.bool, device=x.device)[..., None]
        support = near.sum(2) / (modalities - 1)
        return 0.5 * (own + (support + 1) / 2)

    def forward(self, x: Tensor, there: Tensor | None) -> Perceived:
        """x [B, M, N, C]; `there` bool [B, N], False in padding."""
        evidence = self.evidence(x)
        inside = torch.ones_like(evidence, dtype=torch.bool)
        if there is not None:
            inside = there[:, None].expand_as(evidence)
        kept = inside if not self.share else self._kept(evidence.detach(), inside)
        if self.training and self.erased and self.erasing:
            salient = _lowest(-evidence.detach(), inside, self.erased)
            chosen = torch.rand(len(x), 1, 1, device=x.device) < self.erasing
            kept = kept & ~(salient & chosen)
        hard = kept.to(x.dtype)
        mask = hard + (evidence - evidence.detach()) if self.share else hard
        return Perceived(x * mask[..., None], mask, evidence)

    def _kept(self, evidence: Tensor, inside: Tensor) -> Tensor:
        if self.online:
            # a clip's own lowest tokens are only known at its end
            if self.training:
                low = torch.where(inside, evidence, torch.nan).transpose(0, 1).flatten(1)
                now = torch.nanquantile(low, self.share, dim=1)
                self.threshold.lerp_(now.to(self.threshold), 1 - _MOMENTUM)
            return inside & (evidence >= self.threshold[:, None])
        kept = inside & ~_lowest(evidence, inside, self.share)
        return inside & _closed(kept, self.closing)


def _lowest(values: Tensor, inside: Tensor, share: float) -> Tensor:
    """The lowest share of those inside, by row of the last axis; by rank, so never more."""
    ranks = values.masked_fill(~inside, float("inf")).argsort(-1).argsort(-1)
    count = (share * inside.sum(-1, keepdim=True)).floor()
    return inside & (ranks < count)


def _closed(kept: Tensor, size: int) -> Tensor:
    """Gaps shorter than `size` filled (dilation, then erosion), bool [B, M, N]."""
    if size == 1:
        return kept
    x, half = kept.to(torch.float32), size // 2
    grown = F.max_pool1d(x, size, 1, half)
    shrunk = 1 - F.max_pool1d(F.pad(1 - grown, (half, half)), size, 1)
    return (shrunk > 0.5) | kept


class Perception(nn.Module):
    """Tokens of all modalities to masked ones that know of each other."""

    def __init__(self, config: MReactorConfig) -> None:
        super().__init__()
        count, width = len(config.modalities), config.perception_width
        self.modality = nn.Parameter(torch.randn(count, width) * 0.02)
        self.layers = nn.ModuleList(
            CorrelationLayer(config) for _ in range(config.perception_layers)
        )
        self.norm = nn.LayerNorm(width)
        self.mask = TemporalMask(config)
        self.span = config.span

    def forward(
        self,
        tokens: Tensor,
        *,
        there: Tensor | None = None,
        hidden: Tensor | None = None,
        recall: Recall | None = None,
    ) -> Perceived:
        """Tokens [B, M, N, C]; `hidden` as of `RelativeAttention`."""
        x = tokens + self.modality[:, None]
        for layer in self.layers:
            x = layer(x, hidden=hidden, span=self.span, recall=recall)
        perceived: Perceived = self.mask(self.norm(x), there)
        return perceived

    @property
    def attentions(self) -> int:
        """Attentions whose keys and values a stream keeps."""
        return len(self.layers) * (2 if len(self.modality) > 1 else 1)
