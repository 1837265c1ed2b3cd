"""Time-lagged cross-correlation: Pearson's r of two signals at every shift of one to the other.

At lag L > 0 frame t + L of the listener meets frame t of the speaker, so a listener who follows
the speaker by five frames peaks at L = 5. All lags of a channel come from one matrix product:
with t = u B + v,

    sum_t p[t] s[t - L] = sum_v G[v, v - L + lags],   G[v, w] = sum_u p[u B + v] s[u B + w - lags]

which costs (B + 2 lags) multiplications a frame instead of 2 lags + 1, all inside BLAS.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from visavis._jit import compiled
from visavis.errors import InputError

if TYPE_CHECKING:
    from visavis.metrics._device import Where

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Real = NDArray[np.floating]

_BLOCK = 16
_FRAGILE = 1e-7
"""A window with less than this share of the sequence's energy is summed anew, since taking the
rest away from the whole would leave mostly rounding."""


def lagged_correlations(pred: Real, speaker: Real, *, lags: int = 49, device: str = "cpu") -> F64:
    """Pearson's r of `pred` [M, T, D] and `speaker` [T, D] at lags -lags..lags: [M, 2 lags + 1, D].

    NaN where a window is constant in either (equality is exact, not a threshold), where it has
    fewer than two frames, and where it holds a value that is not finite. `device` is "cpu" or a
    GPU such as "cuda"; curves then agree to 1e-11, and their peaks exactly.

    Raises:
        InputError: T or D differ, or the device is not there.
    """
    where = None
    if device != "cpu":
        from visavis.metrics._device import device_named

        where = device_named(device)
    return correlations(pred, speaker, lags, where)


def correlations(pred: Real, speaker: Real, lags: int, where: Where = None) -> F64:
    """The same; `where` is None for the compiled kernels."""
    if pred.ndim != 3 or speaker.ndim != 2:
        raise InputError(
            f"predictions {list(pred.shape)} and speaker {list(speaker.shape)}: "
            "wanted [M, T, D] and [T, D]."
        )
    for axis, ours, theirs in zip("TD", pred.shape[1:], speaker.shape, strict=True):
        if ours != theirs:
            raise InputError(
                f"axis {axis} must agree: predictions have {ours}, the speaker has {theirs}."
            )
    if lags < 0:
        raise InputError(f"lags must be 0 or more, not {lags}.")
    samples, frames, width = pred.shape
    found = np.full((samples, 2 * lags + 1, width), np.nan)
    if frames < lags + 2:
        reach = frames - 2
        if reach >= 0:
            inner = correlations(pred, speaker, reach)
            found[:, lags - reach : lags + reach + 1] = inner
        return found
    if not np.isfinite(speaker).all() or not np.isfinite(pred).all():
        return _by_windows(pred, speaker, lags)
    if where is not None:
        from visavis.metrics._torch_lagged import torch_lagged

        found, anew = torch_lagged(pred, speaker, lags, where)
        if anew.any():
            found[anew] = correlations(pred[anew], speaker, lags)
        return found
    blocks = -(-frames // _BLOCK)
    ours = np.zeros((width, blocks, samples, _BLOCK))
    theirs = np.zeros((width, 1, blocks * _BLOCK + 2 * lags + _BLOCK))
    p_edges, p_changes = np.empty((samples, width, 4, lags + 1)), np.empty((samples, width, 2), int)
    s_edges, s_changes = np.empty((1, width, 4, lags + 1)), np.empty((1, width, 2), int)
    _pack(np.ascontiguousarray(pred), ours, p_edges, p_changes)
    line = np.zeros((width, blocks + 1 + 2 * lags // _BLOCK, 1, _BLOCK))
    _pack(np.ascontiguousarray(speaker)[None], line, s_edges, s_changes)
    theirs[:, 0, lags : lags + blocks * _BLOCK] = line[:, :blocks].reshape(width, -1)
    rows = np.lib.stride_tricks.as_strided(
        theirs,
        (width, blocks, _BLOCK + 2 * lags),
        (theirs.strides[0], _BLOCK * theirs.strides[2], theirs.strides[2]),
    )
    # overlapping rows are not a layout BLAS knows, hence the copy
    # small products, one a sample: BLAS would share a large one out among threads of its own
    product = np.matmul(ours.transpose(0, 2, 3, 1), np.ascontiguousarray(rows)[:, None])
    product = product.reshape(width, samples * _BLOCK, -1)
    _correlate(
        product, p_edges, p_changes, s_edges[0], s_changes[0], ours, line[:, :, 0], frames, found
    )
    return found


@compiled
def _pack(x: Real, packed: F64, edges: F64, changes: I64) -> None:
    """Centre x [S, T, D] into packed [D, U, S, B]; sums, and where a channel first and last moves.

    edges [S, D, 4, lags + 1]: sum and square sum of all but the first k frames, then of all but
    the last k. changes [S, D, 2]: first and last t with x[t] != x[t - 1], or T and 0.
    """
    count, frames, width = x.shape
    block, reach = packed.shape[3], edges.shape[3]
    for s in range(count):
        mean = np.zeros(width)
        first, last = np.full(width, frames), np.zeros(width, dtype=np.int64)
        for t in range(frames):
            for d in range(width):
                mean[d] += x[s, t, d]
            if t:
                for d in range(width):
                    moves = x[s, t, d] != x[s, t - 1, d]
                    last[d] = t if moves else last[d]
        for d in range(width):
            mean[d] /= frames
            changes[s, d, 1] = last[d]
            t = 1
            while t < frames and x[s, t, d] == x[s, t - 1, d]:
                t += 1
            first[d] = t
            changes[s, d, 0] = first[d]
        total, squares = np.zeros(width), np.zeros(width)
        for t in range(frames):
            for d in range(width):
                off = x[s, t, d] - mean[d]
                packed[d, t // block, s, t % block] = off
                total[d] += off
                squares[d] += off * off
        for d in range(width):
            head, head2, tail, tail2 = 0.0, 0.0, 0.0, 0.0
            for k in range(reach):
                edges[s, d, 0, k] = total[d] - head
                edges[s, d, 1, k] = squares[d] - head2
                edges[s, d, 2, k] = total[d] - tail
                edges[s, d, 3, k] = squares[d] - tail2
                off = x[s, k, d] - mean[d]
                head += off
                head2 += off * off
                off = x[s, frames - 1 - k, d] - mean[d]
                tail += off
                tail2 += off * off


@compiled
def _correlate(
    product: F64,
    p_edges: F64,
    p_changes: I64,
    s_edges: F64,
    s_changes: I64,
    p_line: F64,
    s_line: F64,
    frames: int,
    found: F64,
) -> None:
    """r of every sample, lag and channel from the block products [D, S B, B + 2 lags]."""
    samples, span, width = found.shape
    lags, block = span // 2, p_line.shape[3]
    cross = np.empty(span)
    for d in range(width):
        for m in range(samples):
            cross[:] = 0.0
            for v in range(block):
                row = product[d, m * block + v, v : v + span]
                for i in range(span):  # i counts lags downwards: L = lags - i
                    cross[i] += row[i]
            for i in range(span):
                lag = lags - i
                shift = abs(lag)
                n = frames - shift
                ours, theirs = (0, 2) if lag >= 0 else (2, 0)
                p_still = p_changes[m, d, 1] <= shift if lag >= 0 else p_changes[m, d, 0] >= n
                s_still = s_changes[d, 0] >= n if lag >= 0 else s_changes[d, 1] <= shift
                if p_still or s_still:
                    continue
                p_sum, s_sum = p_edges[m, d, ours, shift], s_edges[d, theirs, shift]
                p_var = p_edges[m, d, ours + 1, shift] - p_sum * p_sum / n
                s_var = s_edges[d, theirs + 1, shift] - s_sum * s_sum / n
                if p_var < _FRAGILE * p_edges[m, d, 1, 0] or s_var < _FRAGILE * s_edges[d, 1, 0]:
                    p_from, s_from = (shift, 0) if lag >= 0 else (0, shift)
                    r = _direct(p_line[d, :, m], s_line[d], p_from, s_from, n)
                    if np.isnan(r):
                        continue
                else:
                    r = (cross[i] - p_sum * s_sum / n) / np.sqrt(p_var * s_var)
                found[m, lags + lag, d] = min(1.0, max(-1.0, r))


@compiled
def _direct(p: F64, s: F64, p_from: int, s_from: int, n: int) -> float:
    """r of n frames in two passes; p and s lie in blocks [U, B]."""
    block = p.shape[1]
    p_mean, s_mean = 0.0, 0.0
    for t in range(n):
        p_mean += p[(p_from + t) // block, (p_from + t) % block]
        s_mean += s[(s_from + t) // block, (s_from + t) % block]
    p_mean /= n
    s_mean /= n
    cross, p_var, s_var = 0.0, 0.0, 0.0
    for t in range(n):
        x = p[(p_from + t) // block, (p_from + t) % block] - p_mean
        y = s[(s_from + t) // block, (s_from + t) % block] - s_mean
        cross += x * y
        p_var += x * x
        s_var += y * y
    if p_var == 0.0 or s_var == 0.0:  # moves less than the whole sequence's rounding
        return np.nan
    return float(cross / np.sqrt(p_var) / np.sqrt(s_var))


def _by_windows(pred: Real, speaker: Real, lags: int) -> F64:
    """The same, one window after the other: what NumPy makes of values that are not finite."""
    samples, _, width = pred.shape
    found = np.empty((samples, 2 * lags + 1, width))
    for m in range(samples):
        for lag in range(-lags, lags + 1):
            found[m, lags + lag] = windowed_correlation(pred[m], speaker, lag)
    return found


def windowed_correlation(pred: Real, speaker: Real, lag: int) -> F64:
    """Pearson's r of `pred` and `speaker` [T, D] at one lag, in NumPy's own arithmetic: [D]."""
    n = len(pred) - abs(lag)
    ours = pred[lag:] if lag >= 0 else pred[:n]
    theirs = speaker[:n] if lag >= 0 else speaker[-lag:]
    with np.errstate(all="ignore"):
        return np.array([np.corrcoef(theirs[:, d], ours[:, d])[0, 1] for d in range(pred.shape[1])])
