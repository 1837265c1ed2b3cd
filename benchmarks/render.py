"""Frames a second of the drawn head, beside the plain way: dense morphs and a z-buffer in numpy.

Run: python benchmarks/render.py [--frames 300]
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numba
import numpy as np
import torch

from visavis.behaviour import Behaviour
from visavis.errors import VisavisError
from visavis.render.draw import DROP, EYE_Z, FRAME, draw_head, turn
from visavis.render.looks import DEFAULT, palette
from visavis.render.mesh import PIVOT, head
from visavis.render.video import render_video

SIZE = 256


def coefficients(frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Blendshapes [T, 52], all of them active as a model's outputs are, and rotations [T, 3]."""
    t = np.arange(frames)[:, None] / 25.0
    phase = np.arange(52)[None, :]
    shapes = (0.15 + 0.15 * np.sin(2.0 * t + phase)).astype(np.float32)
    rotation = 0.2 * np.sin(t * np.array([[1.0, 0.7, 0.5]]))
    return shapes, rotation


def plain(shapes: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """One frame as one would write it first: every delta, a Python loop over triangles, one sample
    a pixel, diffuse light only."""
    of = head(DEFAULT.style)
    points = of.vertices + np.einsum("s,svc->vc", shapes, of.deltas)
    posed = (points - PIVOT) @ turn(rotation).T + PIVOT
    points = points + of.follow[:, None] * (posed - points)
    edge = points[of.triangles]
    normals = np.zeros_like(points)
    facet = np.cross(edge[:, 1] - edge[:, 0], edge[:, 2] - edge[:, 0])
    for corner in range(3):
        np.add.at(normals, of.triangles[:, corner], facet)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-12
    lamp = np.array([-0.5, 0.5, 0.7]) / np.linalg.norm([-0.5, 0.5, 0.7])
    colours = palette(DEFAULT)[of.parts] * (0.3 + 0.8 * np.maximum(normals @ lamp, 0.0))[:, None]
    depth = EYE_Z - points[:, 2]
    x = SIZE / 2 + SIZE * EYE_Z / FRAME * points[:, 0] / depth
    y = SIZE / 2 - SIZE * EYE_Z / FRAME * (points[:, 1] - DROP) / depth
    near = np.full((SIZE, SIZE), np.inf)
    picture = np.full((SIZE, SIZE, 3), 0.8)
    for a, b, c in of.triangles:
        area = (x[c] - x[a]) * (y[b] - y[a]) - (x[b] - x[a]) * (y[c] - y[a])
        if area <= 0:
            continue
        left, right = max(int(min(x[a], x[b], x[c])), 0), min(int(max(x[a], x[b], x[c])) + 1, SIZE)
        top, bottom = max(int(min(y[a], y[b], y[c])), 0), min(int(max(y[a], y[b], y[c])) + 1, SIZE)
        if left >= right or top >= bottom:
            continue
        px, py = np.meshgrid(np.arange(left, right) + 0.5, np.arange(top, bottom) + 0.5)
        wa = ((y[c] - y[b]) * (px - x[b]) - (x[c] - x[b]) * (py - y[b])) / area
        wb = ((y[a] - y[c]) * (px - x[c]) - (x[a] - x[c]) * (py - y[c])) / area
        wc = 1.0 - wa - wb
        z = wa * depth[a] + wb * depth[b] + wc * depth[c]
        hit = (wa >= 0) & (wb >= 0) & (wc >= 0) & (z < near[top:bottom, left:right])
        near[top:bottom, left:right][hit] = z[hit]
        mixed = wa[..., None] * colours[a] + wb[..., None] * colours[b] + wc[..., None] * colours[c]
        picture[top:bottom, left:right][hit] = mixed[hit]
    return (255 * np.clip(picture, 0, 1) ** (1 / 2.2)).astype(np.uint8)


def seconds_each(call: Callable[[int], object], frames: int, repeats: int) -> float:
    """Best mean time of one call over some repeats: the least disturbed by other work."""
    best = np.inf
    for _ in range(repeats):
        begin = time.perf_counter()
        for frame in range(frames):
            call(frame)
        best = min(best, (time.perf_counter() - begin) / frames)
    return float(best)


def film_rate(listeners: int, frames: int) -> float:
    """Output frames a second of a film with a drawn speaker and K listeners at 256."""
    shapes, rotation = coefficients(frames * listeners)
    channels = {
        "blendshapes": torch.tensor(shapes).reshape(listeners, frames, 52),
        "rotation": torch.tensor(rotation, dtype=torch.float32).reshape(listeners, frames, 3),
    }
    reactions = Behaviour.of(channels)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.mp4"
        begin = time.perf_counter()
        render_video(reactions, path, beside=reactions[0], size=SIZE)
        return frames / (time.perf_counter() - begin)


def opengl(shapes: np.ndarray, rotation: np.ndarray, frames: int) -> str:
    """The same heads on OpenGL, and what draws there."""
    try:
        draw_head(shapes[0], rotation[0], size=SIZE, rasteriser="moderngl")
    except VisavisError as error:
        return f"moderngl: not measured ({error})"
    from visavis.render.rasteriser_gl import renderer

    each = seconds_each(
        lambda f: draw_head(shapes[f], rotation[f], size=SIZE, rasteriser="moderngl"),
        frames,
        repeats=3,
    )
    return f"draw_head on moderngl ({renderer()}): {1 / each:.0f} frames/s"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=300, help="frames of our renderer a repeat")
    parser.add_argument("--film-frames", type=int, default=75, help="frames of the film")
    options = parser.parse_args()
    shapes, rotation = coefficients(options.frames)
    begin = time.perf_counter()
    draw_head(shapes[0], rotation[0], size=SIZE)
    first = time.perf_counter() - begin
    ours = seconds_each(
        lambda f: draw_head(shapes[f], rotation[f], size=SIZE), options.frames, repeats=3
    )
    theirs = seconds_each(lambda f: plain(shapes[f], rotation[f]), 3, repeats=1)
    of = head(DEFAULT.style)
    print(
        f"environment: {platform.system()} {platform.machine()}, {os.cpu_count()} cores, load "
        f"{os.getloadavg()[0]:.1f}, Python {platform.python_version()}, numpy {np.__version__}, "
        f"numba {numba.__version__}"
    )
    print(
        f"mesh: {len(of.vertices)} vertices, {len(of.triangles)} triangles, 52 morphs, all active"
    )
    print(f"first frame (compile or load, build the head): {first:.2f} s")
    print(f"draw_head {SIZE}x{SIZE}, one thread, 4 samples a pixel: {1 / ours:.0f} frames/s")
    print(f"plain numpy, one sample a pixel: {1 / theirs:.2f} frames/s")
    print(f"ratio: {theirs / ours:.0f}")
    print(opengl(shapes, rotation, options.frames))
    film_rate(10, 5)
    print(
        f"render_video, speaker + 10 listeners: {film_rate(10, options.film_frames):.1f} frames/s"
    )


if __name__ == "__main__":
    main()
