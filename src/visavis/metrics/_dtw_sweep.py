"""One sweep of the warping recurrence over many pairs at once: lane l of a vector is pair l.

A sweep takes ROWS frames of the one side over all frames of the other, COLUMNS at a time, so that
a loaded vector is used ROWS or COLUMNS times. With x and y centred, |x - y|^2 is computed as
|x|^2 + |y|^2 + (-2 x) . y: one fused multiply-add a channel instead of two operations, at the
price of a rounding error in proportion to |x|^2 + |y|^2, which the caller bounds (`_dtw_lanes`).
"""

from __future__ import annotations

from typing import Any

from numba import types
from numba.extending import intrinsic

from visavis.metrics._vector import WIDE, Writer

ROWS, COLUMNS = (5, 3) if WIDE else (4, 2)
"""ROWS * COLUMNS sums, ROWS results to the left and the operands have to fit the registers."""

inlined: Any = intrinsic


@inlined  # type: ignore[untyped-decorator]
def sweep(
    typing_context: Any, x: Any, offset: Any, y: Any, row: Any, blocks: Any, depth: Any, corner: Any
) -> Any:
    """Advance `row` by ROWS frames of x, which begin `offset` scalars into it.

    x: [depth + 1, ROWS, lanes], -2 x of each channel, then |x|^2
    y: [blocks, depth + 1, COLUMNS, lanes], y of each channel, then |y|^2
    row: [blocks, COLUMNS, lanes], least sums up to the frame of x before; overwritten
    corner: the value before the first column of that row (0 at the very start, else infinity)
    """
    signature = types.void(x, types.intp, y, row, types.intp, types.intp, x.dtype)

    def emit(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        write = Writer(builder, x.dtype)
        arrays = (
            write.array(context, x, given[0], given[1]),
            write.array(context, y, given[2]),
            write.array(context, row, given[3]),
        )
        _emit(write, *arrays, *given[4:7])
        return context.get_dummy_value()

    return signature, emit


def _emit(write: Writer, x: Any, y: Any, row: Any, blocks: Any, depth: Any, corner: Any) -> None:
    builder = write.builder
    infinite = write.constant(float("inf"))
    left = [write.slot(infinite) for _ in range(ROWS)]
    before = write.slot(write.spread(corner))
    x_norm, y_norm = write.times(depth, ROWS), write.times(depth, COLUMNS)
    with write.loop(blocks) as block:
        row_at = write.times(block.index, COLUMNS)
        y_start = builder.mul(row_at, builder.add(depth, write.number(depth, 1)))
        norms = [write.load(y, builder.add(y_start, y_norm), c) for c in range(COLUMNS)]
        own = [write.load(x, x_norm, r) for r in range(ROWS)]
        sums = [[write.slot(builder.fadd(a, b)) for b in norms] for a in own]
        with write.loop(depth) as channel:
            x_at = write.times(channel.index, ROWS)
            y_at = builder.add(y_start, write.times(channel.index, COLUMNS))
            others = [write.load(y, y_at, c) for c in range(COLUMNS)]
            for r in range(ROWS):
                factor = write.load(x, x_at, r)
                for c in range(COLUMNS):
                    total = write.multiply_add(factor, others[c], builder.load(sums[r][c]))
                    builder.store(total, sums[r][c])
        lefts = [builder.load(slot) for slot in left]
        diagonal = builder.load(before)
        for c in range(COLUMNS):
            above = next_diagonal = write.load(row, row_at, c)
            for r in range(ROWS):
                best = write.least(lefts[r], write.least(above, diagonal))
                diagonal = lefts[r]
                above = lefts[r] = builder.fadd(best, builder.load(sums[r][c]))
            diagonal = next_diagonal
            write.save(above, row, row_at, c)
        for slot, value in zip(left, lefts, strict=True):
            builder.store(value, slot)
        builder.store(diagonal, before)
