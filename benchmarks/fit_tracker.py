"""Fit the tracker's weights: what distances on the face say about each of the 52 shapes.

Films of the warped portrait and of the drawn head, commanded by number, are seen through the mesh;
each shape is then a clipped linear function of the distances of its own part of the face, by ridge
regression on the frames where it is shown or told. Both sides share their weights.

The films differ in script, seed and look from those of `benchmarks/tracking.py`, which judges.
Takes about two minutes of one core.

    python benchmarks/fit_tracker.py
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks._tracking_films import Draw, Script, drawn, mixture, portrait, solo, talk
from visavis.channels import BLENDSHAPES
from visavis.features.face_camera import solve_pose
from visavis.features.face_geometry import FEATURES, UNSEEN, features_of, measure, mirrored
from visavis.features.face_mediapipe import MediapipeTracker
from visavis.features.face_rest import rest_of
from visavis.files import atomic_path

Doubles = NDArray[np.float64]

OUT = Path(__file__).parent.parent / "src" / "visavis" / "features" / "face_weights.csv"
RIDGE, ROUNDS = 60.0, 10
MOVED_MM = 0.45
"""A subject that moves no distance by more than this for a shape does not show it."""
_MOUTH = (
    *(f"{n}{s}" for n in ("corner_out", "corner_up", "upper_lip", "lower_lip")
      for s in ("Left", "Right")),
    *("lip_gap", "chin", "chin_side", "mouth_side", "protrusion", "upper_red", "lower_red"),
    *("narrow_open", "narrow_shut", "gap_small", "red_shut"),
)  # fmt: skip


def part_of(shape: str) -> tuple[str, ...]:
    """The features that may speak of a shape of the left side or the middle."""
    stem = shape.removesuffix("Left")
    if stem.startswith(("mouth", "jaw")):
        return _MOUTH
    if stem == "browInnerUp":
        names = ("brow_inner", "brow_outer", "lid")
        return (*(n + s for n in names for s in ("Left", "Right")), "brow_gap")
    own: dict[str, tuple[str, ...]] = {
        "brow": ("brow_inner", "brow_outer", "lid", "aperture"),
        "eyeLook": ("gaze_out", "gaze_up", "lid", "underlid", "aperture"),
        "eye": ("aperture", "lid", "underlid", "gaze_up", "brow_inner", "brow_outer", "cheek"),
        "cheek": ("cheek", "underlid", "corner_up", "corner_out", "nostril"),
        "nose": ("nostril", "upper_lip", "corner_up", "brow_inner"),
    }
    other = {
        "brow": ("brow_gap", "brow_innerRight"),
        "eyeLook": ("gaze_outRight", "gaze_upRight", "apertureRight"),
    }
    part = next(name for name in own if stem.startswith(name))
    return (*(f"{name}Left" for name in own[part]), *other.get(part, ()))


def films() -> list[tuple[Draw, Script]]:
    """What is learned from: subject and script."""
    photo, still = portrait(), solo()
    still = Script(still.shapes, np.zeros_like(still.rotation), still.translation)
    return [
        (photo, still),
        (photo, mixture(seed=1)),
        (photo, talk(seed=101)),
        (photo, talk(seed=201)),
        (drawn(0), still),
        (drawn(0), mixture(seed=2)),
        (drawn(2), mixture(seed=3)),
        (drawn(1), talk(seed=101)),
        (drawn(2), talk(seed=202)),
    ]


def seen(draw: Draw, script: Script) -> Doubles:
    """Features [T, F] of a film, seen through the mesh."""
    rows = []
    with MediapipeTracker(faces=1) as tracker:
        for picture in script.pictures(draw):
            face = tracker.faces(picture)[0]
            pose = solve_pose(face, *picture.shape[:2])
            rows.append(measure(pose.to_head(face)))
    distances = np.stack(rows)
    return features_of(distances, rest_of(distances))


def shown(features: Doubles, script: Script) -> NDArray[np.bool_]:
    """Which shapes [52] a subject shows, from a film of each alone."""
    out = np.zeros(len(BLENDSHAPES), dtype=bool)
    for number in range(len(BLENDSHAPES)):
        at = script.shapes[:, number] > 0.8
        out[number] = np.abs(features[at].mean(axis=0) - features[:50].mean(axis=0)).max() > (
            MOVED_MM
        )
    return out


def fit(x: Doubles, y: Doubles) -> Doubles:
    """Weights [F + 1], the last a constant, of y ~ clip(x w) where y or its estimate is not 0."""
    rows = np.column_stack([x, np.ones(len(x))])
    ridge = np.diag([*([RIDGE] * x.shape[1]), 1.0])
    counts = np.ones(len(y), dtype=bool)
    for _ in range(ROUNDS):
        kept = rows[counts]
        weights = np.linalg.solve(kept.T @ kept + ridge, kept.T @ y[counts])
        counts = (rows @ weights > -0.02) | (y > 0)
    solved: Doubles = weights
    solved[-1] = min(solved[-1], 0.0)  # a face at rest shows nothing
    return solved


def main() -> None:
    learned = films()
    seen_films = [(seen(draw, script), script, draw) for draw, script in learned]
    photo = learned[0][0]
    portrait_shows = shown(seen_films[0][0], learned[0][1])
    swap = [BLENDSHAPES.index(_mirror(name)) for name in BLENDSHAPES]
    lines = []
    for number, shape in enumerate(BLENDSHAPES):
        if shape in UNSEEN or shape.endswith("Right"):
            continue
        columns = [FEATURES.index(name) for name in part_of(shape)]
        x, y = [], []
        for features, script, draw in seen_films:
            if draw is photo and not portrait_shows[number]:
                continue
            x += [features[:, columns], mirrored(features)[:, columns]]
            y += [script.shapes[:, number], script.shapes[:, swap[number]]]
        weights = fit(np.concatenate(x), np.concatenate(y))
        names = (*part_of(shape), "1")
        lines += [(shape, n, f"{w:.5f}") for n, w in zip(names, weights, strict=True)]
    with atomic_path(OUT) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([("shape", "feature", "weight"), *lines])
    print(f"{len(lines)} weights written to {OUT}")


def _mirror(name: str) -> str:
    if name.endswith("Left"):
        return name.removesuffix("Left") + "Right"
    return name.removesuffix("Right") + "Left" if name.endswith("Right") else name


if __name__ == "__main__":
    main()
