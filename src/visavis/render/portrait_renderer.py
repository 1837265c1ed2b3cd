"""Where pictures of a listener come from, and how a published neural renderer is plugged in.

`FrameSource` is what `render_video(portrait=)` draws with: `Portrait` is one. `FrameRenderer` is
the contract of the challenge's renderer (PIRender, Ren et al. 2021, retrained by the organisers on
58 FaceVerse coefficients): one reference picture and, for each frame, a window of coefficients.
`Reenacted` turns such a renderer into a `FrameSource`. Its weights are not ours to ship.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from visavis.errors import InputError
from visavis.render.motion import Motion

if TYPE_CHECKING:
    from collections.abc import Sequence

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]

RADIUS = 13
"""Frames on either side in a window of the published renderer: 27 in all."""
WIDTH = 58
"""Coefficients a frame: 52 blendshapes, 3 angles, 3 of translation."""


class FrameSource(Protocol):
    """Draws frames of a motion; safe to call from several threads."""

    def picture(self, motion: Motion, frame: int, size: int) -> U8:
        """Frame `frame` of `motion`, [size, size, 3] uint8 sRGB."""
        ...


class FrameRenderer(Protocol):
    """A renderer that sees a reference picture and a window of coefficients.

    Attributes:
        size: side of its pictures in pixels (224 or 256).
        radius: frames on either side of the one drawn (`RADIUS`); the clip's first and last frame
            are repeated beyond its ends.
    """

    size: int
    radius: int

    def render(self, reference: U8, window: F32) -> U8:
        """One picture.

        Args:
            reference: [size, size, 3] uint8 sRGB: the listener's first frame, cropped as the
                renderer was trained.
            window: [2 * radius + 1, 58] float32, in FaceVerse's convention: 52 blendshapes in
                alphabetical order, angles (a, b, c) in radians, translation in FaceVerse units
                (`features.faceverse`), the frame drawn in the middle.

        Returns:
            [size, size, 3] uint8 sRGB.
        """
        ...


def window_of(frames: F32, frame: int, radius: int = RADIUS) -> F32:
    """Coefficients [T, 58] around `frame`, [2 * radius + 1, 58]; the ends are repeated."""
    at = np.clip(np.arange(frame - radius, frame + radius + 1), 0, len(frames) - 1)
    window: F32 = frames[at]
    return window


def faceverse_frames(motion: Motion, rest: Sequence[float]) -> F32:
    """A motion's coefficients [T, 58] in FaceVerse's convention.

    Args:
        rest: [3] FaceVerse units, the mean translation of the corpus (the last three numbers of
            its `mean_face.npy`).

    Raises:
        InputError: `rest` is not three numbers.
    """
    import torch

    from visavis.behaviour import Behaviour
    from visavis.features.faceverse import to_faceverse

    names = ("blendshapes", "rotation", "translation")
    ours = Behaviour.of({n: torch.from_numpy(getattr(motion, n)) for n in names})
    theirs = to_faceverse(ours, rest=list(rest))
    frames: F32 = np.concatenate([theirs[n].numpy() for n in names], axis=1)
    return frames.astype(np.float32)


class Reenacted:
    """A `FrameRenderer` with the person it shows, as a `FrameSource`.

    Args:
        renderer: the plugged-in renderer.
        reference: [size, size, 3] uint8, the listener's first frame at the renderer's size.
        rest: see `faceverse_frames`.

    Raises:
        InputError: the reference is not of the renderer's size.
    """

    def __init__(self, renderer: FrameRenderer, reference: U8, *, rest: Sequence[float]) -> None:
        wanted = (renderer.size, renderer.size, 3)
        if reference.shape != wanted or reference.dtype != np.uint8:
            raise InputError(
                f"the reference must be uint8 {list(wanted)}, as the renderer draws, not "
                f"{reference.dtype} {list(reference.shape)}."
            )
        self._renderer, self._reference = renderer, reference
        self._rest = tuple(rest)
        self._last: tuple[Motion, F32] | None = None

    def picture(self, motion: Motion, frame: int, size: int) -> U8:
        """Frame `frame`, scaled to `size`."""
        last = self._last
        if last is None or last[0] is not motion:
            last = (motion, faceverse_frames(motion, self._rest))
            self._last = last
        window = window_of(last[1], frame, self._renderer.radius)
        picture = self._renderer.render(self._reference, window)
        if picture.shape != self._reference.shape or picture.dtype != np.uint8:
            raise InputError(
                f"the renderer gave {picture.dtype} {list(picture.shape)}, but uint8 "
                f"{list(self._reference.shape)} was agreed."
            )
        if size == self._renderer.size:
            return picture
        from PIL import Image

        scaled = Image.fromarray(picture).resize((size, size), Image.Resampling.BICUBIC)
        return np.asarray(scaled)
