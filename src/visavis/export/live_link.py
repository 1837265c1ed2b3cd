"""Live Link Face: the CSV that Blender, Maya, Houdini and Unreal plug-ins read, and its packets.

Facts of the format: 63 columns in a fixed order. Eye angles as the app writes them, told from three
of its recordings (in the repository LiveLinkFace-CSV-Retarget-For-Motionbuilder) by the gaze shapes
beside them: radians, positive pitch looks down, positive yaw to the subject's **right**. In all of
them the head's rotation was switched off; it is written in radians with our signs, unverified.
"""

from __future__ import annotations

import csv
import struct
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from visavis.behaviour import Behaviour
from visavis.channels import BLENDSHAPES
from visavis.errors import InputError
from visavis.export._clock import F64, Frames, checked_rate, frames_at
from visavis.files import atomic_path

_SIDED_EYE = ("Blink", "LookDown", "LookIn", "LookOut", "LookUp", "Squint", "Wide")
_MOUTH = (
    *("Close", "Funnel", "Pucker", "Right", "Left", "SmileLeft", "SmileRight", "FrownLeft"),
    *("FrownRight", "DimpleLeft", "DimpleRight", "StretchLeft", "StretchRight", "RollLower"),
    *("RollUpper", "ShrugLower", "ShrugUpper", "PressLeft", "PressRight", "LowerDownLeft"),
    *("LowerDownRight", "UpperUpLeft", "UpperUpRight"),
)
SHAPES = (
    *(f"Eye{name}{side}" for side in ("Left", "Right") for name in _SIDED_EYE),
    *("JawForward", "JawRight", "JawLeft", "JawOpen"),
    *(f"Mouth{name}" for name in _MOUTH),
    *("BrowDownLeft", "BrowDownRight", "BrowInnerUp", "BrowOuterUpLeft", "BrowOuterUpRight"),
    *("CheekPuff", "CheekSquintLeft", "CheekSquintRight", "NoseSneerLeft", "NoseSneerRight"),
    "TongueOut",
)
"""The 52 shapes in the file's order."""
ANGLES = tuple(
    f"{what}{angle}"
    for what in ("Head", "LeftEye", "RightEye")
    for angle in ("Yaw", "Pitch", "Roll")
)
COLUMNS = ("Timecode", "BlendShapeCount", *SHAPES, *ANGLES)
"""The 63 columns of the file, exactly."""

_OURS = {name.lower(): place for place, name in enumerate(BLENDSHAPES)}
_FROM = np.array([_OURS[name.lower()] for name in SHAPES])
_SWAPPED = {"JawRight": "JawLeft", "JawLeft": "JawRight"} | {
    "MouthRight": "MouthLeft",
    "MouthLeft": "MouthRight",
}
ENGINE = tuple(_SWAPPED.get(name, name) for name in (*SHAPES, *ANGLES))
"""The engine's own order: left before right for the jaw and the mouth, unlike the file."""
_ENGINE_FROM = np.array([(*SHAPES, *ANGLES).index(name) for name in ENGINE])

EYE_YAW, EYE_DOWN, EYE_UP = 0.60, 0.61, 0.44
"""Radians by which the app turns an eye at weight 1 of a gaze shape, in the same recordings."""
_AT = {f"{stem}{side}": BLENDSHAPES.index(f"eyeLook{stem}{side}")
       for stem in ("In", "Out", "Up", "Down") for side in ("Left", "Right")}  # fmt: skip

Order = Literal["engine", "file"]


def values(frames: Frames) -> F64:
    """[N, 61]: shapes in the file's order, then head, left eye, right eye (yaw, pitch, roll)."""
    pitch, yaw, roll = frames.rotation.T
    shapes = frames.blendshapes
    angles = [yaw, pitch, roll]
    for side, outward in (("Left", -1.0), ("Right", 1.0)):
        out, into = shapes[:, _AT[f"Out{side}"]], shapes[:, _AT[f"In{side}"]]
        down, up = shapes[:, _AT[f"Down{side}"]], shapes[:, _AT[f"Up{side}"]]
        angles += [outward * EYE_YAW * (out - into), EYE_DOWN * down - EYE_UP * up, 0.0 * yaw]
    return np.concatenate([shapes[:, _FROM], np.stack(angles, axis=1)], axis=1)


def write_live_link(behaviour: Behaviour, path: str | Path, *, rate: float = 60.0) -> Path:
    """Write one person's coefficients as a Live Link Face CSV.

    Args:
        behaviour: [T] with `blendshapes`, and `rotation` where the head moves. The head's
            translation has no column and is left out.
        rate: frames a second, a whole number of 1 to 240; the app records 60 or 30.
            Counted in `Timecode` (hours:minutes:seconds:frames), so a reader must be told it.

    Raises:
        MissingChannel: no blendshapes.
        InputError: several persons, a rate that is not whole, or `path` cannot be written.
    """
    rate = checked_rate(rate, whole="a timecode counts")
    rows = values(frames_at(behaviour, rate))
    with (
        atomic_path(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for number, row in enumerate(rows):
            code = timecode(number, int(rate))
            writer.writerow([code, len(row), *(f"{x:.6f}" for x in row)])
    return Path(path)


def timecode(frame: int, rate: int) -> str:
    """Frame number to HH:MM:SS:FF.sss, FF counted in `rate`."""
    seconds, rest = divmod(frame, rate)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}:{rest:02d}.000"


def live_link_packets(
    behaviour: Behaviour,
    *,
    subject: str = "visavis",
    rate: float = 60.0,
    order: Order = "engine",
    device: uuid.UUID | None = None,
) -> Iterator[bytes]:
    """One UDP packet a frame, as the app sends to an engine's port 11111.

    Layout, big-endian: version (uint8, 6), device id and subject's name (int32 length, UTF-8),
    frame number (int32), part of a frame (float32), rate as a fraction (two int32), number of
    values (uint8, 61), the values (float32).

    **Unverified**: no engine has received these here. The layout is that of public senders; that
    packets have the order of the engine's enumeration is second-hand. If jaw and mouth move to the
    wrong side, pass `order="file"`.

    Raises:
        MissingChannel: no blendshapes.
        InputError: several persons, an unknown order, an empty name, or a rate that is not whole.
    """
    if order not in ("engine", "file"):
        raise InputError(f"unknown order {order!r}; there are 'engine' and 'file'.")
    if not subject:
        raise InputError("a packet needs a subject's name.")
    rate = checked_rate(rate, whole="packets count")
    rows = values(frames_at(behaviour, rate))
    if order == "engine":
        rows = rows[:, _ENGINE_FROM]
    id = str(device or uuid.uuid5(uuid.NAMESPACE_DNS, subject)).upper().encode()
    name = subject.encode()
    head = struct.pack(">Bi", 6, len(id)) + id + struct.pack(">i", len(name)) + name
    for number, row in enumerate(rows):
        when = struct.pack(">ifii", number, 0.0, int(rate), 1)
        yield head + when + struct.pack(f">B{len(row)}f", len(row), *row)
