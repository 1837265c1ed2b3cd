"""From mesh landmarks to distances on the face, and from those to the 52 blendshapes.

Two steps, so that an hour of video needs little memory and the rest pose may be found last:

1. `measure`: landmarks in the head's frame -> `MEASURES`, some forty distances in mm;
2. `blendshapes_of`: distances against the person's rest (`face_rest`) -> estimates in [0, 1].

They are geometric estimates, not muscles: a shape is read off how far skin has moved, with the
millimetres of a full ARKit shape as the unit. What a mesh of the front of the face cannot tell is
zero and listed in `UNSEEN`.

Commanded against recovered on the talking portrait (three seeds, 20 s, no lag), Pearson r:
jawOpen, mouthSmile, browInnerUp >= 0.91; eyeBlink, browOuterUp 0.88 to 0.95; horizontal gaze 0.65
to 0.93; browDown, cheekSquint 0.66 to 0.83; mouthStretch, mouthFunnel, mouthPucker 0.4 to 0.7;
vertical gaze and eyeSquint under 0.4: movements of a millimetre or two, near the mesh's own noise.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from visavis.channels import BLENDSHAPES

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
MEASURES = tuple(name + side for name in _PAIRED for side in _SIDES) + _SINGLE
"""Names of the distances, mm in the head's frame; `measure` says what each is."""
_COLUMN = {name: column for column, name in enumerate(MEASURES)}


_SURE = 1.0
"""mm that lips must move before the fainter shapes of the mouth are told at all."""


def measure(head: Doubles) -> Doubles:
    """Landmarks in the head's frame, [478, 3] in mm -> distances [M], in the order of `MEASURES`.

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


def blendshapes_of(measures: Doubles, rest: Doubles) -> NDArray[np.float32]:
    """Distances [..., M] against the person's rest [M] -> blendshapes [..., 52] in [0, 1].

    The divisors are the millimetres that a full shape moves the skin of a head whose eyes are
    63 mm apart; the coupling terms take away what a falling jaw does to the mouth's corners and
    lips and what a glance does to the lids.
    """
    moved = measures - rest

    def d(name: str) -> Doubles:
        value: Doubles = moved[..., _COLUMN[name]]
        return value

    def full(name: str) -> float:
        return float(max(rest[_COLUMN[name]], 1.0))

    gap = np.maximum(d("lip_gap"), 0.0)
    chin = np.maximum(-1.15 * d("chin"), 0.0)  # the mesh follows the chin's skin by some 85 %
    jaw = 0.6 * chin + 0.4 * np.minimum(gap, 2.5 * chin + 1.0)  # lips may part without the jaw
    shut = np.clip(1.0 - gap / 4.0, 0.0, 1.0)  # 1 with the lips together
    aside = d("mouth_side") - 0.3 * d("chin_side")
    shapes: dict[str, Doubles] = {
        "jawOpen": jaw / 22.0,
        "mouthClose": np.maximum(chin - 1.3 * gap - 4.0, 0.0) / 22.0,
        "jawLeft": d("chin_side") / 9.0,
        "jawRight": -d("chin_side") / 9.0,
        "mouthLeft": aside / 9.0,
        "mouthRight": -aside / 9.0,
        "browInnerUp": (d("brow_innerLeft") + d("brow_innerRight")) / 2 / 6.0,
        "mouthRollUpper": -d("upper_red") / full("upper_red") * shut,
        "mouthRollLower": -d("lower_red") / full("lower_red") * shut,
    }
    narrow = np.zeros_like(jaw)
    lifted = np.zeros_like(jaw)
    raised = np.zeros_like(jaw)
    for side in _SIDES:
        sign = 1.0 if side == "Left" else -1.0
        out = d("corner_out" + side) - sign * aside + 0.06 * jaw
        up = d("corner_up" + side) + 0.27 * jaw
        smile = 0.55 * out + 0.85 * up
        narrow = narrow + np.maximum(-out, 0.0) / 2
        upper = d("upper_lip" + side) - 0.5 * up
        lower = d("lower_lip" + side) - 0.4 * up + 1.0 * jaw
        lifted, raised = lifted + upper / 2, raised + lower / 2
        look_up, look_out = d("gaze_up" + side), d("gaze_out" + side)
        lid = d("lid" + side) - 0.6 * look_up
        # smiles narrow the eye from below, blinks from above: count only the lids' own meeting
        closed = np.clip(-d("aperture" + side) / (0.7 * full("aperture" + side)), 0.0, 1.0)
        shapes |= {
            "eyeBlink" + side: closed,
            "eyeWide" + side: lid / 3.5,
            "eyeSquint" + side: d("underlid" + side) / 4.0 * (1.0 - closed),
            "eyeLookUp" + side: look_up / 5.0,
            "eyeLookDown" + side: -look_up / 5.0,
            "eyeLookOut" + side: look_out / 7.0,
            "eyeLookIn" + side: -look_out / 7.0,
            "browDown" + side: -(d("brow_inner" + side) + 0.3 * d("brow_gap")) / 5.0,
            "browOuterUp" + side: d("brow_outer" + side) / 7.5,
            "cheekSquint" + side: d("cheek" + side) / 6.0,
            "noseSneer" + side: (d("nostril" + side) - 0.25 * up) / 5.0,
            "mouthSmile" + side: np.where(up > -1.0, smile, 0.0) / 10.0,
            "mouthFrown" + side: (-up - _SURE) / 6.0,
            "mouthStretch" + side: (out - 0.9 * np.maximum(up, 0.0)) / 8.0,
            "mouthUpperUp" + side: (upper - _SURE) / 6.0 * (1.0 - shut),
            "mouthLowerDown" + side: (-lower - _SURE) / 8.0 * (1.0 - shut),
            "mouthPress" + side: (-d("upper_red") - d("lower_red") - _SURE) / 6.0 * shut,
        }
    wide_open = np.clip((gap - 4.0) / 8.0, 0.0, 1.0)
    shapes["mouthPucker"] = narrow / 7.0 * (1.0 - wide_open)
    shapes["mouthFunnel"] = narrow / 7.0 * wide_open
    shapes["mouthShrugUpper"] = (lifted - _SURE) / 5.0 * shut
    shapes["mouthShrugLower"] = (raised - _SURE) / 6.0 * shut
    zero = np.zeros_like(jaw)
    stacked = np.stack([shapes.get(name, zero) for name in BLENDSHAPES], axis=-1)
    return np.clip(stacked, 0.0, 1.0).astype(np.float32)
