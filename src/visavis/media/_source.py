"""Opening a media file: which streams count, where time zero lies, what can go wrong.

The clock. Picture and sound of one file share one clock whose zero is the earlier of the two
streams' starts. Times below zero in the file are pre-roll (the priming of an AAC track) and are
never presented, so a file whose earliest start is negative has its zero at zero.
"""

from __future__ import annotations

import logging
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visavis.errors import InputError

if TYPE_CHECKING:
    from av.container import InputContainer

log = logging.getLogger("visavis")

IMAGES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff"})
SEEK_MARGIN_S = 0.5
"""Decoding starts this much before the wanted instant, so that lossy sound codecs settle."""
SHORTFALL_S = 0.5
"""A stream that ends this much before its declared end is reported as cut off."""


@dataclass(frozen=True)
class Media:
    """An open file: its container, its one picture and one sound stream, and its zero."""

    path: Path
    container: InputContainer
    video: Any | None
    audio: Any | None
    origin_s: float
    """Seconds of the file's own time at which this package's clock reads 0."""

    def start_s(self, stream: Any) -> float:
        """Where a stream says it starts, seconds on the common clock."""
        if stream.start_time is None:
            return 0.0
        return float(stream.start_time * stream.time_base) - self.origin_s

    def declared_end_s(self, stream: Any) -> float | None:
        """Where a stream should end, seconds on the common clock; None if the file is silent."""
        if stream.duration is not None:
            return self.start_s(stream) + float(stream.duration * stream.time_base)
        tag = _clock_text(stream.metadata.get("DURATION"))
        if tag is not None:
            return tag - self.origin_s
        alone = self.video is None or self.audio is None
        if alone and self.container.duration is not None:
            return self.start_s(stream) + self.container.duration / 1e6
        return None


def checked_path(path: str | Path) -> Path:
    """The path of a non-empty regular file, or `InputError`."""
    where = Path(path)
    try:
        facts = where.stat()
    except PermissionError as error:
        raise InputError(f"{where} may not be read; change the permissions") from error
    except (OSError, ValueError) as error:
        raise InputError(f"there is no file {where}; check the path") from error
    if stat.S_ISDIR(facts.st_mode):
        raise InputError(f"{where} is a folder; give one media file inside it")
    if not stat.S_ISREG(facts.st_mode):
        raise InputError(f"{where} is not a regular file; save the stream to a file first")
    if facts.st_size == 0:
        raise InputError(f"{where} is empty (0 bytes); record or copy it again")
    return where


def checked_span(start_s: float, stop_s: float | None) -> None:
    """Refuse a span that is negative, backwards or not finite."""
    if not 0.0 <= start_s < float("inf"):
        raise InputError(f"start_s is {start_s}; give seconds from 0 on")
    if stop_s is not None and not stop_s > start_s:
        raise InputError(f"stop_s {stop_s} is not after start_s {start_s}; give a later stop")


@contextmanager
def open_media(path: str | Path) -> Iterator[Media]:
    """Open a media file and choose its streams.

    The first picture stream that is not a cover picture and the first sound stream are taken
    (FFmpeg's own choice of "best" where it is one of these).

    Raises:
        InputError: no such file, a folder, empty, unreadable, not media, or without picture
            and sound.
    """
    import av

    where = checked_path(path)
    # "file:" and the whitelist keep odd names from being taken for protocols or picture series,
    # and a playlist renamed to .mp4 from opening the network.
    options = {"protocol_whitelist": "file"}
    if where.suffix.lower() in IMAGES:
        options["pattern_type"] = "none"
    try:
        container = av.open(f"file:{where.absolute()}", mode="r", options=options)
    except PermissionError as error:
        raise InputError(f"{where} may not be read; change the permissions") from error
    except (av.error.FFmpegError, OSError) as error:
        raise InputError(
            f"{where} is not a media file that can be read, or is cut off before its index "
            f"({error.strerror}); give a video, sound or picture file, or copy it again"
        ) from error
    with container:
        media = Media(where, container, *_streams(container), origin_s=0.0)
        if media.video is None and media.audio is None:
            raise InputError(
                f"{where} holds neither picture nor sound that can be decoded; give another file"
            )
        starts = [
            float(stream.start_time * stream.time_base)
            for stream in (media.video, media.audio)
            if stream is not None and stream.start_time is not None
        ]
        yield Media(
            where, container, media.video, media.audio, max(0.0, min(starts)) if starts else 0.0
        )


class Reader:
    """Decoded frames of one stream with their instants on the common clock, in order.

    Starts at or before `start_s` where the file can seek, else at the beginning. Packets that
    cannot be decoded are stepped over and counted; `finish` then says so, once.
    """

    def __init__(self, media: Media, stream: Any, *, start_s: float = 0.0) -> None:
        self.media = media
        self.stream = stream
        self.start_s = start_s
        self.broken = 0

    def __iter__(self) -> Iterator[tuple[float, Any]]:
        if self.start_s > 0.0:
            self._seek(self.start_s - SEEK_MARGIN_S)
            timed = self._timed()
            first = next(timed, None)
            if first is not None and first[0] <= self.start_s:
                yield first
                yield from timed
                return
            self._seek(self.media.start_s(self.stream))
        yield from self._timed()

    def finish(self, end_s: float) -> None:
        """Warn, once, if the stream ended before it should or had broken packets.

        A file that does not say how long it should be (.ts, .ogg, and .avi and .wav, whose length
        FFmpeg takes from their size) can be cut off unnoticed.
        """
        declared = self.media.declared_end_s(self.stream)
        short = declared is not None and end_s < declared - SHORTFALL_S
        if short or self.broken:
            log.warning(
                "%s: the %s is damaged or cut off: %.2f s of %s could be read",
                self.media.path,
                "picture" if self.stream.type == "video" else "sound",
                end_s,
                "the file" if declared is None else f"{declared:.2f} s",
            )

    def _seek(self, instant_s: float) -> None:
        ticks = round((max(instant_s, 0.0) + self.media.origin_s) / self.stream.time_base)
        self.media.container.seek(ticks, stream=self.stream, backward=True)

    def _timed(self) -> Iterator[tuple[float, Any]]:
        expected = 0.0
        for frame in self._frames():
            instant = expected if frame.pts is None else frame.time - self.media.origin_s
            expected = instant + frame_seconds(frame)
            yield instant, frame

    def _frames(self) -> Iterator[Any]:
        from av.error import FFmpegError

        packets = self.media.container.demux(self.stream)
        while True:
            try:
                packet = next(packets, None)
            except FFmpegError:
                self.broken += 1
                packet = None
            try:
                yield from self.stream.decode(packet)
            except FFmpegError as error:
                # A decoder that was flushed once answers a second flush with "end of file".
                self.broken += not isinstance(error, EOFError)
            if packet is None:
                return


def frame_seconds(frame: Any) -> float:
    """How long a decoded frame lasts by its own account, seconds; 0 if it does not say."""
    return float(frame.duration * frame.time_base) if frame.duration else 0.0


def _streams(container: Any) -> tuple[Any | None, Any | None]:
    from av.stream import Disposition

    # A cover picture in a song is not a film.
    films = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    return _best(container, "video", films), _best(container, "audio", container.streams.audio)


def _best(container: Any, kind: str, streams: Iterable[Any]) -> Any | None:
    """FFmpeg's choice if it is one of `streams` that has a decoder here, else the first of them."""
    usable = [stream for stream in streams if stream.codec_context is not None]
    best = container.streams.best(kind)
    return best if best in usable else next(iter(usable), None)


def _clock_text(text: str | None) -> float | None:
    """Seconds of Matroska's "00:00:05.000000000"."""
    parts = (text or "").split(":")
    if len(parts) != 3:
        return None
    hours, minutes, seconds = (Fraction(part) for part in parts)
    return float(3600 * hours + 60 * minutes + seconds)
