"""Sound of a file on its common clock, whole or in chunks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from visavis.errors import InputError
from visavis.media._source import (
    Reader,
    checked_path,
    checked_span,
    frame_seconds,
    log,
    open_media,
)

Samples = npt.NDArray[np.float32]
TOLERANCE_S = 0.010
"""Timestamps that disagree with the count of samples by less than this are rounding (Matroska
rounds to 1 ms), by more are a gap, which becomes silence, or an overlap, which is cut."""


@dataclass(frozen=True, eq=False)
class Audio:
    """Sound.

    Attributes:
        samples: float32 [N, C], full scale is [-1, 1].
        rate: samples a second, Hz.
        start_s: where sample 0 lies on its file's clock, seconds.
    """

    samples: Samples
    rate: int
    start_s: float = 0.0

    def __post_init__(self) -> None:
        if self.samples.ndim != 2 or self.samples.dtype != np.float32:
            raise InputError(
                f"audio samples are {self.samples.dtype} {self.samples.shape}; "
                "give float32 [N, C], for one channel samples[:, None]"
            )
        if self.rate < 1:
            raise InputError(f"the audio rate is {self.rate}; give a positive number of Hz")

    @property
    def duration_s(self) -> float:
        """Seconds of sound."""
        return len(self.samples) / self.rate

    @property
    def mono(self) -> Samples:
        """The mean of the channels, [N]."""
        return np.asarray(self.samples.mean(axis=1), np.float32)


def read_audio(
    path: str | Path,
    *,
    rate: int | None = None,
    mono: bool = True,
    start_s: float = 0.0,
    stop_s: float | None = None,
) -> Audio | None:
    """The sound of a file from `start_s` on, or None if it has no sound track, or an empty one.

    Sample n lies at `start_s + n / rate` seconds of the file's clock: priming of lossy codecs is
    cut and gaps are silence, both by timestamps; sound that starts after the picture begins with
    silence. The end is where the sound ends (not the picture).

    Args:
        path: any file that PyAV reads.
        rate: Hz; None for the rate of the file.
        mono: one channel, the plain mean of all channels (stereo as the challenge does it, and
            likewise all six of 5.1).
        start_s: where to start, seconds on the file's clock.
        stop_s: where to stop; None for the end.

    Raises:
        InputError: the file cannot be opened, no sound can be decoded, or `start_s` lies past
            its end.
    """
    pieces = list(
        _chunks(checked_path(path), 60.0, rate=rate, mono=mono, start_s=start_s, stop_s=stop_s)
    )
    if not pieces:
        return None
    return replace(pieces[0], samples=np.concatenate([piece.samples for piece in pieces]))


def audio_chunks(
    path: str | Path,
    *,
    seconds: float = 10.0,
    rate: int | None = None,
    mono: bool = True,
    start_s: float = 0.0,
    stop_s: float | None = None,
) -> Iterator[Audio]:
    """The sound of a file in chunks of `seconds` (the last one shorter); nothing if it has none.

    Together they equal `read_audio`; memory does not grow with the length of the file.

    Raises:
        InputError: as `read_audio`, at the first chunk; at the call for a bad path or argument.
    """
    if not 0.0 < seconds < float("inf"):
        raise InputError(f"seconds is {seconds}; give a positive length of chunk")
    return _chunks(
        checked_path(path), seconds, rate=rate, mono=mono, start_s=start_s, stop_s=stop_s
    )


def resample(audio: Audio, rate: int) -> Audio:
    """The same sound at another rate, by soxr at its high quality; N becomes about N*rate/old."""
    if rate < 1:
        raise InputError(f"rate is {rate}; give a positive number of Hz")
    if rate == audio.rate:
        return audio
    import soxr

    samples = soxr.resample(audio.samples, audio.rate, rate, quality="HQ")
    return replace(audio, samples=np.ascontiguousarray(samples, np.float32), rate=rate)


def _chunks(
    path: Path,
    seconds: float,
    *,
    rate: int | None,
    mono: bool,
    start_s: float,
    stop_s: float | None,
) -> Iterator[Audio]:
    checked_span(start_s, stop_s)
    if rate is not None and rate < 1:
        raise InputError(f"rate is {rate}; give a positive number of Hz")
    pieces = _pieces(path, mono=mono, start_s=start_s, stop_s=stop_s)
    first = next(pieces, None)
    if first is None:
        return
    native = first.rate
    target = rate or native
    flow: Iterator[Samples] = (piece.samples for piece in chain((first,), pieces))
    if target != native:
        flow = _resampled(flow, native, target)
    done = 0
    for block in _blocks(flow, max(1, round(seconds * target))):
        yield Audio(block, target, start_s + done / target)
        done += len(block)


def _blocks(flow: Iterator[Samples], length: int) -> Iterator[Samples]:
    """Cut a flow of sample arrays into arrays of `length` (the last one shorter, at least one)."""
    held: list[Samples] = []
    count = 0
    sent = False
    for piece in flow:
        held.append(piece)
        count += len(piece)
        if count >= length:
            whole = np.concatenate(held)
            while len(whole) >= length:
                yield whole[:length].copy()
                sent = True
                whole = whole[length:]
            held, count = [whole], len(whole)
    if count or not sent:
        yield np.concatenate(held)


def _resampled(flow: Iterator[Samples], native: int, target: int) -> Iterator[Samples]:
    import soxr

    stream: Any = None
    width = 1
    for piece in flow:
        if stream is None:
            width = piece.shape[1]
            stream = soxr.ResampleStream(native, target, width, dtype="float32", quality="HQ")
        yield np.asarray(stream.resample_chunk(piece), np.float32).reshape(-1, width)
    if stream is not None:
        rest = stream.resample_chunk(np.zeros((0, width), np.float32), last=True)
        yield np.asarray(rest, np.float32).reshape(-1, width)


def _pieces(path: Path, *, mono: bool, start_s: float, stop_s: float | None) -> Iterator[Audio]:
    """Decoded sound laid on the clock without gap or overlap, from `start_s` to `stop_s`."""
    with open_media(path) as media:
        if media.audio is None:
            return
        reader = Reader(media, media.audio, start_s=start_s)
        rate = width = 0
        here = 0
        end = 0.0
        stop: int | None = None
        heard = False
        for instant, frame in reader:
            samples = _frame_samples(frame)
            if mono:
                samples = samples.mean(axis=1, dtype=np.float32, keepdims=True)
            if rate == 0:
                rate, width = frame.sample_rate, samples.shape[1]
                stop = None if stop_s is None else max(1, round((stop_s - start_s) * rate))
            if (frame.sample_rate, samples.shape[1]) != (rate, width):
                raise InputError(
                    f"{path}: the sound changes at {instant:.2f} s from {rate} Hz and {width} "
                    f"channels to {frame.sample_rate} Hz and {samples.shape[1]}; convert it to "
                    "one format first"
                )
            end = max(end, instant + len(samples) / rate)
            at = round((instant - start_s) * rate)
            if heard and abs(at - here) <= TOLERANCE_S * rate:
                at = here
            if at < here:
                samples = samples[here - at :]
                at = here
            if not len(samples):
                continue
            heard = True
            if stop is not None:
                at = min(at, stop)
                samples = samples[: stop - at]
            yield from _silence(at - here, width, rate)
            if len(samples):
                yield Audio(samples, rate)
            here = at + len(samples)
            if stop is not None and here >= stop:
                return
        if rate == 0 and media.video is not None and not reader.broken:
            log.warning("%s: its sound track is empty; it is taken as a film without sound", path)
            return
        if rate == 0:
            raise InputError(
                f"{path}: no sound could be decoded; the file is damaged, copy it again"
            )
        reader.finish(end)
        if not heard:
            raise InputError(
                f"{path}: the sound ends at {end:.2f} s, before start_s {start_s}; start earlier"
            )


def _silence(count: int, width: int, rate: int) -> Iterator[Audio]:
    """`count` zero samples, a second at a time, so that a long gap costs no memory."""
    while count > 0:
        yield Audio(np.zeros((min(count, rate), width), np.float32), rate)
        count -= rate


def _frame_samples(frame: Any) -> Samples:
    """A decoded frame as float32 [n, C], less the padding its duration says is not sound."""
    raw = frame.to_ndarray()
    channels = len(frame.layout.channels)
    table = raw.T if frame.format.is_planar else raw.reshape(-1, channels)
    if table.dtype == np.uint8:
        samples = (table.astype(np.float32) - 128.0) / 128.0
    elif np.issubdtype(table.dtype, np.integer):
        samples = table.astype(np.float32) / np.float32(2.0 ** (8 * table.dtype.itemsize - 1))
    else:
        samples = table.astype(np.float32)
    # An mp4 says in the last frame's duration where the sound really ends. Differences under
    # 1.5 ms are rounding of the file's clock.
    said = frame_seconds(frame) * frame.sample_rate
    if 0.0 < said < len(samples) - 0.0015 * frame.sample_rate:
        samples = samples[: round(said)]
    return np.ascontiguousarray(samples)
