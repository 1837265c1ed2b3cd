"""Eyeballs' angles from the eight gaze shapes, for formats that turn eyes as bones."""

from __future__ import annotations

import numpy as np

from visavis.channels import STANDARD
from visavis.export._clock import F64
from visavis.render.morphs import GAZE

_AT = STANDARD["blendshapes"].index


def eye_angles(blendshapes: F64) -> F64:
    """Shapes [N, 52] to angles [N, 2, 2]: (left, right eye) x (pitch, yaw), radians.

    Positive pitch looks down, positive yaw to the subject's left, as for the head. At weight 1 a
    gaze shape turns an eye by as much as in our own drawn head (21 to 30 degrees).
    """
    out = np.zeros((len(blendshapes), 2, 2))
    for eye, (side, outward) in enumerate((("Left", 1.0), ("Right", -1.0))):
        for stem, (pitch, yaw) in GAZE.items():
            weight = blendshapes[:, _AT(f"{stem}{side}")]
            out[:, eye, 0] += weight * pitch
            out[:, eye, 1] += weight * yaw * outward
    return out
