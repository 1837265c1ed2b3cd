"""Samples to pixels: colours, lip paint, eyes, smooth edges. For numba, one thread.

Two samples along each axis are taken for a pixel. Where all four hit one smooth surface the pixel
is coloured once; at edges, lips and eyes, all four are coloured and averaged in linear light.
"""

from __future__ import annotations

import numpy as np

from visavis.render._jit import F32, I32, U8, Scalar, compiled

SAMPLES = 2
"""Samples along each axis of a pixel."""

PLAIN, PAINTED, EYE = 0, 1, 2
"""Kinds of surface: vertex colours; the same with lip paint; an eyeball with iris and pupil."""


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
