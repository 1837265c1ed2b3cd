"""Hierarchical disentanglement (supplementary C.2): six embeddings from named channels.

The paper names them (fine: lip, eye, pose; coarse: head, appearance, expression) and takes each
from another work. Here each is made of the channels that show it, so that nothing of one can be
read from another's input: which channels, and the losses, are ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from visavis.channels import BLENDSHAPES
from visavis.models._mreactor_config import MReactorConfig
from visavis.models._mreactor_inputs import patched

FINE = ("lip", "eye", "pose")
COARSE = ("head", "appearance", "expression")
REGIONS = FINE + COARSE
POSE, COEFFICIENTS, FACE = slice(52, 58), 58, 83
SMOOTHED = 25
"""Frames over which the head's movement is averaged (a second)."""


def _shapes(*beginnings: str) -> tuple[int, ...]:
    return tuple(i for i, name in enumerate(BLENDSHAPES) if name.startswith(beginnings))


GROUPS: Mapping[str, tuple[int, ...]] = {
    "lip": _shapes("jaw", "mouth", "tongue"),
    "eye": _shapes("eye", "brow"),
    "pose": tuple(range(52, 58)),
    # valence, arousal and the eight expressions, and the shapes that are neither lips nor eyes
    "expression": (*_shapes("cheek", "nose"), *range(COEFFICIENTS + 15, FACE)),
}
"""Columns of the speaker's 58 coefficients and 25 attributes, side by side."""


@dataclass(frozen=True)
class Before:
    """What the head's and the appearance's embeddings must remember online."""

    pose: Tensor
    """The last 25 frames' pose, [B, 25, 6]."""
    total: Tensor
    """Sum of all coefficients so far, float64 [B, 58]."""
    frames: Tensor
    """How many they were, [B]."""

    @classmethod
    def none(cls, clips: int, like: Tensor) -> Before:
        return cls(
            like.new_zeros(clips, SMOOTHED, POSE.stop - POSE.start),
            torch.zeros(clips, COEFFICIENTS, dtype=torch.float64, device=like.device),
            torch.zeros(clips, dtype=torch.float64, device=like.device),
        )


def head_movement(pose: Tensor, inside: Tensor | None, before: Tensor | None) -> Tensor:
    """Pose [B, T, 6] averaged over a second, and the change of that a frame, [B, T, 12].

    Around each frame, over the frames of the clip; with `before` [B, 25, 6], over the second that
    ends with it.
    """
    if before is not None:
        whole = torch.cat([before, pose], 1).transpose(1, 2)
        smooth = F.avg_pool1d(whole, SMOOTHED, 1).transpose(1, 2)  # T + 1 of them
        return torch.cat([smooth[:, 1:], smooth.diff(dim=1)], -1)
    weights = torch.ones_like(pose[..., :1]) if inside is None else inside[..., None].to(pose.dtype)

    def mean(x: Tensor) -> Tensor:
        return F.avg_pool1d(x.transpose(1, 2), SMOOTHED, 1, SMOOTHED // 2).transpose(1, 2)

    smooth = mean(pose * weights) / mean(weights).clamp(min=1e-6)
    change = F.pad(smooth.diff(dim=1), (0, 0, 1, 0))
    return torch.cat([smooth, change], -1) * weights


class Regions(nn.Module):
    """A speaker's face to six embeddings a token."""

    def __init__(self, config: MReactorConfig) -> None:
        super().__init__()
        self.patch, self.online, self.width = config.patch, config.online, config.region
        sizes = {name: config.patch * len(columns) for name, columns in GROUPS.items()}
        sizes |= {"head": config.patch * 12, "appearance": COEFFICIENTS}
        self.encoders = nn.ModuleDict(
            {
                name: nn.Sequential(
                    nn.Linear(sizes[name], config.region),
                    nn.SiLU(),
                    nn.Linear(config.region, config.region),
                )
                for name in REGIONS
            }
        )
        self.decoders = nn.ModuleDict(
            {name: nn.Linear(config.region, sizes[name]) for name in REGIONS}
        )

    def seen(
        self, face: Tensor, inside: Tensor | None, before: Before | None = None
    ) -> tuple[dict[str, Tensor], Before | None]:
        """What each embedding is made of, [B, N, ...], from the face [B, T, 83], zero in padding.

        Online, `before` goes in and the next one comes out.
        """
        coefficients = face[..., :COEFFICIENTS]
        if self.online and before is None:
            before = Before.none(len(face), face)
        parts = {
            name: patched(face[..., list(columns)], self.patch) for name, columns in GROUPS.items()
        }
        pose = coefficients[..., POSE]
        moved = head_movement(pose, inside, None if before is None else before.pose)
        parts["head"] = patched(moved, self.patch)
        count = parts["lip"].shape[1]
        if before is None:
            frames = float(face.shape[1]) if inside is None else inside.sum(1)[:, None]
            mean = coefficients.sum(1) / frames
            parts["appearance"] = mean[:, None].expand(-1, count, -1)
            return parts, None
        total = before.total[:, None] + coefficients.double().cumsum(1)
        number = torch.arange(1, face.shape[1] + 1, device=face.device)
        frames_now = before.frames[:, None] + number
        ends = (torch.arange(1, count + 1, device=face.device) * self.patch).clamp(
            max=face.shape[1]
        ) - 1
        mean = total[:, ends] / frames_now[:, ends, None]
        parts["appearance"] = mean.to(face.dtype)
        kept = torch.cat([before.pose, pose], 1)[:, -SMOOTHED:]
        return parts, Before(kept, total[:, -1], frames_now[:, -1])

    def forward(self, parts: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """[B, N, region] each."""
        return {name: self.encoders[name](parts[name]) for name in REGIONS}

    def reconstructed(self, embeddings: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What each embedding says of its own channels."""
        return {name: self.decoders[name](embeddings[name]) for name in REGIONS}


def decorrelation(embeddings: Mapping[str, Tensor], there: Tensor | None) -> Tensor:
    """Mean squared correlation between numbers of different embeddings, over a batch's tokens."""
    rows = torch.stack([embeddings[name] for name in REGIONS], 2)  # [B, N, 6, C]
    flat = rows.flatten(0, 1) if there is None else rows[there]
    flat = flat - flat.mean(0)
    flat = flat / flat.pow(2).mean(0).add(1e-4).sqrt()
    together = flat.flatten(1)
    square = (together.T @ together / len(flat)) ** 2
    which = torch.arange(len(REGIONS), device=flat.device).repeat_interleave(rows.shape[-1])
    apart = which[:, None] != which
    return (square * apart).sum() / apart.sum()


class Alignment(nn.Module):
    """Coarse expression beside speech and words: a clip's own are to be nearest (InfoNCE)."""

    temperature = 0.07

    def __init__(self, config: MReactorConfig) -> None:
        super().__init__()
        self.heard = config.modalities[1:]
        self.expression = nn.Linear(config.region, config.alignment)
        self.others = nn.ModuleDict(
            {name: nn.Linear(config.perception_width, config.alignment) for name in self.heard}
        )

    def forward(self, expression: Tensor, tokens: Tensor, there: Tensor | None) -> Tensor:
        """Expression [B, N, region] and tokens [B, M, N, C], the face's first; a scalar."""
        mine = F.normalize(self.expression(_clip_mean(expression, there)), dim=-1)
        terms = []
        for m, name in enumerate(self.heard, start=1):
            theirs = F.normalize(self.others[name](_clip_mean(tokens[:, m], there)), dim=-1)
            scores = mine @ theirs.T / self.temperature
            own = torch.arange(len(mine), device=mine.device)
            terms.append((F.cross_entropy(scores, own) + F.cross_entropy(scores.T, own)) / 2)
        return torch.stack(terms).mean()


def _clip_mean(x: Tensor, there: Tensor | None) -> Tensor:
    if there is None:
        return x.mean(1)
    weights = there[..., None].to(x.dtype)
    return (x * weights).sum(1) / weights.sum(1).clamp(min=1)
