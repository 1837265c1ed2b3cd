"""Which quarters of a face are seen, and what is told of those that are not.

A quarter is one eye or one half of the mouth. It is hidden where the head is turned so far that its
side lies behind the nose, where something plain covers it (a mask, dark glasses, a card: the mesh
goes on drawing what should be there), or where it is outside the picture. Of a hidden quarter the
other side's movement is told, mirrored; where both are hidden, nothing: that part is at rest.
What covers a face with contrast of its own, a hand before all, is not noticed.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]

QUARTERS = ("seen_eyeLeft", "seen_eyeRight", "seen_mouthLeft", "seen_mouthRight")
"""In [0, 1] each: how far a quarter is seen."""
_POINTS = (
    (466, 388, 387, 386, 385, 384, 398, 249, 390, 373, 374, 380, 381, 382, 263, 362, 473, 474, 476),
    (246, 161, 160, 159, 158, 157, 173, 7, 163, 144, 145, 153, 154, 155, 33, 133, 468, 469, 471),
    (291, 270, 269, 267, 321, 405, 314, 409, 375, 308),
    (61, 40, 39, 37, 91, 181, 84, 185, 146, 78),
)
_PLAIN = 0.03
"""Standard deviation of a quarter's light over the face's mean at which it is half seen. A face has
0.05 and more, even 64 pixels wide; a plain cover with a camera's noise about 0.02."""
_MOST, _EQUAL = 0.6, 0.015
"""The same of the narrowest range that holds most of its points: a cover's edge has contrast too,
but what is behind it has none."""
_TURNED = (0.35, 0.65)
"""Yaw in radians from which the far side is seen less, and beyond which not at all."""

_EYE = ("aperture", "lid", "underlid", "gaze_out", "gaze_up")
_BROW = ("brow_inner", "brow_outer")
_HALF = ("corner_out", "corner_up", "upper_lip", "lower_lip", "nostril", "cheek")
_MIDDLE = ("lip_gap", "chin", "chin_side", "mouth_side", "protrusion", "upper_red", "lower_red")


def quarters_of(measure: str) -> tuple[int, ...]:
    """Which of `QUARTERS` tell a distance of `face_geometry.MEASURES`: one of them must be seen."""
    if measure in QUARTERS:
        return tuple(range(len(QUARTERS)))
    stem = measure.removesuffix("Left").removesuffix("Right")
    first = 0 if stem in (*_EYE, *_BROW, "brow_gap") else 2
    if stem == measure:
        return (first, first + 1)
    return (first + measure.endswith("Right"),)


def uncovered(landmarks: Doubles, frame: NDArray[np.uint8]) -> Doubles:
    """How far each of `QUARTERS` [4] is there to be seen in `frame` [H, W, 3], in [0, 1], for mesh
    `landmarks` [478, 3] in pixels (y up)."""
    height, width = frame.shape[:2]
    x, y = landmarks[:, 0].astype(np.intp), (-landmarks[:, 1]).astype(np.intp)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    light = frame[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1), 1].astype(np.float64)
    light /= max(float(light.mean()), 1.0)
    seen = np.empty(len(QUARTERS))
    for number, points in enumerate(_POINTS):
        at = list(points)
        ordered = np.sort(light[at])
        most = round(_MOST * len(at))
        narrowest = float((ordered[most - 1 :] - ordered[: len(at) - most + 1]).min())
        spread = float(light[at].std())
        seen[number] = inside[at].mean() * _above(spread, _PLAIN) * _above(narrowest, _EQUAL)
    return seen


def _above(value: float, threshold: float) -> float:
    """0 well below a threshold, 0.5 at it, 1 well above."""
    return 1.0 / (1.0 + min(threshold / max(value, 1e-6), 1e3) ** 6)


def facing(yaw: float) -> Doubles:
    """How far each of `QUARTERS` [4] faces the camera, in [0, 1]. Positive yaw turns to the
    subject's left, and hides it."""
    low, high = _TURNED
    left, right = (1.0 - np.clip((y - low) / (high - low), 0.0, 1.0) for y in (yaw, -yaw))
    return np.array([left, right, left, right])


def by_the_seen_side(moved: Doubles, seen: Doubles, column: Mapping[str, int]) -> Doubles:
    """Distances from rest [..., M] with what is hidden replaced.

    Args:
        moved: against rest, mm.
        seen: [..., 4], see `QUARTERS`.
        column: where each distance of `face_geometry.MEASURES` stands.
    """
    if (seen >= 1.0).all():
        return moved
    out = moved.copy()
    for names, first, at_rest in ((_EYE, 0, True), (_BROW, 0, False), (_HALF, 2, True)):
        for own, other in ((first, first + 1), (first + 1, first)):
            borrowed = (1.0 - seen[..., own]) * seen[..., other]
            kept = 1.0 - (1.0 - seen[..., own]) * (1.0 - seen[..., other]) if at_rest else 1.0
            here, there = (("Left", "Right"), ("Right", "Left"))[own % 2]
            for name in names:
                # eyes look the same way: what is out for one is in for the other
                sign = -1.0 if name == "gaze_out" else 1.0
                mine, theirs = moved[..., column[name + here]], moved[..., column[name + there]]
                out[..., column[name + here]] = kept * (mine + borrowed * (sign * theirs - mine))
    mouth = 1.0 - (1.0 - seen[..., 2]) * (1.0 - seen[..., 3])
    for name in _MIDDLE:
        out[..., column[name]] *= mouth
    return out


def jaw_by_the_lips(moved: Doubles, column: Mapping[str, int]) -> Doubles:
    """jawOpen [...] from how far the lips are apart alone, where half the mouth is hidden: chin and
    lower lip depend on a head pose that half a face tells badly, a span between points does not."""
    red = moved[..., column["upper_red"]] + moved[..., column["lower_red"]]
    told: Doubles = 0.037 * (moved[..., column["lip_gap"]] + 0.5 * red)
    return told
