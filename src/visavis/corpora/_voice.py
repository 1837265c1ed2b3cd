"""The speaker's voice: pitch, loudness and pauses that carry the affect, and its sound."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from visavis.channels import BLENDSHAPES
from visavis.corpora._face_motion import clock
from visavis.corpora._person import Speaker
from visavis.corpora._random import wander
from visavis.corpora._script import Telling
from visavis.corpora._speaker import Performance

RATE = 16000
AROUSAL_OCTAVES, VALENCE_OCTAVES = 0.35, 0.10
"""Pitch rises with arousal most, a little with valence (Scherer, 2003; sizes chosen)."""
LOUDNESS, AROUSAL_LOUDNESS = 0.45, 0.30
BRIDGED_S = 0.12
"""Gaps between words shorter than this are not silent."""
UNVOICED = 0.15
"""Share of speaking frames without pitch: consonants."""
CHANNELS = ("mfcc78", "energy", "pitch", "voice")


def speak(
    telling: Telling,
    performance: Performance,
    persona: Speaker,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """The voice of a clip, float32 [T * 640] at 16 kHz."""
    from visavis.media.voice import synthesise

    valence, arousal = performance.affect
    frames = len(arousal)
    talking = _talking(telling, frames)
    jaw = performance.face.shapes[BLENDSHAPES.index("jawOpen")]
    slow, fast = wander(rng, frames, 2, sd=1.0, time_constant=8.0)
    octaves = persona.pitch_range * (AROUSAL_OCTAVES * arousal + VALENCE_OCTAVES * valence)
    pitch = persona.pitch_hz * 2.0 ** (octaves + 0.06 * slow)
    pitch[rng.random(frames) < UNVOICED] = 0.0
    syllables = 0.75 + 0.8 * np.clip(jaw, 0.0, 0.4)
    loudness = (LOUDNESS + AROUSAL_LOUDNESS * arousal + 0.03 * fast) * syllables
    return synthesise(
        np.clip(pitch, 0.0, 500.0),
        np.where(talking, np.clip(loudness, 0.08, 1.0), 0.0),
        np.clip(2.5 * jaw, 0.0, 1.0),
        formant_shift=1.0 if persona.pitch_hz < 160.0 else 1.15,
        seed=int(rng.integers(2**31)),
    )


def speech_channels(sound: NDArray[np.float32], rate: int, frames: int) -> dict[str, Tensor]:
    """mfcc78 [T, 78], energy, pitch and voice [T, 1] of the voice."""
    from visavis.features.speech import acoustics

    return acoustics(sound, rate, frames, names=CHANNELS)


def _talking(telling: Telling, frames: int) -> NDArray[np.bool_]:
    """[T]: whether the middle of a frame lies in a word or in a gap too short to hear."""
    middle = clock(frames)
    if not telling.words:
        return np.zeros(frames, dtype=bool)
    starts = np.array([word.start_s for word in telling.words])
    stops = np.array([word.end_s for word in telling.words])
    follows = np.append(starts[1:] - stops[:-1] < BRIDGED_S, False)
    stops[follows] = np.append(starts[1:], 0.0)[follows]
    word = np.clip(np.searchsorted(starts, middle, side="right") - 1, 0, None)
    return np.asarray((middle >= starts[word]) & (middle < stops[word]))
