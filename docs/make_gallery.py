"""Draw the pictures of docs/gallery.md anew, small enough to be committed.

    python docs/make_gallery.py [name ...]

Names: expressions, reactions, portrait, portraits, plots; all of them by default. `portrait*` needs
`visavis[demo]`; `reactions` and `plots` draw reactions of a bundled model to a simulated speaker.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from visavis.behaviour import Behaviour
from visavis.channels import BLENDSHAPES, FPS
from visavis.render.draw import draw_head
from visavis.render.looks import LOOKS

HERE = Path(__file__).parent / "pictures"
LARGEST = 200_000
"""Bytes a picture."""
MODEL, CLIP, SAMPLES = "trans_vae", 17, 4

Picture = NDArray[np.uint8]

FACES: dict[str, tuple[dict[str, float], tuple[float, float, float]]] = {
    "at rest": ({}, (0, 0, 0)),
    "smiling": ({"mouthSmile": 0.9, "cheekSquint": 0.6, "eyeSquint": 0.3}, (0, 0, 0)),
    "laughing": (
        {"mouthSmile": 0.9, "jawOpen": 0.35, "mouthUpperUp": 0.3, "cheekSquint": 0.7},
        (-0.08, 0.08, 0.06),
    ),
    "surprised": (
        {"browInnerUp": 0.9, "browOuterUp": 0.9, "eyeWide": 0.9, "jawOpen": 0.5},
        (0, 0, 0),
    ),
    "doubting": ({"browDown": 0.8, "mouthFrown": 0.5, "mouthPress": 0.5}, (0.03, -0.12, -0.1)),
    "sad": ({"browInnerUp": 0.9, "mouthFrown": 0.8, "eyeBlink": 0.25}, (0.12, 0, 0)),
    "blinking": ({"eyeBlink": 1.0}, (0, 0, 0)),
    "saying oh": ({"mouthFunnel": 0.8, "jawOpen": 0.35}, (0, 0, 0)),
    "looking aside": ({"eyeLookOutLeft": 0.8, "eyeLookInRight": 0.8}, (0, 0, 0)),
    "turned left": ({}, (0, 0.4, 0)),
    "turned right": ({"mouthSmile": 0.3}, (0, -0.4, 0)),
    "nodding": ({"mouthSmile": 0.2}, (0.25, 0, 0)),
}


def coefficients(shapes: dict[str, float]) -> NDArray[np.float32]:
    """Shapes by name, both sides where a side is not given, to [52]."""
    values = np.zeros(52, np.float32)
    for name, value in shapes.items():
        for full in (name, f"{name}Left", f"{name}Right"):
            if full in BLENDSHAPES:
                values[BLENDSHAPES.index(full)] = value
    return values


def save(rows: list[list[Picture]], name: str, captions: list[list[str]] | None = None) -> None:
    """Rows of pictures of one size as a JPEG below `LARGEST`, with captions under them."""
    side = rows[0][0].shape[0]
    gap, foot = 4, 18 if captions else 0
    sheet = np.full(
        (len(rows) * (side + foot + gap) + gap, len(rows[0]) * (side + gap) + gap, 3), 255, np.uint8
    )
    for r, row in enumerate(rows):
        for c, picture in enumerate(row):
            y, x = gap + r * (side + foot + gap), gap + c * (side + gap)
            sheet[y : y + side, x : x + side] = picture
    canvas = Image.fromarray(sheet)
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(13)
    for r, words in enumerate(captions or []):
        for c, text in enumerate(words):
            at = (gap + c * (side + gap) + 2, gap + r * (side + foot + gap) + side + 1)
            pen.text(at, text, fill="#333333", font=font)
    keep(canvas, name)


def keep(picture: Image.Image, name: str) -> None:
    path = HERE / f"gallery-{name}.jpg"
    for quality in (88, 80, 70, 60, 50):
        picture.save(path, quality=quality, optimize=True)
        if path.stat().st_size < LARGEST:
            return
    raise SystemExit(f"{path.name} stays above {LARGEST} bytes: draw it smaller.")


def expressions() -> None:
    drawn = [
        draw_head(coefficients(shapes), np.array(pose), size=168, look=LOOKS[i // 2 % 6])
        for i, (shapes, pose) in enumerate(FACES.values())
    ]
    names = list(FACES)
    save([drawn[:6], drawn[6:]], "expressions", [names[:6], names[6:]])


def portrait() -> None:
    from skimage.data import astronaut

    from visavis.render.portrait import Portrait

    who = Portrait.from_photo(astronaut())
    drawn = [who.draw(coefficients(s), np.array(p), size=168) for s, p in FACES.values()]
    names = list(FACES)
    save([drawn[:6], drawn[6:]], "portrait", [names[:6], names[6:]])


def portraits() -> None:
    """Other faces: Grace Hopper's photograph, and a picture of our own drawn head."""
    from matplotlib import get_data_path

    from visavis.render.portrait import Portrait

    hopper = Path(get_data_path()) / "sample_data" / "grace_hopper.jpg"
    people = (hopper, draw_head(np.zeros(52), size=512, look=LOOKS[3]))
    shown = ("at rest", "laughing", "surprised", "blinking", "turned left", "turned right")
    rows = []
    for photo in people:
        who = Portrait.from_photo(photo)
        rows.append(
            [who.draw(coefficients(FACES[n][0]), np.array(FACES[n][1]), size=168) for n in shown]
        )
    save(rows, "portraits", [list(shown)] * 2)


def reacted() -> tuple[Behaviour, Behaviour]:
    """A simulated speaker, and reactions [K, T] of the bundled model."""
    import visavis as vv
    from visavis.corpora import SimulatedDyads

    dyad = SimulatedDyads("val")[CLIP]
    return dyad.speaker, vv.load(MODEL).generate(dyad.speaker, num_samples=SAMPLES, seeds=0)


def reactions() -> None:
    """The speaker, two drawn listeners, and the third as a photograph, over time."""
    from skimage.data import astronaut

    from visavis.features.attributes import complete
    from visavis.render.draw import draw_motion
    from visavis.render.motion import motions
    from visavis.render.portrait import Portrait

    speaker, answers = reacted()
    who = Portrait.from_photo(astronaut())
    clips = [*motions(complete(speaker)), *motions(complete(answers))[:3]]
    times = [3.0, 7.0, 11.0, 15.0, 19.0, 23.0]
    rows, captions = [], []
    for number, clip in enumerate(clips):
        own = who if number == 3 else None
        look = LOOKS[-1] if number == 0 else LOOKS[number - 1]
        rows.append(
            [draw_motion(clip, int(t * FPS), size=168, look=look, portrait=own) for t in times]
        )
        name = "speaker" if number == 0 else f"listener {number}"
        captions.append([f"{name}, {t:.0f} s" for t in times])
    save(rows, "reactions", captions)


def plots() -> None:
    """The speaker's valence and smile beside those of K reactions."""
    from visavis.features.attributes import complete

    speaker, answers = (complete(b) for b in reacted())
    canvas = Image.new("RGB", (1040, 420), "white")
    pen = ImageDraw.Draw(canvas)
    smile = BLENDSHAPES.index("mouthSmileLeft")
    colours = ("#d98c00", "#2f6db5", "#9a3fb0", "#3d8b4f")
    rows = (
        ("valence", "va", 0, -1.0, 1.0),
        ("smile", "blendshapes", smile, 0.0, 1.0),
        ("yaw, rad", "rotation", 1, -0.4, 0.4),
    )
    for row, (title, channel, column, low, high) in enumerate(rows):
        top = 16 + row * 134
        pen.text((8, top + 44), title, fill="#222222", font=ImageFont.load_default(15))
        pen.rectangle((100, top, 1030, top + 114), outline="#cccccc")
        curves = [(speaker, "#222222", 2)]
        curves += [(answers[k], colours[k], 1) for k in range(SAMPLES)]
        for behaviour, colour, width in curves:
            values = behaviour.filled(channel, 0.0)[:, column].numpy()
            x = 100 + np.arange(len(values)) / (len(values) - 1) * 930
            y = top + 114 * (1 - (np.clip(values, low, high) - low) / (high - low))
            pen.line(list(zip(x.tolist(), y.tolist(), strict=True)), fill=colour, width=width)
    keep(canvas, "plots")


DRAWN: dict[str, Callable[[], None]] = {
    f.__name__: f for f in (expressions, portrait, portraits, reactions, plots)
}

if __name__ == "__main__":
    HERE.mkdir(exist_ok=True)
    for name in sys.argv[1:] or DRAWN:
        DRAWN[name]()
