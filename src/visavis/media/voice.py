"""A small synthesiser of speech-like sound from pitch, loudness and mouth opening.

Not speech: nobody can understand it. It has what listeners' models and our acoustic channels
react to: a harmonic source with a pitch contour, formants that move with the mouth, breath,
syllables and silences.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from visavis.errors import InputError

Samples = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

CLOSED_HZ = (300.0, 1900.0, 2600.0)
"""Formants of a nearly closed mouth, about [i]."""
OPEN_HZ = (780.0, 1250.0, 2550.0)
"""Formants of an open mouth, about [a]."""
BANDWIDTH_HZ = (80.0, 110.0, 160.0)
LOUDEST = 0.2
"""Root mean square at loudness 1 (-14 dBFS)."""
BREATH = 0.02
"""Noise in the throat under the voice, as a share of the voice's root mean square."""
AIR = 0.004
"""Noise past the formants, likewise: real rooms and mouths leave no band of the spectrum empty."""
HISS = 0.35
"""Noise past the formants where there is no voice: consonants are made at the teeth."""
STEP_S = 0.02
"""How often the formants move, seconds."""


def synthesise(
    pitch_hz: npt.ArrayLike,
    loudness: npt.ArrayLike,
    openness: npt.ArrayLike,
    *,
    rate: int = 16000,
    fps: float = 25.0,
    formant_shift: float = 1.0,
    seed: int = 0,
) -> Samples:
    """Speech-like sound of T frames.

    A glottal wave, plus breath, passes through three formant resonators (Klatt, 1980, eq. 1)
    between a closed and an open vowel. Where the pitch is 0 it is noise, as in a consonant.
    Frames of loudness 0 are exactly silent; neighbours fade out to their edge, so nothing clicks.

    Args:
        pitch_hz: [T], Hz; 0 for unvoiced frames.
        loudness: [T] in [0, 1]; the root mean square is about 0.2 times this.
        openness: [T] in [0, 1], closed to open mouth.
        rate: samples a second.
        fps: frames a second of the three contours.
        formant_shift: all formants times this: under 1 a longer throat, over 1 a shorter.
        seed: of the breath; equal arguments give equal sound.

    Returns:
        float32 [round(T * rate / fps)], within [-1, 1].

    Raises:
        InputError: contours of different lengths, not finite or out of range, or a rate that
            cannot hold the formants.
    """
    pitch, loud, opening = _checked(pitch_hz, loudness, openness)
    if rate < 8000:
        raise InputError(f"rate is {rate}; give 8000 Hz or more, to hold the formants")
    if not 0.5 <= formant_shift <= 1.4:
        raise InputError(f"formant_shift is {formant_shift}; give 0.5 to 1.4")
    count = round(len(pitch) * rate / fps)
    if not count or not loud.any():
        return np.zeros(count, np.float32)
    frame_of = np.arange(count, dtype=np.float64) * (fps / rate)
    noise = np.random.default_rng(seed).standard_normal(count, dtype=np.float32)
    wave, voiced = _glottal_wave(pitch, frame_of, rate)
    source = wave * voiced + noise * BREATH
    sound = _formants(source, opening, rate, fps=fps, shift=formant_shift)
    sound += noise * (AIR + (1.0 - voiced) * HISS)
    sound *= _envelope(loud, frame_of) * LOUDEST
    return np.asarray(np.clip(sound, -1.0, 1.0), np.float32)


def _checked(*contours: npt.ArrayLike) -> tuple[Doubles, Doubles, Doubles]:
    pitch, loud, opening = (np.asarray(contour, np.float64) for contour in contours)
    if pitch.ndim != 1 or not pitch.shape == loud.shape == opening.shape:
        raise InputError(
            f"pitch, loudness and openness are {pitch.shape}, {loud.shape}, {opening.shape}; "
            "give three contours [T] of one length"
        )
    for name, values, top in (
        ("pitch_hz", pitch, 1000.0),
        ("loudness", loud, 1.0),
        ("openness", opening, 1.0),
    ):
        if len(values) and not (values.min() >= 0.0 and values.max() <= top):
            raise InputError(f"{name} leaves [0, {top:g}] or is not finite; clip it first")
    return pitch, loud, opening


def _glottal_wave(pitch: Doubles, frame_of: Doubles, rate: int) -> tuple[Samples, Samples]:
    """The voice before the formants, root mean square 1, and where it sounds, in [0, 1]."""
    voiced = pitch > 0.0
    if not voiced.any():
        return np.zeros(len(frame_of), np.float32), np.zeros(len(frame_of), np.float32)
    centres = np.arange(len(pitch)) + 0.5
    # Pitch runs on through unvoiced frames, so that the wave's phase never jumps.
    hertz = np.interp(frame_of, centres[voiced], pitch[voiced])
    turns = np.cumsum(hertz / rate)
    table = _glottal(int(0.45 * rate / float(np.median(pitch[voiced]))))
    # The wave repeats every turn: a table of one turn, looked up by the phase.
    wave = table[((turns - np.floor(turns)) * len(table)).astype(np.int64)]
    return wave, np.interp(frame_of, centres, voiced.astype(np.float64)).astype(np.float32)


def _glottal(harmonics: int, size: int = 4096) -> Samples:
    """One turn of a glottal wave: harmonic h at amplitude 1/h (12 dB an octave less the 6 dB that
    the lips give back), root mean square 1."""
    spectrum = np.zeros(size // 2 + 1, np.complex128)
    order = np.arange(1, max(1, min(harmonics, size // 4)) + 1)
    # Phases that grow with the square of the order keep the wave from being one sharp click.
    spectrum[order] = np.exp(0.15j * order**1.5) / order
    wave = np.fft.irfft(spectrum, size)
    return np.asarray(wave / np.sqrt(np.mean(wave * wave)), np.float32)


def _formants(source: Samples, opening: Doubles, rate: int, *, fps: float, shift: float) -> Samples:
    """Filter by resonators that follow the mouth, by windowed blocks in the frequency domain."""
    from scipy.fft import irfft, next_fast_len, rfft

    hop = round(STEP_S * rate)
    width = 2 * hop
    # Room for 45 ms of ringing: the narrowest resonance has died down by 98 dB.
    size = next_fast_len(width + round(0.045 * rate), real=True)
    blocks = -(-len(source) // hop) + 1
    padded = np.zeros((blocks + 1) * hop, np.float32)
    padded[hop : hop + len(source)] = source
    held = np.lib.stride_tricks.sliding_window_view(padded, width)[::hop]
    # A squared sine: neighbours at half a window's distance sum to 1.
    hann = (0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(width) / width)).astype(np.float32)
    middles = np.arange(blocks) * hop / rate * fps
    mouth = np.interp(middles, np.arange(len(opening)) + 0.5, opening)
    spectra = rfft(held * hann, n=size, axis=1) * _response(mouth, size, rate, shift=shift)
    pieces = irfft(spectra, n=size, axis=1)
    span = -(-size // hop) * hop
    pieces = np.pad(pieces, ((0, 0), (0, span - size)))
    result = np.zeros((blocks + span // hop) * hop, np.float32)
    rows = result.reshape(-1, hop)
    for part in range(span // hop):
        rows[part : part + blocks] += pieces[:, part * hop : (part + 1) * hop]
    return result[hop : hop + len(source)]


def _response(mouth: Doubles, size: int, rate: int, *, shift: float) -> npt.NDArray[np.complex64]:
    """Frequency response of the three resonators, [blocks, size / 2 + 1].

    Scaled so that a source falling as 1/f keeps its root mean square whatever the mouth does.
    """
    levels = np.round(mouth * 64).astype(np.int64)
    share = np.arange(65)[:, None] / 64.0
    turn = np.exp(-2j * np.pi * np.arange(size // 2 + 1) / size)[None, :]
    table = np.ones((65, size // 2 + 1), np.complex128)
    for closed, open_, bandwidth in zip(CLOSED_HZ, OPEN_HZ, BANDWIDTH_HZ, strict=True):
        hertz = (closed + (open_ - closed) * share) * shift
        radius = np.exp(-np.pi * bandwidth / rate)
        first = 2.0 * radius * np.cos(2.0 * np.pi * hertz / rate)
        table *= (1.0 - first + radius**2) / (1.0 - first * turn + radius**2 * turn**2)
    hertz = np.maximum(np.arange(size // 2 + 1) * rate / size, 1.0)
    weight = np.where(hertz > 80.0, 1.0 / hertz**2, 0.0)
    power = (np.abs(table) ** 2 * weight).sum(axis=1, keepdims=True) / weight.sum()
    return np.asarray((table / np.sqrt(power)).astype(np.complex64)[levels])


def _envelope(loud: Doubles, frame_of: Doubles) -> Samples:
    """Loudness between frame centres, touching 0 at the edge of every silent frame."""
    edges = np.zeros(len(loud) + 1)
    edges[1:-1] = np.where((loud[1:] > 0.0) & (loud[:-1] > 0.0), (loud[1:] + loud[:-1]) / 2.0, 0.0)
    edges[0], edges[-1] = loud[0], loud[-1]
    knots = np.empty(2 * len(loud) + 1)
    knots[0::2], knots[1::2] = edges, loud
    level = np.interp(frame_of, np.arange(len(knots)) / 2.0, knots)
    level[(loud == 0.0)[frame_of.astype(np.int64)]] = 0.0
    return level.astype(np.float32)
