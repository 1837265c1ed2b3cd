"""ReactDiff's score against the steps that a sampler takes, as a table and a picture.

    python benchmarks/reactdiff_steps.py [--weights reactdiff] [--student FOLDER] [--flow FOLDER]
    python benchmarks/reactdiff_steps.py --exact

The same weights under DDIM and DPM-Solver++ with 1 to 20 steps; with --student what they taught to
a denoiser of few steps (`visavis train reactdiff --preset laptop+distil --out FOLDER`); with --flow
a model that was trained along straight paths (`--preset laptop+flow`). FRCorr, FRDist and FRDiv
(`corrected`) of simulated test clips of 20 scripts with 95 % intervals over scripts; CPU seconds.
--weights takes what `visavis.load` takes.

With --exact no weights are needed: standard normal data, the denoiser that is exact for them, and
the deviation of what is drawn. What is missing to 1 is variety that few steps lose in any case.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
from PIL import Image, ImageDraw
from torch import Tensor

import visavis as vv
from visavis.channels import GROUPS
from visavis.corpora import SimulatedDyads, collate
from visavis.dyad import Batch
from visavis.metrics.evaluate import evaluate_lists
from visavis.metrics.intervals import Interval, bootstrap
from visavis.models._reactdiff_config import FEW, SAMPLERS, DiffusionSpec
from visavis.models._reactdiff_sampling import levels, sample
from visavis.models.reactdiff import ReactDiff

COUNTS = (1, 2, 3, 4, 5, 8, 10, 20)
LINES = {  # name in the picture: colour
    "DDIM": "#3b6ea5",
    "DPM-Solver++": "#b8502f",
    "distilled, DDIM": "#7a4fa3",
    "flow, Euler": "#3f8f5b",
}
SCORES = ("FRCorr", "FRDist", "FRDiv")
WIDTH, HEIGHT, EDGE = 760, 340, 70


class Point(NamedTuple):
    line: str
    taken: int
    scores: dict[str, Interval]
    seconds: float


def packed(person: vv.Behaviour) -> Tensor:
    return torch.cat([person.channels[n] for n in GROUPS["attributes"]], -1)


def measured(
    model: ReactDiff,
    batch: Batch,
    scripts: list[str],
    samples: int,
    *,
    line: str,
    sampler: str,
    taken: int,
) -> Point:
    other = model.sampled(sampler=sampler, taken=taken)
    began = time.process_time()
    drawn = packed(other.generate(batch.speaker, samples)).numpy()
    seconds = time.process_time() - began
    real, there = packed(batch.targets).numpy(), batch.target_mask.numpy()
    targets = [list(r[t]) for r, t in zip(real, there, strict=True)]
    speakers = list(packed(batch.speaker).numpy())
    found = evaluate_lists(
        list(drawn), targets, speakers, "corrected", metrics=SCORES, per_clip=True
    )
    scores = {n: bootstrap(found.per_clip[n], scripts) for n in SCORES}
    told = "  ".join(f"{n} {x.mean:.4g} [{x.low:.4g}, {x.high:.4g}]" for n, x in scores.items())
    print(f"{line:16} {taken:3}  {told}  {seconds:7.2f} CPU s", flush=True)
    return Point(line, taken, scores, seconds)


def exact() -> None:
    """The deviation of draws by the exact denoiser of standard normal data: E[x_0 | x_t]."""
    base = DiffusionSpec(prediction="x0", scale="moments", clip=4.0)
    bars = levels(base)

    def of_steps(x: Tensor, t: Tensor) -> Tensor:
        return bars[t].sqrt().to(x)[:, None] * x

    def of_flow(x: Tensor, t: Tensor) -> Tensor:  # E[noise - x_0 | x_t]
        return ((2 * t - 1) / (t**2 + (1 - t) ** 2))[:, None] * x

    print("steps          " + "".join(f"{taken:7}" for taken in COUNTS))
    for sampler in SAMPLERS:
        flows, row = SAMPLERS[sampler] == "flow", f"{sampler:15}"
        for taken in COUNTS:
            prediction = "flow" if flows else "x0"
            spec = replace(base, sampler=sampler, prediction=prediction, taken=taken)
            random = torch.Generator().manual_seed(0)
            made = sample(
                spec,
                of_flow if flows else of_steps,
                lambda _, random=random: torch.randn(20000, 4, generator=random),
            )
            row += f"{float(made.std()):7.3f}"
        print(row, flush=True)


def draw(points: list[Point], path: Path) -> None:
    """A panel a score: upwards its value with its interval, steps to the right, a line a way."""
    picture = Image.new("RGB", (WIDTH, len(SCORES) * HEIGHT), "white")
    for row, score in enumerate(SCORES):
        panel = Image.new("RGB", (WIDTH, HEIGHT), "white")
        _panel(ImageDraw.Draw(panel), points, score, legend=row == 0)
        picture.paste(panel, (0, row * HEIGHT))
    picture.save(path)


def _panel(pen: ImageDraw.ImageDraw, points: list[Point], score: str, *, legend: bool) -> None:
    values = [p.scores[score] for p in points]
    top, low = max(x.high for x in values) * 1.05, min(x.low for x in values) * 0.95

    def place(taken: int, value: float) -> tuple[float, float]:
        across = COUNTS.index(taken) / (len(COUNTS) - 1)
        up = (value - low) / (top - low)
        return EDGE + across * (WIDTH - 2 * EDGE), HEIGHT - EDGE - up * (HEIGHT - 2 * EDGE)

    for i in range(5):
        value = low + (top - low) * i / 4
        _, y = place(COUNTS[0], value)
        pen.line((EDGE, y, WIDTH - EDGE, y), fill="#e0e0e0")
        pen.text((EDGE - 52, y - 6), f"{value:.3g}", fill="#555555")
    for taken in COUNTS:
        x, y = place(taken, low)
        pen.text((x - 6, y + 8), str(taken), fill="#555555")
    pen.text((WIDTH / 2 - 60, HEIGHT - 36), "steps a sampler takes", fill="#222222")
    pen.text((EDGE, 20), f"{score} on simulated test clips, 95 % intervals", fill="#222222")
    for row, (line, colour) in enumerate(LINES.items()):
        own = [p for p in points if p.line == line]
        ends = [place(p.taken, p.scores[score].mean) for p in own]
        if len(ends) > 1:
            pen.line(ends, fill=colour, width=2)
        for point, (x, y) in zip(own, ends, strict=True):
            shift = 4 * (row - 1)  # intervals of several ways stand beside each other
            interval = point.scores[score]
            bottom, upper = (place(point.taken, v)[1] for v in (interval.low, interval.high))
            pen.line((x + shift, bottom, x + shift, upper), fill=colour)
            pen.ellipse((x - 4, y - 4, x + 4, y + 4), fill=colour)
        if own and legend:
            pen.text((WIDTH - EDGE - 110, 6 + 14 * row), line, fill=colour)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", default="reactdiff")
    parser.add_argument("--student")
    parser.add_argument("--flow")
    parser.add_argument("--clips", type=int, default=28, help="of 14 a script")
    parser.add_argument("--samples", type=int, default=3)
    parser.add_argument("--crop", type=int, default=750)
    parser.add_argument("--out", type=Path, default=Path("reactdiff-steps.png"))
    parser.add_argument("--exact", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.exact:
        exact()
        return
    corpus = SimulatedDyads("test", size=14 * 20)
    chosen = [corpus[i * 280 // options.clips] for i in range(options.clips)]
    batch = collate(chosen, crop=options.crop, targets=14, listener=corpus.listener)
    scripts = [str(d.script) for d in chosen]
    points = []
    runs = [
        (options.weights, "DDIM", "ddim", COUNTS),
        (options.weights, "DPM-Solver++", "dpm_solver", COUNTS),
    ]
    if options.student:
        few = [taken for taken in COUNTS if taken in FEW]
        runs.append((options.student, "distilled, DDIM", "ddim", few))
    if options.flow:
        runs.append((options.flow, "flow, Euler", "flow_euler", COUNTS))
    for weights, line, sampler, counts in runs:
        model = vv.load(weights)
        assert isinstance(model, ReactDiff), f"{weights} is no ReactDiff"
        for taken in counts:
            points.append(
                measured(
                    model, batch, scripts, options.samples, line=line, sampler=sampler, taken=taken
                )
            )
    draw(points, options.out)
    print(options.out)


if __name__ == "__main__":
    main()
