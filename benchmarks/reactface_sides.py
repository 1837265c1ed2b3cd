"""How far left and right shapes part: real listeners, and ReactFace's bundled weights.

python benchmarks/reactface_sides.py
"""

from __future__ import annotations

import torch

import visavis as vv
from visavis.channels import BLENDSHAPES
from visavis.corpora import SimulatedDyads

CLIPS, DRAWS = 12, 3


def main() -> None:
    names = list(BLENDSHAPES)
    left = [i for i, n in enumerate(names) if n.endswith("Left") and f"{n[:-4]}Right" in names]
    right = [names.index(f"{names[i][:-4]}Right") for i in left]
    dyads = SimulatedDyads("test", size=40)
    clips = [dyads[i] for i in range(CLIPS)]
    model = vv.load("reactface")
    drawn = [model.generate(d.speaker, DRAWS, seeds=i) for i, d in enumerate(clips)]
    for who, people in (("listeners", [d.listener for d in clips]), ("reactface", drawn)):
        shapes = torch.stack([p["blendshapes"] for p in people])
        apart = (shapes[..., left] - shapes[..., right]).abs().mean()
        print(f"{who}: mean difference of left and right {float(apart):.4f}")


if __name__ == "__main__":
    main()
