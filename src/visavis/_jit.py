"""Numba compilation that survives a read-only installation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba

F = TypeVar("F", bound=Callable[..., object])


def compiled(function: F) -> F:
    """`function` compiled by numba on one thread without the GIL, kept on disk where possible.

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
