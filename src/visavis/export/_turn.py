"""Head rotations as matrices and quaternions."""

from __future__ import annotations

import numpy as np

from visavis.export._clock import F64


def matrices(rotation: F64) -> F64:
    """(pitch, yaw, roll) radians [N, 3] to R = Ry Rx Rz, [N, 3, 3]."""
    (cx, cy, cz), (sx, sy, sz) = np.cos(rotation).T, np.sin(rotation).T
    rows = [
        [cy * cz + sy * sx * sz, -cy * sz + sy * sx * cz, sy * cx],
        [cx * sz, cx * cz, -sx],
        [-sy * cz + cy * sx * sz, sy * sz + cy * sx * cz, cy * cx],
    ]
    return np.moveaxis(np.array(rows), -1, 0)


def quaternions(rotation: F64) -> F64:
    """(pitch, yaw, roll) radians [N, 3] to unit quaternions (x, y, z, w) [N, 4], R = Ry Rx Rz.

    Neighbours are on one side of the sphere, so that linear players take the short way.
    """
    half = rotation / 2
    zero = np.zeros(len(half))
    x = np.stack([np.sin(half[:, 0]), zero, zero, np.cos(half[:, 0])], axis=1)
    y = np.stack([zero, np.sin(half[:, 1]), zero, np.cos(half[:, 1])], axis=1)
    z = np.stack([zero, zero, np.sin(half[:, 2]), np.cos(half[:, 2])], axis=1)
    out = product(product(y, x), z)
    if len(out):
        flips = np.cumprod(np.where((out[1:] * out[:-1]).sum(1) < 0, -1.0, 1.0))
        out[1:] *= flips[:, None]
    return out


def product(a: F64, b: F64) -> F64:
    """Hamilton product of quaternions (x, y, z, w), [..., 4]."""
    ax, ay, az, aw = np.moveaxis(a, -1, 0)
    bx, by, bz, bw = np.moveaxis(b, -1, 0)
    return np.stack(
        [
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
            aw * bw - ax * bx - ay * by - az * bz,
        ],
        axis=-1,
    )
