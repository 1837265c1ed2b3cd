"""BeLFusion and ReactDiff-K at their published sizes: the published layout beside ours.

Random weights, one thread, CPU seconds; ten reactions. The published BeLFusion evaluates one sample
a pass and decodes every step; "batched" is its validation loop, with the ten samples as ten rows.
The published ReactDiff-K maps speaker and clock anew at every evaluation, for every sample; one
window is timed (all windows cost the same), and a clip is that times the number of windows.

    python benchmarks/diffusion.py [belfusion] [reactdiff_k]
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks._timing import machine, show, side_by_side
from benchmarks.peers.belfusion import PublishedBelfusion
from benchmarks.peers.reactdiff_k import PublishedNetwork, published_window
from visavis.behaviour import Behaviour
from visavis.channels import STANDARD
from visavis.models.belfusion import Belfusion, BelfusionConfig
from visavis.models.reactdiff_k import ReactdiffK, ReactdiffKConfig
from visavis.nn.schedules import karras_sigmas

FRAMES, SAMPLES = 750, 10


def speaker(frames: int, *names: str) -> Behaviour:
    """A speaker of noise: only its shape matters here."""
    channels = {}
    for name in names:
        channel = STANDARD[name]
        values = torch.rand(1, frames * channel.rate, *channel.width)
        channels[name] = values.softmax(-1) if channel.kind == "simplex" else values
    return Behaviour.of(channels)


def belfusion() -> None:
    ours = Belfusion(BelfusionConfig()).eval()
    published = PublishedBelfusion(ours)
    person = speaker(FRAMES, "au", "va", "expression")
    attributes = person.pack()
    noise = torch.randn(SAMPLES, FRAMES // 50, 128)
    seeds = torch.zeros(1, dtype=torch.int64)

    def looped() -> None:
        for i in range(SAMPLES):
            published(attributes, noise[i : i + 1])

    def batched() -> None:
        published(attributes.expand(SAMPLES, -1, -1), noise)

    def mine(model: Belfusion) -> None:
        model.react(person, seeds, SAMPLES, None)

    for name, theirs in (("ten passes", looped), ("batched", batched)):
        show(f"BeLFusion, 10 x 30 s, {name}", *side_by_side(theirs, lambda: mine(ours)))
    for steps in (4, 2, 1):
        few = Belfusion(BelfusionConfig(sampling_steps=steps)).eval()
        few.load_state_dict(ours.state_dict())
        pair = side_by_side(batched, lambda few=few: mine(few))
        show(f"BeLFusion, 10 x 30 s, batched; ours in {steps} steps", *pair)


def reactdiff_k() -> None:
    steps = 50
    for window in (16, 64):
        config = ReactdiffKConfig(speech="wav2vec2", window=window)
        ours = ReactdiffK(config).eval()
        network = PublishedNetwork(ours.network)
        person = speaker(window, "blendshapes", "rotation", "translation", "wav2vec2")
        sound, face, inside = ours.heard(person)
        rows = tuple(x.expand(SAMPLES, -1, -1) for x in (sound, face))
        sigmas = karras_sigmas(steps, low=0.01, high=80.0)
        past = torch.zeros(1, SAMPLES, 58)
        noise = torch.randn(steps, SAMPLES, window, 58)
        seeds = torch.zeros(1, dtype=torch.int64)

        def theirs(
            network=network, rows=rows, past=past, noise=noise, sigmas=sigmas
        ) -> torch.Tensor:
            return published_window(network, noise[0], past[0], rows, sigmas, noise)

        def mine(
            ours=ours, sound=sound, face=face, inside=inside, past=past, seeds=seeds, n=window
        ) -> torch.Tensor:
            prepared = ours.network.prepare(sound, face, inside)
            return ours.answer(prepared, past, seeds, torch.zeros_like(seeds), n)

        one, other = side_by_side(theirs, mine, runs=1)
        windows = FRAMES // window
        show(f"ReactDiff-K, window {window}, one window of 10", one, other)
        print(f"  a clip of {windows} windows: {one * windows:.0f} and {other * windows:.0f} CPU s")
    compact = ReactdiffK(
        ReactdiffKConfig(widths=(64, 128), depths=(1, 2), features=128, head=32, sampling_steps=8)
    ).eval()
    person = speaker(FRAMES, "blendshapes", "rotation", "translation", "mfcc78")
    whole, _ = side_by_side(
        lambda: compact.react(person, torch.zeros(1, dtype=torch.int64), SAMPLES, None),
        lambda: None,
        runs=1,
    )
    print(f"ReactDiff-K, compact, 10 x 30 s: {whole:.2f} CPU s")


def main() -> None:
    torch.set_num_threads(1)
    print(machine())
    wanted = sys.argv[1:] or ["belfusion", "reactdiff_k"]
    with torch.inference_mode():
        for name in wanted:
            {"belfusion": belfusion, "reactdiff_k": reactdiff_k}[name]()


if __name__ == "__main__":
    main()
