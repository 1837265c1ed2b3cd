"""MReactor's six embeddings, taken apart by probes and swapped: what each tells, and what it does.

Simulated test dyads. Probes: a linear map (ridge) from each embedding to what each region was made
of, fitted on clips of one half of the scripts and scored on the other half's. Swaps: one embedding
of a speaker is replaced by another speaker's, and the reactions compared with those to either.
"Told" says whether the coarse expression finds its own clip's speech and words among the others'.

    python benchmarks/mreactor_regions.py [MODEL ...]       # bundled names or folders of runs
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

import visavis as vv
from visavis.behaviour import Behaviour
from visavis.corpora import SimulatedDyads
from visavis.models._mreactor_regions import REGIONS, decorrelation
from visavis.models.mreactor import Controls, MReactor

PROBED, HEARD, SAMPLES = 160, 24, 4
"""Clips for the probes (without sound), clips for swaps and their reactions."""
RIDGE = 1e-2


def main() -> None:
    torch.set_num_threads(1)
    silent, heard = SimulatedDyads("test", audio=False), SimulatedDyads("test")
    apart = [int(i) for i in np.linspace(0, len(silent) - 1, PROBED)]
    faces = Behaviour.stack([silent[i].speaker for i in apart])
    few = [int(i) for i in np.linspace(0, len(heard) - 1, HEARD)]
    speakers = [heard[i].speaker for i in few]
    for name in sys.argv[1:] or ["mreactor"]:
        model = vv.load(name)
        if not isinstance(model, MReactor) or model.regions is None:
            sys.exit(f"{name} has no embeddings to take apart; give an MReactor that has.")
        print(f"\n{Path(name).name}\n")
        with torch.inference_mode():
            probed(model, faces)
            swapped(model, speakers)


def probed(model: MReactor, faces: Behaviour) -> None:
    """A row an embedding, a column a region's own numbers: R^2 of the probe on unseen scripts."""
    regions, source = model.regions, model.sources["face"]
    assert regions is not None
    seen, _ = regions.seen(source(faces)[0], None)
    made = regions(seen)
    half = faces.lead[0] // 2
    print("| R^2 of a linear probe from | " + " | ".join(REGIONS) + " |")
    print("|---|" + "---|" * len(REGIONS))
    for a in REGIONS:
        scores = [told(made[a], seen[b], half) for b in REGIONS]
        print(f"| {a} | " + " | ".join(f"{max(s, 0):.2f}" for s in scores) + " |")
    back = regions.reconstructed(made)
    read = {n: 1 - float(((back[n] - seen[n]) ** 2).sum() / spread(seen[n])) for n in REGIONS}
    print(
        "| read back by its own decoder | " + " | ".join(f"{read[n]:.2f}" for n in REGIONS) + " |"
    )
    print(
        f"\nmean squared correlation between embeddings: {float(decorrelation(made, None)):.4f}\n"
    )


def spread(x: Tensor) -> Tensor:
    return ((x - x.mean((0, 1))) ** 2).sum()


def told(x: Tensor, y: Tensor, half: int) -> float:
    """R^2 on the later clips of a ridge regression on the earlier ones, [B, N, C] to [B, N, D]."""
    centre, scale = x[:half].mean((0, 1)), x[:half].std((0, 1)) + 1e-6
    x, mean = (x - centre) / scale, y[:half].mean((0, 1))
    one, two = x[:half].flatten(0, 1).double(), x[half:].flatten(0, 1).double()
    wanted = (y[:half] - mean).flatten(0, 1).double()
    square = one.T @ one + RIDGE * len(one) * torch.eye(one.shape[1], dtype=one.dtype)
    made = two @ torch.linalg.solve(square, one.T @ wanted)
    real = (y[half:] - mean).flatten(0, 1).double()
    return 1 - float(((made - real) ** 2).sum() / (real**2).sum())


def swapped(model: MReactor, people: list[Behaviour]) -> None:
    """How far each embedding of another speaker moves reactions, and which way."""
    speakers = Behaviour.stack(people)
    understood = model.understand(speakers)
    embeddings = understood.embeddings
    assert embeddings is not None
    count = len(understood.tokens)
    seeds = torch.arange(count)

    def reactions(to: Behaviour, controls: Controls) -> Tensor:
        """With the same noise whoever they are to."""
        made = model.react_with(model.with_words(to), seeds, SAMPLES, controls)
        return torch.cat([made[n] for n in ("au", "va", "expression")], -1)

    plain = reactions(speakers, Controls())
    way = reactions(Behaviour.stack([*people[1:], people[0]]), Controls()) - plain
    print("| another speaker's | moved, of all that speakers differ | towards reactions to them |")
    print("|---|---|---|")
    rows = {n: (n,) for n in REGIONS} | {"all six": REGIONS}
    for label, names in rows.items():
        replaced = {n: embeddings[n].roll(-1, 0) for n in names}
        change = reactions(speakers, Controls(replaced=replaced)) - plain
        moved = float((change.square().mean() / way.square().mean()).sqrt())
        share = float((change * way).mean() / way.square().mean())
        print(f"| {label} | {moved:.2f} | {share:+.2f} |")
    if model.alignment is None:
        return
    tokens = understood.perceived.tokens
    mine = F.normalize(model.alignment.expression(embeddings["expression"].mean(1)), dim=-1)
    for m, name in enumerate(model.alignment.heard, start=1):
        theirs = F.normalize(model.alignment.others[name](tokens[:, m].mean(1)), dim=-1)
        best = (mine @ theirs.T).argmax(-1)
        right = float((best == torch.arange(count)).float().mean())
        print(
            f"\nexpression finds its own {name} among {count}: {right:.2f} (chance {1 / count:.2f})"
        )


if __name__ == "__main__":
    main()
