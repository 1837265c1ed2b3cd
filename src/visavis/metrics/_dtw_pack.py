"""From sequences to the layout of `sweep`: frame by frame, one sequence a vector lane."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from visavis._jit import compiled
from visavis.metrics._vector import Writer

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Real = NDArray[Any]

inlined: Any = intrinsic


@inlined  # type: ignore[untyped-decorator]
def lay(
    typing_context: Any, values: Any, places: Any, live: Any, centre: Any, factor: Any, out: Any,
    start: Any, step: Any, norm_at: Any, depth: Any, norms: Any,
) -> Any:  # fmt: skip
    """Write one frame of all lanes.

    values: all sequences; places [lanes]: where in it the frame of each lane begins
    live: [lanes] 1, or 0 for a lane that has ended; centre: [depth] float64, taken off in float64
    out: receives factor * value at vector start + channel * step, the squared length at norm_at
    norms: [lanes], the greatest squared length so far
    """
    signature = types.void(
        values, places, live, centre, out.dtype, out, types.intp, types.intp, types.intp,
        types.intp, norms,
    )  # fmt: skip

    def emit(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        write = Writer(builder, out.dtype)
        raw = [
            context.make_array(kind)(context, builder, value).data
            for kind, value in ((values, given[0]), (places, given[1]), (centre, given[3]))
        ]
        live_, out_, norms_ = (
            write.array(context, kind, value)
            for kind, value in ((live, given[2]), (out, given[5]), (norms, given[10]))
        )
        scalar = ir.FloatType() if values.dtype == types.float32 else ir.DoubleType()
        _emit(write, scalar, raw, live_, given[4], out_, given[6:10], norms_)
        return context.get_dummy_value()

    return signature, emit


def _emit(
    write: Writer,
    scalar: Any,
    raw: list[Any],
    live: Any,
    factor: Any,
    out: Any,
    numbers: Any,
    norms: Any,
) -> None:
    builder = write.builder
    values, places, centre = raw
    start, step, norm_at, depth = numbers
    zero = write.number(depth, 0)
    given = ir.VectorType(scalar, write.lanes)
    wide = ir.VectorType(ir.DoubleType(), write.lanes)
    lanes = [
        builder.gep(values, [builder.load(builder.gep(places, [write.number(depth, lane)]))])
        for lane in range(write.lanes)
    ]
    alive, scale = write.load(live, zero), write.spread(factor)
    square = write.slot(write.constant(0.0))
    with write.loop(depth) as channel:
        at = channel.index
        value: Any = ir.Constant(given, ir.Undefined)
        for lane, pointer in enumerate(lanes):
            one = builder.load(builder.gep(pointer, [at]))
            value = builder.insert_element(value, one, ir.Constant(ir.IntType(32), lane))
        if isinstance(scalar, ir.FloatType):
            value = builder.fpext(value, wide)
        value = builder.fsub(value, _spread(write, builder.load(builder.gep(centre, [at])), wide))
        if write.bytes == 4:
            value = builder.fptrunc(value, write.vector)
        value = builder.fmul(value, alive)
        builder.store(write.multiply_add(value, value, builder.load(square)), square)
        write.save(builder.fmul(value, scale), out, builder.add(start, builder.mul(at, step)))
    total = builder.load(square)
    write.save(total, out, norm_at)
    write.save(write.most(total, write.load(norms, zero)), norms, zero)


def _spread(write: Writer, value: Any, vector: Any) -> Any:
    blank = ir.Constant(vector, ir.Undefined)
    one = write.builder.insert_element(blank, value, ir.Constant(ir.IntType(32), 0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), vector.count), None)
    return write.builder.shuffle_vector(one, blank, zeros)


@compiled
def pack(
    values: Real, starts: I64, lengths: I64, first: int, centre: F64, factor: float,
    group: int, frames: int, depth: int, out: Real, norms: Real,
) -> None:  # fmt: skip
    """Lay frames out as [frames / group, depth + 1, group, lanes]; see `_dtw_sweep.sweep`.

    Frames past a lane's end are zero, and so is the last channel where `depth` has one more than
    `centre`. `norms` [lanes] receives the greatest squared length.
    """
    lanes = len(starts)
    width = values.shape[1]
    places = np.empty(lanes, np.int64)
    live = np.ones(lanes, out.dtype)
    norms[:] = 0.0
    shortest = lengths.min()
    for frame in range(frames):
        start = frame // group * (depth + 1) * group + frame % group
        for lane in range(lanes):
            at = frame
            if frame >= shortest and frame >= lengths[lane]:
                at, live[lane] = lengths[lane] - 1, 0.0
            places[lane] = (starts[lane] + at) * width + first
        if depth > len(centre):
            pad = (start + len(centre) * group) * lanes
            out[pad : pad + lanes] = 0.0
        norm_at = start + depth * group
        lay(
            values, places, live, centre, out.dtype.type(factor), out, start, group, norm_at,
            len(centre), norms,
        )  # fmt: skip


@compiled
def mark_padding(
    lengths: I64, factor: float, wall: float, group: int, frames: int, depth: int, out: Real
) -> None:
    """Set the last channel and the squared length of the frames past each lane's end."""
    lanes = len(lengths)
    for frame in range(lengths.min(), frames):
        at = (frame // group * (depth + 1) * group + frame % group) * lanes
        for lane in range(lanes):
            if frame >= lengths[lane]:
                out[at + (depth - 1) * group * lanes + lane] = factor * wall
                out[at + depth * group * lanes + lane] = wall * wall
