"""A speaker's performance of a telling: face, head, and the affect that the voice carries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from visavis.channels import BLENDSHAPES, FPS
from visavis.corpora._actions import ACTION_NAMES, ACTION_SHAPES, SHOWN_LEVELS
from visavis.corpora._face import Face
from visavis.corpora._face_motion import add_eyes, blinks, clock, gaze, pulses, shape_row, sway
from visavis.corpora._listener import DECAY_S, HOLD_S, RISE_S, SMILE
from visavis.corpora._person import Speaker
from visavis.corpora._random import Array, wander
from visavis.corpora._script import Script, Telling

VISIBLE_GAIN = 0.5
"""A speaker shows half of a listener's reaction: above 0.6 `mime` becomes too good (study)."""
VISIBLE_LOG_SD = 0.5
"""Spread of what one event shows on the face, around that mean: some are hardly seen (chosen)."""
NOISE_SD, NOISE_S = 0.08, 0.6
LEAD_S = 0.1
"""The face starts this long before the word."""
AFFECT_SD, AFFECT_S = 0.3, 3.0
"""Mean-reverting valence and arousal beside the events."""
AFFECT_SHOWN = 0.8
"""Share of a full expression that this affect at 1 shows (chosen)."""
SIGNALS: Mapping[str, tuple[float, Mapping[str, float]]] = {
    "raised brows": (0.16, {"browInnerUp": 0.45, "browOuterUp": 0.5}),
    "knitted brows": (0.08, {"browDown": 0.5}),
    "narrowed eyes": (0.06, {"eyeSquint": 0.5}),
    "pressed lips": (0.05, {"mouthPress": 0.5, "mouthRollLower": 0.2}),
    "dimples": (0.05, {"mouthDimple": 0.5}),
    "raised chin": (0.04, {"mouthShrugLower": 0.5, "mouthRollLower": 0.45, "mouthRollUpper": 0.4}),
    "wrinkled nose": (0.03, {"noseSneer": 0.5, "mouthUpperUp": 0.45}),
}
"""Conversational signals of a speaker, whatever happens in the script: how many a second, and their
shapes. Chovil (1991) and Ekman (1979) describe them; rates and sizes are chosen."""
SIGNAL_S = (0.15, 0.3, 0.25)
"""Rise, hold, decay of a conversational signal."""
CARRIED_S, CARRIED, SYLLABIC = 0.44, 0.75, 0.6
"""Between syllables the mouth stays open: this share of its opening averaged over this time, and
this share of each syllable's own (coarticulation; chosen)."""
EVENT_AFFECT = np.array([[0.8, 0.5], [-0.7, -0.5], [0.2, 0.9], [-0.4, 0.1], [0.0, -0.3]])
"""[5 kinds, valence and arousal] of joy, sad, surprise, dubious, pause (Russell, 1980)."""
LOOK_S, AWAY_S = 2.5, 2.6
"""Speakers look at the listener about half of the time (Argyle and Cook, 1976: 41 %)."""
SADNESS, SURPRISE = ACTION_NAMES.index("sadness"), ACTION_NAMES.index("surprise")
VOWELS = frozenset("aeiouy")
BEAT_RAD = 0.05
"""Head beat on an event, radians."""


@dataclass(frozen=True)
class Performance:
    """What a speaker does over a clip of T frames."""

    face: Face
    smile: Array
    """[T] share of a full smile."""
    affect: Array
    """[2, T] valence and arousal in [-1, 1], as the voice carries them."""


def perform(
    script: Script,
    telling: Telling,
    persona: Speaker,
    rng: np.random.Generator,
    *,
    frames: int,
    hidden: bool = False,
) -> Performance:
    """The telling performed by `persona`; with `hidden`, only the words tell what happens."""
    told = np.where(script.words_only | hidden, 0.0, script.strengths)
    shown = told * np.exp(VISIBLE_LOG_SD * rng.standard_normal(len(told)) - 0.5 * VISIBLE_LOG_SD**2)
    time = pulses(frames, telling.times - LEAD_S, rise=RISE_S, hold=HOLD_S, decay=DECAY_S)
    levels = SHOWN_LEVELS[script.kinds] * shown[:, None]
    actions = VISIBLE_GAIN * persona.expressiveness * (levels.T @ time)
    affect = wander(rng, frames, 2, sd=AFFECT_SD, time_constant=AFFECT_S * FPS)
    affect[0] += 0.2 * persona.baseline_valence
    for action, felt in ((SMILE, affect[0]), (SADNESS, -affect[0]), (SURPRISE, affect[1])):
        actions[action] += AFFECT_SHOWN * np.maximum(felt, 0.0)
    affect += (EVENT_AFFECT[script.kinds] * told[:, None]).T @ time
    actions += wander(rng, frames, len(ACTION_NAMES), sd=NOISE_SD, time_constant=NOISE_S * FPS)
    shapes = ACTION_SHAPES.T @ actions
    _signal(shapes, telling, persona, rng, frames)
    _articulate(shapes, telling, persona, rng, frames)
    add_eyes(
        shapes,
        blinks(rng, frames, persona.blinks_a_minute),
        *gaze(rng, frames, look_s=LOOK_S, away_s=AWAY_S),
    )
    rotation, translation = sway(rng, frames, 1.6)
    beats = pulses(frames, telling.times - LEAD_S, rise=0.16, hold=0.0, decay=0.3)
    rotation[0] += BEAT_RAD * (told * rng.uniform(0.4, 1.2, len(told))) @ beats
    face = Face(np.clip(shapes, 0.0, 1.0), rotation, translation)
    return Performance(face, np.maximum(actions[SMILE], 0.0), np.clip(affect, -1.0, 1.0))


def _signal(
    shapes: Array, telling: Telling, persona: Speaker, rng: np.random.Generator, frames: int
) -> None:
    """Conversational signals at some words, in place."""
    starts = np.array([word.start_s for word in telling.words] or [0.0])
    counts = rng.poisson(_SIGNAL_RATES * frames / FPS)
    which = np.repeat(np.arange(len(counts)), counts)
    onsets = rng.choice(starts, len(which)) - LEAD_S
    sizes = persona.expressiveness * rng.uniform(0.4, 1.0, len(which))
    rise, hold, decay = SIGNAL_S
    time = pulses(frames, onsets, rise=rise, hold=hold, decay=decay)
    shapes += (_SIGNAL_SHAPES[which] * sizes[:, None]).T @ time


def _articulate(
    shapes: Array, telling: Telling, persona: Speaker, rng: np.random.Generator, frames: int
) -> None:
    """Open the jaw at every syllable and shape the lips by its vowel, in place."""
    centres, widths, letters = [], [], []
    for word in telling.words:
        vowels = [c for i, c in enumerate(word.text) if c in VOWELS and word.text[i - 1 : i] != c]
        vowels = vowels or ["e"]
        length = (word.end_s - word.start_s) / len(vowels)
        for i, vowel in enumerate(vowels):
            centres.append(word.start_s + (i + 0.5) * length)
            widths.append(length)
            letters.append(vowel)
    if not centres:
        return
    middle, width = np.array(centres), np.maximum(np.array(widths), 0.08)
    # each syllable touches few frames: compute those alone
    reach = int(np.ceil(0.75 * width.max() * FPS)) + 1
    near = np.floor(middle * FPS).astype(np.int64)[:, None] + np.arange(-reach, reach + 1)
    inside = (near >= 0) & (near < frames)
    near = np.clip(near, 0, frames - 1)
    phase = np.clip((clock(frames)[near] - middle[:, None]) / (0.75 * width[:, None]), -1.0, 1.0)
    bump = np.where(inside, 0.5 + 0.5 * np.cos(np.pi * phase), 0.0)
    size = persona.articulation * rng.uniform(0.6, 1.3, len(middle))
    kernel = np.hanning(2 * round(0.5 * CARRIED_S * FPS) + 3)
    kernel /= kernel.sum()
    opening = np.array([_OPENING[v] for v in letters]) * size
    for name, amount in (
        ("jawOpen", opening),
        ("mouthFunnel", 0.22 * size * np.isin(letters, ["o"])),
        ("mouthPucker", 0.28 * size * np.isin(letters, ["u", "o"])),
        ("mouthStretchLeft", 0.12 * size * np.isin(letters, ["e", "i", "y"])),
        ("mouthStretchRight", 0.12 * size * np.isin(letters, ["e", "i", "y"])),
        ("mouthLowerDownLeft", 0.4 * opening),
        ("mouthLowerDownRight", 0.4 * opening),
    ):
        track = np.bincount(near.ravel(), (bump * amount[:, None]).ravel(), minlength=frames)
        carried = np.convolve(track, kernel, mode="same")[:frames]
        shapes[BLENDSHAPES.index(name)] += SYLLABIC * track + CARRIED * carried


_OPENING = {"a": 0.3, "e": 0.2, "i": 0.14, "o": 0.22, "u": 0.13, "y": 0.14}
"""How far a vowel opens the jaw."""
_SIGNAL_RATES = np.array([rate for rate, _ in SIGNALS.values()])
_SIGNAL_SHAPES = np.stack([shape_row(shapes) for _, shapes in SIGNALS.values()])
