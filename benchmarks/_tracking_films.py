"""Films whose truth is known: the warped portrait and the drawn head, moved by number.

Three scripts. *Solo* shows each of the 52 shapes alone, one after the other, while the head sways
a little; *talk* is the demo's scripted performance; *turns* moves the head alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from visavis.channels import BLENDSHAPES

Doubles = NDArray[np.float64]
Picture = NDArray[np.uint8]
Draw = Callable[[Doubles, Doubles, Doubles], Picture]

REST, RISE, HOLD = 4, 4, 6
"""Frames at rest, going up (and as many down) and staying up, of a shape shown alone."""


@dataclass(frozen=True)
class Script:
    """What is commanded: shapes [T, 52], rotation [T, 3] rad, translation [T, 3] m."""

    shapes: Doubles
    rotation: Doubles
    translation: Doubles

    def pictures(self, draw: Draw) -> list[Picture]:
        rows = zip(self.shapes, self.rotation, self.translation, strict=True)
        return [draw(*row) for row in rows]


def sway(frames: int, *, size: float = 0.06) -> Doubles:
    """A head that is never quite still: rotation [T, 3] rad."""
    clock = np.arange(frames) / 25.0
    periods, sizes = np.array([5.3, 7.7, 6.1]), size * np.array([0.7, 1.0, 0.5])
    rotation: Doubles = sizes * np.sin(2 * np.pi * clock[:, None] / periods)
    return rotation


def solo(peak: float = 0.9) -> Script:
    """Two seconds of rest, then every shape alone."""
    up = (1 - np.cos(np.pi * (np.arange(RISE) + 1) / (RISE + 1))) / 2
    bump = peak * np.concatenate([np.zeros(REST), up, np.ones(HOLD), up[::-1]])
    start = 50
    shapes = np.zeros((start + len(bump) * len(BLENDSHAPES), len(BLENDSHAPES)))
    for number in range(len(BLENDSHAPES)):
        at = start + number * len(bump)
        shapes[at : at + len(bump), number] = bump
    return Script(shapes, sway(len(shapes)), np.zeros((len(shapes), 3)))


def talk(seconds: float = 20.0, *, seed: int) -> Script:
    """The demo's performance: speech, smiles, brows, blinks, gaze, nods and sway at once."""
    from visavis.demo.performance import perform

    behaviour = perform(seconds, seed=seed).behaviour
    names = ("blendshapes", "rotation", "translation")
    return Script(*(behaviour[name].double().numpy() for name in names))


def turns(limit: float = 0.7) -> Script:
    """The head alone: each axis out and back both ways, radians; pitch and roll half as far."""
    wave = np.sin(2 * np.pi * np.arange(60) / 60)
    rotation = np.zeros((200, 3))
    for axis, part in ((1, 1.0), (0, 0.5), (2, 0.5)):
        at = 10 + 60 * (1, 0, 2)[axis]
        rotation[at : at + 60, axis] = limit * part * wave
    return Script(np.zeros((200, len(BLENDSHAPES))), rotation, np.zeros((200, 3)))


def portrait(size: int = 384) -> Draw:
    """The demo's warped portrait."""
    from visavis.demo.portrait import Portrait

    return Portrait(size=size).picture


def drawn(look: int = 0, size: int = 384) -> Draw:
    """The project's drawn head in one of its looks."""
    from visavis.render.draw import draw_head
    from visavis.render.looks import LOOKS

    def picture(shapes: Doubles, rotation: Doubles, translation: Doubles) -> Picture:
        return draw_head(shapes, rotation, translation, size=size, look=LOOKS[look])

    return picture


def mixture(frames: int = 1000, *, seed: int) -> Script:
    """Two seconds of rest, then one to five shapes at once, mostly the same on both sides."""
    rng = np.random.default_rng((0x3A7, seed))
    shapes = np.zeros((frames, len(BLENDSHAPES)))
    at = 50
    while at < frames:
        length = int(rng.integers(12, 24))
        ease = np.sin(np.pi * (np.arange(length) + 0.5) / length) ** 0.7
        for name in rng.choice(BLENDSHAPES, int(rng.integers(1, 6)), replace=False):
            size = rng.uniform(0.2, 1.0) * ease[: frames - at]
            both = [name]
            if name.endswith(("Left", "Right")) and not name.startswith(
                ("jaw", "mouthL", "mouthR")
            ):
                stem = name.removesuffix("Left").removesuffix("Right")
                if rng.random() < 0.7:
                    both = [stem + "Left", stem + "Right"]
            for one in both:
                column = BLENDSHAPES.index(one)
                shapes[at : at + length, column] = np.maximum(
                    shapes[at : at + length, column], size
                )
        at += length + int(rng.integers(0, 6))
    return Script(shapes, sway(frames, size=0.12), np.zeros((frames, 3)))
