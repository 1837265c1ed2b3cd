"""Do samples spread as far as they err, and do both grow with what is lost?

    python benchmarks/emc_calibration.py emc_regnn regnn [--clips 12] [--out PICTURE]

A speaker loses the face, the voice or both in bursts of a second, for 0 to 100 % of the frames.
Spread: mean squared distance of two samples' attributes. Error: 1 - CCC of a sample with its best
appropriate listener (squared errors favour a face that hardly moves). Both are divided by the same
clip's with nothing lost and averaged over clips; a forecast that knows what it does not know has
both rise together. A base that EMC does not stand around reads the average where something is lost.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from visavis import load
from visavis.behaviour import Behaviour
from visavis.corpora import SimulatedDyads
from visavis.corpora._dropout import Dropout, _runs
from visavis.features.absence import lose
from visavis.features.attributes import complete
from visavis.models._base import ReactionModel
from visavis.nn.losses import concordance

LOST = {"face": ("face",), "voice": ("speech",), "both": ("face", "speech")}
SHARES = (0.25, 0.5, 0.75, 1.0)
INKS = {"face": "#c0392b", "voice": "#2471a3", "both": "#333333"}
WIDTH, HEIGHT, EDGE = 400, 280, 44


class Point(NamedTuple):
    """Means over clips with their standard errors."""

    spread: tuple[float, float]
    error: tuple[float, float]


def lossy(speaker: Behaviour, groups: tuple[str, ...], share: float, clip: int) -> Behaviour:
    """The same frames of all groups are lost; a share of 1 loses the clip."""
    lost = np.ones(speaker.frames, dtype=bool)
    if share < 1:
        rates = Dropout(intermittent=1.0, seen_frames=25.0 / share - 25.0)
        lost = _runs(speaker.frames, rates, np.random.default_rng((3, clip)))
    for group in groups:
        speaker = lose(speaker, group, torch.from_numpy(lost))
    return speaker


def measured(made: Tensor, real: Tensor) -> tuple[float, float]:
    """Samples [K, T, 25], listeners [N, T, 25]: spread and error."""
    size = made[0].numel()
    apart = torch.cdist(made.flatten(1), made.flatten(1)).square()
    spread = float(apart.sum()) / (len(made) * (len(made) - 1)) / size
    agreement = concordance(made[:, None], real[None]).nan_to_num(0.0).mean(-1)
    return spread, 1 - float(agreement.amax(1).mean())


def points(model: ReactionModel[Any], corpus: SimulatedDyads, clips: int, samples: int) -> Any:
    """What is lost -> a point a share, the first of nothing lost."""
    found: dict[tuple[str, float], list[tuple[float, float]]] = {}
    for clip in range(clips):
        dyad = corpus[clip]
        speaker = dyad.speaker.select("face", "speech")
        real = torch.stack([corpus.listener(x).pack("attributes") for x in dyad.appropriate])
        ways = {("", 0.0): speaker}
        for name, groups in LOST.items():
            ways |= {(name, s): lossy(speaker, groups, s, clip) for s in SHARES}
        for way, told in ways.items():
            made = complete(model.generate(told, samples, seeds=clip)).pack("attributes")
            found.setdefault(way, []).append(measured(made, real))
    whole = np.array(found.pop(("", 0.0)))
    result = {name: [Point((1.0, 0.0), (1.0, 0.0))] for name in LOST}
    for (name, _), values in found.items():
        ratio = np.array(values) / whole
        mean, error = ratio.mean(0), ratio.std(0, ddof=1) / len(ratio) ** 0.5
        pairs = [(float(m), float(e)) for m, e in zip(mean, error, strict=True)]
        result[name].append(Point(*pairs))
    return result


def panel(model: str, found: dict[str, list[Point]], top: float) -> Image.Image:
    """Spread (full) and error (dotted) against the share that is lost."""
    image = Image.new("RGB", (WIDTH, HEIGHT), "white")
    pen = ImageDraw.Draw(image)
    low = 0.5

    def place(share: float, value: float) -> tuple[float, float]:
        up = (min(max(value, low), top) - low) / (top - low)
        return EDGE + share * (WIDTH - 2 * EDGE), HEIGHT - EDGE - up * (HEIGHT - 2 * EDGE)

    pen.text((EDGE, 8), f"{model}: spread (line), error (dots), of the whole clip's", fill="black")
    for value in np.arange(low, top + 0.01, 0.25):
        _, y = place(0, float(value))
        pen.line((EDGE, y, WIDTH - EDGE, y), fill="#e8e8e8")
        pen.text((8, y - 6), f"{value:.2f}", fill="#555555")
    for share in (0.0, *SHARES):
        x, y = place(share, low)
        pen.text((x - 10, y + 6), f"{share:.0%}", fill="#555555")
    for i, (name, row) in enumerate(found.items()):
        ink = INKS[name]
        line = [place(s, p.spread[0]) for s, p in zip((0.0, *SHARES), row, strict=True)]
        pen.line(line, fill=ink, width=2)
        for share, point in zip((0.0, *SHARES), row, strict=True):
            x, y = place(share, point.error[0])
            pen.ellipse((x - 3, y - 3, x + 3, y + 3), outline=ink)
        pen.text((WIDTH - EDGE - 60, 30 + 14 * i), f"{name} lost", fill=ink)
    return image


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+", help="names or folders")
    parser.add_argument("--clips", type=int, default=12)
    parser.add_argument("--samples", type=int, default=6)
    parser.add_argument("--split", default="test", help="val: where settings are chosen")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    corpus = SimulatedDyads(options.split, size=10 * options.clips)
    panels = []
    for name in options.models:
        found = points(load(name), corpus, options.clips, options.samples)
        print(f"{name}: spread and error, of the whole clip's (standard errors)")
        for lost, row in found.items():
            told = [
                f"{s:.0%} {p.spread[0]:.2f} ({p.spread[1]:.2f}), "
                f"{p.error[0]:.2f} ({p.error[1]:.2f})"
                for s, p in zip(SHARES, row[1:], strict=True)
            ]
            print(f"  {lost:<6} " + "; ".join(told))
        panels.append((Path(name).name, found))
    if options.out:
        most = max(max(p.spread[0], p.error[0]) for _, f in panels for r in f.values() for p in r)
        rows = -(-len(panels) // 2)
        image = Image.new("RGB", (WIDTH * min(2, len(panels)), HEIGHT * rows), "white")
        for i, (name, found) in enumerate(panels):
            one = panel(name, found, max(1.5, np.ceil(4 * most) / 4))
            image.paste(one, (WIDTH * (i % 2), HEIGHT * (i // 2)))
        image.save(options.out)


if __name__ == "__main__":
    main()
