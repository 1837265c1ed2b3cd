"""Movements of a face that carry no reaction: blinks, gaze, head sway, nods; and pulses in time.

Arrays are [T] or [rows, T] at 25 fps; frame t is evaluated at its middle.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from visavis.channels import BLENDSHAPES, FPS
from visavis.corpora._random import Array, wander

BLINK_S = (0.10, 0.15)
"""Width of a blink at half its depth, 100 to 150 ms (issue; Caffier et al., 2003, are longer)."""
BLINK_GAP_S = 0.45
"""Shortest time between two blinks (chosen)."""
SWAY_RAD = np.array([0.025, 0.035, 0.02])
"""Standard deviation of pitch, yaw, roll at rest (chosen: about 1 to 2 degrees)."""
SWAY_M = 0.004
SWAY_S = 2.0


def clock(frames: int) -> Array:
    """[T] seconds at the middle of every frame."""
    return (np.arange(frames, dtype=np.float64) + 0.5) / FPS


def shape_row(weights: Mapping[str, float]) -> Array:
    """[52] from names; a name without its side stands for both."""
    row = np.zeros(len(BLENDSHAPES))
    for name, weight in weights.items():
        for side in (name,) if name in BLENDSHAPES else (f"{name}Left", f"{name}Right"):
            row[BLENDSHAPES.index(side)] = weight
    return row


def pulses(frames: int, onsets: Array, *, rise: float, hold: Array | float, decay: float) -> Array:
    """[len(onsets), T]: from 0 to 1 in `rise` seconds, `hold` seconds there, back in `decay`."""
    since = clock(frames)[None, :] - onsets[:, None]
    hold = np.broadcast_to(np.asarray(hold, dtype=float), onsets.shape)[:, None]
    up = np.clip(since / rise, 0.0, 1.0)
    down = np.clip((since - rise - hold) / decay, 0.0, 1.0)
    level = up - down
    return np.asarray(level * level * (3.0 - 2.0 * level))


def blinks(rng: np.random.Generator, frames: int, a_minute: float) -> Array:
    """[T] lid closure in [0, 1]; lognormal gaps, closing faster than opening."""
    seconds = frames / FPS
    mean_gap = max(60.0 / a_minute - BLINK_GAP_S, 0.2)
    count = int(seconds / mean_gap * 2 + 12)
    gaps = BLINK_GAP_S + mean_gap * np.exp(rng.normal(-0.18, 0.6, count))
    times = np.cumsum(gaps) - gaps[0] * rng.random()
    widths = rng.uniform(*BLINK_S, count)
    here = times < seconds + 0.5
    times, widths = times[here, None], widths[here, None]
    since = clock(frames)[None, :] - times
    # a raised cosine of twice the width has this width at half height
    span = np.where(since < 0, 0.8 * widths, 1.2 * widths)
    closed = np.where(np.abs(since) < span, 0.5 + 0.5 * np.cos(np.pi * since / span), 0.0)
    return np.asarray(np.clip(closed.sum(0), 0.0, 1.0))


def gaze(
    rng: np.random.Generator, frames: int, *, look_s: float, away_s: float
) -> tuple[Array, Array]:
    """[T] horizontal (positive: subject's left) and vertical (positive: up) gaze, in [-1, 1].

    Looks at the partner for `look_s` on average, then away for `away_s`; within either, small
    saccades every 0.3 to 1.2 s.
    """
    seconds = frames / FPS
    count = int(2 * seconds / (look_s + away_s)) + 6
    spells = np.empty(count)
    spells[0::2] = rng.exponential(look_s, len(spells[0::2])) + 0.5
    spells[1::2] = rng.exponential(away_s, len(spells[1::2])) + 0.3
    starts = np.cumsum(spells) - spells[0] * rng.random()
    side = rng.choice((-1.0, 1.0), count)
    far = np.stack((side * rng.uniform(0.2, 0.55, count), rng.uniform(-0.4, 0.3, count)))
    far[:, 0::2] = 0.0
    spell = np.minimum(np.searchsorted(starts, clock(frames)), count - 1)
    small_count = int(seconds / 0.3) + 4
    small_starts = np.cumsum(rng.uniform(0.3, 1.2, small_count))
    small = rng.normal(0.0, 0.03, (2, small_count + 1))
    track = far[:, spell] + small[:, np.searchsorted(small_starts, clock(frames))]
    # a saccade takes about 50 ms: one frame in between
    track[:, 1:] = 0.5 * (track[:, 1:] + track[:, :-1])
    return track[0], track[1]


def add_eyes(shapes: Array, closed: Array, horizontal: Array, vertical: Array) -> None:
    """Write blinks and gaze into blendshapes [52, T] in place."""
    left, right = np.maximum(horizontal, 0.0), np.maximum(-horizontal, 0.0)
    up, down = np.maximum(vertical, 0.0), np.maximum(-vertical, 0.0)
    for name, values in (
        ("eyeLookOutLeft", left),
        ("eyeLookInRight", left),
        ("eyeLookInLeft", right),
        ("eyeLookOutRight", right),
        ("eyeLookUpLeft", up),
        ("eyeLookUpRight", up),
        ("eyeLookDownLeft", down),
        ("eyeLookDownRight", down),
        ("eyeBlinkLeft", closed),
        ("eyeBlinkRight", closed),
    ):
        shapes[BLENDSHAPES.index(name)] += values


def sway(rng: np.random.Generator, frames: int, amount: float = 1.0) -> tuple[Array, Array]:
    """[3, T] rotation in radians and [3, T] translation in metres of a head that is held still."""
    slow = wander(rng, frames, 6, sd=amount, time_constant=SWAY_S * FPS)
    # inertia: two frames' mean takes the corners off the random walk
    kernel = np.hanning(11)[1:-1] / np.hanning(11).sum()
    padded = np.pad(slow, ((0, 0), (4, 4)), mode="edge")
    smooth = np.stack([np.convolve(row, kernel, mode="valid") for row in padded])
    return smooth[:3] * SWAY_RAD[:, None], smooth[3:] * SWAY_M


def nods(frames: int, onsets: Array, *, hz: Array, cycles: Array, depth: Array) -> Array:
    """[T] pitch in radians: bursts of `cycles` nods that begin downwards and die away."""
    if not len(onsets):
        return np.zeros(frames)
    since = clock(frames)[None, :] - onsets[:, None]
    phase = since * hz[:, None]
    inside = (phase >= 0.0) & (phase < cycles[:, None])
    fade = 1.0 - 0.6 * phase / cycles[:, None]
    wave = 0.5 - 0.5 * np.cos(2.0 * np.pi * phase)
    return np.asarray(np.where(inside, depth[:, None] * fade * wave, 0.0).sum(0))
