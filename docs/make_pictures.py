"""Draw the pictures of README and docs anew.

    python docs/make_pictures.py [DEMO_FOLDER]

`faces.png` needs nothing; `first-light.png` needs a folder that `visavis demo` wrote.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from visavis.behaviour import Behaviour
from visavis.channels import BLENDSHAPES
from visavis.media import video_frames
from visavis.render.draw import draw, draw_head
from visavis.render.still import contact_sheet
from visavis.render.video import look_of

HERE = Path(__file__).parent / "pictures"

FACES: dict[str, tuple[dict[str, float], tuple[float, float, float]]] = {
    "neutral": ({}, (0, 0, 0)),
    "smiling": ({"mouthSmile": 0.9, "cheekSquint": 0.6, "eyeSquint": 0.3}, (0, 0, 0)),
    "surprised": (
        {"browInnerUp": 0.9, "browOuterUp": 0.9, "eyeWide": 0.9, "jawOpen": 0.5},
        (0, 0, 0),
    ),
    "sad": ({"browInnerUp": 0.8, "mouthFrown": 0.8, "mouthShrugLower": 0.4}, (0.08, 0, 0)),
    "angry": ({"browDown": 0.9, "eyeSquint": 0.5, "mouthPress": 0.6, "noseSneer": 0.5}, (0, 0, 0)),
    "blinking": ({"eyeBlink": 1.0}, (0, 0, 0)),
    "jaw open": ({"jawOpen": 0.9}, (0, 0, 0)),
    "puckered": ({"mouthPucker": 0.9}, (0, 0, 0)),
    "looking down": ({}, (0.35, 0, 0)),
    "looking up": ({}, (-0.35, 0, 0)),
    "turned to own left": ({}, (0, 0.6, 0)),
    "turned to own right": ({}, (0, -0.6, 0)),
}


def coefficients(shapes: dict[str, float]) -> np.ndarray:
    """Shapes by name, both sides where a side is not given, to [52]."""
    values = np.zeros(52, np.float32)
    for name, value in shapes.items():
        for full in (name, f"{name}Left", f"{name}Right"):
            if full in BLENDSHAPES:
                values[BLENDSHAPES.index(full)] = value
    return values


def faces() -> None:
    pictures = [
        draw_head(coefficients(shapes), np.array(pose, np.float32), np.zeros(3, np.float32))
        for shapes, pose in FACES.values()
    ]
    contact_sheet(pictures, HERE / "faces.png", captions=list(FACES), columns=6)


def first_light(demo: Path, *, listeners: tuple[int, ...], seconds: tuple[float, ...]) -> None:
    """Rows: the speaker, then listeners; columns: moments."""
    reactions = Behaviour.load(demo / "reactions.safetensors")
    wanted = [round(s * 25) for s in seconds]
    size = 176
    rows = [[f for t, f in enumerate(video_frames(demo / "speaker.mp4", size=size)) if t in wanted]]
    for number in listeners:
        frames = draw(reactions[number], size=size, look=look_of(number))
        rows.append([f for t, f in enumerate(frames) if t in wanted])
    sheet = np.concatenate([np.concatenate(row, axis=1) for row in rows], axis=0)
    Image.fromarray(sheet).save(HERE / "first-light.png", optimize=True)


if __name__ == "__main__":
    HERE.mkdir(exist_ok=True)
    faces()
    if len(sys.argv) > 1:
        first_light(
            Path(sys.argv[1]), listeners=(1, 4, 7), seconds=(0.6, 2.6, 3.8, 5.6, 8.6, 12.4, 14.8)
        )
