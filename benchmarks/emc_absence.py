"""EMC where something is lost: a conversation that loses camera, microphone and both, and how far
samples spread as more is lost.

    python benchmarks/emc_absence.py emc_reactface [--clips 12]      (a name or a folder)
    python benchmarks/emc_absence.py reactface --impute

Conversation (models that stream): the face is lost from 4 to 9 s, the voice from 11 to 16, both
from 18 to 23, and all comes back. Jerk is the largest third difference of any blendshape from 4
frames before a seam to 8 behind it, beside the largest of the conversation in which nothing is
lost. Apart: distance to that conversation's reactions, over the distance between two samples of it
(at 1 the reaction is another one). Recovery: time after the return until it is a tenth.

Spread: mean squared distance of two samples' attributes, over that of the same clip with nothing
lost, averaged over clips; agreement: each sample's best CCC with an appropriate listener, averaged.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from visavis import load, recipes
from visavis.behaviour import Behaviour
from visavis.corpora import SimulatedDyads
from visavis.corpora._dropout import Dropout, dropped
from visavis.errors import OfflineOnly
from visavis.features.attributes import complete
from visavis.models._base import ReactionModel
from visavis.nn.losses import concordance

LOST = {"face": (100, 225), "speech": (275, 400), "both": (450, 575)}


def talked(model: ReactionModel[object], people: list[Behaviour], seed: int = 0) -> Tensor:
    """Blendshapes of one sample, [clips, T, 52], streamed 5 frames a step, all lanes at once."""
    session = model.session(1)
    lanes = [session.open(seed=seed + i) for i in range(len(people))]
    parts: list[list[Behaviour]] = [[] for _ in lanes]
    for pieces in zip(*(p.windows(5) for p in people), strict=True):
        ready = session.step(dict(zip(lanes, pieces, strict=True)))
        for mine, lane in zip(parts, lanes, strict=True):
            mine.append(ready[lane])
    return torch.cat([Behaviour.cat(p).pack("blendshapes") for p in parts])


def conversation(model: ReactionModel[object], people: list[Behaviour]) -> None:
    lossy = people
    for what, (start, stop) in LOST.items():
        groups = ("face", "speech") if what == "both" else (what,)
        lossy = [p.drop(*groups, start=start, stop=stop) for p in lossy]
    usual, made = talked(model, people), talked(model, lossy)
    other = talked(model, people, seed=1000)
    calm = usual.diff(n=3, dim=1).abs().amax((1, 2))
    jerk = made.diff(n=3, dim=1).abs().amax(2) / calm[:, None]
    apart = (made - usual).square().mean(2).sqrt().mean(0)
    apart = apart / (other - usual).square().mean(2).sqrt().mean()
    for what, (start, stop) in LOST.items():
        lost, back = (jerk[:, seam - 4 : seam + 8].amax(1) for seam in (start, stop))
        low = (apart[stop:] <= 0.1).nonzero()
        took = f"{float(low[0]) / 25:.2f} s" if len(low) else "not before the end"
        later = ", ".join(f"{float(apart[stop + 25 * s - 1]):.2f}" for s in (0, 1, 2))
        print(
            f"  {what:<7} jerk of the largest elsewhere, loss {float(lost.mean()):.2f} "
            f"(worst {float(lost.max()):.2f}), return {float(back.mean()):.2f} (worst "
            f"{float(back.max()):.2f}); apart at its end and 1 and 2 s later {later}; a tenth "
            f"after {took}"
        )


def agreement(made: Tensor, real: Tensor) -> float:
    """[K, T, 25] with [N, T, 25]: each sample's best CCC, averaged."""
    found = concordance(made[:, None], real[None]).nan_to_num(0.0).mean(-1)
    return float(found.amax(1).mean())


def spread(
    model: ReactionModel[object],
    corpus: SimulatedDyads,
    clips: int,
    samples: int,
    only: str = "",
) -> None:
    def bursts(share: float) -> Callable[[int, Behaviour], Behaviour]:
        rates = Dropout(intermittent=1.0, seen_frames=25.0 / share - 25.0, keep_one=1.0)
        return lambda i, p: dropped(p, rates, np.random.default_rng((0, i)))

    ways: dict[str, Callable[[int, Behaviour], Behaviour]] = {
        "nothing": lambda i, p: p,
        "bursts, 10 %": bursts(0.1),
        "bursts, 30 %": bursts(0.3),
        "bursts, 50 %": bursts(0.5),
        "speech": lambda i, p: p.drop("speech"),
        "face": lambda i, p: p.drop("face"),
        "both": lambda i, p: p.drop("face", "speech"),
    }
    first: np.ndarray | None = None
    for name, lose in ((n, w) for n, w in ways.items() if n.startswith(only)):
        distances, agreements = [], []
        for i in range(clips):
            dyad = corpus[i]
            speaker = lose(i, dyad.speaker.select("face", "speech"))
            made = complete(model.generate(speaker, samples, seeds=i)).pack("attributes")
            apart = torch.cdist(made.flatten(1), made.flatten(1)).square()
            distances.append(float(apart.sum() / (samples * (samples - 1)) / made[0].numel()))
            real = torch.stack([corpus.listener(x).pack("attributes") for x in dyad.appropriate])
            agreements.append(agreement(made, real))
        first = np.array(distances) if first is None else first
        ratio = np.array(distances) / first
        error = ratio.std(ddof=1) / len(ratio) ** 0.5
        print(
            f"  lost: {name:<13} spread {ratio.mean():.3f} (standard error {error:.3f}), "
            f"agreement {np.mean(agreements):.3f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--clips", type=int, default=12)
    parser.add_argument("--samples", type=int, default=6)
    parser.add_argument("--impute", action="store_true", help="bases alone, their input filled in")
    options = parser.parse_args()
    if options.clips < 2:
        parser.error("--clips must be 2 or more: standard errors are over clips")
    torch.set_num_threads(1)
    corpus = SimulatedDyads("test", size=10 * options.clips)
    for name in options.models:
        if options.impute:
            for how in ("zero", "mean", "last", "nearest"):
                recipe = recipes.read("emc", preset=how, changes=[f"model.base={name}"])
                print(f"{name}, {how}:")
                model = recipes.build(recipe).eval()
                spread(model, corpus, options.clips, options.samples, "bursts")
            continue
        model = load(name)
        print(f"{name}:")
        people = [corpus[10 * i].speaker.select("face", "speech") for i in range(options.clips)]
        try:
            conversation(model, people)
        except OfflineOnly:
            print("  does not stream")
        spread(model, corpus, options.clips, options.samples)


if __name__ == "__main__":
    main()
