"""Draw the pictures of docs/simulated-dyads.md anew: one told script, and one conversation.

python docs/make_simulated_pictures.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from visavis.behaviour import Behaviour
from visavis.channels import FPS
from visavis.corpora import SimulatedDyads
from visavis.corpora._vocabulary import EVENT_KINDS
from visavis.render.frames import pictures
from visavis.render.still import contact_sheet

HERE = Path(__file__).parent / "pictures"
INDEX = 17
"""Of the validation split."""
COLOURS = {
    "joy": "#d98c00",
    "sad": "#2f6db5",
    "surprise": "#9a3fb0",
    "dubious": "#3d8b4f",
    "pause": "#999999",
}
LEFT, WIDTH, ROW = 150, 1050, 74


def curve(
    pen: ImageDraw.ImageDraw, row: int, values: NDArray[np.floating], low: float, high: float
) -> None:
    """One signal over the whole clip, in row `row`."""
    top = row * ROW + 44
    x = LEFT + np.arange(len(values)) / (len(values) - 1) * WIDTH
    y = top + (ROW - 14) * (1 - (np.clip(values, low, high) - low) / (high - low))
    pen.line(list(zip(x.tolist(), y.tolist(), strict=True)), fill="#222222", width=2)


def script(corpus: SimulatedDyads) -> None:
    """What one speaker tells and shows, and how real and drawn listeners take it."""
    dyad = corpus[INDEX]
    told, telling, _ = corpus._world.speech(INDEX)
    draws = corpus.oracle(dyad, 3)
    others = [corpus.listener(name) for name in dyad.appropriate[1:3]]
    pitch = dyad.speaker["pitch"][:, 0].numpy()
    pitch = np.where(pitch > 0, pitch, np.nan)
    filled = np.interp(
        np.arange(len(pitch)), np.flatnonzero(~np.isnan(pitch)), pitch[~np.isnan(pitch)]
    )
    rows: list[tuple[str, NDArray[np.floating], float, float]] = [
        ("speaker: valence", valence(dyad.speaker), -1, 1),
        ("speaker: pitch, Hz", filled, float(filled.min()), float(filled.max())),
        ("speaker: energy", dyad.speaker["energy"][:, 0].numpy(), 0, 1),
        ("listener: valence", valence(dyad.listener), -1, 1),
        *((f"same script {i}", valence(other), -1, 1) for i, other in enumerate(others, 1)),
        *((f"oracle draw {i}", valence(draw), -1, 1) for i, draw in enumerate(draws, 1)),
    ]
    picture = Image.new("RGB", (LEFT + WIDTH + 20, len(rows) * ROW + 60), "white")
    pen = ImageDraw.Draw(picture)
    seconds = corpus.frames / FPS
    for time, kind, hidden in zip(telling.times, told.kinds, told.words_only, strict=True):
        name = EVENT_KINDS[kind]
        x = LEFT + time / seconds * WIDTH
        pen.line((x, 34, x, picture.height - 16), fill=COLOURS[name], width=2)
        pen.text((x + 2, 6), name, fill=COLOURS[name])
        if hidden:
            pen.text((x + 2, 18), "words only", fill=COLOURS[name])
    for number, (title, values, low, high) in enumerate(rows):
        pen.text((8, number * ROW + 66), title, fill="black")
        curve(pen, number, np.asarray(values), low, high)
    picture.quantize(64).save(HERE / "simulated-script.png", optimize=True)


def valence(behaviour: Behaviour) -> NDArray[np.floating]:
    return np.asarray(behaviour["va"][:, 0].numpy())


def conversation(corpus: SimulatedDyads) -> None:
    """Speaker above listener, 0.7 seconds after each of the first eight events."""
    dyad = corpus[INDEX]
    telling = corpus._world.speech(INDEX).telling
    wanted = [round((time + 0.7) * FPS) for time in telling.times[:8]]
    rows = []
    for who, person in (("speaker", 3), ("listener", 5)):
        clip = getattr(dyad, who)
        moments = [clip.window(frame, frame + 1) for frame in wanted]
        rows += [next(pictures(moment, person, size=150)) for moment in moments]
    contact_sheet(rows, HERE / "simulated-conversation.png", columns=8)


if __name__ == "__main__":
    HERE.mkdir(exist_ok=True)
    corpus = SimulatedDyads("val", size=28)
    script(corpus)
    conversation(corpus)
