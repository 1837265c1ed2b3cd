"""FaceAIS's predictor, ten reactions to 23 patches of 32 frames, beside the published loop.

Published: a pass a patch and sample, 230 in all, each over a full window (frames before the start
are masked). Ours, in the published sizes: both directions, and causal with keys and values kept.
Both sides are timed on a part, at a full window, and scaled up to 23 patches: one published pass,
one patch of ours for all ten samples (our first patches, whose windows are not full, cost less).
Random weights, one thread; the tokenizer, which is the same on both sides, is left out.

    python benchmarks/faceais.py [--runs 3]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks._timing import cpu_seconds, machine, show
from benchmarks.peers.faceais import PublishedPredictor, published_codes
from visavis.models._faceais_state import begin, hear
from visavis.models.faceais import FaceAIS, FaceAISConfig

PATCHES, SAMPLES = 23, 10


def published(runs: int) -> float:
    """CPU seconds of all 230 passes."""
    model = PublishedPredictor().eval()
    face, own = (torch.randint(1000, (1, 256)) for _ in range(2))
    sound, seen = torch.randn(1, 512, 512), torch.ones(1, 256, dtype=torch.bool)

    def one() -> None:
        published_codes(model(face, sound, own, seen))

    one()
    each = min(cpu_seconds(one) for _ in range(runs))
    print(f"one published pass: {each:.3f} CPU s (best of {runs})")
    return each * PATCHES * SAMPLES


def ours(*, causal: bool, runs: int) -> float:
    """CPU seconds of 23 patches at a full window."""
    config = FaceAISConfig(
        speech="wav2vec2_convolutions",
        speech_size=512,
        speech_rate=2,
        causal=causal,
        tokenizer_width=24,  # not timed: its codes are given
        tokenizer_layers=1,
    )
    model = FaceAIS(config).eval()
    predictor, size = model.predictor, config.patch
    state, seeds = begin(predictor, 1, SAMPLES), torch.zeros(1, dtype=torch.int64)

    def patch(samples: int) -> None:
        face = predictor.face(torch.randint(1000, (1, size)))
        speech = predictor.embed_speech(torch.randn(1, 2 * size, 512))
        features = hear(predictor, state, face, speech)
        own = torch.randint(1000, (samples, size))
        model.next_codes(state, own, features, seeds, samples, state.heard)

    if causal:
        for _ in range(config.window // size):
            patch(SAMPLES)
    else:  # a full window, without working out the patches that fill it
        frames = config.window - size
        ticks = predictor.embed_speech(torch.randn(1, 2 * frames, 512))
        state.window |= {"face": torch.randn(1, frames, config.width), "speech": ticks}
        state.window["own"] = torch.randint(1000, (SAMPLES, frames))
        patch(SAMPLES)
    each = min(cpu_seconds(lambda: patch(SAMPLES)) for _ in range(runs))
    print(f"one patch of ours, {SAMPLES} samples: {each:.3f} CPU s (best of {runs})")
    return each * PATCHES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(machine())
    with torch.no_grad():
        theirs = published(options.runs)
        show("causal, keys kept", theirs, ours(causal=True, runs=options.runs))
        show("both directions", theirs, ours(causal=False, runs=options.runs))


if __name__ == "__main__":
    main()
