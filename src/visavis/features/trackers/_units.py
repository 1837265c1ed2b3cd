"""From action units and angles of gaze to ARKit shapes, and from a camera's axes to ours.

OpenFace and py-feat know muscles, not shapes. The table says which shape a muscle draws (FACS,
Ekman & Friesen 1978, against ARKit's own descriptions); it is one-to-one where it can be and knows
no left from right, as action units do not. Channels made with it are marked derived.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from visavis.channels import BLENDSHAPES
from visavis.features.face_pose import angles_of

Doubles = NDArray[np.float64]

SHAPES_OF_UNITS: dict[int, tuple[str, ...]] = {
    1: ("browInnerUp",),
    2: ("browOuterUp",),
    4: ("browDown",),
    5: ("eyeWide",),
    6: ("cheekSquint",),
    7: ("eyeSquint",),
    9: ("noseSneer",),
    10: ("mouthUpperUp",),
    12: ("mouthSmile",),
    14: ("mouthDimple",),
    15: ("mouthFrown",),
    17: ("mouthShrugLower",),
    20: ("mouthStretch",),
    24: ("mouthPress",),
    26: ("jawOpen",),
    28: ("mouthRollLower", "mouthRollUpper"),
    43: ("eyeBlink",),
    45: ("eyeBlink",),
}
"""Action unit -> the shapes it draws (stems stand for left and right). AU23 (lips tightened) and
AU25 (lips part, from either lip or the jaw) draw no one shape."""

LOOK_DOWN, LOOK_UP, LOOK_OUT, LOOK_IN = 0.40, 0.36, 0.52, 0.52
"""Radians that a full gaze shape turns an eye, as in our drawn head."""


def shapes_of_units(units: dict[int, Doubles]) -> Doubles:
    """Action units -> [N] in [0, 1] each (NaN: not told) -> shapes [N, 52], NaN where unknown."""
    rows = len(next(iter(units.values())))
    shapes = np.full((rows, len(BLENDSHAPES)), np.nan)
    for unit, stems in SHAPES_OF_UNITS.items():
        if unit not in units:
            continue
        for stem in stems:
            for name in (stem,) if stem in BLENDSHAPES else (f"{stem}Left", f"{stem}Right"):
                column = shapes[:, BLENDSHAPES.index(name)]
                shapes[:, BLENDSHAPES.index(name)] = np.fmax(column, units[unit])
    return shapes


def look(shapes: Doubles, pitch: Doubles, yaw: Doubles) -> None:
    """Write the gaze [N] in the head (radians; down and to the subject's left are positive)."""
    for side, out in (("Left", 1.0), ("Right", -1.0)):
        for stem, value in (
            ("Down", pitch / LOOK_DOWN),
            ("Up", -pitch / LOOK_UP),
            ("Out", out * yaw / LOOK_OUT),
            ("In", -out * yaw / LOOK_IN),
        ):
            shapes[:, BLENDSHAPES.index(f"eyeLook{stem}{side}")] = np.clip(value, 0.0, 1.0)


def turned_from_camera(angles: Doubles) -> Doubles:
    """(Rx, Ry, Rz) [N, 3] about a camera's axes, R = Rx Ry Rz -> our (pitch, yaw, roll) [N, 3].

    A camera's X points to the picture's right (the subject's left), Y down, Z away from it; half a
    turn about X gives ours. For one axis alone: pitch = Rx, yaw = -Ry, roll = -Rz.
    """
    flip = np.array([1.0, -1.0, -1.0])
    out = np.full(angles.shape, np.nan)
    for row, (a, b, c) in enumerate(angles):
        if not np.isfinite((a, b, c)).all():
            continue
        (ca, cb, cc), (sa, sb, sc) = np.cos((a, b, c)), np.sin((a, b, c))
        rx = np.array([[1, 0, 0], [0, ca, -sa], [0, sa, ca]])
        ry = np.array([[cb, 0, sb], [0, 1, 0], [-sb, 0, cb]])
        rz = np.array([[cc, -sc, 0], [sc, cc, 0], [0, 0, 1]])
        out[row] = angles_of(flip[:, None] * (rx @ ry @ rz) * flip)
    return out
