"""How the portrait's mesh moves: 52 shapes as displacements of mesh landmarks, in millimetres.

The portrait smiles with parted lips, so `neutral_of` first brings the mouth to rest. `basis_of`
then gives each shape's full displacement there. The sizes are those of a conversational ARKit
face (a jaw drops 22 mm, a smile lifts the corners 7 mm). Shapes that the demo's script does not use
are in `more_shapes`, so that what was measured on the demo's portrait stays as it was.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from visavis.channels import BLENDSHAPES

Doubles = NDArray[np.float64]

# the loops of the mesh, right to left (x grows), without the corners
INNER_UPPER = (191, 80, 81, 82, 13, 312, 311, 310, 415)
INNER_LOWER = (95, 88, 178, 87, 14, 317, 402, 318, 324)
INNER_CORNERS = (78, 308)
OUTER_CORNERS = (61, 291)
_LIPS_UPPER = (
    *(185, 40, 39, 37, 0, 267, 269, 270, 409, 184, 74, 73, 72, 11, 302, 303, 304, 408),
    *(183, 42, 41, 38, 12, 268, 271, 272, 407),
)
_LIPS_LOWER = (
    *(146, 91, 181, 84, 17, 314, 405, 321, 375, 77, 90, 180, 85, 16, 315, 404, 320, 307),
    *(96, 89, 179, 86, 15, 316, 403, 319, 325),
)
CROWDED = (62, 76, 77, 96, 183, 184, 292, 306, 307, 325, 407, 408)
"""Points packed into the corners of the mouth, where triangles would bridge the closed lips."""
UPPER_LIDS = {
    "Left": (466, 388, 387, 386, 385, 384, 398),
    "Right": (246, 161, 160, 159, 158, 157, 173),
}
LOWER_LIDS = {
    "Left": (249, 390, 373, 374, 380, 381, 382),
    "Right": (7, 163, 144, 145, 153, 154, 155),
}
EYE_CORNERS = {"Left": (263, 362), "Right": (33, 133)}
LID_FOLDS = {
    "Left": (467, 260, 259, 257, 258, 286, 414),
    "Right": (247, 30, 29, 27, 28, 56, 190),
}
ABOVE_FOLDS = {
    "Left": (342, 445, 444, 443, 442, 441, 413),
    "Right": (113, 225, 224, 223, 222, 221, 189),
}
"""The row of points between a lid's fold and the brow: skin without lashes or shadow."""


def mouth_loop() -> list[int]:
    """Indices around the opening of the mouth."""
    return [INNER_CORNERS[0], *INNER_UPPER, INNER_CORNERS[1], *reversed(INNER_LOWER)]


def eye_loop(side: str) -> list[int]:
    """Indices around the opening of an eye."""
    outer, inner = EYE_CORNERS[side]
    return [outer, *UPPER_LIDS[side], inner, *reversed(LOWER_LIDS[side])]


def neutral_of(smiling: Doubles, *, inward_mm: float = 5.0) -> Doubles:
    """Landmarks [478, 3] of a smiling portrait in the head's frame, mm -> with the mouth at rest.

    The corners come in by `inward_mm` and down by three fifths of it (both near enough to the
    corner), then the lips meet (more of the way from below).
    """
    rest = smiling.copy()
    for corner, inward in ((OUTER_CORNERS[0], 1.0), (OUTER_CORNERS[1], -1.0)):
        near = _near(smiling, smiling[corner], 17.0)
        rest[:, 0] += near * inward * inward_mm
        rest[:, 1] -= near * 0.6 * inward_mm
    upper, lower = list(INNER_UPPER), list(INNER_LOWER)
    meet = 0.65 * rest[upper, 1] + 0.35 * rest[lower, 1]
    ends = list(INNER_CORNERS)
    x = np.concatenate([[rest[ends[0], 0]], rest[upper, 0], [rest[ends[1], 0]]])
    down = np.interp(rest[:, 0], x, [0.0, *(meet - rest[upper, 1]), 0.0], 0.0, 0.0)
    up = np.interp(rest[:, 0], x, [0.0, *(meet - rest[lower, 1]), 0.0], 0.0, 0.0)
    line = np.interp(rest[:, 0], x, [rest[ends[0], 1], *meet, rest[ends[1], 1]])
    below = _is_below(rest, line)
    distance = np.abs(rest[:, 1] - line)
    move = np.where(
        below,
        up * np.exp(-((distance / 45.0) ** 2)),
        down * np.exp(-((np.maximum(distance - 6.0, 0.0) / 12.0) ** 2)),
    )
    move[_eye_height(rest)] = 0.0
    rest[:, 1] += move
    # one line exactly, so that no slit of the mouth's inside shows
    rest[upper, 1] = rest[lower, 1] = meet
    middle = (rest[upper] + rest[lower]) / 2
    rest[upper], rest[lower] = middle, middle
    return rest


def flattened(head: Doubles) -> Doubles:
    """The same points with the depth of the sides held back to -46 mm.

    A picture has no texture for what a turning head uncovers: where depth falls away faster than
    the sideways step, the warp would fold over itself.
    """
    flat = head.copy()
    deep = np.maximum(-18.0 - head[:, 2], 0.0)
    flat[:, 2] += deep - 28.0 * np.tanh(deep / 28.0)
    return flat


def basis_of(rest: Doubles) -> Doubles:
    """Full displacement of every landmark for every shape at rest: [52, 478, 3] in mm."""
    basis = {name: np.zeros_like(rest) for name in BLENDSHAPES}
    _jaw(rest, basis)
    _mouth(rest, basis)
    _brows_and_cheeks(rest, basis)
    for side in ("Left", "Right"):
        _lids(rest, basis, side)
    return np.stack([basis[name] for name in BLENDSHAPES])


def more_shapes(rest: Doubles, basis: Doubles) -> Doubles:
    """`basis` [52, 478, 3] with what `basis_of` leaves out; the tongue stays in the mouth."""
    more = {name: shape.copy() for name, shape in zip(BLENDSHAPES, basis, strict=True)}
    upper, lower = _member((*INNER_UPPER, *_LIPS_UPPER)), _member((*INNER_LOWER, *_LIPS_LOWER))
    lips = upper + lower
    middle = (rest[INNER_CORNERS[0]] + rest[INNER_CORNERS[1]]) / 2
    around = np.maximum(_near(rest, middle, 20.0), lips)
    arch = _middle_of_lips(rest)
    more["browInnerUp"] *= 1.3  # the demo's brows move less than people's can
    # an open mouth is round: its lower lip hangs less towards the corners
    hang = np.where(lower > 0, 0.25 + 0.75 * arch**0.6, 1.0)
    hang[list(INNER_CORNERS)] = 1.0
    more["jawOpen"][:, 1:] *= hang[:, None]
    more["mouthClose"] = -0.9 * lower[:, None] * more["jawOpen"]
    more["mouthClose"][:, 1] -= 2.5 * upper * arch
    for side, out in (("Left", 1.0), ("Right", -1.0)):
        half = _smooth((out * (rest[:, 0] - middle[0]) + 8.0) / 16.0)
        near = _near(rest, rest[OUTER_CORNERS[1 if side == "Left" else 0]], 12.0)
        more["mouth" + side][:, 0] = out * 7.0 * around
        more["mouthPress" + side][:, 1] = half * arch * (1.6 * lower - 1.6 * upper)
        more["mouthDimple" + side] = near[:, None] * np.array([out * 4.0, 0.5, -3.0])
        cheek = _near(rest, rest[425 if side == "Left" else 205], 16.0)
        more["cheekPuff"] += cheek[:, None] * np.array([out * 5.0, 0.0, 5.0])
    more["mouthRollUpper"][:, 1] = -3.0 * upper * arch
    more["mouthRollLower"][:, 1] = 3.0 * lower * arch
    more["mouthShrugUpper"][:, 1] = 3.5 * upper * arch
    chin = _near(rest, (rest[17] + rest[152]) / 2, 16.0)
    more["mouthShrugLower"][:, 1] = np.maximum(3.5 * lower * arch, 3.5 * chin * (1.0 - upper))
    more["jawForward"][:, 2] = -0.3 * more["jawOpen"][:, 1]
    return np.stack([more[name] for name in BLENDSHAPES])


def _jaw(rest: Doubles, basis: dict[str, Doubles]) -> None:
    right, left = rest[INNER_CORNERS[0]], rest[INNER_CORNERS[1]]
    middle, half = (right + left) / 2, (left[0] - right[0]) / 2
    x, y = rest[:, 0] - middle[0], rest[:, 1]
    line = np.full(len(rest), middle[1])
    below = _is_below(rest, line)
    chin = rest[152, 1]
    general = _smooth((middle[1] - y) / (middle[1] - chin) / 0.85)
    general *= 1 - 0.35 * np.clip((np.abs(x) - 25) / 40, 0, 1)
    ellipse = np.sqrt(np.clip(1 - (x / half) ** 2, 0.0, 1.0))
    weight = np.where(below, general + (1 - general) * ellipse, general * (np.abs(x) > half))
    weight[list(INNER_CORNERS)] = 0.08
    basis["jawOpen"][:, 1] = -22.0 * weight
    basis["jawOpen"][:, 2] = -5.0 * weight
    for corner, inward in ((OUTER_CORNERS[0], 1.0), (OUTER_CORNERS[1], -1.0)):
        near = _near(rest, rest[corner], 9.0)
        basis["jawOpen"][:, 0] += 3.0 * inward * near
        basis["jawOpen"][:, 1] -= 3.0 * near
    basis["jawLeft"][:, 0] = 8.0 * weight
    basis["jawRight"][:, 0] = -8.0 * weight


def _mouth(rest: Doubles, basis: dict[str, Doubles]) -> None:
    sides = (("Right", OUTER_CORNERS[0], -1.0), ("Left", OUTER_CORNERS[1], 1.0))
    lips = np.maximum(
        _near(rest, (rest[0] + rest[17]) / 2, 16.0), _member((*_LIPS_UPPER, *_LIPS_LOWER))
    )
    for side, corner, out in sides:
        near = _near(rest, rest[corner], 15.0)
        fold = _near(rest, rest[corner] + [out * 6, 12, 0], 20.0)
        basis["mouthSmile" + side][:, 0] = out * 7.0 * near
        basis["mouthSmile" + side][:, 1] = 7.5 * near + 1.5 * fold
        basis["mouthSmile" + side][:, 2] = -2.5 * near
        basis["mouthFrown" + side][:, 1] = -7.0 * near
        basis["mouthStretch" + side][:, 0] = out * 7.5 * near
        basis["mouthStretch" + side][:, 1] = -1.0 * near
        basis["mouthUpperUp" + side][:, 1] = 6.0 * _near(rest, rest[0] + [out * 9, 0, 0], 9.0)
        basis["mouthLowerDown" + side][:, 1] = -7.0 * _near(rest, rest[17] + [out * 9, 0, 0], 9.0)
        for name, pull, forward in (("mouthPucker", 10.0, 6.0), ("mouthFunnel", 8.0, 6.0)):
            basis[name][:, 0] -= out * pull * near
            basis[name][:, 2] += forward / 2 * lips
    funnel = basis["mouthFunnel"]
    funnel[:, 1] += 2.0 * _member((*INNER_UPPER, *_LIPS_UPPER)) * _middle_of_lips(rest)
    funnel[:, 1] -= 2.0 * _member((*INNER_LOWER, *_LIPS_LOWER)) * _middle_of_lips(rest)


def _brows_and_cheeks(rest: Doubles, basis: dict[str, Doubles]) -> None:
    not_lid = 1.0 - _member([i for side in UPPER_LIDS for i in (*UPPER_LIDS[side],)])
    for side, inner, outer, out in (("Left", 336, 300, 1.0), ("Right", 107, 70, -1.0)):
        at_inner = _near(rest, rest[inner], 14.0) * not_lid * _above_eyes(rest)
        middle = (rest[inner] + rest[outer]) / 2 + [out * 6, 2, 0]
        at_outer = _near(rest, middle, 15.0) * not_lid * _above_eyes(rest)
        whole = np.maximum(at_inner, _near(rest, middle, 17.0) * not_lid * _above_eyes(rest))
        basis["browInnerUp"][:, 1] += 8.0 * at_inner
        basis["browOuterUp" + side][:, 1] = 8.0 * at_outer
        basis["browDown" + side][:, 1] = -6.0 * whole
        basis["browDown" + side][:, 0] = -out * 3.0 * at_inner
        cheek = rest[280 if side == "Left" else 50]
        basis["cheekSquint" + side][:, 1] = 6.0 * _near(rest, cheek, 17.0)
        nostril = rest[358 if side == "Left" else 129]
        basis["noseSneer" + side][:, 1] = 5.0 * _near(rest, nostril, 10.0)


def _lids(rest: Doubles, basis: dict[str, Doubles], side: str) -> None:
    upper, lower = list(UPPER_LIDS[side]), list(LOWER_LIDS[side])
    gap = rest[upper, 1] - rest[lower, 1]
    blink = basis["eyeBlink" + side]
    meeting = 0.15 * rest[upper] + 0.85 * rest[lower]
    blink[upper], blink[lower] = meeting - rest[upper], meeting - rest[lower]
    blink[list(LID_FOLDS[side]), 1] = -0.35 * gap
    arch = gap / gap.max()
    basis["eyeWide" + side][upper, 1] = 3.5 * arch
    basis["eyeWide" + side][list(LID_FOLDS[side]), 1] = 2.0 * arch
    basis["eyeSquint" + side][lower, 1] = 4.0 * arch
    basis["eyeSquint" + side][upper, 1] = -0.8 * arch


def _near(points: Doubles, centre: Doubles, reach: float) -> Doubles:
    """1 at `centre`, falling as a Gaussian of `reach` mm across the face (x and y)."""
    square = ((points[:, :2] - centre[:2]) ** 2).sum(axis=1)
    near: Doubles = np.exp(-square / (2 * reach**2))
    return near


def _smooth(t: Doubles) -> Doubles:
    t = np.clip(t, 0.0, 1.0)
    smooth: Doubles = t * t * (3 - 2 * t)
    return smooth


def _member(indices: Sequence[int]) -> Doubles:
    inside = np.zeros(478)
    inside[list(indices)] = 1.0
    return inside


def _is_below(points: Doubles, line: Doubles) -> NDArray[np.bool_]:
    """Lower lip and everything under the mouth's line; lips go by their loop, not by height."""
    below: NDArray[np.bool_] = points[:, 1] < line
    below[[*INNER_UPPER, *_LIPS_UPPER]] = False
    below[[*INNER_LOWER, *_LIPS_LOWER]] = True
    return below


def _eye_height(points: Doubles) -> NDArray[np.bool_]:
    high: NDArray[np.bool_] = points[:, 1] > -20.0
    return high


def _above_eyes(points: Doubles) -> Doubles:
    return _smooth((points[:, 1] - 4.0) / 6.0)


def _middle_of_lips(points: Doubles) -> Doubles:
    half = (points[INNER_CORNERS[1], 0] - points[INNER_CORNERS[0], 0]) / 2
    arch: Doubles = np.sqrt(np.clip(1 - (points[:, 0] / half) ** 2, 0.0, 1.0))
    return arch
