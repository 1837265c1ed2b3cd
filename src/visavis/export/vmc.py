"""VMC: avatar messages over OSC, for VSeeFace, VMagicMirror, Warudo and others (port 39539).

Positions and rotations are in the receiver's (Unity's) left-handed axes: our X is turned round.
Shapes go by their ARKit names, which "perfect sync" avatars know.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from visavis.behaviour import Behaviour
from visavis.channels import BLENDSHAPES
from visavis.errors import InputError, require
from visavis.export._clock import F64, frames_at
from visavis.export._turn import quaternions

PORT = 39539
BONES = ("Head", "Neck")


def vmc_messages(
    behaviour: Behaviour, *, rate: float | None = None, bone: str = "Head"
) -> Iterator[bytes]:
    """One OSC bundle a frame: 52 shapes, their `Apply`, the head's bone, the time, `OK`.

    Args:
        behaviour: [T] with `blendshapes`, and `rotation` where the head moves.
        rate: frames a second; None keeps the behaviour's own 25.
        bone: which bone takes the whole rotation, "Head" or "Neck".

    Yields:
        Datagrams to send with a UDP socket, one every 1 / rate seconds.

    Raises:
        MissingExtra: python-osc is not installed.
        MissingChannel: no blendshapes.
        InputError: several persons, an unknown bone, a rate outside 1 to 240.
    """
    if bone not in BONES:
        raise InputError(f"unknown bone {bone!r}; there are {', '.join(BONES)}.")
    require("pythonosc", extra="export")
    frames = frames_at(behaviour, rate)
    turns = left_handed(quaternions(frames.rotation))
    for number in range(len(frames)):
        yield _bundle(frames.blendshapes[number], turns[number], number / frames.rate, bone)


def left_handed(turns: F64) -> F64:
    """Quaternions (x, y, z, w) [N, 4] in our axes to axes whose X points the other way."""
    return np.asarray(turns * np.array([1.0, -1.0, -1.0, 1.0]))


def _bundle(weights: F64, turn: F64, when: float, bone: str) -> bytes:
    from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder
    from pythonosc.osc_message_builder import OscMessageBuilder

    bundle = OscBundleBuilder(IMMEDIATELY)

    def add(address: str, *arguments: Any) -> None:
        message = OscMessageBuilder(address)
        for value in arguments:
            message.add_arg(value)
        bundle.add_content(message.build())

    for name, weight in zip(BLENDSHAPES, weights, strict=True):
        add("/VMC/Ext/Blend/Val", name, float(weight))
    add("/VMC/Ext/Blend/Apply")
    add("/VMC/Ext/Bone/Pos", bone, 0.0, 0.0, 0.0, *(float(x) for x in turn))
    add("/VMC/Ext/T", float(when))
    add("/VMC/Ext/OK", 1)
    data: bytes = bundle.build().dgram
    return data
