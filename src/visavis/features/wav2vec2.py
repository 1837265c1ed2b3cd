"""wav2vec 2.0 features, where a user has weights: twice a frame, over a bounded past, no future."""

from __future__ import annotations

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
CONTEXT_S, HOP_FRAMES = 4.0, 25
"""Every second of sound is encoded with up to four seconds before it, and nothing after."""
_FIELD = 400
"""Samples that one feature of the network's convolutions sees."""


def wav2vec2_channel(
    samples: Tensor | npt.ArrayLike,
    rate: int,
    frames: int,
    *,
    weights: str | Path,
    hop: int = HOP_FRAMES,
) -> Tensor:
    """Speech features as a channel `wav2vec2` [T * 2, 768].

    The network attends to all it is given, so a whole clip would let the future in. Here each run
    of `hop` frames is encoded together with the 4 s before it: features of a run may see to the
    run's end and never further. With hop 1 nothing sees past its own frame, at the network's full
    cost a frame.

    Args:
        samples: [N] mono in [-1, 1].
        rate: Hz; resampled to 16 kHz.
        frames: T at 25 a second; the sound is cut, or continued with silence.
        weights: folder of a wav2vec 2.0 of width 768 as `save_pretrained` writes it (the field uses
            wav2vec2-base-960h). Nothing is downloaded.
        hop: frames encoded together, 1 or more.

    Raises:
        MissingExtra: transformers is not installed.
        InputError: the folder holds no such model, samples that are not finite floats, bad numbers.
    """
    if hop < 1 or frames < 0:
        raise InputError(f"hop must be at least 1 and frames at least 0, not {hop} and {frames}.")
    model = _encoder(str(weights))
    sound = np.asarray(checked_samples(samples), np.float32)
    if rate != RATE:
        import soxr

        sound = soxr.resample(sound, rate, RATE)
    step = RATE // int(FPS)
    whole = np.zeros(frames * step, np.float32)
    whole[: min(len(sound), len(whole))] = sound[: len(whole)]
    parts = []
    for start in range(0, frames, hop):
        stop = min(start + hop, frames)
        first = max(0, start - round(CONTEXT_S * FPS))
        parts.append(_encoded(model, whole[first * step : stop * step])[-TICKS * (stop - start) :])
    return torch.cat(parts) if parts else torch.zeros(0, STANDARD["wav2vec2"].size)


def _encoded(model: Any, sound: npt.NDArray[np.float32]) -> Tensor:
    """A stretch of whole frames [n * 640] to its features [2 n, C].

    The first features would look ahead of their tick by the convolutions' 25 ms; silence is put
    before the stretch so that every feature ends where its tick does.
    """
    ticks = TICKS * len(sound) * int(FPS) // RATE
    hop = RATE // int(FPS) // TICKS
    padded = np.concatenate([np.zeros(_FIELD - hop, np.float32), sound])
    scaled = (padded - sound.mean()) / np.sqrt(sound.var() + 1e-7)
    with torch.no_grad():
        out: Tensor = model(torch.from_numpy(scaled)[None]).last_hidden_state[0].float()
    assert len(out) == ticks, f"{len(out)} features for {ticks} ticks"
    return out


@lru_cache(maxsize=1)
def _encoder(folder: str) -> Any:
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
    return model.eval()
