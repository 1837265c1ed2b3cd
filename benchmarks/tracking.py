"""How well the tracker sees: commanded against recovered, on films whose truth is known; and speed.

The warped portrait and the drawn head (in looks, scripts and seeds that the weights were not
fitted on) play shapes alone, talk and turn; the portrait is then shown worse: turned, small, dark,
half covered. `--write` puts the tables into docs/perception.md.

    python benchmarks/tracking.py [--write]
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks._timing import cpu_seconds, machine
from benchmarks._tracking_films import Picture, Script, drawn, portrait, solo, talk, turns
from visavis.channels import BLENDSHAPES
from visavis.features.face_geometry import UNSEEN, blendshapes_of
from visavis.features.face_mediapipe import MediapipeTracker
from visavis.features.face_rest import rest_of
from visavis.files import atomic_path

Doubles = NDArray[np.float64]

DOCS = Path(__file__).parent.parent / "docs" / "perception.md"
MAIN = ("jawOpen", "mouthSmileLeft", "eyeBlinkLeft", "browInnerUp")
POSE = ("pitch", "yaw", "roll")
LAGS = range(-4, 5)


@dataclass(frozen=True)
class Seen:
    """What the tracker told of a film; frames without a face repeat the one before."""

    script: Script
    shapes: Doubles
    rotation: Doubles
    confidence: Doubles
    lost: int

    def pair(self, name: str) -> tuple[Doubles, Doubles]:
        """(commanded, told) [T] of a shape or an angle."""
        if name in POSE:
            return self.script.rotation[:, POSE.index(name)], self.rotation[:, POSE.index(name)]
        column = BLENDSHAPES.index(name)
        return self.script.shapes[:, column], self.shapes[:, column]

    def r(self, name: str, lag: int = 0) -> float:
        """Pearson's r; what is told taken `lag` frames later. NaN if either does not move."""
        commanded, told = self.pair(name)
        edge = max(abs(lag), 1)
        a, b = commanded[edge:-edge], told[edge + lag : len(told) - edge + lag]
        if a.std() < 1e-3 or b.std() < 1e-6:
            return float("nan")
        return float(np.corrcoef(a, b)[0, 1])

    def slope(self, name: str) -> float:
        return float(np.polyfit(*self.pair(name), 1)[0])

    def lag(self, name: str) -> int:
        """Frames by which what is told fits best."""
        return max(LAGS, key=lambda lag: self.r(name, lag))


def look(pictures: Iterable[Picture], script: Script) -> Seen:
    """Track a film."""
    measures, rotation, sure, lost = [], [], [], 0
    with MediapipeTracker(faces=1) as tracker:
        for number, picture in enumerate(pictures):
            face = tracker.track(picture, number / 25)
            if face is None:
                lost += 1
                if not measures:
                    continue
                measures.append(measures[-1])
                rotation.append(rotation[-1])
                sure.append(0.0)
                continue
            assert face.measures is not None
            measures.append(face.measures.astype(np.float64))
            rotation.append(face.rotation.astype(np.float64))
            sure.append(face.confidence)
    if not measures:
        nothing = np.zeros_like(script.shapes)
        return Seen(script, nothing, np.zeros_like(script.rotation), np.zeros(len(nothing)), lost)
    late = len(script.shapes) - len(measures)
    distances = np.stack([measures[0]] * late + measures)
    turned = np.stack([rotation[0]] * late + rotation)
    shapes = blendshapes_of(distances, rest_of(distances)).astype(np.float64)
    return Seen(script, shapes, turned, np.array([0.0] * late + sure), lost)


# ---------------------------------------------------------------- worse pictures


def _turned(picture: Picture, degrees: float) -> Picture:
    """The picture turned about its middle (nearest pixel, edge repeated)."""
    side = len(picture)
    angle = np.radians(degrees)
    y, x = np.mgrid[:side, :side] - side / 2
    a = np.clip(np.cos(angle) * x - np.sin(angle) * y + side / 2, 0, side - 1).astype(int)
    b = np.clip(np.sin(angle) * x + np.cos(angle) * y + side / 2, 0, side - 1).astype(int)
    return np.ascontiguousarray(picture[b, a])


def _scaled(picture: Picture, size: int) -> Picture:
    values = torch.from_numpy(picture).permute(2, 0, 1)[None].float()
    small = torch.nn.functional.interpolate(
        values, (size, size), mode="bilinear", antialias=True, align_corners=False
    )
    return np.ascontiguousarray(small[0].permute(1, 2, 0).round().numpy().astype(np.uint8))


def _wide(picture: Picture) -> Picture:
    """A wide film, 1280 x 540, in which the picture's face is one sixteenth of the width."""
    film = np.full((540, 1280, 3), 120, np.uint8)
    film[180:340, 860:1020] = _scaled(picture, 160)
    return film


def _dark(picture: Picture) -> Picture:
    return (picture * 0.12).astype(np.uint8)


def _covered(picture: Picture, *, lower: bool) -> Picture:
    """A grey card over the mouth, or over the subject's left half of the face."""
    side = len(picture)
    hidden = picture.copy()
    if lower:
        hidden[round(0.53 * side) : round(0.85 * side)] = 110
    else:
        hidden[:, round(0.53 * side) : round(0.85 * side)] = 110
    return hidden


WORSE: dict[str, Callable[[Picture], Picture]] = {
    "as it is, 384 pixels": lambda p: p,
    "turned by 30 degrees": lambda p: _turned(p, 30.0),
    "scaled to 160 pixels": lambda p: _scaled(p, 160),
    "scaled to 64 pixels": lambda p: _scaled(p, 64),
    "an eighth of the width of a wide film": _wide,
    "an eighth of the light": _dark,
    "the subject's left half covered": lambda p: _covered(p, lower=False),
    "the mouth covered": lambda p: _covered(p, lower=True),
}


# ---------------------------------------------------------------- tables


def cell(value: float, seen: bool = True) -> str:
    return "-" if not seen else "0" if np.isnan(value) else f"{value:.2f}"


def shapes_table(films: dict[str, Seen], portrait_shows: NDArray[np.bool_]) -> list[str]:
    names = list(films)
    lines = ["| shape | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for number, shape in enumerate(BLENDSHAPES):
        row = []
        for name, seen in films.items():
            moves = seen.script.shapes[:, number].std() > 1e-3
            able = moves and (not name.startswith("portrait") or bool(portrait_shows[number]))
            row.append(cell(seen.r(shape), able))
        label = f"{shape} (unseen)" if shape in UNSEEN else shape
        lines.append(f"| {label} | " + " | ".join(row) + " |")
    return lines


def main_table(films: dict[str, Seen]) -> list[str]:
    lines = ["| | " + " | ".join(films) + " |", "|---" * (len(films) + 1) + "|"]
    for name in (*MAIN, "mouthSmileRight", "eyeBlinkRight", *POSE):
        row = [f"{s.r(name):.2f}, {s.slope(name):.2f}, {s.lag(name):+d}" for s in films.values()]
        lines.append(f"| {name} | " + " | ".join(row) + " |")
    return lines


def worse_table(script: Script, pictures: list[Picture]) -> list[str]:
    names = ("jawOpen", "mouthSmileLeft", "mouthSmileRight", "eyeBlinkLeft", "eyeBlinkRight")
    names = (*names, "browInnerUp", "yaw", "pitch")
    lines = [
        "| the portrait | " + " | ".join(names) + " | frames lost | confidence |",
        "|---" * (len(names) + 3) + "|",
    ]
    for label, change in WORSE.items():
        seen = look((change(p) for p in pictures), script)
        row = [cell(seen.r(name)) for name in names]
        lines.append(
            f"| {label} | "
            + " | ".join(row)
            + f" | {seen.lost} of {len(pictures)} | {seen.confidence.mean():.2f} |"
        )
    return lines


def profile_table(script: Script) -> list[str]:
    """The talking drawn head, turned to its left: its right side is the near one."""
    names = ("jawOpen", "mouthSmileLeft", "mouthSmileRight", "eyeBlinkLeft", "eyeBlinkRight")
    names = (*names, "browInnerUp", "yaw", "pitch")
    lines = [
        "| turned to its left by | " + " | ".join(names) + " | frames lost | confidence |",
        "|---" * (len(names) + 3) + "|",
    ]
    for degrees in (0, 20, 35, 50, 65):
        rotation = script.rotation + np.array([0.0, np.radians(degrees), 0.0])
        turned = Script(script.shapes, rotation, script.translation)
        seen = look((drawn(4)(*row) for row in _rows(turned)), turned)
        row = [cell(seen.r(name)) for name in names]
        lines.append(
            f"| {degrees} degrees | "
            + " | ".join(row)
            + f" | {seen.lost} of {len(script.shapes)} | {seen.confidence.mean():.2f} |"
        )
    return lines


def moved_by(script: Script, seen: Seen, pictures: list[Picture]) -> NDArray[np.bool_]:
    """Which shapes [52] change the pictures of a still head at all."""
    rest = pictures[0].astype(int)
    out = np.zeros(len(BLENDSHAPES), dtype=bool)
    for number in range(len(BLENDSHAPES)):
        at = int(np.argmax(script.shapes[:, number]))
        out[number] = np.abs(pictures[at].astype(int) - rest).max() > 12
    return out


def speed(pictures: list[Picture]) -> list[str]:
    lines = [machine()]
    for faces, what in ((1, "one face only"), (2, "one face, watching for a second")):
        with MediapipeTracker(faces=faces) as tracker:
            tracker.track(pictures[0], 0.0)
            best = min(
                cpu_seconds(
                    lambda: [tracker.track(p, 1.0 + t / 25) for t, p in enumerate(pictures)]
                )
                for _ in range(3)
            )
        lines.append(f"track, {what}: {len(pictures) / best:.0f} frames a CPU second")
    return lines


def main() -> None:
    torch.set_num_threads(1)
    logging.getLogger("visavis").setLevel(logging.ERROR)
    photo = portrait()
    alone, still = solo(), solo()
    still = Script(still.shapes, np.zeros_like(still.rotation), still.translation)
    told = talk(seed=7)
    talking = told.pictures(photo)
    films = {
        "portrait, alone": look((photo(*row) for row in _rows(alone)), alone),
        "portrait, talk": look(talking, told),
        "drawn, alone": look((drawn(3)(*row) for row in _rows(alone)), alone),
        "drawn, talk": look((drawn(4)(*row) for row in _rows(told)), told),
    }
    turning = turns()
    turned = {
        "portrait, turns": look((photo(*row) for row in _rows(turning)), turning),
        "drawn, turns": look((drawn(3)(*row) for row in _rows(turning)), turning),
    }
    shows = moved_by(still, films["portrait, alone"], still.pictures(photo))
    talks = {n: s for n, s in films.items() if n.endswith("talk")}
    pose = ["| | " + " | ".join(turned) + " |", "|---" * 3 + "|"]
    pose += [
        f"| {name} | " + " | ".join(_turn(s, name) for s in turned.values()) + " |" for name in POSE
    ]
    blocks = {
        "main": main_table(talks),
        "turns": pose,
        "worse": worse_table(told, talking),
        "profile": profile_table(told),
        "shapes": shapes_table(films, shows),
    }
    for lines in (*blocks.values(), speed(talking)):
        print("\n".join(lines) + "\n")
    if "--write" in sys.argv[1:]:
        write(blocks)


def _turn(seen: Seen, name: str) -> str:
    """Slope and largest error of one axis while it alone turns."""
    start = {"pitch": 70, "yaw": 10, "roll": 130}[name]
    commanded, told = (x[start : start + 60] for x in seen.pair(name))
    told = told - seen.pair(name)[1][:10].mean()
    error = np.degrees(np.abs(told - commanded).max())
    return f"slope {np.polyfit(commanded, told, 1)[0]:.2f}, at most {error:.0f} degrees off"


def _rows(script: Script) -> Iterable[tuple[Doubles, Doubles, Doubles]]:
    return zip(script.shapes, script.rotation, script.translation, strict=True)


def write(blocks: dict[str, list[str]]) -> None:
    """Put each table between its two marks in docs/perception.md."""
    text = DOCS.read_text("utf-8")
    for name, lines in blocks.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        before, _, rest = text.partition(begin)
        _, _, after = rest.partition(end)
        text = before + begin + "\n".join(lines) + "\n" + end + after
    with atomic_path(DOCS) as temporary:
        temporary.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
