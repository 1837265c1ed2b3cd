"""ReactDiff, ten reactions to 30 s: the published layout beside ours, and the published size.

    python benchmarks/reactdiff.py [--windows 15] [--published]

One thread, random weights, default features, CPU seconds.

1. At the compact recipe's widths: the published way (one sample a pass, the speaker encoded anew
   each time, 20 steps) beside ours with the same weights and steps (one encoding, all samples
   together), and the compact recipe as it is (4 steps, overlapping windows).
2. With --published: one evaluation of the denoiser at the released size (404 M parameters, 1.6 GB)
   on a number of windows, beside matrix products of as many counted operations in the same
   process; and from it what the published way takes for ten reactions: 20 steps x 150 windows. The
   specification measured 68.2 s for one step of 150 windows, 1,365 s in all.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks._timing import cpu_seconds, machine, show, side_by_side
from benchmarks.peers.reactdiff import PublishedReactDiff
from tests.people import person
from visavis import recipes
from visavis.models.reactdiff import ReactDiff
from visavis.nn.unet1d import UNet1d

FRAMES, SAMPLES, STEPS, SPECIFIED = 750, 10, 20, 1365.0
PLAIN = (
    "model.guess=false",
    "model.begun_weight=0",
    "model.denoiser.layout=frames_as_channels",
    "model.diffusion.smooth_noise=0",
    "model.diffusion.temperature=1",
    "model.transformer.positions=off",
    "model.transformer.activations=false",
    "model.diffusion.overlap=0",
    "model.diffusion.sampler=ddim",
    "model.diffusion.taken=20",
    "model.diffusion.prediction=epsilon",
    "model.diffusion.scale=range",
    "model.diffusion.clip=1.0",
)


def model(*changes: str) -> ReactDiff:
    made: ReactDiff = recipes.build(recipes.read("reactdiff", changes=changes))
    return made.eval()


def compact() -> float:
    """Ten reactions both ways at the compact widths; CPU seconds of the recipe as it is."""
    speaker, ours = person(FRAMES, lead=(1,)), model(*PLAIN)
    published = PublishedReactDiff(ours)
    noise = torch.randn(SAMPLES, FRAMES // 50, 50, ours.config.transformer.latent)
    seeds = torch.zeros(1, dtype=torch.int64)
    theirs, mine = side_by_side(
        lambda: [published(speaker, n) for n in noise],
        lambda: ours.react(ours.check_speaker(speaker), seeds, SAMPLES, None),
        runs=1,
    )
    show("compact widths, 20 steps, 10 x 30 s", theirs, mine)
    whole = model()
    whole.generate(speaker, 1)
    least = min(cpu_seconds(lambda: whole.generate(speaker, SAMPLES)) for _ in range(2))
    print(f"the compact recipe as it is, 10 x 30 s: {least:.2f} CPU s")
    return least


def released(windows: int) -> float:
    """CPU seconds of the published way at the released size, from one denoiser evaluation."""
    with torch.device("meta"):
        counted = UNet1d(50, 50)
        counter = FlopCounterMode(display=False)
        with counter:
            counted(torch.empty(windows, 256, 50), torch.empty(windows), torch.empty(windows, 1024))
    operations = counter.get_total_flops()
    network = UNet1d(50, 50).eval()
    x, steps = torch.randn(windows, 256, 50), torch.zeros(windows, dtype=torch.int64)
    condition = torch.randn(windows, 1024)
    side = 2048
    a, b = torch.randn(side, side), torch.randn(side, side)
    network(x, steps, condition), a @ b
    pairs = [
        (cpu_seconds(lambda: network(x, steps, condition)), cpu_seconds(lambda: a @ b))
        for _ in range(3)
    ]
    took, product = min(p[0] for p in pairs), min(p[1] for p in pairs)
    rate = 2 * side**3 / product
    print(
        f"one evaluation on {windows} windows: {took:.2f} CPU s, {operations / 1e9:.0f} G counted "
        f"operations; as matrix products {operations / rate:.2f} CPU s ({rate / 1e9:.0f} G/s): "
        f"{took * rate / operations:.2f} times"
    )
    whole = took / windows * (FRAMES // 50) * SAMPLES * STEPS
    print(f"20 steps of 150 windows: {whole:.0f} CPU s (specification: {SPECIFIED:.0f} s)")
    return whole


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--windows", type=int, default=15)
    parser.add_argument("--published", action="store_true", help="needs 2 GB and a minute")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(machine())
    with torch.inference_mode():
        ours = compact()
        if options.published:
            whole = released(options.windows)
            print(f"the compact recipe is {whole / ours:.0f} times as fast as that")


if __name__ == "__main__":
    main()
