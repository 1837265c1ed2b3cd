"""FRRea without a network: Fréchet distance over a fixed feature of behaviour.

The published FRRea renders videos and compares Inception or I3D features, so it mixes the
renderer with the behaviour and needs weights (`frame_realism` has those). Here reactions are cut
into windows of 3 s and each window is described by four aspects, all in closed form:

- level: mean of each channel: which expressions and poses occur
- slow: amplitude below 1 Hz: expressions that come and go, posture
- medium: amplitude from 1 Hz to below 3 Hz: nods, laughter, speech-like movement
- fast: amplitude from 3 Hz up to 12.5 Hz: blinks, flicker, jitter

Which channels go together is seen in the covariance of these features over windows. (Correlations
within a window were tried as a fifth aspect: 300 more dimensions, no better at telling channels
shifted against each other, and far noisier.) Each feature is divided by its standard deviation
over the real windows, and all by the root of their number. So units of channels do not matter and
the real set has a total variance of 1: two equal sets score 0, a set frozen at the real means
scores 1 plus what its amplitudes are off.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from visavis.errors import InputError
from visavis.metrics._inputs import agree
from visavis.metrics.frechet import Frechet, GaussianPair, between_moments, say_if_few

WINDOW = 75
"""Frames of a window: 3 s at 25 fps, ten windows of a 30 s clip; frequencies are 1/3 Hz apart."""
ENOUGH = 10
"""Windows in which a channel must move in the real set; what is rarer gives no scale."""
BANDS = {"slow": (1, 3), "medium": (3, 9), "fast": (9, 38)}
"""First and last-but-one bin of the 75-frame spectrum: 1/3-2/3, 1-8/3, 3-12.33 Hz."""
ASPECTS = ("level", *BANDS)

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Realism:
    """FRRea and what it is made of."""

    distance: float
    """Squared Fréchet distance, scaled as in the module's text; 0 is best."""
    aspects: dict[str, float]
    """The same over one aspect alone, each scaled to a real variance of 1."""
    frechet: Frechet
    """The distance's parts, dimension and ranks."""
    dead: int
    """Channels that move in fewer than 10 windows of the real set: left out."""
    windows: tuple[int, int]
    """Windows of the generated and of the real set."""


def feature_count(channels: int) -> int:
    """Length of the feature: 100 for 25 channels, 232 for 58."""
    return len(ASPECTS) * channels


def behaviour_features(behaviour: Any) -> Tensor:
    """The feature of every whole window of 75 frames; a shorter rest is not read.

    Amplitudes are root mean squares of the Hann-tapered window in the band: a sine of amplitude a
    inside a band gives about a / sqrt(2).

    Args:
        behaviour: [..., T, C] array or tensor, any channels, at 25 fps.

    Returns:
        [..., T // 75, 4 C] float64 on the device of `behaviour`: level, slow, medium, fast.

    Raises:
        InputError: fewer than 75 frames, or a NaN.
    """
    if not isinstance(behaviour, Tensor):
        behaviour = torch.from_numpy(np.array(behaviour, dtype=np.float64))
    signal = behaviour.detach().to(torch.float64)
    if signal.ndim < 2 or 0 in signal.shape:
        raise InputError(f"behaviour has shape {list(signal.shape)}; wanted [..., T, C].")
    count = signal.shape[-2] // WINDOW
    if count == 0:
        raise InputError(f"behaviour has {signal.shape[-2]} frames; a window needs {WINDOW}.")
    if not bool(torch.isfinite(signal).all()):
        place = (~torch.isfinite(signal)).nonzero()[0].tolist()
        raise InputError(
            f"behaviour holds NaN or infinity, first at {place} of [..., T, C]. "
            "Fill unobserved frames or leave the clip out."
        )
    windows = signal[..., : count * WINDOW, :].unflatten(-2, (count, WINDOW))
    level = windows.mean(-2)
    return torch.cat([level, *_amplitudes(windows - level.unsqueeze(-2))], dim=-1)


def _amplitudes(moving: Tensor) -> list[Tensor]:
    """RMS in each band of windows [..., 75, C] without their mean: three of [..., C]."""
    time = torch.arange(WINDOW, dtype=torch.float64, device=moving.device)
    taper = torch.sin(torch.pi * (time + 0.5) / WINDOW).square()  # Hann, the same backwards
    tapered = moving * taper.unsqueeze(-1)
    power = torch.fft.rfft(tapered, dim=-2).abs().square() * (2 / (WINDOW * taper.square().sum()))
    return [power[..., first:end, :].sum(-2).sqrt() for first, end in BANDS.values()]


def realism(pred: Any, real: Any) -> Realism:
    """FRRea of generated reactions against real ones, with its parts.

    Args:
        pred: [M, T, C] generated reactions of all clips and samples, or a list of [T, C].
        real: [N, T, C] real reactions, or a list of [T, C]; lengths may differ.

    Raises:
        InputError: a reaction shorter than 75 frames, different channels, NaN, or fewer than two
            windows in a set.
    """
    sides = [_stack(name, clips) for name, clips in (("pred", pred), ("real", real))]
    (channels, a), (other, b) = sides
    agree("C", pred=channels, real=other)
    for name, rows in (("pred", a), ("real", b)):
        if len(rows) < 2:
            raise InputError(f"{name} has one window of {WINDOW} frames; at least two are needed.")
    say_if_few("FRRea", (len(a), len(b)), a.shape[1])
    return _scaled(_moving(b), _moments(a), _moments(b), (len(a), len(b)))


def frrea(pred: Any, real: Any) -> float:
    """`realism(pred, real).distance`."""
    return realism(pred, real).distance


def _stack(name: str, clips: Any) -> tuple[int, Tensor]:
    """Channels, and features [n, F] of all windows."""
    if len(clips) == 0:
        raise InputError(f"{name} is empty; wanted reactions [T, C].")
    widths = {int(np.shape(clip)[-1]) if np.ndim(clip) == 2 else -1 for clip in clips}
    if len(widths) > 1 or -1 in widths:
        raise InputError(f"{name} must hold reactions [T, C], all with the same channels.")
    rows = [behaviour_features(clip) for clip in clips]
    return widths.pop(), torch.cat(rows)


def _moving(rows: Tensor) -> NDArray[np.int64]:
    """In how many of the windows [n, F] each channel moves, [C]."""
    level, *amplitudes = rows.chunk(len(ASPECTS), dim=-1)
    most = torch.stack(amplitudes).amax(0)
    return np.asarray((most > 1e-6 * level.abs().clamp(min=1)).sum(0).cpu().numpy())


def _moments(rows: Tensor) -> tuple[Array, Array]:
    mean = rows.mean(0)
    centred = rows - mean
    covariance = centred.T @ centred / (len(rows) - 1)
    return mean.cpu().numpy(), covariance.cpu().numpy()


def _scaled(
    moving: NDArray[np.int64],
    pred: tuple[Array, Array],
    real: tuple[Array, Array],
    windows: tuple[int, int],
) -> Realism:
    """The distance of features scaled by the real set."""
    aspect = np.repeat(np.arange(len(ASPECTS)), len(moving))
    deviation = np.sqrt(np.maximum(np.diag(real[1]), 0.0))
    alive = deviation > 1e-6 * np.maximum(1.0, np.abs(real[0]))  # sums keep half the digits
    alive &= np.tile(moving >= ENOUGH, len(ASPECTS))
    if not alive.any():
        raise InputError(
            f"no channel moves in {ENOUGH} windows of {WINDOW} frames of the real reactions, "
            f"of which there are {windows[1]}; more or livelier clips are needed for a scale."
        )

    def distance(kept: NDArray[np.bool_]) -> Frechet:
        scale = 1 / (deviation[kept] * np.sqrt(kept.sum()))
        both = [
            (mean[kept] * scale, covariance[np.ix_(kept, kept)] * np.outer(scale, scale))
            for mean, covariance in (pred, real)
        ]
        return between_moments(both[0], both[1])

    whole = distance(alive)
    parts = {name: alive & (aspect == k) for k, name in enumerate(ASPECTS)}
    aspects = {name: distance(kept).distance for name, kept in parts.items() if kept.any()}
    dead = int((moving < ENOUGH).sum())
    return Realism(whole.distance, aspects, whole, dead, windows)


class FRRea(GaussianPair):
    """Streaming `realism`: clip by clip, exact across processes.

    Args:
        channels: C of the reactions, 25 for facial attributes.
    """

    real_moving: Tensor

    def __init__(self, channels: int = 25, **options: Any) -> None:
        super().__init__(feature_count(channels), **options)
        self.channels = channels
        zeros = torch.zeros(channels, dtype=torch.int64)
        self.add_state("real_moving", zeros, dist_reduce_fx="sum")

    def update(self, pred: Any, real: Any) -> None:
        """Count generated reactions [..., T, C] and real ones [..., T', C].

        A real reaction should come in once, not once for every sample or appropriate speaker.
        """
        for side, values in (("pred", pred), ("real", real)):
            shape = tuple(np.shape(values))
            if len(shape) < 2 or shape[-1] != self.channels:
                raise InputError(
                    f"{side} has shape {list(shape)}; wanted [..., T, {self.channels}]."
                )
        found = [behaviour_features(values).flatten(0, -2) for values in (pred, real)]
        for rows, is_real in zip(found, (False, True), strict=True):
            self.add(rows, real=is_real)
        self.real_moving += torch.from_numpy(_moving(found[1])).to(self.real_moving.device)

    def report(self) -> Realism:
        """The distance with its parts, of everything counted so far in this process."""
        windows = int(self.pred_n), int(self.real_n)
        moving = self.real_moving.cpu().numpy()
        return _scaled(moving, self.moments("pred"), self.moments("real"), windows)

    def compute(self) -> Tensor:
        found = self.report()
        say_if_few("FRRea", found.windows, self.dimension)
        return torch.tensor(found.distance, dtype=torch.float64, device=self.pred_sum.device)
