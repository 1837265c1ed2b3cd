"""FaceAIS's tokenizer: a patch of face frames to as many codes, and codes to a face.

One encoder and two decoders, bias-free GPT blocks that see a whole patch in both directions. A
frame's code so depends on its patch, and a patch can be decoded as soon as its codes are known.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from visavis.models._faceais_blocks import Block
from visavis.nn.quantize import FSQ, Quantised
from visavis.nn.standardise import Standardise

COEFFICIENTS, ATTRIBUTES = 58, 25
GROUPS_OF_COEFFICIENTS = (
    ("brow", range(5)),
    ("cheek", range(5, 8)),
    ("blink", range(8, 10)),
    ("gaze", range(10, 18)),
    ("squint", range(18, 20)),
    ("wide", range(20, 22)),
    ("jaw", range(22, 26)),
    ("mouth", range(26, 43)),
    ("smile", range(43, 45)),
    ("mouth_rest", range(45, 49)),
    ("nose_tongue", range(49, 52)),
    ("rotation", range(52, 55)),
    ("translation", range(55, 58)),
)
"""Columns whose mean L1 errors are added up (specification 3.2): a group of two counts as much as
one of seventeen. In alphabetical ARKit order these are the released code's own columns."""


class Stack(nn.Module):
    """Blocks and a final norm."""

    def __init__(self, width: int, heads: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            Block(width, heads, bias=False, dropout=dropout) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width, bias=False)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        for block in self.blocks:
            x = block(x, mask=mask)
        out: Tensor = self.norm(x)
        return out


class Tokenizer(nn.Module):
    """Coefficients of patches [R, n, 58] to codes [R, n] and back; attributes beside them.

    What is read and returned is in units of the training data's deviations around their means.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        layers: int,
        *,
        patch: int,
        levels: Sequence[int],
        dropout: float,
    ) -> None:
        super().__init__()
        self.patch = patch
        self.coefficient_scale = Standardise(COEFFICIENTS)
        self.attribute_scale = Standardise(ATTRIBUTES)
        self.read = nn.Linear(COEFFICIENTS, width)
        self.read_place = nn.Parameter(torch.empty(patch, width))
        self.encoder = Stack(width, heads, layers, dropout)
        self.quantise = FSQ(levels, width)
        self.unfold = nn.Linear(width, width)
        self.unfold_place = nn.Parameter(torch.empty(patch, width))
        self.coefficients = Stack(width, heads, layers, dropout)
        self.attributes = Stack(width, heads, layers, dropout)
        self.to_coefficients = nn.Linear(width, COEFFICIENTS, bias=False)
        self.to_attributes = nn.Linear(width, ATTRIBUTES, bias=False)
        self.drop = nn.Dropout(dropout)
        as_gpt(self, 2 * layers)

    @property
    def codes(self) -> int:
        return self.quantise.codes

    def encode(self, coefficients: Tensor, known: Tensor) -> Quantised:
        """Patches [R, n, 58], standardised; frames where known bool [R, n] is False are not read.

        The codes of such frames mean nothing.
        """
        x = self.drop(self.read(coefficients) + self.read_place)
        mask = None
        if not bool(known.all()):  # softmax over nothing is NaN
            mask = (known | ~known.any(-1, keepdim=True))[:, None, None]
        out: Quantised = self.quantise(self.encoder(x, mask))
        return out

    def decode(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Codes' vectors [R, n, C] to coefficients [R, n, 58] and attributes [R, n, 25]."""
        x = self.drop(self.unfold(vectors) + self.unfold_place)
        coefficients = self.to_coefficients(self.coefficients(x))
        attributes = self.to_attributes(self.attributes(x))
        return (
            coefficients * self.coefficient_scale.std + self.coefficient_scale.mean,
            attributes * self.attribute_scale.std + self.attribute_scale.mean,
        )


def as_gpt(module: nn.Module, residuals: int) -> None:
    """GPT-2's initial weights: deviation 0.02, less where `residuals` branches add up."""
    for name, parameter in module.named_parameters():
        if name.endswith("bias"):
            nn.init.zeros_(parameter)
        elif parameter.ndim > 1:
            last = name.endswith(("outward.weight", "feed_forward.2.weight"))
            nn.init.normal_(parameter, std=0.02 / residuals**0.5 if last else 0.02)
