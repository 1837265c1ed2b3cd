"""Drawing a textured triangle mesh: bilinear texture, depth buffer, no light."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from visavis._jit import compiled

_EDGE = 1e-6  # a pixel on a shared edge belongs to both triangles, so that no seam stays open


@compiled
def draw(
    canvas: NDArray[np.float32],
    depth: NDArray[np.float32],
    points: NDArray[np.float64],
    texture_at: NDArray[np.float64],
    triangles: NDArray[np.int64],
    texture: NDArray[np.float32],
) -> None:
    """Draw `triangles` [M, 3] onto `canvas` float32 [H, W, 3], nearest first by `depth` [H, W].

    Args:
        points: [N, 3] corners in pixels, x right, y down, z towards the viewer.
        texture_at: [N, 2] where each corner lies in `texture` (x, y in pixels).
        texture: float32 [h, w, 3], or [h, w, 4] with an opacity in [0, 1] by which it is laid
            over what is there.
    """
    height, width = depth.shape
    high, wide = texture.shape[0] - 1, texture.shape[1] - 1
    opaque = texture.shape[2] == 3
    for m in range(triangles.shape[0]):
        a, b, c = triangles[m, 0], triangles[m, 1], triangles[m, 2]
        ax, ay, bx, by = points[a, 0], points[a, 1], points[b, 0], points[b, 1]
        cx, cy = points[c, 0], points[c, 1]
        area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
        if abs(area) < 1e-9:
            continue
        left = max(int(np.floor(min(ax, bx, cx))), 0)
        right = min(int(np.ceil(max(ax, bx, cx))), width - 1)
        top = max(int(np.floor(min(ay, by, cy))), 0)
        bottom = min(int(np.ceil(max(ay, by, cy))), height - 1)
        for y in range(top, bottom + 1):
            for x in range(left, right + 1):
                u = ((bx - x) * (cy - y) - (cx - x) * (by - y)) / area
                v = ((cx - x) * (ay - y) - (ax - x) * (cy - y)) / area
                w = 1.0 - u - v
                if u < -_EDGE or v < -_EDGE or w < -_EDGE:
                    continue
                z = u * points[a, 2] + v * points[b, 2] + w * points[c, 2]
                if z <= depth[y, x]:
                    continue
                depth[y, x] = z
                s = u * texture_at[a, 0] + v * texture_at[b, 0] + w * texture_at[c, 0]
                t = u * texture_at[a, 1] + v * texture_at[b, 1] + w * texture_at[c, 1]
                s, t = min(max(s, 0.0), wide - 1e-3), min(max(t, 0.0), high - 1e-3)
                i, j = int(s), int(t)
                p, q = s - i, t - j
                cover = 1.0
                if not opaque:
                    above = texture[j, i, 3] * (1 - p) + texture[j, i + 1, 3] * p
                    under = texture[j + 1, i, 3] * (1 - p) + texture[j + 1, i + 1, 3] * p
                    cover = above * (1 - q) + under * q
                for k in range(3):
                    above = texture[j, i, k] * (1 - p) + texture[j, i + 1, k] * p
                    under = texture[j + 1, i, k] * (1 - p) + texture[j + 1, i + 1, k] * p
                    colour = above * (1 - q) + under * q
                    canvas[y, x, k] = cover * colour + (1.0 - cover) * canvas[y, x, k]


@compiled
def halve(canvas: NDArray[np.float32], out: NDArray[np.uint8]) -> None:
    """The mean of every two by two pixels of `canvas` [2H, 2W, 3] into `out` uint8 [H, W, 3]."""
    for y in range(out.shape[0]):
        for x in range(out.shape[1]):
            for k in range(3):
                mean = 0.25 * (
                    canvas[2 * y, 2 * x, k]
                    + canvas[2 * y, 2 * x + 1, k]
                    + canvas[2 * y + 1, 2 * x, k]
                    + canvas[2 * y + 1, 2 * x + 1, k]
                )
                out[y, x, k] = np.uint8(min(max(mean + 0.5, 0.0), 255.0))
