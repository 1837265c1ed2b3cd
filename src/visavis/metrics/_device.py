"""Where the heavy part of a score is computed: the compiled kernels of the processor, or torch."""

from __future__ import annotations

from typing import Any, TypeAlias

import torch
from torch import Tensor

from visavis.errors import InputError

Where: TypeAlias = torch.device | None
"""None: the compiled kernels. A device: the batched torch path in float64, which is meant for a
GPU and gives the same numbers on a processor, slowly."""


def device_named(name: str | torch.device) -> Where:
    """Where `name` ("cpu", "cuda", "cuda:1") computes.

    Raises:
        InputError: torch does not know it, it is not there, or it has no float64.
    """
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError) as error:
        raise InputError(f"unknown device {name!r}: {error}. Give 'cpu' or 'cuda'.") from None
    if device.type == "cpu":
        return None
    if device.type == "mps":
        raise InputError("device 'mps' has no float64, which the scores need; use 'cpu'.")
    if device.type == "cuda":
        found = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if found == 0:
            raise InputError(f"device {str(device)!r} is not there: torch sees no GPU; use 'cpu'.")
        if device.index is not None and device.index >= found:
            raise InputError(f"device {str(device)!r} is not there: torch sees {found} GPU(s).")
        return device
    try:
        torch.zeros(1, dtype=torch.float64, device=device).sum().item()
    except Exception as error:
        raise InputError(f"device {str(device)!r} cannot compute here: {error}.") from error
    return device


def device_of(state: torch.device, *inputs: Any) -> Where:
    """Where a streaming score computes: with its state, or where a tensor handed in lies."""
    for device in (state, *(part.device for part in inputs if isinstance(part, Tensor))):
        if device.type != "cpu":
            return device_named(device)
    return None
