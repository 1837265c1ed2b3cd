"""A few words of LLVM's vector language, for kernels that neither NumPy nor numba finds alone."""

from __future__ import annotations

from typing import Any

import llvmlite.binding as llvm  # type: ignore[import-untyped]
import numba.core.cgutils
import numpy as np
from llvmlite import ir
from numba import types
from numpy.typing import NDArray

cgutils: Any = numba.core.cgutils

WIDE = bool(llvm.get_host_cpu_features().get("avx512f", False))
VECTOR_BYTES = 64 if WIDE else 32
"""Of one register; narrower machines split it, which LLVM does by itself."""


def aligned(size: int, kind: Any) -> NDArray[Any]:
    """An array that starts where a vector register may be loaded without crossing a line."""
    width = np.dtype(kind).itemsize
    raw = np.empty(size * width + VECTOR_BYTES, np.uint8)
    start = -raw.ctypes.data % VECTOR_BYTES
    return raw[start : start + size * width].view(kind)


class Writer:
    """Writes vector instructions for the scalar type `kind` (numba's float32 or float64)."""

    def __init__(self, builder: Any, kind: Any) -> None:
        single = kind == types.float32
        self.builder = builder
        self.scalar = ir.FloatType() if single else ir.DoubleType()
        self.bytes = 4 if single else 8
        self.lanes = VECTOR_BYTES // self.bytes
        self.vector = ir.VectorType(self.scalar, self.lanes)
        name = f"llvm.fmuladd.v{self.lanes}f{8 * self.bytes}"
        three = ir.FunctionType(self.vector, [self.vector] * 3)
        self._multiply_add = cgutils.get_or_insert_function(builder.module, three, name)

    def array(self, context: Any, kind: Any, value: Any, offset: Any = None) -> Any:
        """Pointer to the vectors of a numba array, `offset` scalars on."""
        data = context.make_array(kind)(context, self.builder, value).data
        if offset is not None:
            data = self.builder.gep(data, [offset])
        return self.builder.bitcast(data, self.vector.as_pointer())

    def place(self, base: Any, index: Any, extra: int = 0) -> Any:
        """Pointer to vector `index + extra`."""
        return self.builder.gep(base, [self.builder.add(index, self.number(index, extra))])

    def load(self, base: Any, index: Any, extra: int = 0) -> Any:
        return self.builder.load(self.place(base, index, extra), align=self.bytes)

    def save(self, value: Any, base: Any, index: Any, extra: int = 0) -> None:
        self.builder.store(value, self.place(base, index, extra), align=self.bytes)

    def number(self, like: Any, value: int) -> Any:
        return ir.Constant(like.type, value)

    def times(self, index: Any, value: int) -> Any:
        return self.builder.mul(index, self.number(index, value))

    def least(self, a: Any, b: Any) -> Any:
        return self.builder.select(self.builder.fcmp_ordered("<", a, b), a, b)

    def most(self, a: Any, b: Any) -> Any:
        return self.builder.select(self.builder.fcmp_ordered(">", a, b), a, b)

    def multiply_add(self, a: Any, b: Any, c: Any) -> Any:
        return self.builder.call(self._multiply_add, [a, b, c])

    def spread(self, value: Any) -> Any:
        """One scalar in all lanes."""
        blank = ir.Constant(self.vector, ir.Undefined)
        one = self.builder.insert_element(blank, value, ir.Constant(ir.IntType(32), 0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), None)
        return self.builder.shuffle_vector(one, blank, zeros)

    def constant(self, value: float) -> Any:
        return self.spread(ir.Constant(self.scalar, value))

    def slot(self, value: Any) -> Any:
        """A variable; LLVM keeps it in a register. It is set anew each time it is passed."""
        made = cgutils.alloca_once(self.builder, self.vector)
        self.builder.store(value, made)
        return made

    def loop(self, count: Any) -> Any:
        """Context of a loop; its `index` counts from 0."""
        return cgutils.for_range(self.builder, count)
