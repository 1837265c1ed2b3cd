"""Fields of jaw, lips, tongue and puffed cheeks, cm. Sided ones are for the subject's left."""

from __future__ import annotations

import numpy as np

from visavis.render.place import Place, bump, front, left_half, left_side, shift
from visavis.render.sculpt import Array, smoothstep


def rounding(t: Array) -> Array:
    return np.clip(1.0 - t * t, 0.0, 1.0) ** 0.45


HINGE = np.array([0.0, -2.4, -0.5])
"""The axis of the jaw (along X), cm."""


JAW_ANGLE = np.radians(17.0)


def jaw_share(at: Place) -> Array:
    """Share of the jaw's motion, 1 at the chin, about one half at the corners of the mouth, [N]."""
    half = 0.5 * (1.0 - rounding(at.t))
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
    corner = corner_share(at) + corner_share(at.mirrored())
    tuck = -0.16 * np.sign(at.p[:, 0]) * np.clip(corner, 0.0, 1.0)
    return share[:, None] * turned(at.p, JAW_ANGLE) + shift(tuck, x=1.0)


def mouth_close(at: Place) -> Array:
    """What brings the lips together again over an open jaw."""
    opened = jaw_open(at)
    lower = lips_share(at, below=2.2) * ~at.above
    upper = lips_share(at, above=1.3) * at.above
    gap = turned(np.array([[0.0, -6.5, 8.5]]), JAW_ANGLE)[0]
    arch = rounding(at.t)
    up = -0.68 * opened * lower[:, None]
    down = 0.32 * np.outer(upper * arch, gap * np.array([1.0, 1.0, 0.6]))
    return up + down


def lips_share(at: Place, above: float = 1.1, below: float = 1.3, wide: float = 1.45) -> Array:
    """1 on the lips, falling off over `above` and `below` cm and beyond the corners."""
    reach = np.where(at.above, above, below)
    fade = np.exp(-((at.q / reach) ** 2))
    return fade * smoothstep(wide, 0.95, np.abs(at.t)) * front(at)


def corner_share(at: Place) -> Array:
    """1 at the left corner of the mouth, [N]."""
    along = np.where(
        at.t < 1.0, smoothstep(0.0, 1.0, at.t) ** 1.3, np.exp(-(((at.t - 1.0) / 0.62) ** 2))
    )
    return along * np.exp(-((at.q / 1.55) ** 2)) * front(at)


def pinch(at: Place, amount: float) -> Array:
    """Lips drawn towards their line: height scaled down by `amount`, [N]."""
    return -amount * at.q * np.exp(-((at.q / 0.95) ** 2)) * smoothstep(1.15, 0.9, np.abs(at.t))


def mouth_smile(at: Place) -> Array:
    """Zygomaticus: the corner goes out, up and back; the cheek swells above it."""
    c = corner_share(at)
    cheek = bump(at, (4.1, -2.9, 6.0), (2.0, 1.7, 3.0)) * left_side(at)
    lift = lips_share(at, above=1.2) * at.above * left_half(at) * rounding(at.t)
    fold = bump(at, (3.2, -4.7, 7.2), (0.7, 1.2, 2.0)) * left_side(at)
    return (
        shift(c, 0.85, 0.95, -0.45)
        + shift(cheek, 0.18, 0.42, 0.38)
        + shift(fold, 0.1, 0.2, -0.12)
        + shift(lift, y=0.2)
    )


def mouth_frown(at: Place) -> Array:
    """The corner goes down."""
    c = corner_share(at)
    return shift(c, 0.12, -0.88, -0.1) + shift(
        bump(at, (2.2, -8.2, 7.0), 1.3) * left_side(at), 0.0, -0.2, 0.2
    )


def mouth_dimple(at: Place) -> Array:
    """The corner is drawn straight back into the cheek."""
    dent = bump(at, (3.3, -6.1, 6.9), (0.75, 0.95, 2.0)) * left_side(at)
    return shift(corner_share(at), 0.62, 0.12, -0.5) + shift(dent, 0.15, 0.0, -0.5)


def mouth_stretch(at: Place) -> Array:
    """The corner goes out and a little down, as in fear."""
    neck = bump(at, (3.0, -8.2, 6.0), 1.8) * left_side(at)
    return shift(corner_share(at), 0.95, -0.42, -0.5) + shift(neck, 0.3, -0.25, 0.0)


def mouth_upper_up(at: Place) -> Array:
    """The left half of the upper lip rises."""
    side = np.exp(-(((at.t - 0.36) / 0.5) ** 2)) * left_half(at)
    fold = bump(at, (2.3, -4.3, 7.4), 1.1) * left_side(at)
    return shift(lips_share(at, above=1.5) * at.above * side, 0.0, 0.62, 0.12) + shift(
        fold, 0.1, 0.25, 0.15
    )


def mouth_lower_down(at: Place) -> Array:
    """The left half of the lower lip drops and shows the teeth."""
    side = np.exp(-(((at.t - 0.36) / 0.5) ** 2)) * left_half(at)
    return shift(lips_share(at, below=1.6) * ~at.above * side, 0.05, -0.68, 0.05)


def mouth_press(at: Place) -> Array:
    """The left half of the lips is pressed thin."""
    side = smoothstep(0.0, 0.5, at.t)
    dent = bump(at, (2.9, -6.5, 7.0), (0.7, 0.9, 2.0)) * left_side(at)
    return (
        shift(pinch(at, 0.62) * side, y=1.0)
        + shift(lips_share(at, 0.6, 0.8) * side, z=-0.22)
        + shift(dent, 0.1, 0.05, -0.25)
    )


def mouth_funnel(at: Place) -> Array:
    """Lips pushed out round an open O."""
    lips = lips_share(at, 1.2, 1.4, 1.6)
    arch = rounding(at.t)
    inwards = -0.34 * at.p[:, 0] * lips
    open_up = np.where(at.above, 0.42, -0.6) * lips * arch
    return shift(inwards, x=1.0) + shift(lips, z=0.75) + shift(open_up, y=1.0)


def mouth_pucker(at: Place) -> Array:
    """Lips drawn together and forward, as for a kiss."""
    lips = lips_share(at, 1.3, 1.5, 1.75)
    inwards = -0.46 * at.p[:, 0] * lips
    plump = 0.22 * at.q * np.exp(-((at.q / 0.9) ** 2)) * lips
    cheek = sum(bump(at, (s * 4.0, -5.6, 6.0), 1.5) for s in (-1.0, 1.0))
    return (
        shift(inwards, x=1.0)
        + shift(lips, z=0.95)
        + shift(plump, y=1.0)
        + shift(np.asarray(cheek), z=-0.3)
    )


def _roll(at: Place, *, upper: bool) -> Array:
    mine = at.above == upper
    lips = lips_share(at, 0.75, 0.9, 1.1) * mine * rounding(at.t)
    squeeze = (
        -0.75 * at.q * np.exp(-((at.q / 1.15) ** 2)) * mine * smoothstep(1.1, 0.8, np.abs(at.t))
    )
    return shift(lips, z=-0.55) + shift(squeeze, y=1.0)


def mouth_roll_lower(at: Place) -> Array:
    """The lower lip turns in over the teeth."""
    return _roll(at, upper=False)


def mouth_roll_upper(at: Place) -> Array:
    """The upper lip turns in over the teeth."""
    return _roll(at, upper=True)


def mouth_shrug_lower(at: Place) -> Array:
    """The chin pushes the lower lip up and out."""
    chin = bump(at, (0.0, -9.0, 8.0), (1.9, 1.4, 3.0))
    lips = lips_share(at, below=1.5) * ~at.above
    drag = lips_share(at, above=0.7) * at.above * rounding(at.t)
    return (
        shift(lips * rounding(at.t), 0.0, 0.42, 0.38)
        + shift(chin, 0.0, 0.42, 0.3)
        + shift(drag, y=0.34)
    )


def mouth_shrug_upper(at: Place) -> Array:
    """The upper lip goes up and out."""
    lips = lips_share(at, above=1.4) * at.above * rounding(at.t)
    drag = lips_share(at, below=0.7) * ~at.above * rounding(at.t)
    return shift(lips, 0.0, 0.45, 0.3) + shift(drag, y=0.36)


def mouth_left(at: Place) -> Array:
    """The whole mouth goes to the subject's left."""
    wide = np.exp(-((at.t / 1.9) ** 2)) * np.exp(-((at.q / 2.0) ** 2)) * front(at)
    return shift(wide, 1.15, 0.0, -0.1) + shift(corner_share(at), 0.05, 0.22, -0.1)


def jaw_left(at: Place) -> Array:
    """The jaw slides to the subject's left."""
    return shift(jaw_share(at), 1.05, 0.0, -0.05) + shift(lips_share(at) * at.above, 0.25)


def jaw_forward(at: Place) -> Array:
    """The jaw slides forward."""
    return shift(jaw_share(at), 0.0, -0.18, 1.05)


def tongue_gap(at: Place) -> Array:
    """Lips part so that the tongue may pass."""
    lips = lips_share(at) * np.exp(-((at.t / 0.75) ** 2))
    return shift(lips * np.where(at.above, 0.2, -0.58), y=1.0)


def cheek_puff(at: Place) -> Array:
    """Both cheeks filled with air."""
    out = np.zeros((len(at.p), 3))
    for side in (-1.0, 1.0):
        amount = bump(at, (side * 4.4, -5.4, 5.0), (2.3, 2.2, 3.4))
        out += shift(amount, side * 1.35, 0.0, 0.75)
    return out + shift(lips_share(at, 1.0, 1.0), z=0.16) + shift(pinch(at, 0.3), y=1.0)
