"""Trans-VAE, ten reactions to 30 s from feature tokens: the published layout beside ours.

Published: ten separate passes, each encoding the clip; stock layers with a float mask a head;
online, every window encodes the whole prefix again. Random weights, published sizes, one thread.

The specification's own figures for one pass (0.66 CPU s offline, 7.6 online at w = 16) were taken
with two threads on a machine under a load of 4 to 11, where waiting threads spin and count; on a
quiet core the same layout takes a twentieth of that, in the released order of operations.
Offline the ratio is bounded: of the published pass, everything but the second decoder layer, a
feed-forward and the two heads is done once for all samples, and those are two fifths of it.

    python benchmarks/trans_vae.py
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks._timing import machine, show, side_by_side
from benchmarks.peers.trans_vae import PublishedTransVAE
from visavis.models.trans_vae import TransVAE, TransVAEConfig

FRAMES, SAMPLES = 750, 10


def main() -> None:
    torch.set_num_threads(1)
    print(machine())
    with torch.inference_mode():
        offline()
        for window in (8, 16):
            online(window)


def offline() -> None:
    features, seeds = torch.randn(1, FRAMES, 128), torch.zeros(1, dtype=torch.int64)
    ours = TransVAE(TransVAEConfig()).eval()
    published = PublishedTransVAE(ours)
    noise = torch.randn(SAMPLES, 1, 128)
    theirs, mine = side_by_side(
        lambda: [published(features, noise[i]) for i in range(SAMPLES)],
        lambda: ours.react_to_features(features, seeds, SAMPLES),
    )
    print(f"one published offline pass: {theirs / SAMPLES:.3f} CPU s")
    show("offline, 10 x 30 s", theirs, mine)


def online(window: int) -> None:
    features, seeds = torch.randn(1, FRAMES, 128), torch.zeros(1, dtype=torch.int64)
    ours = TransVAE(TransVAEConfig(online=True, window=window)).eval()
    published = PublishedTransVAE(ours)
    noise = torch.randn(SAMPLES, 1, -(-FRAMES // window), 128)
    theirs, mine = side_by_side(
        lambda: [published.forward_online(features, n) for n in noise],
        lambda: ours.react_to_features(features, seeds, SAMPLES),
        runs=1,
    )
    print(f"one published online pass, w = {window}: {theirs / SAMPLES:.2f} CPU s")
    show(f"online w = {window}, 10 x 30 s", theirs, mine)


if __name__ == "__main__":
    main()
