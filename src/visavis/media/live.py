"""Cameras, microphones and raw chunks as asynchronous streams that a slow reader cannot swamp.

A device is read on a thread of its own into a short queue. When the reader is slower than the
world, "drop" gives up the oldest (and counts it), so that what comes out is never old; "wait" holds
the source back, which only files and generators can bear.
"""

from __future__ import annotations

import asyncio
import errno
import sys
import threading
from collections import deque
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from visavis.errors import InputError

Full = Literal["drop", "wait"]


@dataclass(frozen=True)
class Picture:
    """One frame of a camera."""

    at_s: float
    """Seconds since the device began."""
    pixels: npt.NDArray[np.uint8]
    """[H, W, 3] RGB."""


@dataclass(frozen=True)
class Sound:
    """A piece of sound without gaps to the next, unless `Live.dropped` grew."""

    at_s: float
    """Seconds since the device began, of the first sample."""
    samples: npt.NDArray[np.float32]
    """[N] mono in [-1, 1]."""
    rate: int


@dataclass(frozen=True)
class Device:
    """What FFmpeg opens: a camera, a microphone, or any input it knows."""

    name: str
    format: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)


_CAMERAS = {
    "linux": ("video4linux2,v4l2", "/dev/video0"),
    "darwin": ("avfoundation", "0:none"),
    "win32": ("dshow", "video=0"),
}
_MICROPHONES = {
    "linux": ("alsa", "default"),
    "darwin": ("avfoundation", "none:0"),
    "win32": ("dshow", "audio=0"),
}


def camera(
    name: str | None = None, *, size: tuple[int, int] | None = None, fps: int | None = None
) -> Device:
    """The camera called `name` (Linux: /dev/video1), by default the first.

    Args:
        size: (height, width) to ask for; a camera may give another.
        fps: frames a second to ask for.
    """
    format, first = _device(_CAMERAS, "cameras")
    options = {} if fps is None else {"framerate": str(fps)}
    if size is not None:
        options["video_size"] = f"{size[1]}x{size[0]}"
    return Device(name or first, format, options)


def microphone(name: str | None = None) -> Device:
    """The microphone called `name` (Linux: an ALSA name), by default the system's own."""
    format, first = _device(_MICROPHONES, "microphones")
    return Device(name or first, format)


def _device(table: Mapping[str, tuple[str, str]], what: str) -> tuple[str, str]:
    try:
        return table[sys.platform]
    except KeyError:
        raise InputError(f"{what} are not known on {sys.platform}; give a Device.") from None


class Live:
    """An open device, as an asynchronous context and stream of `Picture` and `Sound`.

        async with Live(camera()) as view:
            async for picture in view:
                ...

    Args:
        device: what to read.
        full: what happens when the reader is slow, see above.
        hold: pictures, or tenths of a second of sound, that may wait; at least 1.
        rate: of sound that comes out, Hz, mono.

    Raises:
        InputError: on entering: the device is not there, is taken, may not be used, or gives
            neither picture nor sound.
    """

    def __init__(
        self, device: Device, *, full: Full = "drop", hold: int = 4, rate: int = 16000
    ) -> None:
        if full not in ("drop", "wait") or hold < 1 or rate < 1:
            raise InputError(
                f"full is 'drop' or 'wait' and hold and rate are positive, not {full!r}, {hold}, "
                f"{rate}."
            )
        self.device, self.full, self.hold, self.rate = device, full, hold, rate
        self.dropped = 0
        """Pieces given up since the start."""
        self._queue: deque[Picture | Sound] = deque()
        self._lock = threading.Condition()
        self._ended = self._closed = False
        self._trouble: BaseException | None = None

    async def __aenter__(self) -> Live:
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._container = await asyncio.to_thread(_opened, self.device)
        self._thread = threading.Thread(target=self._read, name="visavis-live", daemon=True)
        self._thread.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        with self._lock:
            self._closed = True
            self._lock.notify_all()
        await asyncio.to_thread(self._thread.join)

    def __aiter__(self) -> AsyncIterator[Picture | Sound]:
        return self

    async def __anext__(self) -> Picture | Sound:
        while True:
            with self._lock:
                if self._queue:
                    piece = self._queue.popleft()
                    self._lock.notify_all()
                    return piece
                if self._ended:
                    if self._trouble is not None:
                        raise InputError(
                            f"{self.device.name} stopped giving: {self._trouble}."
                        ) from self._trouble
                    raise StopAsyncIteration
                self._news.clear()
            await self._news.wait()

    # ------------------------------------------------------------------ on the thread

    def _read(self) -> None:
        try:
            with self._container:
                for piece in _pieces(self._container, self.rate):
                    if not self._put(piece):
                        return
        except Exception as error:  # told to the reader, who is on another thread
            self._trouble = error
        finally:
            with self._lock:
                self._ended = True
            self._wake()

    def _put(self, piece: Picture | Sound) -> bool:
        """Queue a piece; False once nobody reads any more."""
        with self._lock:
            while len(self._queue) >= self.hold and not self._closed:
                if self.full == "drop":
                    self._queue.popleft()
                    self.dropped += 1
                else:
                    self._lock.wait()
            if self._closed:
                return False
            self._queue.append(piece)
        self._wake()
        return True

    def _wake(self) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._news.set)


def _opened(device: Device) -> Any:
    import av

    try:
        container = av.open(
            device.name, format=device.format, options=dict(device.options), timeout=(10.0, None)
        )
    except (av.error.FFmpegError, OSError, ValueError) as error:
        code = getattr(error, "errno", None)
        if code == errno.EBUSY:
            why = "another program has it; close that first"
        elif code in (errno.EACCES, errno.EPERM):
            why = "it may not be used; allow this user to (on Linux: group video or audio)"
        elif code in (errno.ENOENT, errno.ENODEV):
            why = "it is not there; plug it in, or give another name"
        else:
            why = str(error)
        raise InputError(f"cannot open {device.name}: {why}.") from error
    if not container.streams.video and not container.streams.audio:
        container.close()
        raise InputError(f"{device.name} gives neither picture nor sound.")
    return container


def _pieces(container: Any, rate: int) -> Any:
    """Pictures and tenths of a second of sound as they come, on one clock."""
    import av

    resampler = av.AudioResampler(format="flt", layout="mono", rate=rate)
    left, count, zero = np.zeros(0, np.float32), 0, None
    began: float | None = None
    size = max(1, rate // 10)
    for frame in container.decode():
        stamp = float(frame.time or 0.0)
        zero = stamp if zero is None else zero
        if isinstance(frame, av.VideoFrame):
            yield Picture(
                stamp - zero, frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)
            )
            continue
        began = stamp - zero if began is None else began
        for even in resampler.resample(frame):
            left = np.concatenate([left, even.to_ndarray().reshape(-1)])
        while len(left) >= size:
            yield Sound(began + count / rate, left[:size].copy(), rate)
            left, count = left[size:], count + size
    if len(left) and began is not None:
        yield Sound(began + count / rate, left, rate)


class Chunks:
    """Raw chunks that a program of the user's puts in, as the same kind of stream.

    `put` waits while `hold` pieces are unread: the reader's pace reaches the producer.
    """

    def __init__(self, *, hold: int = 4) -> None:
        if hold < 1:
            raise InputError(f"hold must be at least 1, not {hold}.")
        self._queue: asyncio.Queue[Picture | Sound | None] = asyncio.Queue(hold)
        self._closed = False

    async def put(self, piece: Picture | Sound) -> None:
        """Add a piece, waiting for room.

        Raises:
            InputError: the stream was closed, or the piece is no `Picture` [H, W, 3] uint8 or
                `Sound` [N] float32.
        """
        if self._closed:
            raise InputError("this stream was closed; open another one.")
        pixels, samples = getattr(piece, "pixels", None), getattr(piece, "samples", None)
        if not _holds(pixels, np.uint8, 3) and not _holds(samples, np.float32, 1):
            dtype = getattr(samples if pixels is None else pixels, "dtype", "no array")
            raise InputError(
                "a chunk is a Picture of uint8 [H, W, 3] or a Sound of float32 [N], not "
                f"{type(piece).__name__} of {dtype}."
            )
        await self._queue.put(piece)

    async def close(self) -> None:
        """Say that nothing more comes; what was put in is still read."""
        if not self._closed:
            self._closed = True
            await self._queue.put(None)

    def __aiter__(self) -> AsyncIterator[Picture | Sound]:
        return self

    async def __anext__(self) -> Picture | Sound:
        piece = await self._queue.get()
        if piece is None:
            self._queue.put_nowait(None)  # a second reader learns it too
            raise StopAsyncIteration
        return piece


def _holds(values: object, dtype: type, axes: int) -> bool:
    return isinstance(values, np.ndarray) and values.dtype == dtype and values.ndim == axes
