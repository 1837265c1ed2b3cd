"""How each of the 52 ARKit shapes moves the face: which field belongs to which name.

A field takes a `Place` (resting points with their coordinates about the mouth) and returns a shift
for each, cm. Fields that ARKit has for one side are written once, for the subject's left (+X), and
mirrored. Lid shapes are not fields: `mesh` sculpts the lids anew and takes the difference.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from visavis.render import face
from visavis.render import morphs_mouth as mouth
from visavis.render import morphs_upper as upper
from visavis.render.place import Field, Place
from visavis.render.sculpt import Array


def mirror(field: Field) -> Field:
    """The same field on the other side."""

    def other(at: Place) -> Array:
        return np.asarray(field(at.mirrored()) * np.array([-1.0, 1.0, 1.0]))

    return other


def _sided(name: str, field: Field) -> dict[str, Field]:
    return {f"{name}Left": field, f"{name}Right": mirror(field)}


FIELDS: Mapping[str, Field] = {
    **_sided("browDown", upper.brow_down),
    "browInnerUp": upper.brow_inner_up,
    **_sided("browOuterUp", upper.brow_outer_up),
    "cheekPuff": mouth.cheek_puff,
    **_sided("cheekSquint", upper.cheek_squint),
    **_sided("eyeSquint", upper.brow_squint),
    **_sided("eyeWide", upper.brow_wide),
    "jawForward": mouth.jaw_forward,
    "jawLeft": mouth.jaw_left,
    "jawOpen": mouth.jaw_open,
    "jawRight": mirror(mouth.jaw_left),
    "mouthClose": mouth.mouth_close,
    **_sided("mouthDimple", mouth.mouth_dimple),
    **_sided("mouthFrown", mouth.mouth_frown),
    "mouthFunnel": mouth.mouth_funnel,
    "mouthLeft": mouth.mouth_left,
    **_sided("mouthLowerDown", mouth.mouth_lower_down),
    **_sided("mouthPress", mouth.mouth_press),
    "mouthPucker": mouth.mouth_pucker,
    "mouthRight": mirror(mouth.mouth_left),
    "mouthRollLower": mouth.mouth_roll_lower,
    "mouthRollUpper": mouth.mouth_roll_upper,
    "mouthShrugLower": mouth.mouth_shrug_lower,
    "mouthShrugUpper": mouth.mouth_shrug_upper,
    **_sided("mouthSmile", mouth.mouth_smile),
    **_sided("mouthStretch", mouth.mouth_stretch),
    **_sided("mouthUpperUp", mouth.mouth_upper_up),
    **_sided("noseSneer", upper.nose_sneer),
    "tongueOut": mouth.tongue_gap,
}
"""Field of each shape on the sheet; lid and gaze shapes may have one beside their lids."""


_OPEN = face.LidPose()


LIDS: Mapping[str, face.LidPose] = {
    "eyeBlink": face.LidPose(upper=_OPEN.upper, lower=3.4, closed=1.0),
    "eyeSquint": face.LidPose(upper=_OPEN.upper - 1.3, lower=1.9),
    "eyeWide": face.LidPose(upper=_OPEN.upper + 2.4, lower=_OPEN.lower + 0.7),
    "cheekSquint": face.LidPose(upper=_OPEN.upper - 0.1, lower=3.2),
    "mouthSmile": face.LidPose(upper=_OPEN.upper, lower=4.0),
    "eyeLookDown": face.LidPose(upper=_OPEN.upper - 2.9, lower=_OPEN.lower + 0.7),
    "eyeLookUp": face.LidPose(upper=_OPEN.upper + 1.0, lower=_OPEN.lower - 0.8),
}
"""Lids of one eye under shapes that come in a left and a right; other shapes leave them at rest."""


GAZE: Mapping[str, tuple[float, float]] = {
    "eyeLookDown": (0.40, 0.0),
    "eyeLookUp": (-0.36, 0.0),
    "eyeLookIn": (0.0, -0.52),
    "eyeLookOut": (0.0, 0.52),
}
"""(pitch, yaw) of the left eyeball, radians, positive down and towards the subject's left."""
