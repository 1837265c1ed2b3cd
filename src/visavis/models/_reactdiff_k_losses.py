"""What ReactDiff-K asks of movement beside the denoising error (specification 2.3).

The released code takes all its terms of the preconditioned output; here they are of the denoised
frames, and exclusion excludes. Which shapes belong together is ours, by their ARKit names.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from visavis.channels import STANDARD

LABELS = STANDARD["blendshapes"].labels
POSE = slice(52, 58)


def _pairs(*names: tuple[str, str]) -> tuple[tuple[int, int], ...]:
    return tuple((LABELS.index(one), LABELS.index(other)) for one, other in names)


def _sides(one: str, other: str) -> tuple[tuple[str, str], ...]:
    """The pair on both sides of the face."""
    return tuple((one + side, other + side) for side in ("Left", "Right"))


SYMMETRIC = _pairs(
    *(
        (name, name.removesuffix("Left") + "Right")
        for name in LABELS
        if name.endswith("Left")
        # to the side is not symmetric
        and name not in ("jawLeft", "mouthLeft", "eyeLookInLeft", "eyeLookOutLeft")
    )
)
TOGETHER = _pairs(
    *_sides("cheekSquint", "mouthSmile"),
    *_sides("cheekSquint", "eyeSquint"),
    *_sides("noseSneer", "mouthUpperUp"),
    ("browInnerUp", "browOuterUpLeft"),
    ("browInnerUp", "browOuterUpRight"),
    ("eyeLookInLeft", "eyeLookOutRight"),
    ("eyeLookOutLeft", "eyeLookInRight"),
)
EXCLUSIVE = _pairs(
    *_sides("mouthSmile", "mouthFrown"),
    *_sides("eyeBlink", "eyeWide"),
    *_sides("eyeSquint", "eyeWide"),
    *_sides("browDown", "browOuterUp"),
    *_sides("eyeLookUp", "eyeLookDown"),
    *_sides("eyeLookIn", "eyeLookOut"),
    ("jawLeft", "jawRight"),
    ("mouthLeft", "mouthRight"),
)


def velocity_rows(given: Tensor, wanted: Tensor, mask: Tensor) -> Tensor:
    """How far pose moves otherwise, [N, T, 58] to [N]: 10 times the error of differences over one
    frame and, a frame, over the window."""
    moves = []
    for lag in {1, max(1, given.shape[1] - 1)}:
        pairs = mask[:, lag:] & mask[:, :-lag]
        made, real = (x[:, lag:, POSE] - x[:, :-lag, POSE] for x in (given, wanted))
        error = F.smooth_l1_loss(made, real, reduction="none").mean(-1) / lag
        moves.append(_mean(error, pairs))
    return 10 * torch.stack(moves).sum(0)


def kinematic_rows(given: Tensor, wanted: Tensor, mask: Tensor) -> Tensor:
    """How far shapes keep other company, [N, T, 58] to [N]; values are blendshapes, from 0 up.

    Symmetric shapes |y_i - y_j|, shapes that go together the error of y_i - y_j, exclusive ones
    relu(y_i) relu(y_j).
    """
    left, right = _of(given, SYMMETRIC)
    symmetry = (left - right).abs().mean(-1)
    one, other = _of(given, TOGETHER)
    real_one, real_other = _of(wanted, TOGETHER)
    together = F.smooth_l1_loss(one - other, real_one - real_other, reduction="none").mean(-1)
    one, other = _of(given, EXCLUSIVE)
    exclusion = (one.relu() * other.relu()).mean(-1)
    return _mean(symmetry + together + exclusion, mask)


def _of(x: Tensor, pairs: tuple[tuple[int, int], ...]) -> tuple[Tensor, Tensor]:
    one, other = zip(*pairs, strict=True)
    return x[..., list(one)], x[..., list(other)]


def _mean(errors: Tensor, mask: Tensor) -> Tensor:
    """[N, T] to [N] over the frames of the mask."""
    return (errors * mask).sum(1) / mask.sum(1).clamp(min=1)
