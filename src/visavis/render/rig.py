"""Corrections that keep mixed shapes from passing through each other, as riggers make them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from visavis.channels import BLENDSHAPES

_AT = {name: number for number, name in enumerate(BLENDSHAPES)}
_LIDS = tuple(
    tuple(_AT[f"{stem}{side}"] for stem in ("eyeBlink", "eyeSquint", "eyeLookDown", "eyeWide"))
    for side in ("Left", "Right")
)
_JAW, _CLOSE = _AT["jawOpen"], _AT["mouthClose"]
_LOOK_DOWN = 0.43
"""How far looking down lowers the upper lid, as a share of a blink."""
_CLOSE_ALONE = 0.22
"""How far `mouthClose` may run ahead of `jawOpen`: lips press together, and no further."""


def settle(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Weights [52] cut to [0, 1] with two limits; NaN counts as 0.

    - As a lid closes, shapes that also lower it (squint, looking down) or raise it (wide) give way.
    - `mouthClose` brings lips together over an open jaw, so it cannot exceed `jawOpen` by much.
    """
    out = np.clip(np.nan_to_num(weights, nan=0.0), 0.0, 1.0).astype(np.float32)
    for blink, squint, down, wide in _LIDS:
        room = 1.0 - out[blink]
        out[down] = min(out[down], room / _LOOK_DOWN)
        out[squint] *= 0.35 + 0.65 * room
        out[wide] *= room
    out[_CLOSE] = min(out[_CLOSE], out[_JAW] + _CLOSE_ALONE)
    return out
