"""Is somebody speaking: loudness over an adaptive floor, and periodicity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]

SILENCE_DB = -80.0
"""Root mean square at and below which energy is 0, dB of full scale."""
RISE_DB = 0.08
"""How fast the floor rises, dB a frame (2 dB a second): slower than speech is dense."""
HIGHEST_FLOOR_DB = -30.0
FIRST_FLOOR_DB = -55.0
ABOVE_DB = 6.0
"""Decibels over the floor where activity begins; it is full 12 dB further up."""
RANGE_DB = 12.0
APERIODIC = 0.3
"""Activity of a loud sound without any period (a cough, wind)."""
HANGOVER = 6
"""Frames over which activity fades after its cause, so that consonants do not cut a word."""


@dataclass(frozen=True)
class VoiceState:
    """What voice activity remembers: the noise floor (dB) and the last raw activities."""

    floor_db: float = FIRST_FLOOR_DB
    recent: tuple[float, ...] = (0.0,) * (HANGOVER - 1)


def level_db(frames: npt.NDArray[np.float32]) -> Doubles:
    """Root mean square of each row, [T, n] -> [T], dB of full scale, not under -80."""
    square = np.mean(np.square(frames, dtype=np.float64), axis=1)
    return np.asarray(10.0 * np.log10(np.maximum(square, 10.0 ** (SILENCE_DB / 10.0))))


def energy(level: Doubles) -> Doubles:
    """Level in dB -> [0, 1]: -80 dBFS or less is 0, full scale (0 dBFS) is 1."""
    return np.clip(1.0 - level / SILENCE_DB, 0.0, 1.0)


def voice_activity(
    level: Doubles, periodicity: Doubles, state: VoiceState
) -> tuple[Doubles, VoiceState]:
    """Activity of T frames after those in `state`, and the state after them.

    The floor follows the level down at once and up by 2 dB a second:
    floor[t] = min(level[t], floor[t-1] + rise), here as a running minimum. Only the past counts.

    Args:
        level: [T], dB of full scale.
        periodicity: [T] in [0, 1].
        state: after the frames before; `VoiceState()` at the start.

    Returns:
        [T] in [0, 1], and the state.
    """
    if not len(level):
        return np.zeros(0), state
    ramp = RISE_DB * np.arange(1, len(level) + 1)
    reached = np.minimum.accumulate(np.concatenate([[state.floor_db], level - ramp]))[1:]
    floor = np.minimum(reached + ramp, HIGHEST_FLOOR_DB)
    loud = np.clip((level - floor - ABOVE_DB) / RANGE_DB, 0.0, 1.0)
    periodic = np.clip((periodicity - 0.5) / 0.35, 0.0, 1.0)
    raw = np.concatenate([state.recent, loud * (APERIODIC + (1.0 - APERIODIC) * periodic)])
    held = np.lib.stride_tricks.sliding_window_view(raw, HANGOVER)
    fade = np.arange(1, HANGOVER + 1) / HANGOVER
    after = VoiceState(float(floor[-1]), tuple(raw[len(raw) - HANGOVER + 1 :].tolist()))
    return np.asarray((held * fade).max(axis=1)), after
