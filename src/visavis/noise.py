"""Randomness that depends on what is drawn, not on when.

Every number is a hash of (seed, sample, stream, index, position): ten samples begin with the same
one sample, a clip's draw does not depend on its neighbours in a batch, and any chunking of a
stream draws the same numbers, on any device. The hash is the finaliser of splitmix64 (Steele,
Lea and Flood, 2014) applied once an argument; normals come from it by Box and Muller (1958).
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence

import torch
from torch import Tensor

_GOLDEN = -7046029254386353131  # 0x9E3779B97F4A7C15 as a signed 64-bit number
_MIX_1 = -4658895280553007687  # 0xBF58476D1CE4E5B9
_MIX_2 = -7723592293110705685  # 0x94D049BB133111EB


def _shift(x: Tensor, by: int) -> Tensor:
    """Logical right shift of 64-bit words, which torch lacks for signed ones."""
    return (x >> by) & ((1 << (64 - by)) - 1)


def _mix(x: Tensor) -> Tensor:
    x = (x ^ _shift(x, 30)) * _MIX_1
    x = (x ^ _shift(x, 27)) * _MIX_2
    return x ^ _shift(x, 31)


def _absorb(state: Tensor, value: Tensor) -> Tensor:
    return _mix((state + _GOLDEN) ^ _mix(value + _GOLDEN))


def _words(value: Tensor | int | Sequence[int], device: torch.device | None) -> Tensor:
    return torch.as_tensor(value, dtype=torch.int64, device=device)


def _hash(
    seeds: Tensor | int,
    sample: Tensor | int | Sequence[int],
    stream: str,
    index: Tensor | int,
    count: int,
) -> Tensor:
    """[*broadcast(seeds, sample, index), count] 64-bit words."""
    tensors = [x for x in (seeds, sample, index) if isinstance(x, Tensor)]
    device = tensors[0].device if tensors else None
    state = _mix(_words(zlib.crc32(stream.encode()), device) + _GOLDEN)
    for value in (seeds, sample, index):
        state = _absorb(state, _words(value, device))
    position = torch.arange(count, dtype=torch.int64, device=device)
    return _absorb(state[..., None], position)


def _unit(words: Tensor) -> Tensor:
    """53 high bits to (0, 1), never 0 so that its logarithm is finite."""
    return (_shift(words, 11).to(torch.float64) + 0.5) * 2.0**-53


def uniform(
    seeds: Tensor | int,
    sample: Tensor | int | Sequence[int],
    stream: str,
    index: Tensor | int,
    shape: Sequence[int],
) -> Tensor:
    """Uniform numbers in (0, 1), float32 [*broadcast(seeds, sample, index), *shape].

    Args:
        seeds: who draws; int64 tensors broadcast with `sample` and `index`.
        sample: which of several samples.
        stream: what is drawn, by name, so that two uses in one model do not share numbers.
        index: when, e.g. the number of a window or a diffusion step.
        shape: trailing shape of one draw.
    """
    words = _hash(seeds, sample, stream, index, math.prod(shape))
    return _unit(words).to(torch.float32).reshape(*words.shape[:-1], *shape)


def normal(
    seeds: Tensor | int,
    sample: Tensor | int | Sequence[int],
    stream: str,
    index: Tensor | int,
    shape: Sequence[int],
) -> Tensor:
    """Standard normal, float32 [*broadcast(seeds, sample, index), *shape]; see `uniform`."""
    count = math.prod(shape)
    pairs = (count + 1) // 2
    words = _hash(seeds, sample, stream, index, 2 * pairs)
    radius = torch.sqrt(-2.0 * torch.log(_unit(words[..., 0::2])))
    angle = 2.0 * math.pi * _unit(words[..., 1::2])
    both = torch.stack([radius * torch.cos(angle), radius * torch.sin(angle)], dim=-1)
    flat = both.flatten(-2)[..., :count].to(torch.float32)
    return flat.reshape(*flat.shape[:-1], *shape)
