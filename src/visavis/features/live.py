"""A person as they are seen and heard, frame by frame: perception for live sources.

The clock is the sound's where there is sound, the pictures' where there is none. A frame goes out
as soon as its sound is whole (or the next picture has come); its face is that of the newest picture
by the frame's middle, so only the pictures that are needed are tracked. What is computed is what
`perceive` computes, but for the rest pose, which is the one known so far, and the head's place,
which is measured from where the head was first.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from types import TracebackType

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from visavis.behaviour import Behaviour
from visavis.channels import FPS, GROUPS, STANDARD
from visavis.errors import InputError
from visavis.features.attributes import complete
from visavis.features.face import FaceObservation, FaceTracker, default_tracker
from visavis.features.speech_stream import AcousticStream
from visavis.media.live import Picture, Sound

STALE_S = 0.5
"""A picture older than this says nothing about now: the camera has stopped."""
SPEECH = ("mfcc78", "energy", "pitch", "voice")


class LivePerception:
    """Pictures and sounds in, whole frames of a behaviour out.

    Args:
        sees, hears: which of camera and microphone will come; what does not come is unobserved.
        tracker: what looks for the face; mediapipe's mesh by default.
        speech: acoustic channels to measure.
        rate: of the sound, Hz.

    Raises:
        InputError: neither sees nor hears.
        MissingExtra: no tracker is installed.
    """

    def __init__(
        self,
        *,
        sees: bool = True,
        hears: bool = True,
        tracker: FaceTracker | None = None,
        speech: Sequence[str] = SPEECH,
        rate: int = 16000,
    ) -> None:
        if not sees and not hears:
            raise InputError("somebody who is neither seen nor heard cannot be perceived.")
        self._hears, self._speech, self._rate = hears, tuple(speech), rate
        self._tracker = (tracker or default_tracker()) if sees else None
        self._sound = AcousticStream(rate, names=self._speech) if hears else None
        self._waiting: deque[Picture] = deque()
        self._face: tuple[float, FaceObservation | None] | None = None
        self._home: NDArray[np.float32] | None = None
        self.frames = 0
        """How many frames have come out."""

    def __enter__(self) -> LivePerception:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._tracker is not None:
            self._tracker.close()

    def push(self, piece: Picture | Sound) -> Behaviour:
        """Take a piece; return the frames that became whole, [t, ...] with t often 0.

        Raises:
            InputError: a kind of piece that was not announced, sound of another rate, or pieces
                that run backwards.
        """
        if isinstance(piece, Picture):
            return self._see(piece)
        if self._sound is None:
            raise InputError("sound came, but this perception was told that it hears nothing.")
        if piece.rate != self._rate:
            raise InputError(f"sound of {piece.rate} Hz came; wanted {self._rate} Hz.")
        heard = self._sound.push(piece.samples)
        return self._out(len(next(iter(heard.values()))), heard)

    def _see(self, picture: Picture) -> Behaviour:
        if self._tracker is None:
            raise InputError("a picture came, but this perception was told that it sees nothing.")
        before = self._waiting[-1].at_s if self._waiting else (self._face or (-1.0,))[0]
        if picture.at_s < before:
            raise InputError(f"a picture of {picture.at_s:.3f} s came after one of {before:.3f} s.")
        self._waiting.append(picture)
        if self._hears:
            return self._out(0, {})
        # on screen until the next one comes: frames whose middle lies before it are whole
        return self._out(max(0, int(np.ceil(picture.at_s * FPS - 0.5)) - self.frames), {})

    def _out(self, count: int, heard: dict[str, Tensor]) -> Behaviour:
        """The next `count` frames."""
        faces = [self._looked((self.frames + i + 0.5) / FPS) for i in range(count)]
        there = torch.tensor([face is not None for face in faces], dtype=torch.bool)
        names = (*GROUPS["coefficients"], "confidence")
        channels = {n: torch.full((count, *STANDARD[n].width), torch.nan) for n in names}
        channels["confidence"] = torch.zeros(count, 1)
        for t, face in enumerate(faces):
            if face is not None:
                self._home = face.translation if self._home is None else self._home
                channels["blendshapes"][t] = torch.from_numpy(face.blendshapes)
                channels["rotation"][t] = torch.from_numpy(face.rotation)
                channels["translation"][t] = torch.from_numpy(face.translation - self._home)
                channels["confidence"][t, 0] = face.confidence
        observed = dict.fromkeys(GROUPS["coefficients"], there)
        observed["confidence"] = torch.full((count,), self._tracker is not None)
        for name in self._speech:
            missing = torch.full((count, *STANDARD[name].width), torch.nan)
            channels[name] = heard.get(name, missing)
            observed[name] = torch.full((count,), name in heard)
        self.frames += count
        return complete(Behaviour.of(channels, observed=observed))

    def _looked(self, middle_s: float) -> FaceObservation | None:
        """The face in the newest picture by a moment, or None."""
        newest: Picture | None = None
        while self._waiting and self._waiting[0].at_s <= middle_s:
            newest = self._waiting.popleft()
        if newest is not None:
            assert self._tracker is not None
            self._face = (newest.at_s, self._tracker.track(newest.pixels, newest.at_s))
        if self._face is None or middle_s - self._face[0] > STALE_S:
            return None
        return self._face[1]


async def perceive_live(
    *sources: AsyncIterator[Picture | Sound], perception: LivePerception
) -> AsyncIterator[Behaviour]:
    """Behaviours [t, ...] from live sources (`Live`, `Chunks`), as frames become whole.

    Ends when all sources have ended. Tracking runs on a thread, so the loop stays free; sources
    that drop do so while it is behind.

    Raises:
        InputError: as `LivePerception.push`, or a device stopped giving.
    """
    arrived: asyncio.Queue[Picture | Sound | BaseException | None] = asyncio.Queue(2)

    async def read(source: AsyncIterator[Picture | Sound]) -> None:
        try:
            async for piece in source:
                await arrived.put(piece)
        except Exception as error:  # carried to whoever reads the behaviours
            await arrived.put(error)
        else:
            await arrived.put(None)

    readers = [asyncio.create_task(read(source)) for source in sources]
    try:
        running = len(readers)
        while running:
            piece = await arrived.get()
            if piece is None:
                running -= 1
            elif isinstance(piece, BaseException):
                raise piece
            else:
                seen = await asyncio.to_thread(perception.push, piece)
                if seen.frames:
                    yield seen
    finally:
        for reader in readers:
            reader.cancel()
