"""Pictures and sound to files that are whole or not there."""

from __future__ import annotations

from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from visavis.errors import InputError
from visavis.files import atomic_path
from visavis.media.audio import Audio, Samples, resample

CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
AAC_FRAME = 1024
LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}


class VideoWriter:
    """A film being written: H.264 (yuv420p) and AAC, in an mp4 that starts before it is loaded.

    A context manager. The file appears under its name only when the block ends well and replaces
    what was there; on an exception nothing is left.

    An odd width or height is made even by repeating the last column or row, as yuv420p needs.
    The first sound sample goes with the first picture, whatever `audio.start_s` says; the sound
    is cut where the pictures end. A rate that AAC lacks becomes 48 kHz; channel counts other than
    1, 2 and 6 become their mean.

    Args:
        path: .mp4, .m4v, .mov or .mkv.
        width: of the pictures, pixels.
        height: likewise.
        fps: pictures a second.
        audio: sound to lay under the pictures, or None.

    Raises:
        InputError: another suffix, a size or rate that cannot be, a picture of another shape or
            type, no picture at all, or a folder that cannot be written.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        width: int,
        height: int,
        fps: float = 25.0,
        audio: Audio | None = None,
    ) -> None:
        self.path = Path(path)
        if self.path.suffix.lower() not in CONTAINERS:
            raise InputError(
                f"cannot write a film as {self.path.name!r}; end the name in "
                + ", ".join(CONTAINERS)
            )
        if width < 1 or height < 1:
            raise InputError(f"a film of {width}x{height} pixels; give sizes from 1 on")
        if not 0.0 < fps < 1e4:
            raise InputError(f"fps is {fps}; give a positive number of frames a second")
        self.width, self.height, self.fps = width, height, fps
        self._audio = None if audio is None or not len(audio.samples) else _encodable(audio)
        self._pictures = 0
        self._heard = 0
        self._stack = ExitStack()
        self._container: Any = None
        self._video: Any = None
        self._sound: Any = None

    def __enter__(self) -> Self:
        import av

        with ExitStack() as stack:
            temporary = stack.enter_context(atomic_path(self.path))
            kind = CONTAINERS[self.path.suffix.lower()]
            options = {} if kind == "matroska" else {"movflags": "+faststart"}
            self._container = stack.enter_context(
                av.open(str(temporary), mode="w", format=kind, options=options)
            )
            rate = Fraction(self.fps).limit_denominator(1001)
            self._video = self._container.add_stream(
                "libx264", rate=rate, options=_settings(self.width, self.height)
            )
            self._video.width = self.width + self.width % 2
            self._video.height = self.height + self.height % 2
            self._video.pix_fmt = "yuv420p"
            self._video.codec_context.time_base = 1 / rate
            if self._audio is not None:
                layout = LAYOUTS[self._audio.samples.shape[1]]
                self._sound = self._container.add_stream(
                    "aac", rate=self._audio.rate, layout=layout
                )
            self._stack = stack.pop_all()
        return self

    def write(self, frame: npt.NDArray[np.uint8]) -> None:
        """Append one picture: uint8 [height, width, 3], RGB."""
        import av

        if self._container is None:
            raise InputError("the film is not open; write inside `with VideoWriter(...) as film:`")
        if frame.dtype != np.uint8 or frame.shape != (self.height, self.width, 3):
            raise InputError(
                f"picture {self._pictures} is {frame.dtype} {frame.shape}; "
                f"give uint8 ({self.height}, {self.width}, 3)"
            )
        if self.width % 2 or self.height % 2:
            frame = np.pad(frame, ((0, self.height % 2), (0, self.width % 2), (0, 0)), "edge")
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
        picture.pts = self._pictures
        picture.time_base = self._video.codec_context.time_base
        self._container.mux(self._video.encode(picture))
        self._pictures += 1
        # Sound keeps pace with the pictures, so that the muxer holds neither back in memory.
        self._write_sound(whole=False)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._stack:
            # Raised inside the stack, so that an error here leaves no file either.
            if error is not None:
                raise error
            if not self._pictures:
                raise InputError(f"no picture was written to {self.path}; write at least one")
            self._write_sound(whole=True)
            self._container.mux(self._video.encode(None))
            if self._sound is not None:
                self._container.mux(self._sound.encode(None))

    def _write_sound(self, *, whole: bool) -> None:
        import av

        if self._audio is None:
            return
        samples, rate = self._audio.samples, self._audio.rate
        until = min(len(samples), round(self._pictures / self.fps * rate))
        while until - self._heard >= (1 if whole else AAC_FRAME):
            block = samples[self._heard : min(self._heard + AAC_FRAME, until)]
            sound = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(block.T),
                format="fltp",
                layout=LAYOUTS[samples.shape[1]],
            )
            sound.sample_rate = rate
            sound.pts = self._heard
            sound.time_base = Fraction(1, rate)
            self._container.mux(self._sound.encode(sound))
            self._heard += len(block)


def write_audio(path: str | Path, audio: Audio) -> None:
    """Write sound as a 16-bit wav; what lies outside [-1, 1] is clipped.

    Raises:
        InputError: another suffix than .wav, or a folder that cannot be written.
    """
    import soundfile

    where = Path(path)
    if where.suffix.lower() != ".wav":
        raise InputError(f"cannot write sound as {where.name!r}; end the name in .wav")
    with atomic_path(where) as temporary:
        soundfile.write(
            str(temporary),
            np.clip(audio.samples, -1.0, 1.0),
            audio.rate,
            format="WAV",
            subtype="PCM_16",
        )


def _settings(width: int, height: int) -> dict[str, str]:
    """x264's settings, such that equal pictures make equal films.

    Where a side is no multiple of 16 its macroblock tree reads memory that was never written, so
    there it is left out (files a third larger).
    """
    settings = {"crf": "20", "preset": "veryfast"}
    if width % 16 or height % 16:
        settings["x264-params"] = "mbtree=0"
    return settings


def _encodable(audio: Audio) -> Audio:
    samples: Samples = audio.samples
    if samples.shape[1] not in LAYOUTS:
        audio = Audio(audio.mono[:, None], audio.rate)
    return audio if audio.rate in AAC_RATES else resample(audio, 48000)
