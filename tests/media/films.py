"""Real media files for the tests, written with PyAV; each picture carries its number in bars."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np

WIDTH, HEIGHT, BITS = 96, 48, 12
TICKS = 90_000


def picture(number: int, *, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """uint8 [H, W, 3]: bars of the bits of `number`, least first; they survive lossy coding."""
    bits = np.array([number >> bit & 1 for bit in range(BITS)], np.uint8)
    row = np.repeat(bits * 210 + 20, width // BITS)
    return np.broadcast_to(row[None, :, None], (height, len(row), 3)).copy()


def number(shown: np.ndarray) -> int:
    """The number in a picture of any size."""
    edges = np.linspace(0, shown.shape[1], BITS + 1).round().astype(int)
    quarter = shown.shape[0] // 4
    bars = [
        shown[quarter:-quarter, a + (b - a) // 4 : b - (b - a) // 4].mean() > 128
        for a, b in pairwise(edges)
    ]
    return sum(int(bar) << bit for bit, bar in enumerate(bars))


def film(
    path: Path,
    times_s: Iterable[float],
    *,
    pictures: Iterable[np.ndarray] | None = None,
    sound: np.ndarray | None = None,
    rate: int = 16_000,
    sound_start_s: float = 0.0,
    codec: str = "libx264",
    sound_codec: str = "aac",
    layout: str = "mono",
    rotate: int = 0,
    aspect: Fraction | None = None,
    faststart: bool = True,
    shape: tuple[int, int] = (HEIGHT, WIDTH),
    fps: int = 25,
) -> Path:
    """Write pictures at the given instants and sound [N, C] beside them."""
    times = list(times_s)
    movflags = "+faststart" if faststart else "+negative_cts_offsets"
    options = {"movflags": movflags} if path.suffix in (".mp4", ".mov") else {}
    with av.open(str(path), "w", options=options) as out:
        if times:
            quick = {"preset": "ultrafast", "crf": "23"} if codec == "libx264" else {}
            video = out.add_stream(codec, rate=fps, options=quick)
            video.height, video.width = shape
            video.pix_fmt = "yuv420p"
            video.codec_context.time_base = Fraction(1, TICKS)
            if aspect is not None:
                video.sample_aspect_ratio = aspect
            if rotate:
                video.set_display_rotation(rotate)
        if sound is not None:
            audio = out.add_stream(sound_codec, rate=rate, layout=layout)
        if sound is not None:
            for at in range(0, len(sound), 1024):
                block = np.ascontiguousarray(sound[at : at + 1024].T)
                frame = av.AudioFrame.from_ndarray(
                    block.astype(np.float32), format="fltp", layout=layout
                )
                frame.sample_rate = rate
                frame.pts = at + round(sound_start_s * rate)
                frame.time_base = Fraction(1, rate)
                out.mux(audio.encode(frame))
            out.mux(audio.encode(None))
        if times:
            drawn = (
                (picture(i, height=shape[0], width=shape[1]) for i in range(len(times)))
                if pictures is None
                else iter(pictures)
            )
            for instant, array in zip(times, drawn, strict=False):
                frame = av.VideoFrame.from_ndarray(array, format="rgb24")
                frame.pts = round(instant * TICKS)
                frame.time_base = Fraction(1, TICKS)
                out.mux(video.encode(frame))
            out.mux(video.encode(None))
    return path


def even(count: int, fps: float, *, start_s: float = 0.0) -> list[float]:
    return [start_s + i / fps for i in range(count)]


def tone(seconds: float, rate: int, *, hertz: Sequence[float] = (440.0,)) -> np.ndarray:
    """float32 [N, C]: one sine a channel at 0.4, faded in and out over 20 ms."""
    t = np.arange(round(seconds * rate)) / rate
    fade = np.clip(np.minimum(t, seconds - t) / 0.02, 0.0, 1.0)
    waves = np.stack([0.4 * np.sin(2 * np.pi * h * t) * fade for h in hertz], axis=1)
    return waves.astype(np.float32)
