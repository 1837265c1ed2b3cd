"""From posed vertices to pixels: normals, light, z-buffer, colours. Plain loops for numba, one thread.

Every function writes into arrays it is given and returns nothing, so that a caller who draws many
frames allocates once. Nothing here depends on order between threads or on random numbers: equal
inputs give equal bytes.

Depth is kept as 1/z (larger is nearer), which is linear in screen space. Two samples along each axis
are taken for a pixel. Where all four hit one smooth surface the pixel is coloured once; at edges, lips
and eyes, all four are coloured and averaged in linear light.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from visavis.render._jit import compiled

F32 = NDArray[np.float32]
I32 = NDArray[np.int32]
U8 = NDArray[np.uint8]

SAMPLES = 2
"""Samples along each axis of a pixel."""

PLAIN, PAINTED, EYE = 0, 1, 2
"""Kinds of surface: vertex colours; vertex colours with lip paint; an eyeball with iris and pupil."""


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
    """Push points[members] radially so that their distance to their ball's centre is in [low, high].

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
    """Turn each point about `pivot` and shift it, by its share `follow` in [0, 1] of the head's pose."""
    for v in range(points.shape[0]):
        share = follow[v]
        if share == 0.0:
            continue
        x = points[v, 0] - pivot[0]
        y = points[v, 1] - pivot[1]
        z = points[v, 2] - pivot[2]
        for axis in range(3):
            turned = rotation[axis, 0] * x + rotation[axis, 1] * y + rotation[axis, 2] * z
            posed = turned + pivot[axis] + translation[axis]
            points[v, axis] += share * (posed - points[v, axis])


@compiled
def vertex_normals(points: F32, triangles: I32, twin: I32, out: F32) -> None:
    """Unit normals, area weighted. Vertices that share a `twin` (a seam) share their normal."""
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
            v = twin[triangles[f, corner]]
            out[v, 0] += nx
            out[v, 1] += ny
            out[v, 2] += nz
    for v in range(points.shape[0]):
        if twin[v] == v:
            x, y, z = out[v, 0], out[v, 1], out[v, 2]
            scale = 1.0 / (np.sqrt(x * x + y * y + z * z) + np.float32(1e-20))
            out[v, 0] = x * scale
            out[v, 1] = y * scale
            out[v, 2] = z * scale
    for v in range(points.shape[0]):
        if twin[v] != v:
            out[v, 0] = out[twin[v], 0]
            out[v, 1] = out[twin[v], 1]
            out[v, 2] = out[twin[v], 2]


@compiled
def light(
    points: F32,
    normals: F32,
    albedo: F32,
    occlusion: F32,
    sheen: F32,
    soft: F32,
    lamps: F32,
    eye_z: float,
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
                + lamps[2, 3 + channel] * edge * occlusion[v] * (0.35 + 0.65 * albedo[v, channel])
                + lamps[3, 3 + channel] * gleam * occlusion[v]
            )


@compiled
def project(points: F32, eye_z: float, focal: float, centre: float, drop: float, out: F32) -> None:
    """Screen x and y in samples and 1/z of each point, [V, 3]; 1/z is 0 for points behind the lens."""
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
    """Fill `near` (1/z) and `face` (index of the triangle, -1 for none), both [N, N], front faces only."""
    size = near.shape[0]
    near[:] = 0.0
    face[:] = -1
    for f in range(triangles.shape[0]):
        a, b, c = triangles[f, 0], triangles[f, 1], triangles[f, 2]
        ax, ay, az = screen[a, 0], screen[a, 1], screen[a, 2]
        bx, by, bz = screen[b, 0], screen[b, 1], screen[b, 2]
        cx, cy, cz = screen[c, 0], screen[c, 1], screen[c, 2]
        area = (cx - ax) * (by - ay) - (bx - ax) * (cy - ay)
        if area <= 1e-9 or az <= 0.0 or bz <= 0.0 or cz <= 0.0:
            continue
        left = max(int(np.ceil(max(min(ax, bx, cx), np.float32(0.0)) - 0.5)), 0)
        right = min(int(np.floor(min(max(ax, bx, cx), np.float32(size)) - 0.5)), size - 1)
        top = max(int(np.ceil(max(min(ay, by, cy), np.float32(0.0)) - 0.5)), 0)
        bottom = min(int(np.floor(min(max(ay, by, cy), np.float32(size)) - 0.5)), size - 1)
        if right < left or bottom < top:
            continue
        inverse = 1.0 / area
        # Weights of a, b, c are planes over the screen: value at the first sample, and two slopes.
        ua = (cy - by) * inverse
        va = (bx - cx) * inverse
        ub = (ay - cy) * inverse
        vb = (cx - ax) * inverse
        px, py = left + 0.5, top + 0.5
        row_a = ((cy - by) * (px - bx) - (cx - bx) * (py - by)) * inverse
        row_b = ((ay - cy) * (px - cx) - (ax - cx) * (py - cy)) * inverse
        for y in range(top, bottom + 1):
            wa, wb = row_a, row_b
            for x in range(left, right + 1):
                wc = 1.0 - wa - wb
                if wa >= -1e-6 and wb >= -1e-6 and wc >= -1e-6:
                    depth = np.float32(wa * az + wb * bz + wc * cz)
                    if depth > near[y, x]:
                        near[y, x] = depth
                        face[y, x] = f
                wa += ua
                wb += ub
            row_a += va
            row_b += vb


@compiled
def _ease(low: float, high: float, x: float) -> float:
    """Smooth step from 0 at `low` to 1 at `high`."""
    t = min(max((x - low) / (high - low), 0.0), 1.0)
    return t * t * (3.0 - 2.0 * t)


@compiled
def _sample(
    f: int,
    px: float,
    py: float,
    screen: F32,
    triangles: I32,
    kind: U8,
    colours: F32,
    paint: F32,
    normals: F32,
    inks: F32,
    catch: F32,
    out: F32,
) -> None:
    """Colour of triangle `f` at a point of the screen, into out[0:3]."""
    a, b, c = triangles[f, 0], triangles[f, 1], triangles[f, 2]
    ax, ay = screen[a, 0], screen[a, 1]
    bx, by = screen[b, 0], screen[b, 1]
    cx, cy = screen[c, 0], screen[c, 1]
    inverse = 1.0 / ((cx - ax) * (by - ay) - (bx - ax) * (cy - ay))
    wa = ((cy - by) * (px - bx) - (cx - bx) * (py - by)) * inverse
    wb = ((ay - cy) * (px - cx) - (ax - cx) * (py - cy)) * inverse
    wc = 1.0 - wa - wb
    for channel in range(3):
        out[channel] = (
            wa * colours[a, channel] + wb * colours[b, channel] + wc * colours[c, channel]
        )
    if kind[f] == 1:
        depth = wa * paint[a, 0] + wb * paint[b, 0] + wc * paint[c, 0]
        share = _ease(-0.05, 0.07, depth)
        for channel in range(3):
            out[channel] *= 1.0 + share * (inks[0, channel] - 1.0)
    elif kind[f] == 2:
        x = wa * paint[a, 0] + wb * paint[b, 0] + wc * paint[c, 0]
        y = wa * paint[a, 1] + wb * paint[b, 1] + wc * paint[c, 1]
        z = wa * paint[a, 2] + wb * paint[b, 2] + wc * paint[c, 2]
        if z > 0.0:
            reach = np.sqrt(x * x + y * y)
            iris = 1.0 - _ease(inks[4, 0] - 0.025, inks[4, 0] + 0.025, reach)
            if iris > 0.0:
                pupil = 1.0 - _ease(inks[4, 1] - 0.03, inks[4, 1] + 0.03, reach)
                ring = _ease(inks[4, 0] * 0.72, inks[4, 0] * 1.0, reach)
                # The lower half of an iris glows where light leaves it again.
                glow = 1.0 + 0.9 * _ease(0.1, -0.4, y) * (1.0 - ring)
                for channel in range(3):
                    tint = inks[1, channel] * glow * (1.0 - ring) + inks[2, channel] * ring
                    tint = tint * (1.0 - pupil) + 0.006 * pupil
                    out[channel] *= 1.0 + iris * (tint - 1.0)
        nx = wa * normals[a, 0] + wb * normals[b, 0] + wc * normals[c, 0]
        ny = wa * normals[a, 1] + wb * normals[b, 1] + wc * normals[c, 1]
        nz = wa * normals[a, 2] + wb * normals[b, 2] + wc * normals[c, 2]
        length = np.sqrt(nx * nx + ny * ny + nz * nz) + 1e-12
        spot = (nx * catch[0, 0] + ny * catch[0, 1] + nz * catch[0, 2]) / length
        small = (nx * catch[1, 0] + ny * catch[1, 1] + nz * catch[1, 2]) / length
        shine = _ease(0.978, 0.988, spot) * 0.95 + _ease(0.985, 0.994, small) * 0.25
        for channel in range(3):
            out[channel] += shine * (1.0 - 0.5 * out[channel])


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
    encode: U8,
    step: float,
    out: U8,
) -> None:
    """Colour every pixel, [size, size, 3] uint8.

    Args:
        near, face: what `rasterise` found, [2 size, 2 size].
        kind, group: [F] kind of surface; number of the part. Edges between parts are smoothed.
        colours: [V, 3] from `light`.
        paint: [V, 3] depth inside the lips' border (cm), or a point on the unit eyeball.
        inks: [5, 3] linear: lips' tint, iris, its ring, unused, (iris radius, pupil radius, 0).
        catch: [2, 3] unit normals where the lamps' reflections sit on an eye.
        background: [size, size, 3] linear.
        encode: [4096] sRGB code of linear light in [0, 1].
        step: relative jump of depth inside a pixel that counts as an edge.
    """
    size = out.shape[0]
    colour = np.zeros(3, np.float32)
    total = np.zeros(3, np.float32)
    for y in range(size):
        for x in range(size):
            first = face[2 * y, 2 * x]
            second = face[2 * y, 2 * x + 1]
            third = face[2 * y + 1, 2 * x]
            fourth = face[2 * y + 1, 2 * x + 1]
            if first < 0 and second < 0 and third < 0 and fourth < 0:
                for channel in range(3):
                    total[channel] = background[y, x, channel]
            else:
                even = False
                if first >= 0 and second >= 0 and third >= 0 and fourth >= 0:
                    part = group[first]
                    if (
                        kind[first] == 0
                        and group[second] == part
                        and group[third] == part
                        and group[fourth] == part
                    ):
                        d1, d2 = near[2 * y, 2 * x], near[2 * y, 2 * x + 1]
                        d3, d4 = near[2 * y + 1, 2 * x], near[2 * y + 1, 2 * x + 1]
                        even = max(d1, d2, d3, d4) - min(d1, d2, d3, d4) < step * d1
                if even:
                    _sample(
                        first, 2 * x + 1.0, 2 * y + 1.0, screen, triangles, kind, colours,
                        paint, normals, inks, catch, total,
                    )  # fmt: skip
                else:
                    total[:] = 0.0
                    for sy in range(2):
                        for sx in range(2):
                            f = face[2 * y + sy, 2 * x + sx]
                            if f >= 0:
                                _sample(
                                    f, 2 * x + sx + 0.5, 2 * y + sy + 0.5, screen, triangles,
                                    kind, colours, paint, normals, inks, catch, colour,
                                )  # fmt: skip
                                for channel in range(3):
                                    total[channel] += 0.25 * min(colour[channel], np.float32(1.0))
                            else:
                                for channel in range(3):
                                    total[channel] += 0.25 * background[y, x, channel]
            for channel in range(3):
                code = int(total[channel] * 4095.0 + 0.5)
                out[y, x, channel] = encode[min(max(code, 0), 4095)]
