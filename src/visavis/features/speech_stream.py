"""Acoustic channels of sound that arrives piece by piece."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from visavis.errors import InputError
from visavis.features import _mel, _mfcc, _pitch, _voice

FPS = 25
RATE = 16_000
HOP = RATE // FPS
SPAN = max(_mel.SPAN, _pitch.SPAN)
NAMES = ("mfcc78", "energy", "pitch", "voice")
"""What is computed unless asked otherwise; "logmel" is the fifth."""
KNOWN = (*NAMES, "logmel")
BANDS = 80
BLOCK = 1500
"""Frames worked on at once, so that an hour pushed in one piece needs no more memory."""

Samples = npt.NDArray[np.float32]


class AcousticStream:
    """Acoustic channels of sound that arrives piece by piece; any pieces give the same frames.

    Args:
        rate: Hz of the samples to come; 16 kHz costs least and is never late.
        names: as `acoustics`.
        bands: of "logmel".

    Attributes:
        frames: how many frames came out so far.
    """

    def __init__(self, rate: int, *, names: Iterable[str] = NAMES, bands: int = BANDS) -> None:
        self.names = tuple(names)
        unknown = [name for name in self.names if name not in KNOWN]
        if unknown:
            raise InputError(
                f"there is no acoustic channel {unknown[0]!r}; give {', '.join(KNOWN)}"
            )
        if rate != int(rate) or rate < 100:
            raise InputError(f"the rate is {rate}; give whole samples a second from 100 Hz on")
        self.frames = 0
        self._rate = int(rate)
        self._bands = bands
        own = rate % FPS == 0 and rate >= 8000 and _mfcc.columns(rate) == _mfcc.COLUMNS
        self._mfcc_rate = int(rate) if own else RATE
        self._mfcc_hop = self._mfcc_rate // FPS
        self._resampler = None if rate == RATE else _resampler(int(rate))
        self._native: Samples = np.zeros(0, np.float32)
        # The past of the first frame is silence.
        self._even: Samples = np.zeros(SPAN - HOP, np.float32)
        self._voice = _voice.VoiceState()

    def push(self, samples: Tensor | npt.ArrayLike) -> dict[str, Tensor]:
        """Take samples [n] in [-1, 1]; return the frames that became whole, [t, width] each."""
        return self._push(checked_samples(samples), last=False)

    def finish(self, frames: int | None = None) -> dict[str, Tensor]:
        """End the sound; return the frames still missing.

        Args:
            frames: how many frames there shall be in all, the sound being continued with zeros;
                None for as many as were begun.

        Raises:
            InputError: more frames than that came out already.
        """
        rest = self._push(np.zeros(0, np.float32), last=True)
        begun = self._begun()
        missing = begun if frames is None else frames - self.frames
        if missing < 0:
            raise InputError(f"{self.frames} frames came out already; {frames} cannot be the end")
        self._native = _length(self._native, missing * self._mfcc_hop)
        self._even = _length(self._even, SPAN - HOP + missing * HOP)
        more = self._ready()
        return {name: torch.cat([rest[name], more[name]]) for name in self.names}

    def _push(self, samples: Samples, *, last: bool) -> dict[str, Tensor]:
        even = samples
        if self._resampler is not None:
            even = np.asarray(self._resampler.resample_chunk(samples, last=last), np.float32)
        own = samples if self._mfcc_rate == self._rate else even
        self._native = np.concatenate([self._native, own])
        self._even = np.concatenate([self._even, even])
        return self._ready()

    def _begun(self) -> int:
        """Frames of which a half or more is there, when the sound ends."""
        return max(0, round((len(self._even) - (SPAN - HOP)) / HOP))

    def _ready(self) -> dict[str, Tensor]:
        """Compute and release all whole frames."""
        whole = (len(self._even) - (SPAN - HOP)) // HOP
        if "mfcc78" in self.names:
            whole = min(whole, len(self._native) // self._mfcc_hop)
        parts = [self._block(at, min(at + BLOCK, whole)) for at in range(0, max(whole, 1), BLOCK)]
        self._native = self._native[whole * self._mfcc_hop :].copy()
        self._even = self._even[whole * HOP :].copy()
        self.frames += whole
        return {
            name: torch.from_numpy(np.concatenate([part[name] for part in parts]))
            for name in self.names
        }

    def _block(self, start: int, stop: int) -> dict[str, Samples]:
        """Channels of the held frames start..stop."""
        count = stop - start
        result: dict[str, Samples] = {}
        if "mfcc78" in self.names:
            own = self._native[start * self._mfcc_hop : stop * self._mfcc_hop]
            frames = own.reshape(count, self._mfcc_hop)
            result["mfcc78"] = _mfcc.mfcc78(frames, self._mfcc_rate)
        held = self._even[start * HOP : stop * HOP + SPAN - HOP]
        spans = (
            np.lib.stride_tricks.sliding_window_view(held, SPAN)[::HOP]
            if count
            else (np.zeros((0, SPAN), np.float32))
        )
        if "logmel" in self.names:
            result["logmel"] = _mel.log_mel(spans[:, SPAN - _mel.SPAN :], self._bands)
        if "energy" in self.names or "voice" in self.names:
            level = _voice.level_db(spans[:, SPAN - HOP :])
            result["energy"] = _column(_voice.energy(level))
        if "pitch" in self.names or "voice" in self.names:
            hertz, periodicity = _pitch.pitch(spans[:, SPAN - _pitch.SPAN :])
            result["pitch"] = _column(hertz)
        if "voice" in self.names:
            active, self._voice = _voice.voice_activity(level, periodicity, self._voice)
            result["voice"] = _column(active)
        return result


def _resampler(rate: int) -> Any:
    import soxr

    return soxr.ResampleStream(rate, RATE, 1, dtype="float32", quality="HQ")


def _length(samples: Samples, count: int) -> Samples:
    """Cut, or continue with zeros, to `count` samples."""
    return np.pad(samples[:count], (0, max(0, count - len(samples))))


def _column(values: npt.NDArray[np.float64]) -> Samples:
    return values[:, None].astype(np.float32)


def checked_samples(samples: Tensor | npt.ArrayLike) -> Samples:
    array = samples.detach().cpu().numpy() if isinstance(samples, Tensor) else np.asarray(samples)
    if array.ndim != 1 or not np.issubdtype(array.dtype, np.floating):
        raise InputError(
            f"the sound is {array.dtype} {array.shape}; give floating-point samples [N] in [-1, 1] "
            "(for several channels their mean, as `Audio.mono`)"
        )
    if not np.isfinite(array).all():
        raise InputError("the sound holds NaN or infinite samples; replace them with zeros")
    return array.astype(np.float32, copy=False)
