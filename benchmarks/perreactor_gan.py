"""What makes PerReactor's game hold: critics' accuracy and scores under each of its stabilisers.

Every run begins with the same generator (the laptop preset's stage "mean") and fresh critics, and
plays the generic stage with the laptop preset's objective beside the critics, whose weights are
`--weight` (the preset's own are small, so that a run would show little of them). Printed every so
many steps: how often the critics rank a real frame above a made one, a real reaction above a made
one, and an appropriate one above an inappropriate one (0.5 is guessing; averages of the last
steps); at the end FRCorr, FRDist and FRDiv of validation clips. One seed, simulated dyads.

    python benchmarks/perreactor_gan.py              # about ten CPU minutes
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from visavis import recipes
from visavis.behaviour import Behaviour
from visavis.channels import GROUPS
from visavis.cli._train_data import Clips, Draw, Once, clips
from visavis.metrics.evaluate import evaluate_lists
from visavis.models.perreactor import PerReactor
from visavis.recipes import Recipe, StageRecipe
from visavis.training.loop import train
from visavis.training.sampler import Sampler

RELEASED = (
    "model.adversarial=released",
    "model.spectral=false",
    "model.critic_every=1",
    "model.hard_negatives=false",
    "model.crisp=false",
)
RUNS: Mapping[str, tuple[str, ...]] = {
    "no critics": (*RELEASED, "model.realism_weight=0", "model.appropriateness_weight=0"),
    "released losses": RELEASED,
    "relativistic": (*RELEASED, "model.adversarial=relativistic"),
    "hinge": (*RELEASED, "model.adversarial=hinge"),
    "relativistic, spectral norm": (
        *RELEASED,
        "model.adversarial=relativistic",
        "model.spectral=true",
    ),
    "relativistic, R1": (*RELEASED, "model.adversarial=relativistic", "model.r1=1.0"),
    "relativistic, critics at 3e-3": (
        *RELEASED,
        "model.adversarial=relativistic",
        "training.rates.realism=3e-3",
        "training.rates.appropriateness=3e-3",
    ),
    "relativistic, averaged weights": (
        *RELEASED,
        "model.adversarial=relativistic",
        "training.ema=0.95",
    ),
    "laptop: relativistic, spectral norm, critics every sixth step": (),
}
WATCHED = {
    "realism/log/over_made": "frames: real over made",
    "appropriateness/log/over_made": "reactions: real over made",
    "appropriateness/log/over_inappropriate": "appropriate over inappropriate",
}
CLIPS, DRAWS, PARTS = 28, 3, 3


def recipe(changes: Sequence[str], stage: str, steps: int) -> Recipe:
    always = (
        f"corpus.val_size={2 * CLIPS}",  # one clip of each listener of a script, of two
        "training.learning_rate=1e-3",
        "training.schedule=constant",
    )
    read = recipes.read("perreactor", preset="laptop", changes=(*always, *changes))
    plan = [replace(s.training, steps=steps) for s in read.plan if s.name == stage]
    return replace(read, stages=(StageRecipe(name=stage, training=plan[0]),))


def played(model: PerReactor, told: Recipe, training: Clips) -> list[dict[str, Any]]:
    torch.manual_seed(0)
    sampler = Sampler(len(training), told.plan, seed=1)
    return train(model, Draw(training, sampler, told.corpus), told.plan, fitted=True).rows


def scores(model: PerReactor, held: Clips) -> str:
    made, targets, speakers = [], [], []
    for start in range(0, CLIPS, 7):
        dyads = [held[i] for i in range(2 * start, 2 * start + 14, 2)]
        out = model.generate(Behaviour.stack([d.speaker for d in dyads]), DRAWS, seeds=start)
        made += list(_attributes(out))
        speakers += [_attributes(d.speaker) for d in dyads]
        targets += [[_attributes(held.listener(n)) for n in d.appropriate] for d in dyads]
    wanted = ("FRCorr", "FRDist", "FRDiv")
    got = evaluate_lists(made, targets, speakers, "corrected", metrics=wanted, workers=1)
    return ", ".join(f"{n} {float(got[n]):.3f}" for n in wanted)


def _attributes(person: Behaviour) -> Any:
    return torch.cat([person[n] for n in GROUPS["attributes"]], -1).numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--mean", type=int, default=300)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--weight", type=float, default=0.3)
    parser.add_argument("--only", help="runs whose names hold this")
    given = parser.parse_args()
    torch.set_num_threads(1)
    first = recipe((), "mean", given.mean)
    training = clips("train", first, None, audio=True, quiet=True)
    held = clips("val", first, None, audio=True, quiet=True)
    torch.manual_seed(first.seed)
    start = recipes.build(first)
    assert isinstance(start, PerReactor)
    start.fit(Once(training))
    played(start, first, training)
    print(f"begun with: {scores(start, held)}", flush=True)
    critics = ("realism", "suits")  # begun anew, but for the statistics of what they see
    kept = {
        n: x for n, x in start.state_dict().items() if ".scale." in n or not n.startswith(critics)
    }
    weights = (
        f"model.realism_weight={given.weight}",
        f"model.appropriateness_weight={given.weight}",
    )
    for name, changes in RUNS.items():
        if given.only and given.only not in name:
            continue
        told = recipe((*weights, *changes), "generic", given.steps)
        torch.manual_seed(0)
        model = recipes.build(told)
        assert isinstance(model, PerReactor)
        model.load_state_dict(kept, strict=False)
        began = time.process_time()
        watch = _watched(model, told, training, given.steps)
        spent = time.process_time() - began
        print(f"{name} ({spent:.0f} CPU s): {scores(model, held)}")
        for label, values in watch.items():
            print(f"    {label}: {' -> '.join(f'{v:.2f}' for v in values)}", flush=True)


def _watched(
    model: PerReactor, told: Recipe, training: Clips, steps: int
) -> dict[str, list[float]]:
    """Play, and average what critics log over each third of the steps."""
    seen: dict[str, list[float]] = {label: [] for label in WATCHED.values()}
    objectives = model.objectives

    def watched(stage: str = "main") -> Any:
        found = []
        for one in objectives(stage):
            found.append(replace(one, loss=_listening(one.name, one.loss, seen)))
        return tuple(found)

    listening = copy.copy(model)  # the same weights; its objectives also write down what they log
    listening.objectives = watched  # type: ignore[method-assign]
    played(listening, told, training)
    return {
        label: [float(np.mean(part)) for part in np.array_split(values, PARTS) if len(part)]
        for label, values in seen.items()
    }


def _listening(name: str, loss: Any, seen: dict[str, list[float]]) -> Any:
    def told(batch: Any) -> Any:
        terms = loss(batch)
        for key, label in WATCHED.items():
            objective, _, term = key.partition("/")
            if objective == name and term in terms:
                seen[label].append(float(terms[term]))
        return terms

    return told


if __name__ == "__main__":
    main()
