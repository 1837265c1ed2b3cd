"""Who speaks and who listens: persistent traits of simulated people."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from visavis.corpora._random import Array
from visavis.corpora._vocabulary import MODES

LATENCY_S = (0.4, 1.0)
"""A listener's typical delay; faces mimic after 0.3 to 1 s (Dimberg and Thunberg, 1998)."""
BLINKS_A_MINUTE = 20.0
"""Between 17 at rest and 26 in conversation (Bentivoglio et al., 1997)."""
BLINK_LOG_SD = 0.35
EXPRESSIVENESS_LOG_SD = 0.25
HABIT_SD = 0.5
"""Spread of a person's liking of each reaction mode, in logits (chosen)."""
NOD_HZ = (1.5, 3.5)
"""Listeners' nods; all head movement of talk lies in 0.2 to 7 Hz (Hadar et al., 1983)."""


@dataclass(frozen=True)
class Listener:
    """A listener's persona."""

    expressiveness: float
    """Factor of every reaction."""
    mimicry: float
    """Share of the speaker's smile that comes back."""
    nod_habit: float
    """Probability of a nod where a nod is due."""
    baseline_valence: float
    """In [-1, 1]: a resting smile or droop."""
    latency_s: float
    blinks_a_minute: float
    nod_hz: float
    mode_habits: Array
    """[5] logits."""


@dataclass(frozen=True)
class Speaker:
    """A speaker's face and voice."""

    expressiveness: float
    blinks_a_minute: float
    articulation: float
    """Factor of mouth movement in speech."""
    pitch_hz: float
    pitch_range: float
    """How far affect moves the voice, factor."""
    baseline_valence: float


def draw_listener_persona(rng: np.random.Generator) -> Listener:
    """A listener from the population."""
    return Listener(
        expressiveness=float(np.exp(EXPRESSIVENESS_LOG_SD * rng.standard_normal())),
        mimicry=float(rng.uniform(0.0, 0.3)),
        nod_habit=float(rng.beta(2.0, 2.0)),
        baseline_valence=float(rng.normal(0.1, 0.35)),
        latency_s=float(rng.uniform(*LATENCY_S)),
        blinks_a_minute=_blink_rate(rng),
        nod_hz=float(rng.uniform(*NOD_HZ)),
        mode_habits=HABIT_SD * rng.standard_normal(len(MODES)),
    )


def draw_speaker_persona(rng: np.random.Generator) -> Speaker:
    """A speaker from the population. Voices: about 120 and 205 Hz (Titze, 1994), log sd 0.12."""
    middle = 120.0 if rng.random() < 0.5 else 205.0
    return Speaker(
        expressiveness=float(np.exp(EXPRESSIVENESS_LOG_SD * rng.standard_normal())),
        blinks_a_minute=_blink_rate(rng) * 1.2,
        articulation=float(rng.uniform(0.7, 1.2)),
        pitch_hz=float(middle * np.exp(0.12 * rng.standard_normal())),
        pitch_range=float(rng.uniform(0.7, 1.3)),
        baseline_valence=float(rng.normal(0.1, 0.35)),
    )


def _blink_rate(rng: np.random.Generator) -> float:
    return float(BLINKS_A_MINUTE * np.exp(BLINK_LOG_SD * rng.standard_normal()))
