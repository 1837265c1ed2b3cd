"""Draw the picture of docs/personal.md anew: PerReactor's Fig. 3 (b, c) on simulated dyads.

Left, generic reactions to one speaker (blue) beside the real appropriate ones (red). Right,
personal reactions as one listener (blue) beside that listener's own (red), other listeners'
appropriate ones (orange) and inappropriate ones (green). A reaction is its attributes over time, in
means of 0.4 s; places are the first two principal components of each panel's points. What the
picture suggests is printed as mean distances over several speakers, in all dimensions.

    python benchmarks/perreactor_scatter.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw

import visavis as vv
from visavis.behaviour import Behaviour
from visavis.channels import GROUPS
from visavis.corpora import SimulatedDyads

PICTURE = Path(__file__).parent.parent / "docs" / "pictures" / "perreactor-scatter.png"
SAMPLES, BIN, SPEAKERS = 40, 10, 20
SIDE, EDGE = 520, 40
BLUE, RED, ORANGE, GREEN = "#2f6db5", "#c23b3b", "#e08a1e", "#3d8b4f"
F64 = NDArray[np.float64]


def points(people: Behaviour) -> F64:
    """[..., T, ...] to a row a person: means of `BIN` frames of 25 attributes, a group a third."""
    parts = []
    for name in GROUPS["attributes"]:
        x = people[name].double().numpy()
        x = x[..., : x.shape[-2] // BIN * BIN, :]
        x = x.reshape(*x.shape[:-2], -1, BIN, x.shape[-1]).mean(-2) / np.sqrt(3 * x.shape[-1])
        parts.append(x.reshape(-1, x.shape[-2] * x.shape[-1]))
    joined: F64 = np.concatenate(parts, -1)
    return joined


def scene(model: Any, corpus: SimulatedDyads, silent: SimulatedDyads, place: int) -> dict[str, F64]:
    """Everything around one dyad."""
    dyad = corpus[place]
    me = model.persona(silent.listener(dyad.history[0]))
    others = [n for n in dyad.appropriate if n not in dyad.personal]
    elsewhere = [n for n in silent.ids[:: len(silent) // 30] if n not in dyad.appropriate][:14]

    def real(names: Any) -> F64:
        return np.concatenate([points(silent.listener(n)) for n in names])

    return {
        "generic": points(model.generate(dyad.speaker, SAMPLES, seeds=place)),
        "personal": points(model.generate(dyad.speaker, SAMPLES, seeds=place, persona=me)),
        "own": real(dyad.personal),
        "others": real(others),
        "inappropriate": real(elsewhere),
    }


def far(a: F64, b: F64) -> float:
    """Mean root mean square difference of pairs."""
    return float(np.sqrt(((a[:, None] - b[None]) ** 2).mean(-1)).mean())


def panel(
    pen: ImageDraw.ImageDraw, left: int, title: str, groups: list[tuple[str, F64, str]]
) -> None:
    together = np.concatenate([x for _, x, _ in groups])
    centre = together.mean(0)
    _, _, axes = np.linalg.svd(together - centre, full_matrices=False)
    flat = (together - centre) @ axes[:2].T
    low, high = flat.min(0), flat.max(0)
    pen.text((left + EDGE, 12), title, fill="#222222")
    pen.rectangle((left + EDGE, EDGE, left + SIDE - 10, SIDE - 10), outline="#bbbbbb")
    room = SIDE - EDGE - 40
    for row, (label, x, colour) in enumerate(groups):
        for one in ((x - centre) @ axes[:2].T - low) / (high - low):
            at_x, at_y = left + EDGE + 15 + one[0] * room, EDGE + 15 + (1 - one[1]) * room
            pen.ellipse((at_x - 4, at_y - 4, at_x + 4, at_y + 4), fill=colour)
        pen.text((left + EDGE + 8, EDGE + 6 + 14 * row), label, fill=colour)


def main() -> None:
    torch.set_num_threads(1)
    model = vv.load("perreactor")
    corpus, silent = SimulatedDyads("test"), SimulatedDyads("test", audio=False)
    places = np.linspace(0, len(corpus) // 14 - 1, SPEAKERS).astype(int) * 14
    found = [scene(model, corpus, silent, int(place)) for place in places]
    image = Image.new("RGB", (2 * SIDE, SIDE), "white")
    pen = ImageDraw.Draw(image)
    shown = found[SPEAKERS // 2]
    appropriate = np.concatenate([shown["own"], shown["others"]])
    panel(
        pen,
        0,
        "generic reactions to one speaker",
        [("generated", shown["generic"], BLUE), ("real, appropriate", appropriate, RED)],
    )
    panel(
        pen,
        SIDE,
        "personal reactions to the same speaker",
        [
            ("real, inappropriate", shown["inappropriate"], GREEN),
            ("others', appropriate", shown["others"], ORANGE),
            ("generated", shown["personal"], BLUE),
            ("the listener's own", shown["own"], RED),
        ],
    )
    image.save(PICTURE)
    for who in ("generic", "personal"):
        far_from = {
            name: np.mean([far(one[who], one[name]) for one in found])
            for name in ("own", "others", "inappropriate")
        }
        print(f"{who}: " + ", ".join(f"from {n} {v:.4f}" for n, v in far_from.items()))
    nearer = [
        far(one["personal"], one["own"]) < far(one["personal"], one["others"]) for one in found
    ]
    print(f"personal reactions nearer to the own than to others': {sum(nearer)} of {len(nearer)}")


if __name__ == "__main__":
    main()
