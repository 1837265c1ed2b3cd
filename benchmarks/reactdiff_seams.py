"""How much ReactDiff's windows show: change from frame to frame by where in a window it is.

    python benchmarks/reactdiff_seams.py [--weights reactdiff] [--clips 14]

The same weights with windows of 50 frames that do not overlap, as published, and with overlaps that
are blended at every step. For latents, coefficients and attributes: the mean absolute change from
one frame to the next at each place of the period in which windows begin; printed is the largest
over the median place. Without seams that is what chance makes of it, as in the row of real
listeners. The last column is what drawing costs.
"""

from __future__ import annotations

import argparse
import copy
import time
from dataclasses import replace

import torch
from torch import Tensor

import visavis as vv
from visavis.behaviour import Behaviour
from visavis.channels import GROUPS
from visavis.corpora import SimulatedDyads
from visavis.models.reactdiff import ReactDiff

OVERLAPS = (0, 5, 10, 25)


def standing_out(x: Tensor, period: int) -> float:
    """x [..., T, C]: the place of the period with the largest mean change, over the median one."""
    change = x.diff(dim=-2).abs().mean(-1).flatten(0, -2).mean(0)
    whole = change[: len(change) // period * period].unflatten(0, (-1, period)).mean(0)
    return float(whole.max() / whole.median())


def overlapping(model: ReactDiff, overlap: int) -> ReactDiff:
    """The same weights with another overlap; only windows that are blended can be so changed."""
    other = copy.copy(model)
    spec = replace(model.config.diffusion, overlap=overlap)
    other.config = replace(model.config, diffusion=spec)
    return other


def measured(model: ReactDiff, speaker: Behaviour, samples: int) -> str:
    spec = model.config.diffusion
    begun = time.process_time()
    made = model.generate(speaker, samples)
    seconds = time.process_time() - begun
    seeds = torch.zeros(len(speaker), dtype=torch.int64)
    lengths = torch.full((len(speaker),), speaker.frames)
    with model.sampling():
        told = model.encode(model.check_speaker(speaker), None, speaking=True)
        latents = model.latents_blended(*model.conditions(told, None), seeds, samples, lengths)
    numbers = [standing_out(latents, spec.hop), *of_reactions(made, spec.hop)]
    row = "".join(f"{x:13.2f}" for x in numbers)
    return f"overlap {spec.overlap:4} {row} {seconds:10.2f} CPU s"


def of_reactions(made: Behaviour, period: int) -> list[float]:
    groups = ("coefficients", "attributes")
    return [standing_out(torch.cat([made[n] for n in GROUPS[g]], -1), period) for g in groups]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", default="reactdiff")
    parser.add_argument("--clips", type=int, default=14)
    parser.add_argument("--samples", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    corpus = SimulatedDyads("val", size=options.clips)
    speaker = Behaviour.stack([corpus[i].speaker for i in range(options.clips)])
    model = vv.load(options.weights)
    assert isinstance(model, ReactDiff), f"{options.weights} is no ReactDiff"
    assert model.config.diffusion.seams == "blend", "windows in turn have one overlap"
    print("                   latents coefficients   attributes")
    real = Behaviour.stack([corpus[i].listener for i in range(options.clips)])
    row = "".join(f"{x:13.2f}" for x in of_reactions(real, model.config.diffusion.window))
    print(f"listeners    {'-':>13}{row}")
    for overlap in OVERLAPS:
        print(measured(overlapping(model, overlap), speaker, options.samples), flush=True)


if __name__ == "__main__":
    main()
