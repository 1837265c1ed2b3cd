"""Acoustic channels of a corpus's sound files."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from visavis.channels import GROUPS, STANDARD
from visavis.errors import InputError

SPEECH = ("mfcc78", "energy", "pitch", "voice")
"""What a corpus measures in its sound unless told otherwise; as `visavis.perceive`."""
MEASURED = tuple(name for name in GROUPS["speech"] if name != "wav2vec2")


def checked_speech(names: Sequence[str]) -> tuple[str, ...]:
    """Names of acoustic channels that can be measured, in standard order.

    Raises:
        InputError: one of them cannot.
    """
    names = (names,) if isinstance(names, str) else names
    wrong = [name for name in names if name not in MEASURED]
    if wrong:
        raise InputError(
            f"speech channels {', '.join(wrong)} cannot be measured; choose from "
            f"{', '.join(MEASURED)}."
        )
    return tuple(name for name in MEASURED if name in names)


def heard(
    sound: Path | bytes | None, frames: int, names: Sequence[str]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Acoustic channels [frames, ...] at 25 fps, and where they were observed (nowhere, if not).

    Args:
        sound: a file, the content of a wav or flac file, or None where there is none.

    Raises:
        InputError: the sound is there but cannot be read.
    """
    made = None
    if isinstance(sound, bytes):
        made = _of_bytes(sound, frames, names)
    elif sound is not None:
        from visavis.features.speech import acoustics_of

        made = acoustics_of(sound, frames, names=names)
    if made is not None:
        return made, {}
    absent = torch.zeros(frames, dtype=torch.bool)
    nothing = {name: torch.full((frames, *STANDARD[name].width), torch.nan) for name in names}
    return nothing, dict.fromkeys(names, absent)


def _of_bytes(sound: bytes, frames: int, names: Sequence[str]) -> dict[str, Tensor]:
    import soundfile

    from visavis.features.speech import acoustics

    try:
        samples, rate = soundfile.read(io.BytesIO(sound), dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise InputError(f"the sound in an archive cannot be read: {error}.") from error
    return acoustics(samples.mean(axis=1), rate, frames, names=names)
