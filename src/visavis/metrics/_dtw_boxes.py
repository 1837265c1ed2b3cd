"""Lower bounds of warping costs from boxes: the range of each channel over a few frames.

A path visits the frames of x in order at columns that never go back. Whatever it does, a frame in
box I of x costs at least the gap between that box and a box c of y, and the c chosen for I = 0, 1,
... never fall. The least sum over such choices is a bound; with the sides exchanged, another.
(The idea of boxes in order is that of the segment bounds for DTW, Sakurai et al. 2005.)
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from visavis._jit import compiled
from visavis.metrics._vector import VECTOR_BYTES, Writer, aligned

F64 = NDArray[np.float64]
F32 = NDArray[np.float32]
I64 = NDArray[np.int64]
Real = NDArray[Any]

FRAMES = 8
"""Frames a box: fewer give tighter bounds that cost more than they save."""

COLUMNS = 4
FAR = np.float32(1e15)
"""Where a box stands that has no frame: too far to be chosen, its square still a float32."""

MARGIN = 1 - 1e-4
"""Above the rounding of float32 sums as long as a thousand boxes, all terms being positive."""

inlined: Any = intrinsic


@inlined  # type: ignore[untyped-decorator]
def advance(
    typing_context: Any, x: Any, offset: Any, y: Any, rows: Any, columns: Any, sizes: Any,
    blocks: Any, depth: Any,
) -> Any:  # fmt: skip
    """Advance both bounds by one box of x, which begins `offset` scalars into it.

    x: [1 + 2 depth, lanes], frames in the box, then least and greatest value of each channel
    y: [blocks, depth, 2, COLUMNS, lanes]
    rows: [blocks, COLUMNS, lanes], bound over the boxes of x before, ending at that box of y
    columns: the same over the boxes of y up to that one, the least over the boxes of x before
    sizes: [blocks, COLUMNS, lanes], frames in each box of y
    """
    signature = types.void(x, types.intp, y, rows, columns, sizes, types.intp, types.intp)

    def emit(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        write = Writer(builder, x.dtype)
        arrays = [write.array(context, x, given[0], given[1])]
        for kind, value in zip((y, rows, columns, sizes), given[2:6], strict=True):
            arrays.append(write.array(context, kind, value))
        _emit(write, *arrays, *given[6:8])
        return context.get_dummy_value()

    return signature, emit


def _emit(
    write: Writer, x: Any, y: Any, rows: Any, columns: Any, sizes: Any, blocks: Any, depth: Any
) -> None:
    builder = write.builder
    zero = write.constant(0.0)
    least_row = write.slot(write.constant(float("inf")))
    last_column = write.slot(zero)
    height = write.load(x, write.number(depth, 0))
    with write.loop(blocks) as block:
        at = write.times(block.index, COLUMNS)
        y_start = builder.mul(write.times(at, 2), depth)
        gaps = [write.slot(zero) for _ in range(COLUMNS)]
        with write.loop(depth) as channel:
            x_at = write.times(channel.index, 2)
            low, high = write.load(x, x_at, 1), write.load(x, x_at, 2)
            y_at = builder.add(y_start, write.times(channel.index, 2 * COLUMNS))
            for c in range(COLUMNS):
                over = builder.fsub(low, write.load(y, y_at, COLUMNS + c))
                under = builder.fsub(write.load(y, y_at, c), high)
                gap = write.most(write.most(over, under), zero)
                builder.store(write.multiply_add(gap, gap, builder.load(gaps[c])), gaps[c])
        for c in range(COLUMNS):
            gap = builder.load(gaps[c])
            best = write.least(builder.load(least_row), write.load(rows, at, c))
            builder.store(best, least_row)
            write.save(write.multiply_add(height, gap, best), rows, at, c)
            width = write.load(sizes, at, c)
            total = write.multiply_add(width, gap, builder.load(last_column))
            total = write.least(total, write.load(columns, at, c))
            builder.store(total, last_column)
            write.save(total, columns, at, c)


@compiled
def boxes_of(values: Real, starts: I64, lengths: I64, first: int, depth: int) -> F32:
    """Ranges of each group of FRAMES frames, [sequences, boxes, 2 depth + 1] float32.

    Frames in the box, then least and greatest of each channel, rounded outwards.
    """
    boxes = (lengths.max() + FRAMES - 1) // FRAMES
    out = np.zeros((len(starts), boxes, 2 * depth + 1), np.float32)
    out[:, :, 1:] = FAR
    for sequence in range(len(starts)):
        for box in range((lengths[sequence] + FRAMES - 1) // FRAMES):
            begin = box * FRAMES
            end = min(begin + FRAMES, lengths[sequence])
            out[sequence, box, 0] = end - begin
            for channel in range(depth):
                low = high = values[starts[sequence] + begin, first + channel]
                for frame in range(starts[sequence] + begin + 1, starts[sequence] + end):
                    value = values[frame, first + channel]
                    low, high = min(low, value), max(high, value)
                least, most = np.float32(low), np.float32(high)
                if least > low:
                    least = np.nextafter(least, np.float32(-np.inf))
                if most < high:
                    most = np.nextafter(most, np.float32(np.inf))
                out[sequence, box, 1 + 2 * channel] = least
                out[sequence, box, 2 + 2 * channel] = most
    return out


def box_bounds(x: F32, y: F32, x_of: I64, y_of: I64) -> F64:
    """Costs that those of the pairs (x_of[n], y_of[n]) cannot fall below, [n]; see `boxes_of`."""
    lanes = VECTOR_BYTES // 4
    depth = x.shape[2] // 2
    blocks = -(-y.shape[1] // COLUMNS)
    x_pack = aligned(x.shape[1] * (2 * depth + 1) * lanes, np.float32)
    y_pack = aligned(blocks * COLUMNS * 2 * depth * lanes, np.float32)
    rows, columns, sizes = (aligned(blocks * COLUMNS * lanes, np.float32) for _ in range(3))
    bound = np.empty(len(x_of))
    _batches(x, y, x_of, y_of, x_pack, y_pack, rows, columns, sizes, bound)
    return np.where(np.isfinite(bound), bound * MARGIN, 0.0)


@compiled
def _batches(
    x: F32, y: F32, x_of: I64, y_of: I64, x_pack: F32, y_pack: F32, rows: F32, columns: F32,
    sizes: F32, bound: F64,
) -> None:  # fmt: skip
    lanes = VECTOR_BYTES // 4
    x_boxes, y_boxes, width = x.shape[1], y.shape[1], x.shape[2]
    depth = width // 2
    blocks = len(rows) // (COLUMNS * lanes)
    y_pack[:] = FAR
    sizes[:] = 0.0
    x_lane, y_lane = np.empty(lanes, np.int64), np.empty(lanes, np.int64)
    x_flat, y_flat = x.reshape(-1), y.reshape(-1)
    for batch in range(0, len(x_of), lanes):
        for lane in range(lanes):
            pair = min(batch + lane, len(x_of) - 1)
            x_lane[lane] = x_of[pair] * x_boxes * width
            y_lane[lane] = y_of[pair] * y_boxes * width
        for entry in range(x_boxes * width):
            for lane in range(lanes):
                x_pack[entry * lanes + lane] = x_flat[x_lane[lane] + entry]
        for box in range(y_boxes):
            for lane in range(lanes):
                sizes[box * lanes + lane] = y_flat[y_lane[lane] + box * width]
            at = (box // COLUMNS * depth * 2 * COLUMNS + box % COLUMNS) * lanes
            for entry in range(2 * depth):
                to, origin = at + entry * COLUMNS * lanes, box * width + 1 + entry
                for lane in range(lanes):
                    y_pack[to + lane] = y_flat[y_lane[lane] + origin]
        rows[:] = 0.0
        columns[:] = np.inf
        for box in range(x_boxes):
            advance(x_pack, box * width * lanes, y_pack, rows, columns, sizes, blocks, depth)
        for lane in range(min(lanes, len(x_of) - batch)):
            by_row = np.inf
            for box in range(blocks * COLUMNS):
                by_row = min(by_row, rows[box * lanes + lane])
            # past the last box of a lane `columns` stays as it is: sizes are zero there
            bound[batch + lane] = max(by_row, columns[len(columns) - lanes + lane])
