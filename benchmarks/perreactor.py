"""PerReactor, ten personal reactions to 30 s from feature tokens: the published layout beside ours.

Published: ten separate passes, each encoding clip and history; stock layers with a float mask a
head. Random weights, published sizes, one thread. `tests/models/test_perreactor.py` holds both to
the same numbers.

    python benchmarks/perreactor.py
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks._timing import machine, show, side_by_side
from benchmarks.peers.perreactor import PublishedPerReactor
from visavis.models.perreactor import PerReactor, PerReactorConfig
from visavis.nn.gaussian import Gaussian

FRAMES, SAMPLES = 750, 10


def main() -> None:
    torch.set_num_threads(1)
    print(machine())
    ours = PerReactor(PerReactorConfig(critics=())).eval()
    published = PublishedPerReactor(ours)
    features, history = torch.randn(1, FRAMES, 128), torch.rand(1, 480, 25)
    noise = torch.randn(SAMPLES, 1, 128)

    def mine() -> None:
        distribution = ours.predict(features)
        wide = Gaussian(distribution.mean[:, None], distribution.log_variance[:, None])
        ours.decode(features, wide.at(noise.transpose(0, 1)), ours.pattern(history))

    with torch.inference_mode():
        theirs, own = side_by_side(
            lambda: [published.personal(features, history, n) for n in noise], mine
        )
    show("personal, 10 x 30 s", theirs, own)


if __name__ == "__main__":
    main()
