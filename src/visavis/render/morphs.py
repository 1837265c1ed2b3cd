"""How each of the 52 ARKit shapes moves the face: smooth fields over the resting head, cm.

A field takes a `Place` (resting points with their coordinates about the mouth) and returns a shift
for each. Fields that ARKit has for one side are written once, for the subject's left (+X), and
mirrored. Lid shapes are not fields: `mesh` sculpts the lids anew and takes the difference.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from visavis.render import face
from visavis.render.sculpt import Array, smoothstep

HINGE = np.array([0.0, -2.4, -0.5])
"""The axis of the jaw (along X), cm."""
JAW_ANGLE = np.radians(17.0)


Sides: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True)
class Place:
    """Resting points and where they lie about the mouth.

    Attributes:
        p: [N, 3] cm.
        t: [N] across the mouth, -1 at the right corner, 1 at the left.
        q: [N] cm above the line between the lips (negative below).
        above: [N] whether a point belongs to the upper side of that line.
    """

    p: Array
    t: Array
    q: Array
    above: Sides

    def mirrored(self) -> Place:
        """As seen in a mirror."""
        return replace(self, p=self.p * np.array([-1.0, 1.0, 1.0]), t=-self.t)


Field = Callable[[Place], Array]


def place(
    p: Array, t: Array | None = None, q: Array | None = None, above: Sides | None = None
) -> Place:
    """A `Place` for points off the sheet, with mouth coordinates from their direction."""
    d = p - face.ORIGIN
    azimuth = np.degrees(np.arctan2(d[:, 0], d[:, 2]))
    elevation = np.degrees(np.arctan2(d[:, 1], np.hypot(d[:, 0], d[:, 2])))
    t = azimuth / face.MOUTH_CORNER if t is None else t
    q = (elevation - face.MOUTH_ROW) * np.radians(1.0) * 9.4 if q is None else q
    return Place(p, t, q, np.asarray(q > 0) if above is None else above)


def _shift(amount: Array, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Array:
    return np.asarray(np.asarray(amount)[:, None] * np.array([x, y, z]))


def _bump(
    at: Place, centre: tuple[float, float, float], radius: float | tuple[float, float, float]
) -> Array:
    """A Gaussian round a point, [N]."""
    d = (at.p - np.asarray(centre)) / np.asarray(radius)
    return np.asarray(np.exp(-np.sum(d * d, axis=1)))


def _left(at: Place, width: float = 0.9) -> Array:
    """0 on the subject's right half, rising to 1 over `width` cm on the left."""
    return smoothstep(0.0, width, at.p[:, 0])


def _half(at: Place) -> Array:
    """1 on the left half, blending across the middle so that both halves make a whole."""
    return smoothstep(-0.6, 0.6, at.p[:, 0])


def _front(at: Place) -> Array:
    return smoothstep(1.0, 4.0, at.p[:, 2])


def _arch(t: Array) -> Array:
    return np.clip(1.0 - t * t, 0.0, 1.0) ** 0.45


def jaw_share(at: Place) -> Array:
    """Share of the jaw's motion, 1 at the chin, about one half at the corners of the mouth, [N]."""
    half = 0.5 * (1.0 - _arch(at.t))
    beyond = np.maximum(np.abs(at.t) - 1.0, 0.0)
    reach = 1.4 + 2.2 * beyond
    fade = np.exp(-((np.abs(at.q) / reach) ** 1.6))
    share = np.where(at.above, half * fade, 1.0 - half * fade)
    under = smoothstep(-2.5, 3.0, at.p[:, 2] - 0.25 * (at.p[:, 1] + 9.0))
    return share * under * smoothstep(0.0, -2.5, at.p[:, 1])


def turned(p: Array, angle: float) -> Array:
    """Shift of points [N, 3] when the jaw has opened by `angle` radians."""
    d = p - HINGE
    y = np.cos(angle) * d[:, 1] - np.sin(angle) * d[:, 2]
    z = np.sin(angle) * d[:, 1] + np.cos(angle) * d[:, 2]
    return np.stack([np.zeros(len(p)), y - d[:, 1], z - d[:, 2]], axis=1)


def jaw_open(at: Place) -> Array:
    """The jaw turns; the corners come in a little."""
    share = jaw_share(at)
    corner = _corner(at) + _corner(at.mirrored())
    tuck = -0.16 * np.sign(at.p[:, 0]) * np.clip(corner, 0.0, 1.0)
    return share[:, None] * turned(at.p, JAW_ANGLE) + _shift(tuck, x=1.0)


def mouth_close(at: Place) -> Array:
    """What brings the lips together again over an open jaw."""
    opened = jaw_open(at)
    lower = _lips(at, below=2.2) * ~at.above
    upper = _lips(at, above=1.3) * at.above
    gap = turned(np.array([[0.0, -6.5, 8.5]]), JAW_ANGLE)[0]
    arch = _arch(at.t)
    up = -0.68 * opened * lower[:, None]
    down = 0.32 * np.outer(upper * arch, gap * np.array([1.0, 1.0, 0.6]))
    return up + down


def _lips(at: Place, above: float = 1.1, below: float = 1.3, wide: float = 1.45) -> Array:
    """1 on the lips, falling off over `above` and `below` cm and beyond the corners."""
    reach = np.where(at.above, above, below)
    fade = np.exp(-((at.q / reach) ** 2))
    return fade * smoothstep(wide, 0.95, np.abs(at.t)) * _front(at)


def _corner(at: Place) -> Array:
    """1 at the left corner of the mouth, [N]."""
    along = np.where(
        at.t < 1.0, smoothstep(0.0, 1.0, at.t) ** 1.3, np.exp(-(((at.t - 1.0) / 0.62) ** 2))
    )
    return along * np.exp(-((at.q / 1.55) ** 2)) * _front(at)


def _pinch(at: Place, amount: float) -> Array:
    """Lips drawn towards their line: height scaled down by `amount`, [N]."""
    return -amount * at.q * np.exp(-((at.q / 0.95) ** 2)) * smoothstep(1.15, 0.9, np.abs(at.t))


def mouth_smile(at: Place) -> Array:
    """Zygomaticus: the corner goes out, up and back; the cheek swells above it."""
    c = _corner(at)
    cheek = _bump(at, (4.1, -2.9, 6.0), (2.0, 1.7, 3.0)) * _left(at)
    lift = _lips(at, above=1.2) * at.above * _half(at) * _arch(at.t)
    fold = _bump(at, (3.2, -4.7, 7.2), (0.7, 1.2, 2.0)) * _left(at)
    return (
        _shift(c, 0.85, 0.95, -0.45)
        + _shift(cheek, 0.18, 0.42, 0.38)
        + _shift(fold, 0.1, 0.2, -0.12)
        + _shift(lift, y=0.2)
    )


def mouth_frown(at: Place) -> Array:
    """The corner goes down."""
    c = _corner(at)
    return _shift(c, 0.12, -0.88, -0.1) + _shift(
        _bump(at, (2.2, -8.2, 7.0), 1.3) * _left(at), 0.0, -0.2, 0.2
    )


def mouth_dimple(at: Place) -> Array:
    """The corner is drawn straight back into the cheek."""
    dent = _bump(at, (3.3, -6.1, 6.9), (0.75, 0.95, 2.0)) * _left(at)
    return _shift(_corner(at), 0.62, 0.12, -0.5) + _shift(dent, 0.15, 0.0, -0.5)


def mouth_stretch(at: Place) -> Array:
    """The corner goes out and a little down, as in fear."""
    neck = _bump(at, (3.0, -8.2, 6.0), 1.8) * _left(at)
    return _shift(_corner(at), 0.95, -0.42, -0.5) + _shift(neck, 0.3, -0.25, 0.0)


def mouth_upper_up(at: Place) -> Array:
    """The left half of the upper lip rises."""
    side = np.exp(-(((at.t - 0.36) / 0.5) ** 2)) * _half(at)
    fold = _bump(at, (2.3, -4.3, 7.4), 1.1) * _left(at)
    return _shift(_lips(at, above=1.5) * at.above * side, 0.0, 0.62, 0.12) + _shift(
        fold, 0.1, 0.25, 0.15
    )


def mouth_lower_down(at: Place) -> Array:
    """The left half of the lower lip drops and shows the teeth."""
    side = np.exp(-(((at.t - 0.36) / 0.5) ** 2)) * _half(at)
    return _shift(_lips(at, below=1.6) * ~at.above * side, 0.05, -0.68, 0.05)


def mouth_press(at: Place) -> Array:
    """The left half of the lips is pressed thin."""
    side = smoothstep(0.0, 0.5, at.t)
    dent = _bump(at, (2.9, -6.5, 7.0), (0.7, 0.9, 2.0)) * _left(at)
    return (
        _shift(_pinch(at, 0.62) * side, y=1.0)
        + _shift(_lips(at, 0.6, 0.8) * side, z=-0.22)
        + _shift(dent, 0.1, 0.05, -0.25)
    )


def mouth_funnel(at: Place) -> Array:
    """Lips pushed out round an open O."""
    lips = _lips(at, 1.2, 1.4, 1.6)
    arch = _arch(at.t)
    inwards = -0.34 * at.p[:, 0] * lips
    open_up = np.where(at.above, 0.42, -0.6) * lips * arch
    return _shift(inwards, x=1.0) + _shift(lips, z=0.75) + _shift(open_up, y=1.0)


def mouth_pucker(at: Place) -> Array:
    """Lips drawn together and forward, as for a kiss."""
    lips = _lips(at, 1.3, 1.5, 1.75)
    inwards = -0.46 * at.p[:, 0] * lips
    plump = 0.22 * at.q * np.exp(-((at.q / 0.9) ** 2)) * lips
    cheek = sum(_bump(at, (s * 4.0, -5.6, 6.0), 1.5) for s in (-1.0, 1.0))
    return (
        _shift(inwards, x=1.0)
        + _shift(lips, z=0.95)
        + _shift(plump, y=1.0)
        + _shift(np.asarray(cheek), z=-0.3)
    )


def _roll(at: Place, *, upper: bool) -> Array:
    mine = at.above == upper
    lips = _lips(at, 0.75, 0.9, 1.1) * mine * _arch(at.t)
    squeeze = (
        -0.75 * at.q * np.exp(-((at.q / 1.15) ** 2)) * mine * smoothstep(1.1, 0.8, np.abs(at.t))
    )
    return _shift(lips, z=-0.55) + _shift(squeeze, y=1.0)


def mouth_roll_lower(at: Place) -> Array:
    """The lower lip turns in over the teeth."""
    return _roll(at, upper=False)


def mouth_roll_upper(at: Place) -> Array:
    """The upper lip turns in over the teeth."""
    return _roll(at, upper=True)


def mouth_shrug_lower(at: Place) -> Array:
    """The chin pushes the lower lip up and out."""
    chin = _bump(at, (0.0, -9.0, 8.0), (1.9, 1.4, 3.0))
    lips = _lips(at, below=1.5) * ~at.above
    drag = _lips(at, above=0.7) * at.above * _arch(at.t)
    return (
        _shift(lips * _arch(at.t), 0.0, 0.42, 0.38)
        + _shift(chin, 0.0, 0.42, 0.3)
        + _shift(drag, y=0.34)
    )


def mouth_shrug_upper(at: Place) -> Array:
    """The upper lip goes up and out."""
    lips = _lips(at, above=1.4) * at.above * _arch(at.t)
    drag = _lips(at, below=0.7) * ~at.above * _arch(at.t)
    return _shift(lips, 0.0, 0.45, 0.3) + _shift(drag, y=0.36)


def mouth_left(at: Place) -> Array:
    """The whole mouth goes to the subject's left."""
    wide = np.exp(-((at.t / 1.9) ** 2)) * np.exp(-((at.q / 2.0) ** 2)) * _front(at)
    return _shift(wide, 1.15, 0.0, -0.1) + _shift(_corner(at), 0.05, 0.22, -0.1)


def cheek_puff(at: Place) -> Array:
    """Both cheeks filled with air."""
    out = np.zeros((len(at.p), 3))
    for side in (-1.0, 1.0):
        amount = _bump(at, (side * 4.4, -5.4, 5.0), (2.3, 2.2, 3.4))
        out += _shift(amount, side * 1.35, 0.0, 0.75)
    return out + _shift(_lips(at, 1.0, 1.0), z=0.16) + _shift(_pinch(at, 0.3), y=1.0)


def cheek_squint(at: Place) -> Array:
    """The cheek is raised towards the eye."""
    cheek = _bump(at, (3.9, -2.0, 6.6), (2.1, 1.3, 3.0)) * _left(at)
    return _shift(cheek, 0.05, 0.62, 0.42)


def nose_sneer(at: Place) -> Array:
    """The wing of the nose rises and the skin beside it bunches."""
    wing = _bump(at, (1.3, -3.2, 8.0), (0.85, 1.0, 1.6)) * _left(at, 0.6)
    side = _bump(at, (1.2, -1.0, 7.5), (0.8, 1.1, 1.6)) * _left(at, 0.6)
    lip = _lips(at, above=1.7) * at.above * np.exp(-(((at.t - 0.4) / 0.4) ** 2)) * _left(at, 0.8)
    inner = _bump(at, (1.3, 2.2, 7.6), (1.0, 0.9, 2.0)) * _left(at, 0.6)
    return (
        _shift(wing, 0.22, 0.55, 0.12)
        + _shift(side, 0.0, 0.15, 0.3)
        + _shift(lip, 0.0, 0.3, 0.05)
        + _shift(inner, -0.08, -0.22, 0.1)
    )


def brow_down(at: Place) -> Array:
    """The brow, its inner end most, comes down and together."""
    inner = _bump(at, (1.6, 2.7, 7.6), (1.5, 1.35, 3.0))
    outer = _bump(at, (3.8, 3.0, 6.8), (1.8, 1.2, 3.0))
    glabella = _bump(at, (0.7, 2.2, 7.9), (0.6, 1.0, 2.0))
    side = _left(at, 0.7)
    return (
        _shift(inner * side, -0.30, -0.82, 0.12)
        + _shift(outer * side, -0.05, -0.36, 0.1)
        + _shift(glabella * side, -0.05, -0.1, 0.18)
    )


def brow_inner_up(at: Place) -> Array:
    """The inner ends of both brows rise; the forehead folds a little."""
    out = np.zeros((len(at.p), 3))
    for side in (-1.0, 1.0):
        inner = _bump(at, (side * 1.4, 2.9, 7.6), (1.45, 1.5, 3.0))
        out += _shift(inner, side * -0.1, 1.0, 0.05)
    return out


def brow_outer_up(at: Place) -> Array:
    """The outer half of the brow rises."""
    outer = _bump(at, (4.2, 3.0, 6.6), (1.75, 1.5, 3.0))
    return _shift(outer * _left(at), 0.05, 1.0, 0.0)


def jaw_left(at: Place) -> Array:
    """The jaw slides to the subject's left."""
    return _shift(jaw_share(at), 1.05, 0.0, -0.05) + _shift(_lips(at) * at.above, 0.25)


def jaw_forward(at: Place) -> Array:
    """The jaw slides forward."""
    return _shift(jaw_share(at), 0.0, -0.18, 1.05)


def tongue_gap(at: Place) -> Array:
    """Lips part so that the tongue may pass."""
    lips = _lips(at) * np.exp(-((at.t / 0.75) ** 2))
    return _shift(lips * np.where(at.above, 0.2, -0.58), y=1.0)


def mirror(field: Field) -> Field:
    """The same field on the other side."""

    def other(at: Place) -> Array:
        return np.asarray(field(at.mirrored()) * np.array([-1.0, 1.0, 1.0]))

    return other


def _sided(name: str, field: Field) -> dict[str, Field]:
    return {f"{name}Left": field, f"{name}Right": mirror(field)}


def brow_wide(at: Place) -> Array:
    """What the brow does when an eye is opened wide."""
    return _shift(_bump(at, (3.3, 2.8, 7.0), (2.0, 1.0, 3.0)) * _left(at), y=0.16)


def brow_squint(at: Place) -> Array:
    """What brow and cheek do when an eye is narrowed."""
    cheek = _bump(at, (3.6, -1.9, 7.0), (1.8, 1.0, 3.0)) * _left(at)
    return _shift(cheek, y=0.22, z=0.18) + _shift(
        _bump(at, (3.4, 2.6, 7.0), (1.8, 0.9, 3.0)) * _left(at), y=-0.14
    )


FIELDS: Mapping[str, Field] = {
    **_sided("browDown", brow_down),
    "browInnerUp": brow_inner_up,
    **_sided("browOuterUp", brow_outer_up),
    "cheekPuff": cheek_puff,
    **_sided("cheekSquint", cheek_squint),
    **_sided("eyeSquint", brow_squint),
    **_sided("eyeWide", brow_wide),
    "jawForward": jaw_forward,
    "jawLeft": jaw_left,
    "jawOpen": jaw_open,
    "jawRight": mirror(jaw_left),
    "mouthClose": mouth_close,
    **_sided("mouthDimple", mouth_dimple),
    **_sided("mouthFrown", mouth_frown),
    "mouthFunnel": mouth_funnel,
    "mouthLeft": mouth_left,
    **_sided("mouthLowerDown", mouth_lower_down),
    **_sided("mouthPress", mouth_press),
    "mouthPucker": mouth_pucker,
    "mouthRight": mirror(mouth_left),
    "mouthRollLower": mouth_roll_lower,
    "mouthRollUpper": mouth_roll_upper,
    "mouthShrugLower": mouth_shrug_lower,
    "mouthShrugUpper": mouth_shrug_upper,
    **_sided("mouthSmile", mouth_smile),
    **_sided("mouthStretch", mouth_stretch),
    **_sided("mouthUpperUp", mouth_upper_up),
    **_sided("noseSneer", nose_sneer),
    "tongueOut": tongue_gap,
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
