"""How well the bundled models answer simulated speakers, beside what the simulator itself would do.

FRCorr here: mean over clips and samples of the best agreement (CCC, mean over the channels that
move in the real reaction) with any listener of the same script; "shuffled": the same against the
listeners of another script. FRVar and FRDiv as in the challenge, for each group of channels. The
bench with all metrics and protocols is a later piece of work; this is a first look.

    python benchmarks/quality.py [MODEL ...]
"""

from __future__ import annotations

import sys
from collections import defaultdict

import torch
from torch import Tensor

import visavis as vv
from visavis.corpora import SimulatedDyads
from visavis.features.attributes import complete
from visavis.nn.losses import concordance

CLIPS, SAMPLES = 56, 4
GROUPS = {"AU": slice(0, 15), "V/A": slice(15, 17), "expression": slice(17, 25)}


def agreement(reaction: Tensor, listeners: Tensor) -> float:
    """Best channel-mean CCC of one reaction [T, 25] with listeners [N, T, 25]."""
    return float(concordance(reaction[None], listeners).nanmean(-1).max())


def row(name: str, made: Tensor, scripts: dict[str, Tensor], of: list[str]) -> None:
    """`made` [clips, K, T, 25]; `scripts` name -> real listeners [N, T, 25]; `of` script a clip."""
    names = list(scripts)
    own, other = [], []
    for reactions, script in zip(made, of, strict=True):
        elsewhere = names[(names.index(script) + 1) % len(names)]
        own += [agreement(r, scripts[script]) for r in reactions]
        other += [agreement(r, scripts[elsewhere]) for r in reactions]
    spread = []
    for group, columns in GROUPS.items():
        part = made[..., columns]
        diversity = 2 * float(part.var(1).mean()) if made.shape[1] > 1 else 0.0
        spread.append(f"{group} {float(part.var(2).mean()):.4f} / {diversity:.4f}")
    scores = f"FRCorr {sum(own) / len(own):6.3f}  shuffled {sum(other) / len(other):6.3f}"
    print(f"{name:<18} {scores}  FRVar / FRDiv: {', '.join(spread)}")


def main() -> None:
    torch.set_num_threads(1)
    corpus = SimulatedDyads("val", size=CLIPS)
    dyads = [corpus[i] for i in range(CLIPS)]
    real: dict[str, list[Tensor]] = defaultdict(list)
    for dyad in dyads:
        real[str(dyad.script)].append(dyad.listener.pack("attributes"))
    scripts = {name: torch.stack(parts) for name, parts in real.items()}
    of = [str(dyad.script) for dyad in dyads]
    print(f"{CLIPS} validation clips of {len(scripts)} scripts, {SAMPLES} samples, simulated dyads")
    drawn = [corpus.oracle(dyad, SAMPLES).pack("attributes") for dyad in dyads]
    row("oracle", torch.stack(drawn), scripts, of)
    for name in sys.argv[1:] or vv.available():
        model = vv.load(name)
        made = [
            complete(model.generate(dyad.speaker, SAMPLES, seeds=i)).pack("attributes")
            for i, dyad in enumerate(dyads)
        ]
        row(name, torch.stack(made), scripts, of)


if __name__ == "__main__":
    main()
