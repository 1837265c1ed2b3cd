"""Sound -> acoustic channels on the 25 fps clock.

Frame t covers [t/25, (t+1)/25) seconds, and nothing here looks past the end of its frame: what
is computed live equals what is computed from a file. What each channel reads:

=========  ==========================================  ===================================
channel    samples of frame t                          unit
=========  ==========================================  ===================================
mfcc78     the frame itself, at the sound's own rate   the challenge's block (see `mfcc78`)
logmel     62 ms up to the frame's end                 natural log of mel power
energy     the frame itself                            0 at -80 dBFS or less, 1 at 0 dBFS
pitch      64 ms up to the frame's end                 Hz, 0 where unvoiced
voice      as pitch, and all frames before             activity in [0, 1]
=========  ==========================================  ===================================

All but `mfcc78` read the sound at 16 kHz. The resampler of another rate is not a look-ahead in
content, but a live stream of it delivers its frames up to about 40 ms late (115 ms at 8 kHz).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy.typing as npt
import torch
from torch import Tensor

from visavis.errors import InputError
from visavis.features.speech_stream import BANDS, FPS, NAMES, AcousticStream, checked_samples


def mfcc78(samples: Tensor | npt.ArrayLike, rate: int, frames: int) -> Tensor:
    """The challenge's 78 acoustic numbers a frame, [T, 78].

    Per frame of int(rate / 25) samples a Kaldi MFCC (25 ms Povey windows every 10 ms, snipped
    edges, pre-emphasis 0.97, 23 mel bins from 20 Hz to Nyquist, 13 coefficients, lifter 22, log
    energy for the first, energy floor 1.0, no dither), with deltas and delta-deltas, flattened
    as kind x coefficient x column. A rate that is no multiple of 25 Hz, or below 8 kHz, is
    resampled to 16 kHz first: frames would drift off the clock, or hold too few mel bins.

    Args:
        samples: [N], in [-1, 1], mono.
        rate: Hz.
        frames: T; the sound is cut, or continued with zeros.
    """
    return acoustics(samples, rate, frames, names=("mfcc78",))["mfcc78"]


def log_mel(samples: Tensor | npt.ArrayLike, rate: int, frames: int, bands: int = BANDS) -> Tensor:
    """Log mel spectrum, [T, bands]: natural log of the power of `bands` mel bands, 0 to 8 kHz.

    At 16 kHz; the mean of four 512-point power spectra (periodic Hann, every 10 ms, the last one
    ending with the frame), Slaney's mel bank with equal areas, floored at 1e-10 (-23.03).
    """
    if bands < 1:
        raise InputError(f"bands is {bands}; give a positive number of mel bands")
    return _whole(samples, rate, frames, names=("logmel",), bands=bands)["logmel"]


def energy(samples: Tensor | npt.ArrayLike, rate: int, frames: int) -> Tensor:
    """Loudness, [T, 1]: root mean square of the frame, -80 dBFS or less is 0, 0 dBFS is 1."""
    return acoustics(samples, rate, frames, names=("energy",))["energy"]


def pitch(samples: Tensor | npt.ArrayLike, rate: int, frames: int) -> Tensor:
    """Fundamental frequency by YIN, [T, 1]: about 60 to 500 Hz, 0 where unvoiced."""
    return acoustics(samples, rate, frames, names=("pitch",))["pitch"]


def voice(samples: Tensor | npt.ArrayLike, rate: int, frames: int) -> Tensor:
    """Voice activity, [T, 1] in [0, 1]: loudness over an adaptive floor times periodicity."""
    return acoustics(samples, rate, frames, names=("voice",))["voice"]


def acoustics(
    samples: Tensor | npt.ArrayLike,
    rate: int,
    frames: int,
    *,
    names: Iterable[str] = NAMES,
) -> dict[str, Tensor]:
    """Acoustic channels of a whole sound.

    Args:
        samples: [N], floating point in [-1, 1], mono (`Audio.mono`).
        rate: Hz.
        frames: T; the sound is cut, or continued with zeros.
        names: of "mfcc78", "logmel", "energy", "pitch", "voice".

    Returns:
        name -> float32 [T, 78], [T, 80], [T, 1], [T, 1], [T, 1].

    Raises:
        InputError: an unknown name, samples that are not finite floats [N], or a bad rate.
    """
    return _whole(samples, rate, frames, names=names, bands=BANDS)


def acoustics_of(
    path: str | Path,
    frames: int,
    *,
    names: Iterable[str] = NAMES,
    start_s: float = 0.0,
    progress: Callable[[int, int | None], None] | None = None,
) -> dict[str, Tensor] | None:
    """Acoustic channels of a file's sound (mean of its channels), or None if it has none.

    The file is read in chunks: beyond the result, memory does not grow with its length. Equal to
    `acoustics` of the whole sound.

    Args:
        path: any file that PyAV reads.
        frames: T; the sound is cut, or continued with zeros.
        names: as `acoustics`.
        start_s: where frame 0 begins on the file's clock, seconds.
        progress: called with (frames done, T).

    Raises:
        InputError: as `acoustics` and `visavis.media.read_audio`.
    """
    from visavis.media import audio_chunks

    _checked_frames(frames)
    stream: AcousticStream | None = None
    parts: list[Mapping[str, Tensor]] = []
    stop_s = start_s + max(frames, 1) / FPS
    for chunk in audio_chunks(path, seconds=10.0, start_s=start_s, stop_s=stop_s):
        if stream is None:
            stream = AcousticStream(chunk.rate, names=names)
        parts.append(stream.push(chunk.mono))
        if progress is not None:
            progress(min(stream.frames, frames), frames)
    if stream is None:
        return None
    parts.append(stream.finish(max(frames, stream.frames)))
    if progress is not None:
        progress(frames, frames)
    return {name: torch.cat([part[name] for part in parts])[:frames] for name in parts[0]}


def _whole(
    samples: Tensor | npt.ArrayLike,
    rate: int,
    frames: int,
    *,
    names: Iterable[str],
    bands: int,
) -> dict[str, Tensor]:
    _checked_frames(frames)
    stream = AcousticStream(rate, names=names, bands=bands)
    first = stream.push(checked_samples(samples)[: _stop_sample(rate, frames)])
    rest = stream.finish(max(frames, stream.frames))
    return {name: torch.cat([first[name], rest[name]])[:frames] for name in stream.names}


def _stop_sample(rate: int, frames: int) -> int:
    """Samples up to the end of the last frame, as `read_audio(stop_s=frames / 25)` cuts them."""
    return max(1, round(max(frames, 1) / FPS * rate))


def _checked_frames(frames: int) -> None:
    if frames < 0:
        raise InputError(f"frames is {frames}; give the number of 25 fps frames, 0 or more")
