"""Simulated people as pictures, by a renderer that the caller gives."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from visavis.behaviour import Behaviour
from visavis.channels import STANDARD
from visavis.errors import InputError
from visavis.media import Audio, VideoWriter

Picture = NDArray[np.uint8]
Renderer = Callable[[Behaviour, int], Iterable[Picture]]
"""(one clip, number of the person) -> uint8 pictures [224, 224, 3], such as
`visavis.render.frames.pictures`."""

SIDE = STANDARD["pixels"].shape[-1]


def need(renderer: Renderer | None) -> Renderer:
    """The renderer, or an error that says how to give one."""
    if renderer is None:
        raise InputError(
            "drawing people needs a renderer, which this corpus was not given: import "
            "visavis.render.frames and pass renderer=visavis.render.frames.pictures."
        )
    return renderer


def checked(pictures: Iterable[Picture]) -> Iterator[Picture]:
    """The pictures, each [224, 224, 3] uint8."""
    for picture in pictures:
        if picture.dtype != np.uint8 or picture.shape != (SIDE, SIDE, 3):
            raise InputError(
                f"the renderer gave a picture of {picture.dtype} {list(picture.shape)}; wanted "
                f"uint8 [{SIDE}, {SIDE}, 3]."
            )
        yield picture


def stacked(pictures: Iterable[Picture], frames: int) -> Tensor:
    """uint8 [T, 3, 224, 224], 0 to 255, as `perceive` gives pixels."""
    found = [np.moveaxis(picture, -1, 0) for picture in checked(pictures)]
    if len(found) != frames:
        raise InputError(f"the renderer gave {len(found)} pictures for {frames} frames.")
    return torch.from_numpy(np.stack(found))


def write_film(
    path: str | Path,
    pictures: Iterable[Picture],
    *,
    fps: float,
    sound: NDArray[np.float32] | None,
    rate: int,
) -> Path:
    """A film of the pictures with the speaker's voice."""
    audio = None if sound is None else Audio(sound[:, None], rate)
    with VideoWriter(path, width=SIDE, height=SIDE, fps=fps, audio=audio) as film:
        for picture in checked(pictures):
            film.write(picture)
    return Path(path)
