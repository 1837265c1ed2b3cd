"""A simulated face over a clip, as coefficients and as a behaviour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from visavis.behaviour import Behaviour
from visavis.corpora._random import Array
from visavis.features.attributes import attributes_from_coefficients, occurrences


@dataclass(frozen=True)
class Face:
    """Coefficients of one person over a clip."""

    shapes: Array
    """[52, T] in [0, 1]."""
    rotation: Array
    """[3, T] radians."""
    translation: Array
    """[3, T] metres."""


def behaviour_of(faces: Sequence[Face]) -> Behaviour:
    """[n, T, ...]: coefficients and the attributes that follow from them, float32."""
    shapes, rotation, translation = (
        torch.from_numpy(np.stack([getattr(face, part).T for face in faces]).astype(np.float32))
        for part in ("shapes", "rotation", "translation")
    )
    shown = attributes_from_coefficients(shapes, rotation)
    return Behaviour.of(
        {
            "au": occurrences(shown["au"]),
            "va": shown["va"],
            "expression": shown["expression"],
            "blendshapes": shapes,
            "rotation": rotation,
            "translation": translation,
        }
    )
