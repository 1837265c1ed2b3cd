"""One sweep of the warping recurrence over many pairs at once: lane l of a vector is pair l.

Written in LLVM's vector types, because neither NumPy nor numba's vectoriser finds this form. A
sweep takes ROWS frames of the one side over all frames of the other, COLUMNS at a time, so that a
loaded vector is used ROWS or COLUMNS times. With x and y centred, |x - y|^2 is computed as
|x|^2 + |y|^2 + (-2 x) . y: one fused multiply-add a channel instead of two operations, at the
price of a rounding error in proportion to |x|^2 + |y|^2, which the caller bounds (`_dtw_lanes`).
"""

from __future__ import annotations

from typing import Any

import llvmlite.binding as llvm  # type: ignore[import-untyped]
import numba.core.cgutils
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

cgutils: Any = numba.core.cgutils
compiled_inline: Any = intrinsic

WIDE = bool(llvm.get_host_cpu_features().get("avx512f", False))
VECTOR_BYTES = 64 if WIDE else 32
ROWS, COLUMNS = (5, 3) if WIDE else (4, 2)
"""ROWS * COLUMNS sums, ROWS results to the left and the operands have to fit the registers."""


@compiled_inline
def sweep(
    typing_context: Any, x: Any, offset: Any, y: Any, row: Any, blocks: Any, depth: Any, corner: Any
) -> Any:
    """Advance `row` by ROWS frames of x; see `_emit` for the layout of the arrays."""
    signature = types.void(x, types.intp, y, row, types.intp, types.intp, x.dtype)

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        scalar = ir.FloatType() if x.dtype == types.float32 else ir.DoubleType()
        lanes = VECTOR_BYTES // (4 if x.dtype == types.float32 else 8)
        pointers = [
            context.make_array(kind)(context, builder, arguments[at]).data
            for at, kind in ((0, x), (2, y), (3, row))
        ]
        pointers[0] = builder.gep(pointers[0], [arguments[1]])
        _emit(builder, ir.VectorType(scalar, lanes), pointers, arguments[4:7])
        return context.get_dummy_value()

    return signature, emit


def _emit(builder: Any, vector: Any, pointers: list[Any], arguments: list[Any]) -> None:
    """The machine-independent instructions of a sweep.

    x: [depth + 1, ROWS, lanes], -2 x of each channel, then |x|^2
    y: [blocks, depth + 1, COLUMNS, lanes], y of each channel, then |y|^2
    row: [blocks, COLUMNS, lanes], least sums up to the frame of x before; overwritten
    corner: the value before the first column of that row (0 at the very start, else infinity)
    """
    blocks, depth, corner = arguments
    x, y, row = (builder.bitcast(pointer, vector.as_pointer()) for pointer in pointers)
    size = vector.element
    align = 4 if isinstance(size, ir.FloatType) else 8
    word = blocks.type

    def number(value: int) -> Any:
        return ir.Constant(word, value)

    def load(base: Any, index: Any, extra: int) -> Any:
        at = builder.gep(base, [builder.add(index, number(extra))])
        return builder.load(at, align=align)

    def least(a: Any, b: Any) -> Any:
        return builder.select(builder.fcmp_ordered("<", a, b), a, b)

    def spread(value: Any) -> Any:
        blank = ir.Constant(vector, ir.Undefined)
        one = builder.insert_element(blank, value, ir.Constant(ir.IntType(32), 0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), vector.count), None)
        return builder.shuffle_vector(one, blank, zeros)

    name = f"llvm.fmuladd.v{vector.count}f{32 if align == 4 else 64}"
    multiply_add = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(vector, [vector] * 3), name
    )
    infinite = spread(ir.Constant(size, float("inf")))
    left = [cgutils.alloca_once_value(builder, infinite) for _ in range(ROWS)]
    before = cgutils.alloca_once_value(builder, infinite)
    for slot in left:  # the slots live outside any loop around this sweep
        builder.store(infinite, slot)
    builder.store(spread(corner), before)
    sums = [[cgutils.alloca_once_value(builder, infinite) for _ in range(COLUMNS)] for _ in left]

    x_norm = builder.mul(depth, number(ROWS))
    y_norm = builder.mul(depth, number(COLUMNS))
    block_size = builder.add(y_norm, number(COLUMNS))
    with cgutils.for_range(builder, blocks) as block:
        y_start = builder.mul(block.index, block_size)
        norms = [load(y, builder.add(y_start, y_norm), c) for c in range(COLUMNS)]
        for r in range(ROWS):
            own = load(x, x_norm, r)
            for c in range(COLUMNS):
                builder.store(builder.fadd(own, norms[c]), sums[r][c])
        with cgutils.for_range(builder, depth) as channel:
            y_at = builder.add(y_start, builder.mul(channel.index, number(COLUMNS)))
            x_at = builder.mul(channel.index, number(ROWS))
            others = [load(y, y_at, c) for c in range(COLUMNS)]
            for r in range(ROWS):
                own = load(x, x_at, r)
                for c in range(COLUMNS):
                    added = builder.call(multiply_add, [own, others[c], builder.load(sums[r][c])])
                    builder.store(added, sums[r][c])
        lefts = [builder.load(slot) for slot in left]
        diagonal = builder.load(before)
        row_at = builder.mul(block.index, number(COLUMNS))
        for c in range(COLUMNS):
            above = load(row, row_at, c)
            next_diagonal = above
            for r in range(ROWS):
                best = least(lefts[r], least(above, diagonal))
                diagonal = lefts[r]
                above = lefts[r] = builder.fadd(best, builder.load(sums[r][c]))
            diagonal = next_diagonal
            builder.store(above, builder.gep(row, [builder.add(row_at, number(c))]), align=align)
        for slot, value in zip(left, lefts, strict=True):
            builder.store(value, slot)
        builder.store(diagonal, before)
