"""Types of the compiled drawing code, and the library's one compiler (`visavis._jit`)."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from visavis._jit import compiled

__all__ = ["F32", "I32", "U8", "Scalar", "compiled"]

F32: TypeAlias = NDArray[np.float32]
I32: TypeAlias = NDArray[np.int32]
U8: TypeAlias = NDArray[np.uint8]
Scalar: TypeAlias = Any
"""A number inside compiled code, float32 or float64 as numba infers it."""
