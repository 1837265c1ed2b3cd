"""`visavis train`: a recipe's corpus, model and loop put together."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np
import typer
from rich.console import Console

from visavis import __version__, pretrained, recipes
from visavis.behaviour import Behaviour
from visavis.channels import GROUPS
from visavis.cli.console import bar
from visavis.cli.react import ready
from visavis.corpora import SimulatedDyads, collate
from visavis.corpora.simulated import VERSION
from visavis.dyad import Batch, Dyad
from visavis.errors import InputError
from visavis.files import atomic_path
from visavis.models._base import ReactionModel
from visavis.recipes import Recipe
from visavis.training.loop import train

Listeners = dict[str, Behaviour]

SIMULATED = "trained on simulated dyads, not on recordings of people."
LIMIT = 4 * 2**20
"""Bytes that one bundled weight may have."""


def run(
    name: str,
    out: Path | None,
    *,
    preset: str | None,
    changes: list[str],
    bundle: bool,
    quiet: bool,
) -> None:
    recipe = recipes.read(name, preset=preset, changes=changes)
    if recipe.corpus.name != "simulated":
        raise InputError(f"only the corpus 'simulated' is here, not {recipe.corpus.name!r}.")
    if recipe.model in pretrained.WEIGHTLESS:
        raise InputError(f"{name} has nothing to learn; `visavis react --model {name}` just works.")
    if bundle and out is not None:
        raise InputError("--bundle writes into the package; leave --out away.")
    target = pretrained.WEIGHTS / name if bundle else out or Path("runs") / name
    ready(target)
    model = recipes.build(recipe)
    audio = _hears(model)
    training = _dyads("train", recipe, audio=audio, quiet=quiet)
    validation = _dyads("val", recipe, audio=audio, quiet=quiet) if recipe.training.steps else []
    listeners = {dyad.id: dyad.listener for dyad in training}
    console = Console(stderr=True, quiet=quiet)
    with bar("training", quiet=quiet) as progress:

        def report(done: int, steps: int, row: Mapping[str, float]) -> None:
            progress(done, steps)
            if "validation" in row:
                terms = ", ".join(f"{n} {x:.4g}" for n, x in row.items())
                console.print(f"step {done}: {terms}", highlight=False)

        history = train(
            model,
            lambda step: _draw(training, listeners, recipe, step),
            recipe.training,
            fit_on=_once(training),
            validate=(lambda m: _score(m, validation, recipe)) if validation else None,
            progress=report,
        )
    trained = {
        "corpus": f"simulated {VERSION}",
        "note": " ".join([SIMULATED, recipe.note]).strip(),
        "recipe": asdict(recipe),
        "preset": preset,
        "best_step": history.best_step,
        "validation": None if not validation else round(history.best_score, 6),
        "seconds": round(history.seconds, 1),
        "version": __version__,
    }
    pretrained.save(model, target, half=bundle, trained=trained)
    with atomic_path(target / "history.json") as temporary:
        temporary.write_text(json.dumps(history.rows, indent=1) + "\n")
    if bundle:  # the history is for the one who trains, not for every user's disk
        (target / "history.json").unlink()
        size = sum(p.stat().st_size for p in target.iterdir())
        if size > LIMIT:
            raise InputError(f"{target} has {size} bytes; a bundled weight may have {LIMIT}.")
    typer.echo(str(target))


def _hears(model: ReactionModel[Any]) -> bool:
    """Whether the model reads sound, which is most of the cost of a simulated dyad."""
    return any(n in GROUPS["speech"] for g in model.inputs for n in GROUPS.get(g, (g,)))


def _dyads(
    split: Literal["train", "val"], recipe: Recipe, *, audio: bool, quiet: bool
) -> list[Dyad]:
    """All dyads of a split, made once and kept: making sound is slower than a training step."""
    size = recipe.corpus.train_size if split == "train" else recipe.corpus.val_size
    corpus = SimulatedDyads(
        split, size=size, frames=recipe.corpus.frames, seed=recipe.corpus.seed, audio=audio
    )
    found = []
    with bar(f"simulating {split}", quiet=quiet) as progress:
        for i in range(len(corpus)):
            found.append(corpus[i])
            progress(i + 1, len(corpus))
    return found


def _draw(dyads: list[Dyad], listeners: Listeners, recipe: Recipe, step: int) -> Batch:
    """The batch of a step, a function of seed and step alone."""
    rng = np.random.default_rng((recipe.seed, step))
    chosen = rng.choice(len(dyads), size=min(recipe.training.batch, len(dyads)), replace=False)
    return collate(
        [dyads[i] for i in chosen],
        crop=recipe.corpus.crop,
        targets=recipe.corpus.targets,
        rng=rng,
        listener=listeners.__getitem__,
    )


def _once(dyads: list[Dyad]) -> Iterator[Batch]:
    for start in range(0, len(dyads), 8):
        yield collate(dyads[start : start + 8], crop=None, targets=1)


def _score(model: ReactionModel[Any], dyads: list[Dyad], recipe: Recipe) -> float:
    """Mean over validation clips of the model's own loss, with fixed draws."""
    import torch

    total = 0.0
    with torch.random.fork_rng(devices=[]), model.sampling():
        torch.manual_seed(0)
        for start in range(0, len(dyads), 8):
            batch = collate(
                dyads[start : start + 8], crop=256, targets=recipe.corpus.targets, rng=0
            )
            terms = model.loss(batch)
            total += float(sum(x for n, x in terms.items() if not n.startswith("log/"))) * len(
                batch
            )
    return total / len(dyads)
