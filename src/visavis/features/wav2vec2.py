"""wav2vec 2.0 features, where a user has weights: twice a frame, over a bounded past, no future.

The network attends to all that it is given, and its first layer normalises over all of it, so a
whole clip would let the future in, and nothing of a past encoding can be kept. Here each run of
`hop` frames is encoded anew with a few seconds before it. With hop 1 nothing sees past its own
frame, at the network's full cost a frame; a run of several frames costs as much as one, and all of
it may see to the run's end, which is also when a stream gives it out.
"""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from visavis.channels import FPS, STANDARD
from visavis.errors import InputError, require
from visavis.features.speech_stream import checked_samples

RATE = 16000
TICKS = 2
"""Features a frame: the network's own 50 a second."""
CONTEXT_S = 4.0
"""Sound that is encoded with each run, before it."""
LOUDNESS_S = 15.0
"""Time constant of the running loudness. The network was trained on utterances of about that
length, each scaled to mean 0 and variance 1; over a few seconds a pause would be blown up."""
_STEP = RATE // int(FPS)
_FIELD = 400
"""Samples that one feature of the network's convolutions sees."""
_AT_ONCE = 16
"""Runs of equal length that are encoded as one batch."""

Samples = npt.NDArray[np.float32]


class Wav2Vec2Stream:
    """Speech features of sound that arrives piece by piece; any pieces give the same features.

    Samples are scaled by a loudness that runs with the sound: mean and variance of what came by the
    end of a run, older sound counting less (`LOUDNESS_S`).

    Args:
        rate: Hz of the samples to come; 16 kHz costs least and is never late.
        weights: folder of a wav2vec 2.0 of width 768 as `save_pretrained` writes it (the field uses
            wav2vec2-base-960h). Nothing is downloaded.
        hop: frames encoded together, 1 or more; features come out in runs of so many.
        context_s: seconds encoded with each run, before it.
        device: where the network runs.

    Attributes:
        frames: how many frames' features came out so far.

    Raises:
        MissingExtra: transformers is not installed.
        InputError: the folder holds no such model, or a number does not fit.
    """

    def __init__(
        self,
        rate: int = RATE,
        *,
        weights: str | Path,
        hop: int = 1,
        context_s: float = CONTEXT_S,
        device: str = "cpu",
    ) -> None:
        if hop < 1 or not context_s >= 0:
            raise InputError(
                f"hop must be at least 1 and context_s at least 0, not {hop} and {context_s}."
            )
        if rate != int(rate) or rate < 100:
            raise InputError(f"the rate is {rate}; give whole samples a second from 100 Hz on")
        self.frames, self._hop = 0, hop
        self._context = round(context_s * FPS)
        self._device = device
        self._model = _encoder(str(weights), device)
        self._resampler = None if rate == RATE else _resampler(int(rate))
        self._level = _Level()
        self._held: Samples = np.zeros(0, np.float32)
        self._known = 0
        """Frames at the beginning of what is held that came out already."""

    def push(self, samples: Tensor | npt.ArrayLike) -> Tensor:
        """Take samples [n] in [-1, 1]; return the features of the runs that became whole, [2 t, C].

        Raises:
            InputError: samples that are not finite floats [n].
        """
        self._take(checked_samples(samples), last=False)
        return self._runs((len(self._held) // _STEP - self._known) // self._hop * self._hop)

    def finish(self, frames: int | None = None) -> Tensor:
        """End the sound; return the features of the frames still missing.

        Args:
            frames: how many frames there shall be in all, the sound being continued with silence;
                None for those of which a half or more came.

        Raises:
            InputError: more frames than that came out already.
        """
        self._take(np.zeros(0, np.float32), last=True)
        begun = max(0, round(len(self._held) / _STEP) - self._known)
        missing = begun if frames is None else frames - self.frames
        if missing < 0:
            raise InputError(f"{self.frames} frames came out already; {frames} cannot be the end")
        wanted = (self._known + missing) * _STEP
        self._held = np.pad(self._held[:wanted], (0, max(0, wanted - len(self._held))))
        return self._runs(missing)

    def _take(self, samples: Samples, *, last: bool) -> None:
        if self._resampler is not None:
            samples = np.asarray(self._resampler.resample_chunk(samples, last=last), np.float32)
        self._held = np.concatenate([self._held, samples])

    def _runs(self, frames: int) -> Tensor:
        """Features of the next frames, which are held whole; the last run may be short."""
        parts, stretches = [], []
        for start in range(self._known, self._known + frames, self._hop):
            stop = min(start + self._hop, self._known + frames)
            self._level.hear(self._held[start * _STEP : stop * _STEP])
            first = max(0, start - self._context)
            stretches.append((self._scaled(first, stop), TICKS * (stop - start)))
            same = stretches[0][0].shape == stretches[-1][0].shape
            if not same or len(stretches) == _AT_ONCE:
                kept = stretches if same else stretches[:-1]
                parts.append(self._encoded(kept))
                stretches = stretches[len(kept) :]
        if stretches:
            parts.append(self._encoded(stretches))
        self.frames += frames
        done = self._known + frames
        self._known = min(done, self._context)
        self._held = self._held[(done - self._known) * _STEP :].copy()
        return torch.cat(parts) if parts else torch.zeros(0, STANDARD["wav2vec2"].size)

    def _scaled(self, first: int, stop: int) -> Samples:
        """The stretch of frames first..stop as the network takes it.

        Its first features would look ahead of their tick by the convolutions' 25 ms; silence is
        put before the stretch so that every feature ends where its tick does.
        """
        sound = self._level.scaled(self._held[first * _STEP : stop * _STEP])
        return np.pad(sound, (_FIELD - _STEP // TICKS, 0))

    def _encoded(self, stretches: list[tuple[Samples, int]]) -> Tensor:
        """The features of some runs' own frames, [ticks, C]; stretches are of one length."""
        sound = torch.from_numpy(np.stack([s for s, _ in stretches])).to(self._device)
        with torch.no_grad():
            out = self._model(sound).last_hidden_state.float().cpu()
        wanted = TICKS * ((sound.shape[1] - _FIELD) // _STEP + 1)
        assert out.shape[1] == wanted, f"{out.shape[1]} features for {wanted} ticks"
        return torch.cat([x[-ticks:] for x, (_, ticks) in zip(out, stretches, strict=True)])


class _Level:
    """Mean and variance of the sound so far, older frames counting less; float64."""

    def __init__(self) -> None:
        self._sums = np.zeros(3)  # weights, samples, squares

    def hear(self, sound: Samples) -> None:
        """Whole frames [n * 640]."""
        fade = math.exp(-1 / (LOUDNESS_S * FPS))
        for frame in sound.astype(np.float64).reshape(-1, _STEP):
            self._sums = self._sums * fade + [len(frame), frame.sum(), (frame**2).sum()]

    def scaled(self, sound: Samples) -> Samples:
        mean, power = self._sums[1:] / self._sums[0]
        deviation = math.sqrt(max(power - mean**2, 0.0) + 1e-7)
        return np.asarray((sound - mean) / deviation, np.float32)


def wav2vec2_channel(
    samples: Tensor | npt.ArrayLike,
    rate: int,
    frames: int,
    *,
    weights: str | Path,
    hop: int = 1,
    context_s: float = CONTEXT_S,
    device: str = "cpu",
) -> Tensor:
    """Speech features as a channel `wav2vec2` [T * 2, 768]: what `Wav2Vec2Stream` gives.

    Args:
        samples: [N] mono in [-1, 1].
        rate: Hz; resampled to 16 kHz.
        frames: T at 25 a second; the sound is cut, or continued with silence.
        weights, hop, context_s, device: as `Wav2Vec2Stream`. With hop 1 a minute of sound is 1500
            encodings of `context_s`: much for a CPU, little for a GPU.

    Raises:
        MissingExtra: transformers is not installed.
        InputError: the folder holds no such model, samples that are not finite floats, bad numbers.
    """
    if frames < 0:
        raise InputError(f"frames must be at least 0, not {frames}.")
    stream = Wav2Vec2Stream(weights=weights, hop=hop, context_s=context_s, device=device)
    sound = checked_samples(samples)
    if rate != RATE:
        import soxr

        sound = np.asarray(soxr.resample(sound, rate, RATE), np.float32)
    return torch.cat([stream.push(sound[: frames * _STEP]), stream.finish(frames)])


def _resampler(rate: int) -> Any:
    import soxr

    return soxr.ResampleStream(rate, RATE, 1, dtype="float32", quality="HQ")


@lru_cache(maxsize=1)
def _encoder(folder: str, device: str) -> Any:
    transformers = require("transformers", extra="audio")
    if not Path(folder).is_dir():
        raise InputError(f"{folder} is no folder; give one with config.json and the weights.")
    try:
        model = transformers.Wav2Vec2Model.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise InputError(f"{folder} holds no wav2vec 2.0: {error}") from error
    width, wanted = model.config.hidden_size, STANDARD["wav2vec2"].size
    if width != wanted:
        raise InputError(f"the network in {folder} has width {width}; wanted {wanted} (base).")
    return model.to(device).eval()
