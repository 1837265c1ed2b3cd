"""The speaker's panel: pixels of a film, a drawn head, or the shape of a sound, with its sound."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from visavis.errors import InputError
from visavis.render import text
from visavis.render.looks import LOOKS

if TYPE_CHECKING:
    from visavis.behaviour import Behaviour
    from visavis.media import Audio

U8 = NDArray[np.uint8]

LOOK = LOOKS[-1]
"""How a drawn speaker looks; listeners take the looks before it."""


@dataclass(frozen=True)
class Panel:
    """A stream of pictures and its sound.

    Attributes:
        frames: about how many pictures there are, None if unknown.
        pictures: side in pixels -> [side, side, 3] uint8 pictures at the film's frame rate.
        audio: its sound, or None.
    """

    frames: int | None
    pictures: Callable[[int], Iterator[U8]]
    audio: Audio | None


def panel(beside: str | Path | Behaviour, *, fps: float, start_s: float = 0.0) -> Panel:
    """The panel of a media file (from `start_s` on) or of a behaviour without leading axes.

    Raises:
        InputError: the file has neither pictures nor sound, or the behaviour cannot be drawn.
    """
    from visavis.behaviour import Behaviour

    if isinstance(beside, Behaviour):
        return _drawn(beside, fps)
    from visavis.media import probe, read_audio, video_frames

    path = Path(beside)
    facts = probe(path)
    audio = read_audio(path, mono=False, start_s=start_s) if facts.has_audio else None
    frames = max(1, round((facts.duration_s - start_s) * fps)) if facts.duration_s else None
    if facts.has_video:
        return Panel(
            frames, lambda side: video_frames(path, fps=fps, size=side, start_s=start_s), audio
        )
    if audio is None:
        raise InputError(f"{path} has neither pictures nor sound to show beside the reactions.")
    heard = audio
    return Panel(
        max(1, math.ceil(heard.duration_s * fps)), lambda side: _waveform(heard, fps, side), heard
    )


def _drawn(behaviour: Behaviour, fps: float) -> Panel:
    from visavis.render.draw import draw

    if abs(behaviour.fps - fps) > 1e-6:
        raise InputError(
            f"the speaker has {behaviour.fps} frames a second, the reactions {fps}; resample one."
        )
    draw(behaviour)
    return Panel(behaviour.frames, lambda side: draw(behaviour, size=side, look=LOOK), None)


def _waveform(audio: Audio, fps: float, side: int) -> Iterator[U8]:
    """Pictures of a sound: loudness over the whole clip, the part that was heard in full colour."""
    samples = np.abs(audio.samples.mean(axis=1))
    bars = max(8, side // 6)
    loud = np.array([part.max(initial=0.0) for part in np.array_split(samples, bars)])
    loud = loud / max(float(loud.max()), 1e-4)
    y, x = np.mgrid[0:side, 0:side]
    bar = np.minimum(x * bars // side, bars - 1)
    within = (x * bars % side) / side
    tall = 0.02 + 0.3 * np.sqrt(loud)[bar]
    ink = (np.abs(y / side - 0.5) < tall) & (within > 0.18) & (within < 0.82)
    back = np.linspace(44, 32, side)[:, None, None] * np.array([0.95, 1.0, 1.15])
    base = np.broadcast_to(back, (side, side, 3)).astype(np.uint8)
    to_come, heard = base.copy(), base.copy()
    to_come[ink], heard[ink] = (96, 104, 120), (120, 196, 222)
    letters = round(side * 0.05)
    for picture in (to_come, heard):
        if letters >= text.SMALLEST:
            text.write(picture, "audio only", side // 24, side // 24, letters)
    frames = max(1, math.ceil(audio.duration_s * fps))
    for frame in range(frames):
        cut = round(side * (frame + 1) / frames)
        yield np.concatenate([heard[:, :cut], to_come[:, cut:]], axis=1)
