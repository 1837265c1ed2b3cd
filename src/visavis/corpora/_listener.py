"""A listener drawn from the true conditional distribution, given a script and its telling."""

from __future__ import annotations

import numpy as np

from visavis.channels import FPS
from visavis.corpora._actions import (
    ACTION_NAMES,
    ACTION_SHAPES,
    NOD_CHANCES,
    PULL_LOGITS,
    RESPONSE_LEVELS,
)
from visavis.corpora._face import Face
from visavis.corpora._face_motion import add_eyes, blinks, gaze, nods, pulses, sway
from visavis.corpora._person import Listener
from visavis.corpora._random import Array, Ints, wander
from visavis.corpora._script import PAUSE, Script, Telling
from visavis.corpora._vocabulary import EVENT_KINDS, MODES

# one reaction in time, its size and its noise: simulator study, setting H, unless said otherwise
RISE_S, HOLD_S, DECAY_S = 0.4, 1.2, 0.6
LATENCY_SD_S = 0.12
MISSED = 0.15
AMPLITUDE_LOG_SD = 0.2
GAIN = 1.2
NOISE_SD = 0.10
"""Own movement, of a full reaction."""
NOISE_S = 0.6
UNLOCKED_A_SECOND = 0.05
"""Reactions to nothing that the speaker does."""
PULL_GAIN = 4.0
"""Weight of the stretch's events in the choice of a mode (docs/simulated-dyads.md)."""
PERSISTENCE = 0.8
"""Logit in favour of the mode before."""
LOOK_S, AWAY_S = 6.0, 1.6
"""Listeners look at the speaker about three quarters of the time (Argyle and Cook, 1976)."""
SMILE = ACTION_NAMES.index("smile")
POUT = ACTION_NAMES.index("chin")


def draw_modes(script: Script, persona: Listener, rng: np.random.Generator) -> Ints:
    """[stretches] modes: words, context, the person's habits, and the mode before decide."""
    total = np.zeros((script.stretch_count, len(MODES)))
    np.add.at(total, script.stretches, PULL_LOGITS[script.kinds])
    counts = np.bincount(script.stretches, minlength=script.stretch_count)
    logits = PULL_GAIN * total / np.maximum(counts, 1)[:, None]
    logits += np.asarray(script.context.inclination) + persona.mode_habits
    modes = np.zeros(script.stretch_count, dtype=np.int64)
    for i, row in enumerate(logits):
        if i:
            row[modes[i - 1]] += PERSISTENCE
        chances = np.exp(row - row.max())
        modes[i] = np.searchsorted(np.cumsum(chances / chances.sum()), rng.random())
    return modes


def draw_listener(
    script: Script,
    telling: Telling,
    persona: Listener,
    rng: np.random.Generator,
    *,
    frames: int,
    speaker_smile: Array,
) -> Face:
    """One listener's face: the true conditional distribution given the speaker and the persona.

    Args:
        telling: the script at this speaker's moments.
        speaker_smile: [T], the speaker's smile as a share of a full one, which is mimicked.
    """
    modes = draw_modes(script, persona, rng)
    count = len(script.times)
    levels = RESPONSE_LEVELS[modes[script.stretches], script.kinds] * script.strengths[:, None]
    levels *= np.exp(AMPLITUDE_LOG_SD * rng.standard_normal(count))[:, None]
    noticed = rng.random(count) >= MISSED
    levels *= noticed[:, None]
    onsets = telling.times + persona.latency_s + LATENCY_SD_S * rng.standard_normal(count)
    onsets, levels = _with_unlocked(onsets, levels, modes, script, rng)
    time = pulses(frames, onsets, rise=RISE_S, hold=HOLD_S, decay=DECAY_S)
    actions = GAIN * persona.expressiveness * (levels.T @ time)
    delay = min(round(persona.latency_s * FPS), frames)
    actions[SMILE, delay:] += persona.mimicry * speaker_smile[: frames - delay]
    actions[SMILE] += 0.15 * max(persona.baseline_valence, 0.0)
    actions[POUT] += 0.15 * max(-persona.baseline_valence, 0.0)
    actions += wander(rng, frames, len(ACTION_NAMES), sd=NOISE_SD, time_constant=NOISE_S * FPS)
    shapes = ACTION_SHAPES.T @ actions
    add_eyes(
        shapes,
        blinks(rng, frames, persona.blinks_a_minute),
        *gaze(rng, frames, look_s=LOOK_S, away_s=AWAY_S),
    )
    rotation, translation = sway(rng, frames)
    rotation[0] += _draw_nods(script, telling, persona, rng, frames)
    return Face(np.clip(shapes, 0.0, 1.0), rotation, translation)


def _with_unlocked(
    onsets: Array, levels: Array, modes: Ints, script: Script, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Reactions that nothing called for, in the mode of their stretch."""
    count = int(rng.poisson(UNLOCKED_A_SECOND * script.seconds))
    times = rng.uniform(0.0, script.seconds, count)
    where = (times / script.seconds * script.stretch_count).astype(np.int64)
    kinds = rng.integers(len(EVENT_KINDS), size=count)
    extra = RESPONSE_LEVELS[modes[where], kinds]
    return np.concatenate((onsets, times)), np.concatenate((levels, extra))


def _draw_nods(
    script: Script, telling: Telling, persona: Listener, rng: np.random.Generator, frames: int
) -> Array:
    """[T] pitch: nods to events, and backchannels into the speaker's pauses."""
    chance = persona.nod_habit * NOD_CHANCES[script.kinds]
    due = rng.random(len(chance)) < chance
    # a backchannel answers a pause sooner than a face answers a meaning
    wait = np.where(script.kinds == PAUSE, 0.3, persona.latency_s)
    onsets = (telling.times + wait + LATENCY_SD_S * rng.standard_normal(len(wait)))[due]
    count = len(onsets)
    return nods(
        frames,
        onsets,
        hz=np.clip(persona.nod_hz * np.exp(0.15 * rng.standard_normal(count)), 1.0, 5.0),
        cycles=rng.choice([1.0, 2.0, 3.0], count, p=[0.4, 0.4, 0.2]),
        depth=rng.uniform(0.05, 0.14, count),
    )
