"""Coefficients of FaceVerse files <-> ours. Nothing is converted unless it is asked for.

A FaceVerse frame has 58 numbers: 52 blendshapes, 3 angles, 3 of translation.

- **Blendshapes** are ARKit's, in alphabetical order like ours. (No text of the challenge prints the
  order. The means and deviations it ships fit the alphabetical one: `docs/corpora-react.md`.)
- **Angles** (a, b, c) turn by Rz(c) Ry(b) Rx(a), after FaceVerse's public code (Wang et al. 2022).
  Its head model has y down and z into the head, so that a upright face has a = pi. Ours is
  R = Ry(yaw) Rx(pitch) Rz(roll) of a head with y up and z out: the same matrix, a less pi, split
  in another order. Exact both ways while |pitch| < 90 degrees; angles come back within one turn.
- **Translation** is that of the head model's origin, in its own unit, from a camera 10 units away.
  Ours is in metres from rest: (t - rest) * `UNIT_M`. The axes agree. The unit is an estimate, and
  the origin lies within the head, so that a nod also moves it a little.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from visavis.behaviour import Behaviour
from visavis.channels import GROUPS, Layout
from visavis.errors import InputError

WIDTH = 58
UNIT_M = 0.155
"""Metres a unit: the model is 0.93 units wide from ear to ear, adults are about 0.145 m."""

Rest = Sequence[float] | Tensor


def split(frames: Tensor) -> dict[str, Tensor]:
    """[..., 58] as blendshapes [..., 52], rotation [..., 3], translation [..., 3].

    Raises:
        InputError: another width.
    """
    if frames.shape[-1:] != (WIDTH,):
        raise InputError(f"FaceVerse frames are [..., {WIDTH}], not {list(frames.shape)}.")
    names = GROUPS["coefficients"]
    return dict(zip(names, frames.split((52, 3, 3), dim=-1), strict=True))


def from_faceverse(behaviour: Behaviour, *, rest: Rest) -> Behaviour:
    """A behaviour with FaceVerse coefficients in our convention.

    Blendshapes are held within [0, 1], where the fit may leave it. Other channels stay.

    Args:
        behaviour: of the convention "faceverse".
        rest: where the head counts as at rest, [3] in FaceVerse units: the mean translation of
            the corpus (the last three of `mean_face.npy`).

    Raises:
        InputError: it is in our convention already, or `rest` is not three numbers.
    """
    return _converted(behaviour, rest, theirs=True)


def to_faceverse(behaviour: Behaviour, *, rest: Rest) -> Behaviour:
    """The inverse of `from_faceverse`, with the same `rest`.

    Raises:
        InputError: it is in FaceVerse's convention already, or `rest` is not three numbers.
    """
    return _converted(behaviour, rest, theirs=False)


def _converted(behaviour: Behaviour, rest: Rest, *, theirs: bool) -> Behaviour:
    came, wanted = ("faceverse", "arkit") if theirs else ("arkit", "faceverse")
    if behaviour.layout.convention != came:
        raise InputError(
            f"wanted coefficients of the {came} convention, but these are "
            f"{behaviour.layout.convention}: they would be converted twice."
        )
    origin = torch.as_tensor(rest, dtype=torch.float64)
    if origin.shape != (3,) or not bool(torch.isfinite(origin).all()):
        raise InputError(f"rest must be three finite numbers, not {rest}.")
    channels = dict(behaviour.channels)
    if "blendshapes" in channels and theirs:
        channels["blendshapes"] = channels["blendshapes"].clamp(0.0, 1.0)
    if "rotation" in channels:
        turn = angles_from_faceverse if theirs else angles_to_faceverse
        channels["rotation"] = turn(channels["rotation"])
    if "translation" in channels:
        given = channels["translation"]
        origin = origin.to(given.device)
        moved = given.double()
        moved = (moved - origin) * UNIT_M if theirs else moved / UNIT_M + origin
        channels["translation"] = moved.to(given.dtype)
    layout = Layout(behaviour.layout.channels, wanted)
    return replace(behaviour, channels=channels, layout=layout)


def angles_from_faceverse(angles: Tensor) -> Tensor:
    """FaceVerse's (a, b, c) [..., 3] as (pitch, yaw, roll), radians."""
    a, b, c = angles.double().unbind(-1)
    matrix = _about(2, c) @ _about(1, b) @ _about(0, a - math.pi)
    pitch = -torch.asin(matrix[..., 1, 2].clamp(-1.0, 1.0))
    yaw = torch.atan2(matrix[..., 0, 2], matrix[..., 2, 2])
    roll = torch.atan2(matrix[..., 1, 0], matrix[..., 1, 1])
    return torch.stack((pitch, yaw, roll), dim=-1).to(angles.dtype)


def angles_to_faceverse(angles: Tensor) -> Tensor:
    """(pitch, yaw, roll) [..., 3] as FaceVerse's (a, b, c); a in (0, 2 pi]."""
    pitch, yaw, roll = angles.double().unbind(-1)
    matrix = _about(1, yaw) @ _about(0, pitch) @ _about(2, roll)
    a = torch.atan2(matrix[..., 2, 1], matrix[..., 2, 2]) + math.pi
    b = -torch.asin(matrix[..., 2, 0].clamp(-1.0, 1.0))
    c = torch.atan2(matrix[..., 1, 0], matrix[..., 0, 0])
    return torch.stack((a, b, c), dim=-1).to(angles.dtype)


def _about(axis: int, angle: Tensor) -> Tensor:
    """Rotations [..., 3, 3] about one axis, right-handed."""
    one, two = (axis + 1) % 3, (axis + 2) % 3
    matrix = torch.zeros(*angle.shape, 3, 3, dtype=angle.dtype, device=angle.device)
    matrix[..., axis, axis] = 1.0
    matrix[..., one, one] = matrix[..., two, two] = torch.cos(angle)
    matrix[..., two, one] = torch.sin(angle)
    matrix[..., one, two] = -torch.sin(angle)
    return matrix
