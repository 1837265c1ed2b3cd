"""Pictures of a film on the 25 fps clock, by their timestamps."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from visavis.errors import InputError
from visavis.media._source import Reader, checked_path, checked_span, frame_seconds, open_media

Picture = npt.NDArray[np.uint8]
TIE_S = 1e-6
"""Instants closer than this are the same instant: float rounding of timestamps."""


def video_frames(
    path: str | Path,
    *,
    fps: float = 25.0,
    size: tuple[int, int] | int | None = None,
    start_s: float = 0.0,
    stop_s: float | None = None,
) -> Iterator[Picture]:
    """The pictures of a film on an even clock: uint8 [H, W, 3], RGB, one after another.

    Output frame t is the picture on screen at the middle of its slot, `start_s + (t + 0.5) / fps`
    seconds, decided by timestamps alone: a 10 fps film repeats pictures, a 60 fps film drops some,
    an uneven one comes out even. The film ends where its last picture does, so the number of
    frames is `round((end - start_s) * fps)`, at least 1. Where the sound starts before the
    picture, the first picture is shown from the beginning. Time zero is the earlier of the
    starts of picture and sound (see `visavis.media._source`).

    Rotation marks (phones) and non-square pixels are honoured. A png or jpg is a film of one
    picture. One picture is held at a time, whatever the length of the film. A cut-off film gives
    what can be decoded and one warning with the seconds that were got.

    Args:
        path: any file that PyAV reads.
        fps: frames a second that come out.
        size: None keeps the shown size; an int scales the shorter side to it and crops the middle
            square; a pair is (height, width) as in the array's shape, without keeping the aspect.
        start_s: where to start, seconds on the file's clock.
        stop_s: where to stop; None for the end.

    Raises:
        InputError: the file cannot be opened (at the call), has no picture, none of it can be
            decoded, or `start_s` lies past its end (at the first frame).
    """
    checked_span(start_s, stop_s)
    if not 0.0 < fps < float("inf"):
        raise InputError(f"fps is {fps}; give a positive number of frames a second")
    for side in (size,) if size is None or isinstance(size, int) else size:
        if side is not None and side < 1:
            raise InputError(f"size is {size}; give whole pixels from 1 on")
    return _video_frames(checked_path(path), fps=fps, size=size, start_s=start_s, stop_s=stop_s)


def _video_frames(
    path: Path,
    *,
    fps: float,
    size: tuple[int, int] | int | None,
    start_s: float,
    stop_s: float | None,
) -> Iterator[Picture]:
    with open_media(path) as media:
        stream = media.video
        if stream is None:
            raise InputError(f"{path} has sound but no picture; give a file with a video track")
        # A frame a thread: 2 to 3 times faster on H.264, at the cost of a few frames of memory.
        stream.thread_type = "AUTO"
        rate = stream.average_rate or stream.guessed_rate or Fraction(25)
        slot = 0
        slots = None if stop_s is None else max(1, round((stop_s - start_s) * fps))
        shown: Any = None
        picture: Picture | None = None
        instant = end = 0.0
        reader = Reader(media, stream, start_s=start_s)
        for instant, frame in reader:
            # Only now is it known until when the frame before was on screen.
            while shown is not None and start_s + (slot + 0.5) / fps < instant - TIE_S:
                picture = to_rgb(shown, stream, size=size) if picture is None else picture
                yield picture.copy()  # the receiver may draw on it
                slot += 1
                if slot == slots:
                    return
            shown, picture = frame, None
            end = max(end, instant + (frame_seconds(frame) or float(1 / rate)))
        if shown is None:
            raise InputError(
                f"{path}: no picture could be decoded; the file is damaged, copy it again"
            )
        if stop_s is None or end < stop_s:
            reader.finish(end)
        if slot == 0 and start_s >= end:
            raise InputError(f"{path} ends at {end:.2f} s, before start_s {start_s}; start earlier")
        while slot == 0 or start_s + (slot + 0.5) / fps < end - TIE_S:
            picture = to_rgb(shown, stream, size=size) if picture is None else picture
            yield picture.copy()  # the receiver may draw on it
            slot += 1
            if slot == slots:
                return


def shown_size(frame: Any, stream: Any) -> tuple[int, int]:
    """(height, width) of a decoded frame as shown: square pixels, rotated."""
    aspect = stream.sample_aspect_ratio
    width = round(frame.width * aspect) if aspect else frame.width
    height = frame.height
    return (width, height) if _quarter_turns(frame) % 2 else (height, width)


def to_rgb(frame: Any, stream: Any, *, size: tuple[int, int] | int | None) -> Picture:
    """A decoded frame as uint8 [H, W, 3] RGB, upright, at the wanted size."""
    height, width = shown_size(frame, stream)
    if isinstance(size, int):
        scale = size / min(height, width)
        height, width = max(size, round(height * scale)), max(size, round(width * scale))
    elif size is not None:
        height, width = size
    turns = _quarter_turns(frame)
    stored_h, stored_w = (width, height) if turns % 2 else (height, width)
    shrinks = stored_h < frame.height or stored_w < frame.width
    array = frame.reformat(
        width=stored_w,
        height=stored_h,
        format="rgb24",
        interpolation="AREA" if shrinks else "BICUBIC",
    ).to_ndarray()
    array = np.rot90(array, turns)
    if isinstance(size, int):
        top, left = (height - size) // 2, (width - size) // 2
        array = array[top : top + size, left : left + size]
    return np.ascontiguousarray(array)


def _quarter_turns(frame: Any) -> int:
    """Counter-clockwise quarter turns that make a stored frame upright."""
    return int(round(frame.rotation / 90) % 4)
