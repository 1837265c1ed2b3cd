"""REGNN, ten reactions to 30 s: the published loop beside ours.

Published: ten passes, each of which encodes all 29 windows again. Ours reads the speaker once.
Random weights, published sizes (768 + 128 numbers a frame), one thread.

    python benchmarks/regnn.py
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks._timing import machine, show, side_by_side
from benchmarks.peers.regnn import PublishedREGNN
from visavis.models.regnn import REGNN, REGNNConfig
from visavis.nn.windows import unfold

FRAMES, SAMPLES = 750, 10


def main() -> None:
    torch.set_num_threads(1)
    print(machine())
    torch.manual_seed(0)
    config = REGNNConfig(
        face="swin_t", face_size=768, speech="vggish", speech_size=128, neighbours=24
    )
    ours = REGNN(config).eval()
    published = PublishedREGNN(ours)
    face, speech = torch.randn(1, FRAMES, 768), torch.randn(1, FRAMES, 128)
    cut = [unfold(x, config.window, config.stride)[0] for x in (face, speech)]
    noise = 0.058 * torch.randn(SAMPLES, len(cut[0]), 25, config.window)
    seeds = torch.zeros(1, dtype=torch.int64)

    def mine() -> None:
        distribution = ours.predict(ours.fuse(ours.perceptual.face(face), speech))
        latent = ours.sample(distribution, seeds, SAMPLES)
        ours.decode(latent, FRAMES, distribution=distribution)

    with torch.no_grad():
        theirs, own = side_by_side(lambda: [published(*cut, n) for n in noise], mine)
    show("10 x 30 s", theirs, own)


if __name__ == "__main__":
    main()
