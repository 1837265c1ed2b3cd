"""How much of its surroundings each vertex sees, from depth pictures taken all round the head."""

from __future__ import annotations

import numpy as np

from visavis.render._jit import I32
from visavis.render.rasteriser import rasterise
from visavis.render.sculpt import Array
from visavis.render.vertices import vertex_normals

_SKY = np.array([-0.35, 0.7, 0.62])
"""Whence most light comes, so that a chin shades the neck more than the neck the chin."""


def _directions(count: int) -> Array:
    """Evenly spread unit vectors [count, 3] on a Fibonacci spiral."""
    i = np.arange(count) + 0.5
    y = 1.0 - 2.0 * i / count
    turn = np.pi * (1.0 + 5.0**0.5) * i
    flat = np.sqrt(1.0 - y * y)
    return np.stack([flat * np.cos(turn), y, flat * np.sin(turn)], axis=1)


def bake(points: Array, triangles: I32, *, views: int = 96, size: int = 224) -> Array:
    """Share of the light of the surroundings that each vertex sees, [V] in [0, 1].

    Args:
        points: [V, 3] cm.
        triangles: [F, 3].
        views: how many directions are tried.
        size: pixels along a side of each depth picture.
    """
    vertices = points.astype(np.float32)
    normals = np.zeros_like(vertices)
    vertex_normals(vertices, triangles, normals)
    reach = 1.02 * float(np.linalg.norm(points - points.mean(axis=0), axis=1).max())
    centred = points - points.mean(axis=0)
    seen, total = np.zeros(len(points)), np.zeros(len(points))
    near = np.zeros((size, size), np.float32)
    hit = np.zeros((size, size), np.int32)
    screen = np.zeros_like(vertices)
    for direction in _directions(views):
        side = np.cross([0.0, 1.0, 0.0] if abs(direction[1]) < 0.9 else [1.0, 0.0, 0.0], direction)
        side /= np.linalg.norm(side)
        up = np.cross(direction, side)
        scale = size / (2.0 * reach)
        screen[:, 0] = centred @ side * scale + size / 2
        screen[:, 1] = size / 2 - centred @ up * scale
        depth = centred @ direction + reach + 1.0
        screen[:, 2] = depth
        rasterise(screen, triangles, near, hit)
        bright = 0.45 + 1.6 * max(float(direction @ _SKY), 0.0)
        cosine = bright * np.maximum(normals @ direction, 0.0)
        x = np.clip(screen[:, 0].astype(int), 0, size - 1)
        y = np.clip(screen[:, 1].astype(int), 0, size - 1)
        open_sky = near[y, x] < depth + 0.35
        seen += cosine * open_sky
        total += cosine
    share = seen / np.maximum(total, 1e-9)
    return np.asarray(np.clip(0.25 + 0.75 * share**0.9, 0.0, 1.0))
