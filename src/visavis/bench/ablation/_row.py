"""A row's scores: its weights loaded, answered as its plan says, and put before the bench."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from visavis import pretrained, recipes
from visavis.behaviour import Behaviour
from visavis.bench import _systems
from visavis.bench._bench import Bench
from visavis.bench._clips import Clips
from visavis.bench._rows import Row, Wanted
from visavis.bench._rows import lacking as lacking_of
from visavis.bench._systems import System
from visavis.bench.ablation._plan import RowPlan
from visavis.corpora._dropout import Dropout, dropped
from visavis.dyad import Persona
from visavis.errors import InputError, explain
from visavis.models._base import ReactionModel
from visavis.recipes import overlaid, parsed

SCORED = ("FRCorr", "FRDist", "FRDiv", "FRVar", "FRDvs", "FRSyn")
"""Those with a value a clip; FRRea is taken of all clips at once."""
WANTED = Wanted({"corrected": SCORED}, realism=True, left_out=True)


def row_of(bench: Bench, plan: RowPlan, run: Path | None, *, compute: bool) -> Row | None:
    """The scores of a row whose weights are in `run`; None where they are not there and nothing
    is to be computed."""
    system = _named(bench, plan) if run is None else _trained(bench, plan, run)
    if compute:
        return bench.row(system, WANTED)
    kept = bench.folder.read(system.name)
    return None if kept is None or lacking_of(kept, WANTED) != Wanted() else kept


def _named(bench: Bench, plan: RowPlan) -> System:
    assert plan.system is not None
    return bench.named([plan.system])[0]


def _trained(bench: Bench, plan: RowPlan, run: Path) -> System:
    model = changed(pretrained.load(run), plan.at_test)
    losing = losses(bench.clips, plan.lost, bench.seed) if plan.lost else None
    extra = {"lost": dict(plan.lost), "draws": plan.draws}
    if plan.history is not None:
        extra |= {"history": plan.history, "history_clip": plan.history_clip}
    suffix = ""
    if plan.lost or plan.draws or plan.history:
        mark = hashlib.sha256(json.dumps(extra, sort_keys=True).encode())
        suffix = f"-{mark.hexdigest()[:6]}"
    return _systems.of_model(
        model,
        bench.clips,
        bench.samples,
        bench.seed + plan.draws,
        name=f"{model.name}-{_systems.fingerprint(model)[:8]}{suffix}",
        label=plan.label,
        about={"source": str(run.resolve()), **extra},
        speaker=losing,
        listeners=listeners_of(model, bench.clips, plan),
    )


def changed(model: ReactionModel[Any], changes: Sequence[str]) -> ReactionModel[Any]:
    """The same weights under a configuration with `key=value` changes.

    Raises:
        InputError: a key that the configuration does not know, a value that it refuses, or one
            with which the weights no longer fit.
    """
    if not changes:
        return model
    cls = type(model)
    settings = _systems.settings(model)
    for change in changes:
        settings = overlaid(settings, parsed(change))
    try:
        config = TypeAdapter(cls.config_class).validate_python(settings)
    except ValidationError as error:
        known = cls.config_class.__dataclass_fields__
        raise InputError(f"at_test of {model.name}: {explain(error, known)}") from error
    again: ReactionModel[Any] = recipes.anew(model, config)
    try:
        again.load_state_dict(model.state_dict())
    except RuntimeError as error:
        raise InputError(
            f"at_test: the weights of {model.name} do not fit it with {', '.join(changes)}; that "
            "is another model to train, so say it in `changes`."
        ) from error
    again.name, again.trained = model.name, model.trained
    return again.eval()


def listeners_of(
    model: ReactionModel[Any], clips: Clips, plan: RowPlan
) -> _systems.Listeners | None:
    """Personas of the clips' own listeners, from the first frames of another clip of each; None
    for a row without history.

    Raises:
        InputError: (when asked) a listener is in no other clip.
    """
    if plan.history is None:
        return None
    frames, which = plan.history, plan.history_clip

    def persona(number: int) -> Tensor:
        dyad = clips.corpus[clips.place(number)]
        if not dyad.history:
            raise InputError(f"the listener of {dyad.id} is in no other clip; there is no history.")
        past = clips.corpus.listener(dyad.history[which % len(dyad.history)])
        return model.persona(past.window(0, min(frames, past.frames))).embedding

    def listeners(numbers: Sequence[int]) -> Persona:
        return Persona(model.name, torch.stack([persona(n) for n in numbers]))

    return listeners


def losses(clips: Clips, lost: Mapping[str, float], seed: int) -> _systems.Speaker:
    """Number of a clip, its speaker -> the speaker with something unobserved, the same for every
    row: draws depend on the clip alone."""
    rates = Dropout.of(lost)
    assert rates is not None

    def lose(number: int, speaker: Behaviour) -> Behaviour:
        rng = np.random.default_rng((seed, clips.place(number), 1))
        return dropped(speaker, rates, rng)

    return lose
