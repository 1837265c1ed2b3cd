"""Who speaks and who listens: persistent traits of simulated people."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from visavis.corpora._random import Array
from visavis.corpora._vocabulary import MODES
from visavis.dyad import TRAITS

LATENCY_S = (0.4, 1.0)
"""A listener's typical delay: facial muscles answer from 0.3 to 0.4 s on (Dimberg and Thunberg,
1998), heads follow after 0.6 s (Hale et al., 2020)."""
BLINKS_A_MINUTE = 20.0
"""Between 17 at rest and 26 in conversation (Bentivoglio et al., 1997)."""
BLINK_LOG_SD = 0.35
SPEAKER_BLINKS = 1.2
"""Speakers blink more often than listeners."""
EXPRESSIVENESS_LOG_SD = 0.25
HABIT_SD = 0.5
"""Spread of a person's liking of each reaction mode, in logits (chosen)."""
MIMICRY = (0.0, 0.4)
NOD_HABIT = (0.1, 0.9)
TRAIT_SD = 0.17
"""Of the Big Five on their scale of [0, 1], around 0.5 (chosen)."""
TIED = 0.6
"""Correlation of a quality with the traits it is tied to (chosen; real ones are smaller)."""
NOD_HZ = (1.5, 4.5)
"""Listeners' nods: slow ones about 1 Hz, fast ones from 2.6 Hz on (Hale et al., 2020)."""
TIES: Mapping[str, Mapping[str, float]] = {
    "expressiveness": {"extraversion": 1.0},
    "mimicry": {"agreeableness": 1.0},
    "nod_habit": {"agreeableness": 0.8, "conscientiousness": 0.4},
    "baseline_valence": {"extraversion": 0.6, "neuroticism": -0.8},
    "latency": {"extraversion": -0.8, "conscientiousness": 0.5},
    "blinks": {"neuroticism": 1.0},
    "mirroring": {"agreeableness": 0.7, "extraversion": 0.3},
    "attentive": {"conscientiousness": 1.0, "extraversion": -0.4},
    "amused": {"extraversion": 0.7, "neuroticism": -0.4},
    "concerned": {"neuroticism": 0.7, "agreeableness": 0.5},
    "sceptical": {"agreeableness": -0.8, "openness": 0.4},
}
"""How personality shapes a listener: quality -> pull of each trait. The signs follow common
findings (docs/simulated-dyads.md), the sizes are chosen."""


@dataclass(frozen=True)
class Listener:
    """A listener's persona, the same in every meeting."""

    traits: Array
    """[5] Big Five in [0, 1], in the order of `dyad.TRAITS`."""
    expressiveness: float
    """Factor of every reaction."""
    mimicry: float
    """Share of the speaker's smile that comes back."""
    nod_habit: float
    """Probability of a nod where a nod is due."""
    baseline_valence: float
    """About [-1, 1]: a resting smile or droop."""
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
    traits = rng.standard_normal(len(TRAITS))
    own = {name: _tied(name, traits, float(rng.standard_normal())) for name in TIES}
    return Listener(
        traits=np.clip(0.5 + TRAIT_SD * traits, 0.0, 1.0),
        expressiveness=math.exp(EXPRESSIVENESS_LOG_SD * own["expressiveness"]),
        mimicry=_between(MIMICRY, own["mimicry"]),
        nod_habit=_between(NOD_HABIT, own["nod_habit"]),
        baseline_valence=0.1 + 0.35 * own["baseline_valence"],
        latency_s=_between(LATENCY_S, own["latency"]),
        blinks_a_minute=BLINKS_A_MINUTE * math.exp(BLINK_LOG_SD * own["blinks"]),
        nod_hz=float(rng.uniform(*NOD_HZ)),
        mode_habits=HABIT_SD * np.array([own[mode] for mode in MODES]),
    )


def draw_speaker_persona(rng: np.random.Generator) -> Speaker:
    """A speaker from the population. Voices: about 120 and 210 Hz (Traunmüller
    and Eriksson, 1995), log sd 0.12."""
    middle = 120.0 if rng.random() < 0.5 else 210.0
    return Speaker(
        expressiveness=float(np.exp(EXPRESSIVENESS_LOG_SD * rng.standard_normal())),
        blinks_a_minute=float(
            SPEAKER_BLINKS * BLINKS_A_MINUTE * np.exp(BLINK_LOG_SD * rng.standard_normal())
        ),
        articulation=float(rng.uniform(0.7, 1.2)),
        pitch_hz=float(middle * np.exp(0.12 * rng.standard_normal())),
        pitch_range=float(rng.uniform(0.7, 1.3)),
        baseline_valence=float(rng.normal(0.1, 0.35)),
    )


def _tied(quality: str, traits: Array, chance: float) -> float:
    """A standard normal value that correlates with the quality's traits by TIED in all."""
    pulls = np.array([TIES[quality].get(name, 0.0) for name in TRAITS])
    shared = float(pulls @ traits) / float(np.sqrt(pulls @ pulls))
    return TIED * shared + math.sqrt(1.0 - TIED**2) * chance


def _between(ends: tuple[float, float], normal: float) -> float:
    """Uniform between the ends where `normal` is standard normal."""
    share = 0.5 * (1.0 + math.erf(normal / math.sqrt(2.0)))
    return ends[0] + (ends[1] - ends[0]) * share
