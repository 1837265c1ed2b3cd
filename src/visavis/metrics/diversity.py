"""FRDiv, FRVar, FRDvs: how much reactions differ between samples, over time, between clips.

    FRDiv  1/N sum_clips sum_(m != n) |x_m - x_n|^2 / (M (M - 1) T D)            (S-MSE in the code)
    FRVar  mean over clips, samples and channels of the variance over time (T - 1 below)
    FRDvs  sum_samples sum_(i != j) |x_i - x_j|^2 / (N (N - 1) M T D),  i and j clips

Sums run over ordered pairs, twice what the papers' i < k sums give: tables follow the code. Sums of
squares replace the pairs, sum_(i, j) |x_i - x_j|^2 = 2 n sum |x_i|^2 - 2 |sum x_i|^2, taken about
one of the sequences so that equal sequences give exactly 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from visavis._jit import compiled
from visavis.errors import InputError
from visavis.metrics._clip import PerClip, real_array, with_group_means
from visavis.metrics._device import Where, device_named, device_of
from visavis.metrics._torch_moments import on_device
from visavis.metrics.protocol import Protocol

Real = NDArray[np.floating]
F64 = NDArray[np.float64]


def sample_diversity(pred: Real, *, device: str = "cpu") -> F64:
    """Mean squared difference of two different samples of `pred` [K, T, D], by channel: [D].

    0 for one sample, as published.
    """
    return within(pred, device_named(device))[0]


def variance_over_time(pred: Real, *, device: str = "cpu") -> F64:
    """Unbiased variance over time, mean over samples, by channel: [D]; NaN for one frame."""
    return within(pred, device_named(device))[1]


def within(pred: Real, where: Where = None) -> tuple[F64, F64]:
    """`sample_diversity` and `variance_over_time` of [K, T, D] in one pass, [D] each."""
    if where is not None:
        return _torch_within(on_device(pred, where))
    diversity, variance = np.zeros(pred.shape[2]), np.zeros(pred.shape[2])
    _within(np.ascontiguousarray(pred), diversity, variance)
    return diversity, variance


@compiled
def _within(x: Real, diversity: F64, variance: F64) -> None:
    samples, frames, width = x.shape
    sums, squares = np.zeros((samples, width)), np.zeros((samples, width))
    apart, apart2 = np.empty(width), np.empty(width)
    for t in range(frames):
        apart[:] = 0.0
        apart2[:] = 0.0
        for m in range(samples):
            for d in range(width):
                value = np.float64(x[m, t, d])
                off = value - x[m, 0, d]
                sums[m, d] += off
                squares[m, d] += off * off
                off = value - x[0, t, d]
                apart[d] += off
                apart2[d] += off * off
        if samples > 1:
            for d in range(width):
                diversity[d] += 2 * samples * apart2[d] - 2 * apart[d] * apart[d]
    for d in range(width):
        diversity[d] /= max(samples * (samples - 1), 1) * frames
        for m in range(samples):
            variance[d] += (squares[m, d] - sums[m, d] * sums[m, d] / frames) / (frames - 1)
        variance[d] /= samples


def _torch_within(x: Tensor) -> tuple[F64, F64]:
    """The sums of `_within`, about the same frames and samples, [K, T, D] float64."""
    samples, frames, _ = x.shape
    over_time, over_samples = x - x[:, :1], x - x[:1]
    energy = over_time.square().sum(1) - over_time.sum(1).square() / frames
    variance = (energy / (frames - 1)).mean(0)  # 0/0 for one frame
    apart = 2 * samples * over_samples.square().sum(0) - 2 * over_samples.sum(0).square()
    diversity = apart.sum(0) / (max(samples * (samples - 1), 1) * frames)
    if samples == 1:
        diversity = torch.zeros_like(diversity)
    return diversity.cpu().numpy(), variance.cpu().numpy()


class BetweenClips:
    """Sums over clips from which FRDvs follows, about a reference clip [K, T, D].

    With `where` they are added up on that device.
    """

    def __init__(self, reference: Real, where: Where = None) -> None:
        self.reference = np.ascontiguousarray(reference)
        self.squares = np.zeros(reference.shape[2])
        self.clips = 0
        self._sums = np.zeros(reference.shape)
        self._far: tuple[Tensor, Tensor] | None = None
        if where is not None:  # the sums, and what they are taken about
            self._far = on_device(self._sums, where), on_device(self.reference, where)

    @property
    def sums(self) -> F64:
        """Sum over clips of what they are off the reference, [K, T, D]."""
        return self._sums if self._far is None else self._far[0].cpu().numpy()

    def add(self, pred: Real) -> None:
        """Count one clip [K, T, D]."""
        if pred.shape != self.reference.shape:
            raise InputError(uneven(pred.shape, self.reference.shape))
        if self._far is not None:
            sums, origin = self._far
            off = on_device(pred, origin.device) - origin
            sums += off
            self.squares += off.square().sum(dim=(0, 1)).cpu().numpy()
        else:
            _between(np.ascontiguousarray(pred), self.reference, self._sums, self.squares)
        self.clips += 1

    def merge(self, other: BetweenClips) -> None:
        """Take in the clips of `other`, which has the same reference; this one has no `where`."""
        self._sums += other.sums
        self.squares += other.squares
        self.clips += other.clips

    def channels(self) -> F64:
        """FRDvs by channel, [D]; NaN for a single clip."""
        return between(self.sums, self.squares, self.clips)

    def share(self, pred: Real) -> float:
        """What one of the clips adds: its mean squared distance from the others.

        The mean over clips of these is FRDvs.
        """
        if self.clips < 2:
            return float("nan")
        off = pred.astype(np.float64) - self.reference
        n = self.clips
        total = n * (off * off).sum() - 2 * (off * self.sums).sum() + self.squares.sum()
        return float(total / ((n - 1) * off.size))


def between(sums: F64, squares: F64, clips: int) -> F64:
    """FRDvs by channel from the sum over clips [K, T, D] and the sum of all squares [D]."""
    samples, frames, width = sums.shape
    if clips < 2:
        return np.full(width, np.nan)
    total = 2 * clips * squares - 2 * (sums * sums).sum(axis=(0, 1))
    # rounding alone can make a zero negative
    found: F64 = np.maximum(total, 0.0) / (clips * (clips - 1) * samples * frames)
    return found


@compiled
def _between(x: Real, reference: Real, sums: F64, squares: F64) -> None:
    samples, frames, width = x.shape
    for m in range(samples):
        for t in range(frames):
            for d in range(width):
                off = np.float64(x[m, t, d]) - reference[m, t, d]
                sums[m, t, d] += off
                squares[d] += off * off


def uneven(came: tuple[int, ...], wanted: tuple[int, ...]) -> str:
    """Why FRDvs cannot join two clips."""
    differing = [a for a, i, j in zip("KTD", came, wanted, strict=True) if i != j]
    return (
        f"FRDvs compares clips of one shape, but axis {', '.join(differing)} differs: "
        f"{list(came)} after {list(wanted)} ([K, T, D]). Leave FRDvs out for clips of different "
        "length."
    )


def by_group(name: str, channels: F64, protocol: Protocol) -> dict[str, float]:
    """{"FRDiv": mean over channels} and, under `corrected`, one entry a group."""
    found = {name: float(channels.mean())}
    if protocol.strict:
        for group in protocol.groups(len(channels)):
            found[f"{name}/{group.name}"] = float(channels[group.columns].mean())
    return found


ONE_SAMPLE = (
    "FRDiv compares samples with one another, but a clip has 1 (axis K). Generate at least 2, "
    "leave FRDiv out of `metrics`, or use a published protocol, where it is 0 by definition."
)
ONE_FRAME = "FRVar needs at least 2 frames, but a clip has 1 (axis T)."


class FRDiv(PerClip):
    """FRDiv, one clip an update."""

    head = "FRDiv"
    higher_is_better = True

    def update(self, pred: Any) -> None:
        """Count one clip, [K, T, D].

        Raises:
            InputError: not of that shape; under `corrected` also a single sample.
        """
        ours = real_array("pred", pred, "KTD", self.protocol)
        if self.protocol.strict and len(ours) < 2:
            raise InputError(ONE_SAMPLE)
        channels = within(ours, device_of(self.device, pred))[0]
        self.add(by_group("FRDiv", channels, self.protocol), ours.shape[2])


class FRVar(PerClip):
    """FRVar, one clip an update: clips of any length weigh the same."""

    head = "FRVar"
    higher_is_better = True

    def update(self, pred: Any) -> None:
        """Count one clip, [K, T, D].

        Raises:
            InputError: not of that shape; under `corrected` also a single frame.
        """
        ours = real_array("pred", pred, "KTD", self.protocol)
        if self.protocol.strict and ours.shape[1] < 2:
            raise InputError(ONE_FRAME)
        channels = within(ours, device_of(self.device, pred))[1]
        self.add(by_group("FRVar", channels, self.protocol), ours.shape[2])


class FRDvs(PerClip):
    """FRDvs, one clip an update; all clips of one shape. The state is two sums, not the clips."""

    head = "FRDvs"
    higher_is_better = True
    # `forward` then updates the running sums in place instead of keeping one set a clip
    full_state_update = True
    sums: list[Tensor]
    squares: list[Tensor]
    clips: Tensor

    def __init__(self, protocol: str | Protocol = "react2024", **options: Any) -> None:
        super().__init__(protocol, **options)
        self.add_state("sums", default=[], dist_reduce_fx="cat")  # one [1, K, T, D] a process
        self.add_state("squares", default=[], dist_reduce_fx="cat")  # one [1, D]
        self.add_state("clips", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, pred: Any) -> None:
        """Count one clip, [K, T, D].

        Raises:
            InputError: not of the shape of the clips before.
        """
        ours = real_array("pred", pred, "KTD", self.protocol)
        if self.sums and tuple(self.sums[0].shape[1:]) != ours.shape:
            raise InputError(uneven(ours.shape, tuple(self.sums[0].shape[1:])))
        values = torch.from_numpy(np.ascontiguousarray(ours)).to(self.device, torch.float64)
        squares = values.square().sum(dim=(0, 1))
        if self.sums:
            self.sums = [self.sums[0] + values]
            self.squares = [self.squares[0] + squares]
        else:
            self.sums, self.squares = [values[None]], [squares[None]]
        self.clips = self.clips + 1
        self.width = torch.maximum(self.width, torch.tensor(ours.shape[2], device=self.device))

    def compute(self) -> dict[str, Tensor]:
        """{"FRDvs": ...}; NaN for a single clip."""
        if int(self.clips) == 0:
            raise InputError("no clip was scored; update the metric first.")
        sums, squares = (
            (torch.cat(s) if isinstance(s, list) else s).sum(dim=0).cpu().numpy()
            for s in (self.sums, self.squares)
        )
        found = by_group("FRDvs", between(sums, squares, int(self.clips)), self.protocol)
        found = with_group_means(found) if self.protocol.strict else found
        return {
            n: torch.tensor(v, dtype=torch.float64, device=self.device) for n, v in found.items()
        }
