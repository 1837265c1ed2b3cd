"""Numba compilation that survives a read-only installation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

import numba
import numpy as np
from numpy.typing import NDArray

F32: TypeAlias = NDArray[np.float32]
I32: TypeAlias = NDArray[np.int32]
U8: TypeAlias = NDArray[np.uint8]
Scalar: TypeAlias = Any
"""A number inside compiled code, float32 or float64 as numba infers it."""

F = TypeVar("F", bound=Callable[..., object])


def compiled(function: F) -> F:
    """`function` compiled by numba on one thread, kept on disk where a folder can be written.

    Numba refuses to compile at all when asked for a cache it can put nowhere, so that refusal is
    answered by compiling anew in each process (some seconds on the first call).
    """
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    compiler: Any = numba.njit
    try:
        made: F = compiler(function, cache=True, **options)
    except RuntimeError:
        made = compiler(function, **options)
    return made
