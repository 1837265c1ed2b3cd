"""Perceiving the demo's speaker: frames a second, where the time goes, and the plain way beside it.

The plain way is what extraction scripts of the field do: decode with PyAV into a list, FaceMesh
in static-image mode on each picture, then Python over the points. It has no rest pose, no speech
and no pose solve; perceive does all of those in its figure.

    python benchmarks/perceive.py
"""

from __future__ import annotations

import logging
import math
import sys
import tempfile
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks._timing import cpu_seconds, machine, side_by_side
from visavis.demo.portrait import make_speaker
from visavis.features.face_camera import solve_pose
from visavis.features.face_geometry import blendshapes_of, measure
from visavis.features.face_mediapipe import MediapipeTracker
from visavis.features.face_rest import rest_of
from visavis.features.perceive import SPEECH, perceive
from visavis.features.speech import acoustics_of
from visavis.media import video_frames

SECONDS, SIZE = 20.0, 384
EYES = ((33, 160, 158, 133, 153, 144), (362, 385, 387, 263, 373, 380))


def plain(path: Path) -> list[list[float]]:
    """Eye and mouth ratios of every frame, the way scripts do it."""
    with av.open(str(path)) as film:
        pictures = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
    rows = []
    with MediapipeTracker(faces=1, still=True) as still:  # FaceMesh in static-image mode
        for picture in pictures:
            found = still._mesh.process(picture).multi_face_landmarks
            rows.append(ratios(found[0]) if found else [0.0, 0.0, 0.0])
    return rows


def ratios(face: Any) -> list[float]:
    points = [(p.x, p.y, p.z) for p in face.landmark]
    row = []
    for a, b, c, d, e, f in EYES:
        tall = math.dist(points[b], points[f]) + math.dist(points[c], points[e])
        row.append(tall / (2 * math.dist(points[a], points[d])))
    row.append(math.dist(points[13], points[14]) / math.dist(points[61], points[291]))
    return row


def split(path: Path) -> None:
    """CPU seconds of each stage alone."""
    kept: list[Any] = []
    decode = cpu_seconds(lambda: kept.extend(video_frames(path)))
    for faces in (1, 2):
        with MediapipeTracker(faces=faces) as tracker:
            tracker.faces(kept[0])
            found: list[Any] = []
            mesh = cpu_seconds(lambda: found.extend(tracker.faces(f)[0] for f in kept))  # noqa: B023
        what = "one face only" if faces == 1 else "one face, watching for a second"
        print(f"mesh, {what}: {len(kept) / mesh:.0f} frames/CPU s")

    def geometry() -> None:
        rows = np.stack(
            [measure(solve_pose(points, SIZE, SIZE).to_head(points)) for points in found]
        )
        blendshapes_of(rows, rest_of(rows))

    solve = cpu_seconds(geometry)
    hear = cpu_seconds(lambda: acoustics_of(path, len(kept), names=SPEECH))
    print(f"decode: {len(kept) / decode:.0f} frames/CPU s")
    print(f"pose, distances and blendshapes: {len(kept) / solve:.0f} frames/CPU s")
    print(f"speech ({', '.join(SPEECH)}): {len(kept) / hear:.0f} frames/CPU s")


def main() -> None:
    torch.set_num_threads(1)
    logging.getLogger("visavis").setLevel(logging.ERROR)
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speaker.mp4"
        made = cpu_seconds(lambda: make_speaker(path, seconds=SECONDS, size=SIZE))
        frames = round(SECONDS * 25)
        print(
            f"the film: {frames} frames of {SIZE}x{SIZE}, made at {frames / made:.0f} frames/CPU s"
        )
        theirs, ours = side_by_side(lambda: plain(path), lambda: perceive(path))
        print(
            f"plain script {theirs:.2f} CPU s, perceive {ours:.2f} CPU s: "
            f"{theirs / ours:.2f} times as fast"
        )
        print(
            f"perceive: {frames / ours:.0f} frames/CPU s, {frames / ours / 25:.1f} times real time"
        )
        split(path)


if __name__ == "__main__":
    main()
