"""Triangles to samples: a z-buffer for numba, one thread.

It writes into arrays it is given, so that a caller who draws many frames allocates once. Nothing
depends on order between threads or on random numbers: equal inputs give equal bytes. Depth is kept
as 1/z (larger is nearer), which is linear in screen space. `shading` turns samples into colours.
"""

from __future__ import annotations

import numpy as np

from visavis.render._jit import F32, I32, Scalar, compiled


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
        if not (area > 1e-9 and az > 0.0 and bz > 0.0 and cz > 0.0):
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
            if low <= high:
                first = int(low)
                if first < low:
                    first += 1
                depth = row_a * az + row_b * bz + row_c * cz + first * step
                for x in range(left + first, left + int(high) + 1):
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
