"""The scripted performance of the demo's speaker: what the face does and how the voice follows.

Pure numbers, drawn once from a seed: phrases of syllables with pauses, smiles, raised brows,
blinks and a swaying, nodding head. The portrait (`demo.portrait`) and the voice
(`media.voice.synthesise`) play the same script, so mouth and sound agree; where no face tracker
can be installed, the script itself stands in for the tracked speaker.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from visavis.behaviour import Behaviour, Word
from visavis.channels import BLENDSHAPES, FPS
from visavis.errors import InputError

Doubles = NDArray[np.float64]

_SENTENCES = (
    "so I have been thinking about this for a while",
    "and honestly it went better than I had hoped",
    "you know that feeling when everything falls into place",
    "we were all standing there waiting for the light",
    "then somebody laughed and nobody could stop",
    "it was the longest morning of my life",
    "but would you believe it nothing went wrong",
    "anyway that is how the whole thing started",
)
_MOUTHS: tuple[Mapping[str, float], ...] = (  # shapes at the peak of a syllable
    {"jawOpen": 0.62},  # a
    {"jawOpen": 0.42, "mouthStretchLeft": 0.18, "mouthStretchRight": 0.18},  # e
    {"jawOpen": 0.28, "mouthStretchLeft": 0.30, "mouthStretchRight": 0.30},  # i
    {"jawOpen": 0.45, "mouthFunnel": 0.45},  # o
    {"jawOpen": 0.22, "mouthPucker": 0.55},  # u
)


@dataclass(frozen=True)
class Performance:
    """One speaker's script, T frames at 25 a second."""

    behaviour: Behaviour
    """blendshapes [T, 52], rotation [T, 3] rad, translation [T, 3] m, and the words spoken."""
    pitch_hz: Doubles
    """[T] pitch of the voice, 0 in pauses."""
    loudness: Doubles
    """[T] in [0, 1]."""
    openness: Doubles
    """[T] in [0, 1] how open the mouth is for the sound being made."""


def perform(seconds: float = 20.0, *, seed: int = 0, pitch_hz: float = 195.0) -> Performance:
    """Write the script of a speaker: `seconds` long, the same for the same `seed`.

    `pitch_hz` is the voice's middle pitch. The first half second is still and silent.

    Raises:
        InputError: `seconds` gives no frame.
    """
    frames = round(seconds * FPS)
    if frames < 1:
        raise InputError(f"a performance needs at least one frame (0.04 s), not {seconds} s.")
    rng = np.random.default_rng((0x5EA, seed))
    shapes = {name: np.zeros(frames) for name in BLENDSHAPES}
    talk = _talk(frames, rng, shapes, pitch_hz)
    _smiles(frames, rng, shapes)
    _brows(frames, rng, shapes)
    rotation, translation = _head(frames, rng)
    _gaze(rotation, shapes)
    _blinks(frames, rng, shapes)
    stacked = np.clip(np.stack([shapes[name] for name in BLENDSHAPES], axis=1), 0.0, 1.0)
    behaviour = Behaviour.of(
        {
            "blendshapes": torch.from_numpy(stacked.astype(np.float32)),
            "rotation": torch.from_numpy(rotation.astype(np.float32)),
            "translation": torch.from_numpy(translation.astype(np.float32)),
        },
        words=talk.words,
    )
    return Performance(behaviour, talk.pitch_hz, talk.loudness, talk.openness)


@dataclass(frozen=True)
class _Talk:
    words: tuple[Word, ...]
    pitch_hz: Doubles
    loudness: Doubles
    openness: Doubles


def _talk(
    frames: int, rng: np.random.Generator, shapes: dict[str, Doubles], pitch_hz: float
) -> _Talk:
    """Syllables into `shapes`; words, pitch, loudness and openness out."""
    clock: Doubles = (np.arange(frames, dtype=np.float64) + 0.5) / FPS
    pitch, loudness, openness = np.zeros(frames), np.zeros(frames), np.zeros(frames)
    words: list[Word] = []
    start = 0.5
    sentence = int(rng.integers(len(_SENTENCES)))
    end_of_clip = frames / FPS
    while start < end_of_clip - 0.6:
        spoken = _SENTENCES[sentence % len(_SENTENCES)].split()
        sentence += 1
        first = start
        for word in spoken:
            began = start
            for _ in range(max(1, round(len(word) / 3.2))):
                length = rng.uniform(0.20, 0.30)
                pulse = _bump(clock, start + length / 2, length * 1.15) * rng.uniform(0.55, 1.0)
                for name, peak in _MOUTHS[int(rng.integers(len(_MOUTHS)))].items():
                    shapes[name] = np.maximum(shapes[name], peak * pulse)
                openness = np.maximum(openness, pulse)
                start += length
            if start > end_of_clip - 0.3:
                break
            words.append(Word(word, began, start))
            start += rng.uniform(0.0, 0.05)
        inside = (clock >= first) & (clock < start)
        along = (clock - first) / max(start - first, 0.1)
        melody = 1.12 - 0.22 * along + 0.06 * np.sin(2 * np.pi * clock / 0.9)
        pitch = np.where(inside, pitch_hz * melody, pitch)
        start += rng.uniform(0.6, 1.6)
    loudness = np.clip(0.25 + 0.75 * openness, 0.0, 1.0) * (pitch > 0)
    return _Talk(tuple(words), pitch, loudness, openness * (pitch > 0))


def _smiles(frames: int, rng: np.random.Generator, shapes: dict[str, Doubles]) -> None:
    for centre in _events(frames, rng, every=(3.4, 5.4), first=1.6):
        length, peak = rng.uniform(1.4, 2.4), rng.uniform(0.5, 1.0)
        smile = peak * _plateau(frames, centre, length)
        lean = rng.uniform(-0.08, 0.08)
        for side, part in (("Left", 1 + lean), ("Right", 1 - lean)):
            _add(shapes, "mouthSmile" + side, smile * part)
            _add(shapes, "cheekSquint" + side, 0.6 * smile)
            _add(shapes, "eyeSquint" + side, 0.3 * smile)


def _brows(frames: int, rng: np.random.Generator, shapes: dict[str, Doubles]) -> None:
    for centre in _events(frames, rng, every=(2.2, 3.8), first=2.4):
        kind, peak = rng.random(), rng.uniform(0.6, 1.0)
        raised = peak * _plateau(frames, centre, rng.uniform(0.7, 1.3))
        if kind < 0.75:
            _add(shapes, "browInnerUp", raised)
            for side in ("Left", "Right"):
                _add(shapes, "browOuterUp" + side, 0.7 * raised)
                _add(shapes, "eyeWide" + side, 0.4 * raised)
        else:
            for side in ("Left", "Right"):
                _add(shapes, "browDown" + side, 0.8 * raised)


def _blinks(frames: int, rng: np.random.Generator, shapes: dict[str, Doubles]) -> None:
    """Blinks last; a closed eye is neither wide nor squinting."""
    closing = np.array([0.35, 0.85, 1.0, 0.9, 0.55, 0.2])
    closed = np.zeros(frames)
    for centre in _events(frames, rng, every=(1.8, 4.0), first=1.1):
        at = round(centre * FPS)
        stop = min(at + len(closing), frames)
        if at < stop:
            closed[at:stop] = np.maximum(closed[at:stop], closing[: stop - at])
    for side in ("Left", "Right"):
        shapes["eyeBlink" + side] = closed
        for name in ("eyeWide", "eyeSquint"):
            shapes[name + side] = shapes[name + side] * (1 - closed)


def _head(frames: int, rng: np.random.Generator) -> tuple[Doubles, Doubles]:
    """Sway as a few slow sines, nods on top: rotation [T, 3] in rad, translation [T, 3] in m."""
    clock: Doubles = np.arange(frames, dtype=np.float64) / FPS
    settle = np.clip(clock / 1.5, 0.0, 1.0)

    def sway(size: float, slowest: float) -> Doubles:
        total = np.zeros(frames)
        for k in range(3):
            period = slowest / (1 + 0.7 * k) * rng.uniform(0.85, 1.15)
            total += np.sin(2 * np.pi * (clock / period + rng.random())) / (1 + 0.6 * k)
        swayed: Doubles = size * total / 1.6 * settle
        return swayed

    pitch, yaw, roll = sway(0.07, 5.0), sway(0.17, 7.0), sway(0.06, 6.0)
    for centre in _events(frames, rng, every=(2.5, 5.0), first=2.0):
        pitch = pitch + 0.13 * _bump(clock, centre, 0.5) + 0.09 * _bump(clock, centre + 0.45, 0.45)
    x, y, z = sway(0.006, 8.0), sway(0.003, 7.0), sway(0.012, 9.0)
    return np.stack([pitch, yaw, roll], axis=1), np.stack([x, y, z], axis=1)


def _gaze(rotation: Doubles, shapes: dict[str, Doubles]) -> None:
    """The eyes stay on the listener: they turn back by most of what the head turns away."""
    pitch, yaw = rotation[:, 0], rotation[:, 1]
    left, right = np.maximum(-yaw, 0) * 0.8 / 0.6, np.maximum(yaw, 0) * 0.8 / 0.6
    shapes["eyeLookOutLeft"], shapes["eyeLookInRight"] = left, left
    shapes["eyeLookOutRight"], shapes["eyeLookInLeft"] = right, right
    for side in ("Left", "Right"):
        shapes["eyeLookUp" + side] = np.maximum(pitch, 0) * 0.8 / 0.6
        shapes["eyeLookDown" + side] = np.maximum(-pitch, 0) * 0.8 / 0.6


def _events(
    frames: int, rng: np.random.Generator, *, every: tuple[float, float], first: float
) -> list[float]:
    times, at = [], first + rng.uniform(0.0, 0.6)
    while at < frames / FPS:
        times.append(at)
        at += rng.uniform(*every)
    return times


def _bump(clock: Doubles, centre: float, width: float) -> Doubles:
    """Raised cosine of total width `width` seconds around `centre`."""
    phase = np.clip((clock - centre) / width, -0.5, 0.5)
    bump: Doubles = 0.5 + 0.5 * np.cos(2 * np.pi * phase)
    return bump


def _plateau(frames: int, centre: float, length: float) -> Doubles:
    """Rises over 0.32 s, holds, falls over 0.48 s; `length` seconds in all, from `centre`."""
    clock = (np.arange(frames) + 0.5) / FPS - centre
    rise = np.clip(clock / 0.32, 0.0, 1.0)
    fall = np.clip((length - clock) / 0.48, 0.0, 1.0)
    edge = np.minimum(rise, fall)
    smooth: Doubles = edge * edge * (3 - 2 * edge)
    return smooth


def _add(shapes: dict[str, Doubles], name: str, values: Doubles) -> None:
    shapes[name] = np.maximum(shapes[name], values)
