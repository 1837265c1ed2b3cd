"""Moments of sequences and the products between them on any torch device, float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Real = NDArray[np.floating]
Stats = tuple[Tensor, NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]


def on_device(values: Real, device: torch.device) -> Tensor:
    """A copy in float64; the way over carries the precision it came in."""
    return torch.from_numpy(np.ascontiguousarray(values)).to(device).double()


def torch_moments(sequences: Real, device: torch.device) -> Stats:
    """Of [S, T, D]: centred [D, S, T] on the device; mean, variance and constancy [S, D] here."""
    values = on_device(sequences, device)
    constant = (values == values[:, :1]).all(1)
    mean = values.mean(1)
    centred = values - mean[:, None]
    # exact zero also where the mean of equal values is not that value; infinities stay NaN
    centred = torch.where(constant[:, None], centred * 0.0, centred)
    variance = centred.square().mean(1)
    host: list[Any] = [part.cpu().numpy() for part in (mean, variance, constant)]
    return centred.permute(2, 0, 1).contiguous(), host[0], host[1], host[2]


def torch_products(x: Tensor, y: Tensor) -> NDArray[np.float64]:
    """Sum over time of every pair of centred sequences [D, M, T] and [D, G, T]: [D, M, G]."""
    found: NDArray[np.float64] = torch.bmm(x, y.transpose(1, 2)).cpu().numpy()
    return found
