"""From mesh landmarks to distances on the face, and from those to the 52 blendshapes.

Two steps, so that an hour of video needs little memory and the rest pose may be found last:

1. `measure`: landmarks in the head's frame -> `MEASURES`, some forty distances in mm;
2. `blendshapes_of`: distances against the person's rest (`face_rest`) -> estimates in [0, 1].

They are geometric estimates, not muscles: a shape is read off how far the skin of its own part of
the face has moved. The weights (`face_weights.csv`) were fitted by `benchmarks/fit_tracker.py` on
films of two heads whose shapes were commanded; docs/perception.md says how well others are told.
What a mesh of the front of the face cannot tell is zero and listed in `UNSEEN`.
"""

from __future__ import annotations

import csv
from functools import lru_cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from visavis.channels import BLENDSHAPES
from visavis.features.face_sides import QUARTERS, by_the_seen_side, jaw_by_the_lips

Doubles = NDArray[np.float64]

UNSEEN: dict[str, str] = {
    "tongueOut": "the mesh has no tongue",
    "cheekPuff": "the mesh's cheeks follow its mean shape, not the air inside",
    "jawForward": "a few millimetres of depth, less than the mesh's depth error",
    "mouthDimpleLeft": "looks like a faint stretch or smile to the mesh; told as those",
    "mouthDimpleRight": "looks like a faint stretch or smile to the mesh; told as those",
}
"""Blendshapes that are always 0, and why."""

_SIDES = ("Left", "Right")
# Mesh indices by the subject's side, (left, right).
_UPPER_LID = ((385, 386, 387), (158, 159, 160))
_LOWER_LID = ((380, 374, 373), (153, 145, 144))
_CORNERS = ((362, 263), (133, 33))  # inner, outer
_IRIS = (473, 468)
_BROW_INNER = ((336, 285, 296), (107, 55, 66))
_BROW_OUTER = ((334, 300, 293, 282), (105, 70, 63, 52))
_CORNER = ((291, 308), (61, 78))
_UPPER_LIP = ((267, 269, 270), (37, 39, 40))
_LOWER_LIP = ((314, 405, 321), (84, 181, 91))
_INNER_UPPER = ((312, 311), (82, 81))
_INNER_LOWER = ((317, 402), (87, 178))
_NOSTRIL = ((358, 327, 279), (129, 98, 49))
_CHEEK = ((280, 425, 347), (50, 205, 118))
_CHIN = (152, 148, 377, 175)

_PAIRED = (
    *("aperture", "lid", "underlid", "gaze_out", "gaze_up", "brow_inner", "brow_outer"),
    *("corner_out", "corner_up", "upper_lip", "lower_lip", "nostril", "cheek"),
)
_SINGLE = (
    *("brow_gap", "lip_gap", "chin", "chin_side", "mouth_side", "protrusion"),
    *("upper_red", "lower_red"),
)
MEASURES = (*(name + side for name in _PAIRED for side in _SIDES), *_SINGLE, *QUARTERS)
"""Names of the distances, mm in the head's frame (`measure` says what each is), and how far each
quarter of the face is seen (`face_sides`)."""
_COLUMN = {name: column for column, name in enumerate(MEASURES)}
_SEEN = [_COLUMN[name] for name in QUARTERS]
_JAW_OPEN = BLENDSHAPES.index("jawOpen")
_ALL_SEEN = np.ones(len(QUARTERS))
FEATURES = (*MEASURES, "narrow_open", "narrow_shut", "gap_small", "red_shut")
"""What blendshapes are told from: the distances against rest, and the mouth's corners drawn in
with the lips apart or shut, its first 4 mm of opening, and the red of lips that are shut."""


def measure(head: Doubles, seen: Doubles = _ALL_SEEN) -> Doubles:
    """Landmarks in the head's frame, [478, 3] in mm -> distances [M], in the order of `MEASURES`.

    `seen` [4] says how far each quarter of the face is seen, in [0, 1], and is handed on.

    "up" is +y and "out" away from the midline, both in the rigid frame of the head, so that
    pose does not enter. `lid` and `underlid` are heights of the lids over the line between the
    eye's corners, `brow_*` heights over both eyes' corners (nearer, so steadier than the frame of
    the whole head), `gaze_*` the iris against the middle of that line, `*_red` the height of the
    red of the lips, `lip_gap` the opening between them, `protrusion` their depth.
    """
    x, y, z = head.T
    values: dict[str, float] = {}
    eyes = y[[*_CORNERS[0], *_CORNERS[1]]].mean()
    for column, side in enumerate(_SIDES):
        sign = 1.0 if side == "Left" else -1.0
        inner, outer = _CORNERS[column]
        eye_x, eye_y = (x[inner] + x[outer]) / 2, (y[inner] + y[outer]) / 2
        upper, lower = list(_UPPER_LID[column]), list(_LOWER_LID[column])
        iris, corner = _IRIS[column], list(_CORNER[column])
        values["aperture" + side] = float((y[upper] - y[lower]).mean())
        values["lid" + side] = float(y[upper].mean() - eye_y)
        values["underlid" + side] = float(y[lower].mean() - eye_y)
        values["gaze_out" + side] = float(sign * (x[iris] - eye_x))
        values["gaze_up" + side] = float(y[iris] - eye_y)
        values["brow_inner" + side] = float(y[list(_BROW_INNER[column])].mean() - eyes)
        values["brow_outer" + side] = float(y[list(_BROW_OUTER[column])].mean() - eyes)
        values["corner_out" + side] = float(sign * x[corner].mean())
        values["corner_up" + side] = float(y[corner].mean())
        values["upper_lip" + side] = float(y[list(_UPPER_LIP[column])].mean())
        values["lower_lip" + side] = float(y[list(_LOWER_LIP[column])].mean())
        values["nostril" + side] = float(y[list(_NOSTRIL[column])].mean())
        values["cheek" + side] = float(y[list(_CHEEK[column])].mean())
    values.update(zip(QUARTERS, seen.tolist(), strict=True))
    values["brow_gap"] = float(x[[285, 336]].mean() - x[[55, 107]].mean())
    upper = [13, *_INNER_UPPER[0], *_INNER_UPPER[1]]
    lower = [14, *_INNER_LOWER[0], *_INNER_LOWER[1]]
    values["lip_gap"] = float((y[upper] - y[lower]).mean())
    values["chin"] = float(y[list(_CHIN)].mean())
    values["chin_side"] = float(x[list(_CHIN)].mean())
    values["mouth_side"] = float(x[[0, 17, 61, 291]].mean())
    values["protrusion"] = float(z[[0, 13, 14, 17]].mean())
    values["upper_red"] = float((y[[0, 37, 267]] - y[[13, 82, 312]]).mean())
    values["lower_red"] = float((y[[14, 87, 317]] - y[[17, 84, 314]]).mean())
    return np.array([values[name] for name in MEASURES])


def features_of(measures: Doubles, rest: Doubles) -> Doubles:
    """Distances [..., M] against the person's rest [M] -> `FEATURES` [..., F].

    The heights of lids count in tenths of the person's own opening, those of the red of the lips
    in the mean person's; the rest are mm moved. What is hidden moves as the other side does.
    """
    seen = np.clip(measures[..., _SEEN], 0.0, 1.0)
    moved = by_the_seen_side((measures - rest) * _own_scale(rest), seen, _COLUMN)

    def d(name: str) -> Doubles:
        value: Doubles = moved[..., _COLUMN[name]]
        return value

    gap = np.maximum(d("lip_gap"), 0.0)
    narrow = np.maximum(-(d("corner_outLeft") + d("corner_outRight")) / 2, 0.0)
    apart = np.clip((gap - 2.0) / 8.0, 0.0, 1.0)
    shut = np.clip(1.0 - gap / 4.0, 0.0, 1.0)
    red = (d("upper_red") + d("lower_red")) * shut
    more = np.stack([narrow * apart, narrow * (1 - apart), np.minimum(gap, 4.0), red], axis=-1)
    features: Doubles = np.concatenate([moved, more], axis=-1)
    return features


def mirrored(features: Doubles) -> Doubles:
    """`FEATURES` [..., F] of the same face in a mirror."""
    swapped: Doubles = features[..., _MIRROR] * _MIRROR_SIGN
    return swapped


def blendshapes_of(measures: Doubles, rest: Doubles) -> NDArray[np.float32]:
    """Distances [..., M] against the person's rest [M] -> blendshapes [..., 52] in [0, 1].

    Each shape is a linear function of the features of its own part of the face, clipped; those in
    `UNSEEN` are 0. With half the mouth hidden, jawOpen goes by the lips alone.
    """
    weights, constants = _weights()
    features = features_of(measures, rest)
    told = features @ weights + constants
    halves = np.clip(measures[..., _SEEN[2:]], 0.0, 1.0).min(axis=-1)
    by_lips = jaw_by_the_lips(features, _COLUMN)
    told[..., _JAW_OPEN] = halves * told[..., _JAW_OPEN] + (1.0 - halves) * by_lips
    return np.clip(told, 0.0, 1.0).astype(np.float32)


def _own_scale(rest: Doubles) -> Doubles:
    """[M] what the mean person's distance is to this person's, where sizes differ most."""
    scale = np.ones(len(MEASURES))
    for side in _SIDES:
        open_ = max(float(rest[_COLUMN["aperture" + side]]), 4.0)
        for name in ("aperture", "lid", "underlid"):
            scale[_COLUMN[name + side]] = 10.0 / open_
    for name, mean in (("upper_red", 6.0), ("lower_red", 8.0)):
        scale[_COLUMN[name]] = mean / max(float(rest[_COLUMN[name]]), 2.0)
    return scale


def _other_side(name: str) -> str:
    if name.endswith("Left"):
        return name.removesuffix("Left") + "Right"
    return name.removesuffix("Right") + "Left" if name.endswith("Right") else name


_MIRROR = np.array([FEATURES.index(_other_side(name)) for name in FEATURES])
_MIRROR_SIGN = np.array([-1.0 if n in ("chin_side", "mouth_side") else 1.0 for n in FEATURES])


@lru_cache(maxsize=1)
def _weights() -> tuple[Doubles, Doubles]:
    """Weights [F, 52] and constants [52]; the right side is the left side's mirror."""
    weights = np.zeros((len(FEATURES), len(BLENDSHAPES)))
    constants = np.zeros(len(BLENDSHAPES))
    text = files("visavis.features").joinpath("face_weights.csv").read_text("utf-8")
    for row in csv.DictReader(text.splitlines()):
        shape, feature, weight = row["shape"], row["feature"], float(row["weight"])
        for name, flip in ((shape, False), (_other_side(shape), True)):
            column = BLENDSHAPES.index(name)
            if feature == "1":
                constants[column] = weight
                continue
            at = FEATURES.index(feature)
            if flip and name != shape:
                weights[_MIRROR[at], column] = weight * _MIRROR_SIGN[at]
            elif not flip:
                weights[at, column] = weight
    return weights, constants
