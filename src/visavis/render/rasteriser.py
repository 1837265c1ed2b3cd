"""From posed vertices to pixels: normals, light, z-buffer, colours. Loops for numba, one thread.

Every function writes into arrays it is given, so that a caller who draws many frames allocates
once. Nothing here depends on order between threads or on random numbers: equal inputs give equal
bytes.

Depth is kept as 1/z (larger is nearer), which is linear in screen space. Two samples along each
axis are taken for a pixel. Where all four hit one smooth surface the pixel is coloured once; at
edges, lips and eyes, all four are coloured and averaged in linear light.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from visavis.render._jit import compiled

F32 = NDArray[np.float32]
I32 = NDArray[np.int32]
U8 = NDArray[np.uint8]
Scalar: TypeAlias = Any
"""A number inside compiled code, float32 or float64 as numba infers it."""

SAMPLES = 2
"""Samples along each axis of a pixel."""

PLAIN, PAINTED, EYE = 0, 1, 2
"""Kinds of surface: vertex colours; the same with lip paint; an eyeball with iris and pupil."""


@compiled
def morph(rest: F32, weights: F32, starts: I32, rows: I32, deltas: F32, out: F32) -> None:
    """`out` = `rest` plus weighted sparse deltas; shape i owns entries starts[i]:starts[i + 1]."""
    for v in range(rest.shape[0]):
        out[v, 0] = rest[v, 0]
        out[v, 1] = rest[v, 1]
        out[v, 2] = rest[v, 2]
    for shape in range(weights.shape[0]):
        weight = weights[shape]
        if weight == 0.0:
            continue
        for entry in range(starts[shape], starts[shape + 1]):
            v = rows[entry]
            out[v, 0] += weight * deltas[entry, 0]
            out[v, 1] += weight * deltas[entry, 1]
            out[v, 2] += weight * deltas[entry, 2]


@compiled
def keep_on_balls(points: F32, members: I32, ball: I32, low: F32, high: F32, centres: F32) -> None:
    """Push points[members] radially until their distance to a ball's centre is in [low, high].

    Eyeballs stay round under any mix of gaze shapes, and lids slide over them instead of through.
    """
    for entry in range(members.shape[0]):
        v = members[entry]
        b = ball[entry]
        x = points[v, 0] - centres[b, 0]
        y = points[v, 1] - centres[b, 1]
        z = points[v, 2] - centres[b, 2]
        distance = np.sqrt(x * x + y * y + z * z) + np.float32(1e-12)
        wanted = min(max(distance, low[entry]), high[entry])
        if wanted != distance:
            scale = wanted / distance
            points[v, 0] = centres[b, 0] + x * scale
            points[v, 1] = centres[b, 1] + y * scale
            points[v, 2] = centres[b, 2] + z * scale


@compiled
def pose(points: F32, follow: F32, rotation: F32, pivot: F32, translation: F32) -> None:
    """Turn points about `pivot` and shift them, each by its share `follow` in [0, 1].

    What does not turn (the body) still takes most of the shift, as a body does that leans.
    """
    rest = np.float32(0.7)
    for v in range(points.shape[0]):
        share = follow[v]
        shift = rest + (np.float32(1.0) - rest) * share
        if share == 0.0:
            for axis in range(3):
                points[v, axis] += rest * translation[axis]
            continue
        x = points[v, 0] - pivot[0]
        y = points[v, 1] - pivot[1]
        z = points[v, 2] - pivot[2]
        for axis in range(3):
            turned = rotation[axis, 0] * x + rotation[axis, 1] * y + rotation[axis, 2] * z
            posed = turned + pivot[axis]
            points[v, axis] += share * (posed - points[v, axis]) + shift * translation[axis]


@compiled
def vertex_normals(points: F32, triangles: I32, out: F32) -> None:
    """Unit normals, area weighted."""
    out[:] = 0.0
    for f in range(triangles.shape[0]):
        a, b, c = triangles[f, 0], triangles[f, 1], triangles[f, 2]
        ux = points[b, 0] - points[a, 0]
        uy = points[b, 1] - points[a, 1]
        uz = points[b, 2] - points[a, 2]
        wx = points[c, 0] - points[a, 0]
        wy = points[c, 1] - points[a, 1]
        wz = points[c, 2] - points[a, 2]
        nx = uy * wz - uz * wy
        ny = uz * wx - ux * wz
        nz = ux * wy - uy * wx
        for corner in range(3):
            v = triangles[f, corner]
            out[v, 0] += nx
            out[v, 1] += ny
            out[v, 2] += nz
    for v in range(points.shape[0]):
        x, y, z = out[v, 0], out[v, 1], out[v, 2]
        scale = np.float32(1.0) / (np.sqrt(x * x + y * y + z * z) + np.float32(1e-20))
        out[v, 0] = x * scale
        out[v, 1] = y * scale
        out[v, 2] = z * scale


@compiled
def light(
    points: F32,
    normals: F32,
    albedo: F32,
    occlusion: F32,
    sheen: F32,
    soft: F32,
    lamps: F32,
    eye_z: Scalar,
    out: F32,
) -> None:
    """Colour of each vertex in linear light, [V, 3].

    Args:
        points, normals: [V, 3] in the camera's axes.
        albedo: [V, 3] linear.
        occlusion: [V] share of the sky that is seen, 1 in the open.
        sheen: [V] strength of highlights.
        soft: [V] how far light creeps round the terminator (skin 1, cloth 0).
        lamps: [4, 6]: direction towards key, fill, rim and highlight lamp; linear colour of each.
        eye_z: where the camera sits on the z axis.
    """
    for v in range(points.shape[0]):
        nx, ny, nz = normals[v, 0], normals[v, 1], normals[v, 2]
        vx, vy, vz = -points[v, 0], -points[v, 1], eye_z - points[v, 2]
        scale = 1.0 / np.sqrt(vx * vx + vy * vy + vz * vz)
        vx, vy, vz = vx * scale, vy * scale, vz * scale
        facing = max(nx * vx + ny * vy + nz * vz, np.float32(0.0))
        key = nx * lamps[0, 0] + ny * lamps[0, 1] + nz * lamps[0, 2]
        fill = nx * lamps[1, 0] + ny * lamps[1, 1] + nz * lamps[1, 2]
        rim = nx * lamps[2, 0] + ny * lamps[2, 1] + nz * lamps[2, 2]
        hx, hy, hz = vx + lamps[3, 0], vy + lamps[3, 1], vz + lamps[3, 2]
        gleam = (nx * hx + ny * hy + nz * hz) / np.sqrt(hx * hx + hy * hy + hz * hz)
        gleam = max(gleam, np.float32(0.0))
        gleam = gleam * gleam
        gleam = gleam * gleam
        gleam = gleam * gleam * gleam * gleam * sheen[v]
        edge = 1.0 - facing
        edge = edge * edge * edge * max(rim + np.float32(0.35), np.float32(0.0))
        sky = (0.5 + 0.5 * ny) * occlusion[v]
        open_key = 0.35 + 0.65 * occlusion[v]
        for channel in range(3):
            # Red creeps furthest round the terminator, as it does in skin.
            wrap = soft[v] * (0.42 - 0.14 * channel) + 0.06
            lit = max(key + wrap, np.float32(0.0)) / (1.0 + wrap)
            filled = max(fill + 0.3, 0.0) / 1.3
            total = lamps[0, 3 + channel] * lit * open_key
            total += lamps[1, 3 + channel] * filled * occlusion[v]
            total += (0.16 + 0.14 * sky) * occlusion[v] * (1.0 + soft[v] * (0.1 - 0.1 * channel))
            out[v, channel] = (
                albedo[v, channel] * total
                + lamps[2, 3 + channel]
                * edge
                * occlusion[v] ** 2
                * (0.35 + 0.65 * albedo[v, channel])
                + lamps[3, 3 + channel] * gleam * occlusion[v]
            )


@compiled
def project(
    points: F32, eye_z: Scalar, focal: Scalar, centre: Scalar, drop: Scalar, out: F32
) -> None:
    """Screen x and y in samples and 1/z of each point, [V, 3]; 1/z is 0 behind the lens."""
    for v in range(points.shape[0]):
        z = eye_z - points[v, 2]
        if z > 0.05:
            inverse = 1.0 / z
            out[v, 0] = centre + focal * points[v, 0] * inverse
            out[v, 1] = centre - focal * (points[v, 1] - drop) * inverse
            out[v, 2] = inverse
        else:
            out[v, 2] = 0.0


@compiled
def rasterise(screen: F32, triangles: I32, near: F32, face: I32) -> None:
    """Fill `near` (1/z) and `face` (triangle, -1 for none), both [N, N]; front faces only."""
    size = near.shape[0]
    near[:] = 0.0
    face[:] = -1
    zero, half, edge = np.float32(0.0), np.float32(0.5), np.float32(size)
    for f in range(triangles.shape[0]):
        a, b, c = triangles[f, 0], triangles[f, 1], triangles[f, 2]
        ax, ay, az = screen[a, 0], screen[a, 1], screen[a, 2]
        bx, by, bz = screen[b, 0], screen[b, 1], screen[b, 2]
        cx, cy, cz = screen[c, 0], screen[c, 1], screen[c, 2]
        area = (cx - ax) * (by - ay) - (bx - ax) * (cy - ay)
        if area <= 1e-9 or az <= 0.0 or bz <= 0.0 or cz <= 0.0:
            continue
        # First and last sample (at whole numbers and a half) within the bounds, cut to the picture.
        left = int(max(min(ax, bx, cx), zero) + half)
        right = int(max(min(max(ax, bx, cx), edge), zero) + half) - 1
        top = int(max(min(ay, by, cy), zero) + half)
        bottom = int(max(min(max(ay, by, cy), edge), zero) + half) - 1
        if right < left or bottom < top:
            continue
        one, slack = np.float32(1.0), np.float32(1e-5)
        inverse = one / area
        # Weights of a and b are planes over the screen: value at the first sample, and two slopes.
        ua, va = (cy - by) * inverse, (bx - cx) * inverse
        ub, vb = (ay - cy) * inverse, (cx - ax) * inverse
        px, py = np.float32(left + 0.5), np.float32(top + 0.5)
        row_a = ua * (px - bx) + va * (py - by)
        row_b = ub * (px - cx) + vb * (py - cy)
        uc, vc = -ua - ub, -va - vb
        row_c = one - row_a - row_b
        ia, ib, ic = _reciprocal(ua), _reciprocal(ub), _reciprocal(uc)
        step = ua * az + ub * bz + uc * cz
        for y in range(top, bottom + 1):
            # A weight is not negative on one side of an edge: each edge bounds the span of samples.
            low, high = np.float32(0.0), np.float32(right - left)
            cut = -(row_a + slack) * ia
            low = max(low, cut) if ua > 0.0 else low
            high = min(high, cut) if ua < 0.0 else high
            cut = -(row_b + slack) * ib
            low = max(low, cut) if ub > 0.0 else low
            high = min(high, cut) if ub < 0.0 else high
            cut = -(row_c + slack) * ic
            low = max(low, cut) if uc > 0.0 else low
            high = min(high, cut) if uc < 0.0 else high
            first = int(low)
            if first < low:
                first += 1
            depth = row_a * az + row_b * bz + row_c * cz + first * step
            for x in range(left + first, left + int(high) + 1 if high >= 0.0 else 0):
                if depth > near[y, x]:
                    near[y, x] = depth
                    face[y, x] = f
                depth += step
            row_a += va
            row_b += vb
            row_c += vc


@compiled
def _reciprocal(x: Scalar) -> Scalar:
    """1/x, or 0 for 0."""
    return np.float32(1.0) / x if x != 0.0 else np.float32(0.0)


@compiled
def _ease(low: Scalar, high: Scalar, x: Scalar) -> Scalar:
    """Smooth step from 0 at `low` to 1 at `high`."""
    t = min(max((x - low) / (high - low), 0.0), 1.0)
    return t * t * (3.0 - 2.0 * t)


@compiled
def _sample(
    f: int,
    px: Scalar,
    py: Scalar,
    screen: F32,
    triangles: I32,
    kind: U8,
    colours: F32,
    paint: F32,
    normals: F32,
    inks: F32,
    catch: F32,
) -> tuple[Scalar, Scalar, Scalar]:
    """Linear colour of triangle `f` at a point of the screen."""
    # Unsigned indices spare numba the check for negative ones.
    a, b, c = np.uint32(triangles[f, 0]), np.uint32(triangles[f, 1]), np.uint32(triangles[f, 2])
    ax, ay = screen[a, 0], screen[a, 1]
    bx, by = screen[b, 0], screen[b, 1]
    cx, cy = screen[c, 0], screen[c, 1]
    one = np.float32(1.0)
    inverse = one / ((cx - ax) * (by - ay) - (bx - ax) * (cy - ay))
    wa = ((cy - by) * (px - bx) - (cx - bx) * (py - by)) * inverse
    wb = ((ay - cy) * (px - cx) - (ax - cx) * (py - cy)) * inverse
    wc = one - wa - wb
    red = wa * colours[a, 0] + wb * colours[b, 0] + wc * colours[c, 0]
    green = wa * colours[a, 1] + wb * colours[b, 1] + wc * colours[c, 1]
    blue = wa * colours[a, 2] + wb * colours[b, 2] + wc * colours[c, 2]
    if kind[f] == 1:
        depth = wa * paint[a, 0] + wb * paint[b, 0] + wc * paint[c, 0]
        share = np.float32(_ease(-0.05, 0.07, depth))
        red *= one + share * (inks[0, 0] - one)
        green *= one + share * (inks[0, 1] - one)
        blue *= one + share * (inks[0, 2] - one)
    elif kind[f] == 2:
        x = wa * paint[a, 0] + wb * paint[b, 0] + wc * paint[c, 0]
        y = wa * paint[a, 1] + wb * paint[b, 1] + wc * paint[c, 1]
        z = wa * paint[a, 2] + wb * paint[b, 2] + wc * paint[c, 2]
        reach = np.sqrt(x * x + y * y)
        iris = 1.0 - _ease(inks[3, 0] - 0.025, inks[3, 0] + 0.025, reach)
        if z > 0.0 and iris > 0.0:
            pupil = 1.0 - _ease(inks[3, 1] - 0.03, inks[3, 1] + 0.03, reach)
            ring = _ease(inks[3, 0] * 0.72, inks[3, 0], reach)
            # The lower half of an iris glows where light leaves it again.
            glow = (1.0 + 0.9 * _ease(0.1, -0.4, y)) * (1.0 - ring)
            red *= 1.0 + iris * (_iris(inks, 0, glow, ring, pupil) - 1.0)
            green *= 1.0 + iris * (_iris(inks, 1, glow, ring, pupil) - 1.0)
            blue *= 1.0 + iris * (_iris(inks, 2, glow, ring, pupil) - 1.0)
        nx = wa * normals[a, 0] + wb * normals[b, 0] + wc * normals[c, 0]
        ny = wa * normals[a, 1] + wb * normals[b, 1] + wc * normals[c, 1]
        nz = wa * normals[a, 2] + wb * normals[b, 2] + wc * normals[c, 2]
        length = np.sqrt(nx * nx + ny * ny + nz * nz) + 1e-12
        spot = (nx * catch[0, 0] + ny * catch[0, 1] + nz * catch[0, 2]) / length
        small = (nx * catch[1, 0] + ny * catch[1, 1] + nz * catch[1, 2]) / length
        shine = _ease(0.978, 0.988, spot) * 0.95 + _ease(0.991, 0.996, small) * 0.16
        red += shine * (1.0 - 0.5 * red)
        green += shine * (1.0 - 0.5 * green)
        blue += shine * (1.0 - 0.5 * blue)
    return np.float32(red), np.float32(green), np.float32(blue)


@compiled
def _iris(inks: F32, channel: int, glow: Scalar, ring: Scalar, pupil: Scalar) -> Scalar:
    """Tint of an iris: its colour, a dark ring outside, a black pupil inside."""
    tint = inks[1, channel] * glow + inks[2, channel] * ring
    return tint * (1.0 - pupil) + 0.006 * pupil


@compiled
def shade(
    near: F32,
    face: I32,
    screen: F32,
    triangles: I32,
    kind: U8,
    group: U8,
    colours: F32,
    paint: F32,
    normals: F32,
    inks: F32,
    catch: F32,
    background: F32,
    backdrop: U8,
    encode: U8,
    step: Scalar,
    out: U8,
) -> None:
    """Colour every pixel, [size, size, 3] uint8.

    Args:
        near, face: what `rasterise` found, [2 size, 2 size].
        kind, group: [F] kind of surface; number of the part. Edges between parts are smoothed.
        colours: [V, 3] from `light`.
        paint: [V, 3] depth inside the lips' border (cm), or a point on the unit eyeball.
        inks: [4, 3] linear: lips' tint, iris, its ring; then (iris radius, pupil radius, 0).
        catch: [2, 3] unit normals where the lamps' reflections sit on an eye.
        background, backdrop: [size, size, 3] what lies behind, in linear light and as sRGB codes.
        encode: [4096] sRGB code of linear light in [0, 1].
        step: relative jump of depth inside a pixel that counts as an edge.
    """
    size = out.shape[0]
    top, half = np.float32(4095.0), np.float32(0.5)
    for y in range(size):
        for x in range(size):
            first, second = face[2 * y, 2 * x], face[2 * y, 2 * x + 1]
            third, fourth = face[2 * y + 1, 2 * x], face[2 * y + 1, 2 * x + 1]
            if max(first, second, third, fourth) < 0:
                out[y, x, 0] = backdrop[y, x, 0]
                out[y, x, 1] = backdrop[y, x, 1]
                out[y, x, 2] = backdrop[y, x, 2]
                continue
            even = False
            if min(first, second, third, fourth) >= 0 and kind[first] == 0:
                part = group[first]
                if group[second] == part and group[third] == part and group[fourth] == part:
                    d1, d2 = near[2 * y, 2 * x], near[2 * y, 2 * x + 1]
                    d3, d4 = near[2 * y + 1, 2 * x], near[2 * y + 1, 2 * x + 1]
                    even = max(d1, d2, d3, d4) - min(d1, d2, d3, d4) < step * d1
            if even:
                # Written out here, not called: a call that hands over eight arrays costs more.
                i, j = np.uint32(triangles[first, 0]), np.uint32(triangles[first, 1])
                k = np.uint32(triangles[first, 2])
                ax, ay, bx, by = screen[i, 0], screen[i, 1], screen[j, 0], screen[j, 1]
                cx, cy = screen[k, 0], screen[k, 1]
                px, py = np.float32(2 * x + 1), np.float32(2 * y + 1)
                inverse = np.float32(1.0) / ((cx - ax) * (by - ay) - (bx - ax) * (cy - ay))
                wa = ((cy - by) * (px - bx) - (cx - bx) * (py - by)) * inverse
                wb = ((ay - cy) * (px - cx) - (ax - cx) * (py - cy)) * inverse
                # The pixel's middle may lie beside a sliver: never extrapolate far from it.
                wa = min(max(wa, np.float32(0.0)), np.float32(1.0))
                wb = min(max(wb, np.float32(0.0)), np.float32(1.0) - wa)
                wc = np.float32(1.0) - wa - wb
                red = wa * colours[i, 0] + wb * colours[j, 0] + wc * colours[k, 0]
                green = wa * colours[i, 1] + wb * colours[j, 1] + wc * colours[k, 1]
                blue = wa * colours[i, 2] + wb * colours[j, 2] + wc * colours[k, 2]
            else:
                red, green, blue = np.float32(0.0), np.float32(0.0), np.float32(0.0)
                for corner in range(4):
                    sx, sy = corner & 1, corner >> 1
                    f = face[2 * y + sy, 2 * x + sx]
                    if f >= 0:
                        r, g, b = _sample(
                            f, np.float32(2 * x + sx + 0.5), np.float32(2 * y + sy + 0.5), screen,
                            triangles, kind, colours, paint, normals, inks, catch,
                        )  # fmt: skip
                    else:
                        r = background[y, x, 0]
                        g = background[y, x, 1]
                        b = background[y, x, 2]
                    red += np.float32(0.25) * min(r, np.float32(1.0))
                    green += np.float32(0.25) * min(g, np.float32(1.0))
                    blue += np.float32(0.25) * min(b, np.float32(1.0))
            out[y, x, 0] = encode[min(max(int(red * top + half), 0), 4095)]
            out[y, x, 1] = encode[min(max(int(green * top + half), 0), 4095)]
            out[y, x, 2] = encode[min(max(int(blue * top + half), 0), 4095)]
