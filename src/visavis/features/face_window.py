"""Faces too small for the whole picture: looked for in square parts, followed in one part.

The mesh's detector sees the picture at 128 pixels a side, so a face under about a tenth of its
width is lost on it: two people in a wide film, from the waist up. In a square part it is large.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from visavis.features.face_follow import middle_of, size_of

Doubles = NDArray[np.float64]
Picture = NDArray[np.uint8]

ROOM = 3.0
"""Side of a window, in sizes of the face in it."""
SMALLEST = 96
"""Pixels of a window's side."""
PARTS = (1.0, 0.6)
"""Sides of the squares that are searched, in shares of the picture's shorter side."""


@dataclass(frozen=True)
class Window:
    """A square of the picture, in whole pixels from its upper left corner."""

    left: int
    top: int
    side: int

    @classmethod
    def around(cls, face: Doubles, frame: Picture) -> Window:
        """The square about a face (landmarks in pixels, y up), moved to lie in `frame`."""
        height, width = frame.shape[:2]
        side = min(max(SMALLEST, round(ROOM * size_of(face))), height, width)
        x, y = middle_of(face)
        left = min(max(round(x - side / 2), 0), width - side)
        top = min(max(round(-y - side / 2), 0), height - side)
        return cls(left, top, side)

    def cut(self, frame: Picture) -> Picture:
        return frame[self.top : self.top + self.side, self.left : self.left + self.side]

    def moved(self, faces: list[Doubles]) -> list[Doubles]:
        """Landmarks within the window -> within the picture."""
        return [face + np.array([self.left, -self.top, 0.0]) for face in faces]

    def kept_around(self, faces: list[Doubles], frame: Picture) -> Window:
        """This window, or a new one where the face comes near its edge or changed its size."""
        face = max(faces, key=size_of)
        x, y = middle_of(face)
        room = 0.5 * self.side - 0.6 * size_of(face)
        aside = max(abs(x - self.left - self.side / 2), abs(-y - self.top - self.side / 2))
        if aside <= room:
            return self
        return Window.around(face, frame)


def scouted(frame: Picture, look: Callable[[Picture], list[Doubles]]) -> list[Doubles]:
    """Faces that `look` finds in overlapping squares of the picture, each once."""
    height, width = frame.shape[:2]
    faces: list[Doubles] = []
    for share in PARTS:
        side = max(SMALLEST, round(share * min(height, width)))
        if side > min(height, width):
            continue
        for top in _steps(height, side):
            for left in _steps(width, side):
                window = Window(left, top, side)
                for face in window.moved(look(window.cut(frame))):
                    if all(not _same(face, other) for other in faces):
                        faces.append(face)
        if faces:
            break
    return faces


def _steps(length: int, side: int) -> list[int]:
    """Starts of squares that cover `length` and overlap by at least a third."""
    if length <= side:
        return [0]
    count = int(np.ceil((length - side) / (side * 2 / 3))) + 1
    return [round(x) for x in np.linspace(0, length - side, count)]


def _same(face: Doubles, other: Doubles) -> bool:
    apart = float(np.linalg.norm(middle_of(face) - middle_of(other)))
    return apart < 0.5 * max(size_of(face), size_of(other))
