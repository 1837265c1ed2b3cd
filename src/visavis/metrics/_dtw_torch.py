"""Dynamic time warping of many pairs on any torch device: anti-diagonals of all pairs together.

For a GPU, where 1,500 short steps over thousands of pairs beat a search that branches. On a
processor the vector kernels are far faster. float64 throughout, so the numbers are the same.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from visavis.metrics._dtw_sets import Groups, SequenceSet

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

BUDGET = 2**27
"""Numbers in the largest intermediate: 1 GiB of float64."""


def torch_costs(x: Tensor, y: Tensor, x_frames: Tensor, y_frames: Tensor) -> Tensor:
    """Least sum of squared Euclidean distances of each pair, [P].

    x [P, T, D] and y [P, T', D] on one device, frames past `x_frames` [P], `y_frames` [P] ignored.
    """
    pairs, rows, _ = x.shape
    columns = y.shape[1]
    backwards = y.flip(1)
    before = x.new_full((pairs, rows + 1), torch.inf)  # entry i + 1 belongs to row i
    last = before.clone()
    before[:, 0] = 0.0  # the corner, from which the first cell is reached diagonally
    found = x.new_zeros(pairs)
    ends = x_frames + y_frames - 2
    final = set(ends.tolist())
    for step in range(rows + columns - 1):
        low, high = max(0, step - columns + 1), min(rows, step + 1)
        shift = columns - 1 - step
        difference = x[:, low:high] - backwards[:, shift + low : shift + high]
        best = torch.minimum(last[:, low:high], last[:, low + 1 : high + 1])
        best = torch.minimum(best, before[:, low:high])
        now = torch.full_like(last, torch.inf)
        now[:, low + 1 : high + 1] = best + difference.square().sum(-1)
        if step in final:
            found = torch.where(ends == step, now.gather(1, x_frames[:, None])[:, 0], found)
        before, last = last, now
    return found


def torch_distances(
    x: SequenceSet, y: SequenceSet, groups: Groups, x_of: I64, y_of: I64, device: torch.device
) -> F64:
    """Weighted DTW of each of `groups` of the pairs (x_of[n], y_of[n]), all finite, [groups, n]."""
    found = np.zeros((len(groups), len(x_of)))
    for number, (columns, weight) in enumerate(groups):
        left, right = (_padded(side, number, columns, device) for side in (x, y))
        entries = max(left[0][0].numel(), right[0][0].numel())
        for start in range(0, len(x_of), max(1, BUDGET // entries)):
            stop = start + max(1, BUDGET // entries)
            i, j = (torch.as_tensor(of[start:stop], device=device) for of in (x_of, y_of))
            cost = torch_costs(left[0][i], right[0][j], left[1][i], right[1][j])
            found[number, start:stop] = weight * cost.sqrt().cpu().numpy()
    return found


def _padded(
    side: SequenceSet, group: int, columns: slice, device: torch.device
) -> tuple[Tensor, Tensor]:
    """[sequences, most frames, D] float64 with zeros at the ends, and the frames of each."""
    lengths = side.lengths[group]
    parts = [
        torch.as_tensor(side.values[start : start + frames, columns], dtype=torch.float64)
        for start, frames in zip(side.starts, lengths, strict=True)
    ]
    padded = torch.nn.utils.rnn.pad_sequence(parts, batch_first=True).to(device)
    return padded, torch.as_tensor(lengths, device=device)
