"""What FaceAIS's predictor says of the listener's codes, as a distribution, and draws from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from visavis.models._faceais_predictor import Predictor


@dataclass(frozen=True)
class PatchPrior:
    """Codes of P patches, given what was heard before each; every draw goes on from its own past.

    `mean`, `logits` and `kl` are of the patches taken alone, as if the listener had no past.
    """

    predictor: Predictor
    vectors: Tensor
    """The codes' vectors, [codes, C]."""
    features: Tensor
    """[B, P * m, d]: of the patch before (causal, m = n), or of the window before (m = S, zeros
    before its first frame)."""
    first: int = 0
    """Number of the first of the P patches."""

    @property
    def patches(self) -> int:
        sizes = self.predictor.sizes
        return self.features.shape[1] // (sizes.patch if sizes.causal else sizes.window)

    def piece(self, number: int) -> Tensor:
        """What `reply` takes for the patch at place `number`."""
        sizes = self.predictor.sizes
        if sizes.causal:
            return self.features[:, number * sizes.patch : (number + 1) * sizes.patch]
        there = min(self.first + number + 1, sizes.slots) * sizes.patch
        stop = (number + 1) * sizes.window
        return self.features[:, stop - there : stop]

    @cached_property
    def logits(self) -> Tensor:
        """[B, P * n, codes]"""
        predictor, sizes = self.predictor, self.predictor.sizes
        windows = self._windows().flatten(0, 1)  # [B * P, S, d]
        clips, patches = len(self.features), self.patches
        number = torch.arange(patches, device=windows.device) + self.first + 1
        there = number.clamp(max=sizes.slots) * sizes.patch
        clock = torch.arange(sizes.window, device=windows.device)
        seen = (clock >= sizes.window - there[:, None]).repeat(clips, 1)[:, None, None]
        turn = predictor.turn(clock[None])
        own = predictor.turn(clock[None, -sizes.patch :])
        codes = torch.full((clips * patches, sizes.patch), predictor.absent, device=windows.device)
        told = predictor.tell(windows, turn)
        out = predictor.answer(codes, told, told_mask=seen, turn=own)
        apart: Tensor = out.unflatten(0, (clips, patches))
        return apart.flatten(1, 2)

    def _windows(self) -> Tensor:
        """[B, P, S, d]"""
        sizes = self.predictor.sizes
        if not sizes.causal:
            own: Tensor = self.features.unflatten(1, (self.patches, sizes.window))
            return own
        padded = F.pad(self.features, (0, 0, sizes.window - sizes.patch, 0))
        return padded.unfold(1, sizes.window, sizes.patch).transpose(-1, -2)

    @property
    def mean(self) -> Tensor:
        """Expected vectors of the codes, [B, P * n, C]."""
        return self.logits.softmax(-1) @ self.vectors

    def kl(self, other: PatchPrior | None = None) -> Tensor:
        """KL(self || other) a frame, [B, P * n, 1]; `other` defaults to equal chances."""
        mine = self.logits.log_softmax(-1)
        theirs = torch.full_like(mine, -float(torch.tensor(mine.shape[-1]).log()))
        if other is not None:
            theirs = other.logits.log_softmax(-1)
        return (mine.exp() * (mine - theirs)).sum(-1, keepdim=True)


def draw(
    logits: Tensor, uniform: Tensor, levels: Sequence[int], *, temperature: float, top_k: int
) -> Tensor:
    """Codes int64 [...] from logits [..., codes] and uniform numbers [..., D], one a dimension.

    Of the last dimension the first level whose cumulated chance is its number; then of the one
    before it, given that; and so on. Only the `top_k` likeliest codes of each row itself can come
    (exactly so many: of equals, some). Equal numbers in neighbouring frames choose neighbouring
    codes, and where the chances shift the codes shift with them.
    """
    logits = logits / temperature
    if top_k < logits.shape[-1]:
        best = logits.topk(top_k, dim=-1, sorted=False)
        logits = torch.full_like(logits, float("-inf")).scatter(-1, best.indices, best.values)
    left, found = logits.softmax(-1), torch.zeros_like(logits[..., 0], dtype=torch.int64)
    for i in reversed(range(len(levels))):
        left = left.unflatten(-1, (levels[i], -1))
        share = left.sum(-1)
        upto = share.cumsum(-1)
        # the sum of so many shares may end a little off 1
        asked = (uniform[..., i, None] * upto[..., -1:]).contiguous()
        chosen = torch.searchsorted(upto, asked).clamp(max=levels[i] - 1)
        possible = share.gather(-1, chosen) > 0
        chosen = torch.where(possible, chosen, share.argmax(-1, keepdim=True))
        left = left.gather(-2, chosen[..., None].expand(*chosen.shape, left.shape[-1])).squeeze(-2)
        found = found * levels[i] + chosen.squeeze(-1)
    return found
