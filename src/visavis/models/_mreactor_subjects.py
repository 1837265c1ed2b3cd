"""S of the condition: an utterance's emotion priors as vectors, and which reaction has which."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from visavis import noise
from visavis.channels import SUBJECT_SLOTS
from visavis.features.subjects.lexicon import LABELS
from visavis.models._mreactor_inputs import patched


def slots_of(channel: Tensor, patch: int) -> Tensor:
    """The channel `subjects` [B, T, 76] as tokens' slots [B, N, S, 19]: of a patch's frames, the
    one with the strongest priors."""
    frames = patched(channel, patch).unflatten(-1, (patch, SUBJECT_SLOTS, -1))
    strongest = frames[..., 0].sum(-1).argmax(-1)
    index = strongest[..., None, None, None].expand(-1, -1, 1, *frames.shape[-2:])
    chosen: Tensor = frames.gather(2, index)[:, :, 0]
    return chosen


class SubjectVectors(nn.Module):
    """s_i = E(label) + MLP(polarity, intensity) + W e(l_i)."""

    def __init__(self, width: int, letters: int) -> None:
        super().__init__()
        self.label = nn.Embedding(len(LABELS), width)
        self.affect = nn.Sequential(nn.Linear(2, width), nn.SiLU(), nn.Linear(width, width))
        self.letters = nn.Linear(letters, width, bias=False)

    def forward(self, slots: Tensor) -> Tensor:
        """Slots [B, N, S, 19] to vectors [B, N, S, width]."""
        intensity, polarity, label = slots[..., :3].unbind(-1)
        place = label.round().long().clamp(0, len(LABELS) - 1)
        affect = self.affect(torch.stack([polarity, intensity], -1))
        out: Tensor = self.label(place) + affect + self.letters(slots[..., 3:])
        return out


def steered(
    slots: Tensor, chances: Tensor, samples: Tensor | None, *, dropped: Tensor | None = None
) -> Tensor:
    """Which slots each reaction has, bool [B, K, N, S].

    Args:
        slots: [B, N, S, 19].
        chances: uniform numbers [B, S]: slots are ordered by chance in proportion to intensity.
        samples: numbers [K] or [B, K]; sample i takes the i-th of those that are there, round
            robin. None: every slot.
        dropped: bool [B, K]: rows without any.
    """
    intensity = slots[..., 0]
    there = intensity > 0
    if samples is None:
        chosen = there[:, None]
    else:
        # Gumbel's trick: the order of log(intensity) + g is a draw without replacement
        order = intensity.clamp(min=1e-6).log() - (-chances.log()).log()[:, None]
        order = order.masked_fill(~there, float("-inf"))
        rank = (order[..., None, :] > order[..., :, None]).sum(-1)  # [B, N, S]
        count = there.sum(-1, keepdim=True).clamp(min=1)
        number = samples if samples.ndim == 2 else samples[None]
        turn = number[:, :, None, None] % count[:, None]
        chosen = there[:, None] & (rank[:, None] == turn)
    return chosen if dropped is None else chosen & ~dropped[..., None, None]


def chances_of(seeds: Tensor) -> Tensor:
    """Seeds int64 [B] to what orders their conversation's slots, [B, S]."""
    return noise.uniform(seeds, 0, "mreactor/steer", 0, (SUBJECT_SLOTS,))
