"""What stands in a row: the real listeners, naive systems, the oracle, and models."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from visavis.behaviour import Behaviour
from visavis.bench._clips import Clips, Real, aligned
from visavis.channels import GROUPS
from visavis.corpora._base import Oracle
from visavis.dyad import Persona
from visavis.errors import InputError, MissingChannel
from visavis.features.attributes import complete

if TYPE_CHECKING:
    from visavis.corpora._base import Corpus
    from visavis.models._base import ReactionModel

Kind = Literal["real", "naive", "oracle", "model"]
Draw = Callable[[Sequence[int]], list[Real]]
Speaker = Callable[[int, Behaviour], Behaviour]
"""Number of a clip and its speaker -> the speaker as the model gets it."""
Listeners = Callable[[Sequence[int]], Persona]
"""Numbers of clips -> who listens in them, one persona with an embedding [B, D]."""

LABELS: Mapping[str, str] = {
    "gt": "GT",
    "random": "B_Random",
    "mirror": "B_Mime",
    "mean_sequence": "B_MeanSeq",
    "mean_frame": "B_MeanFr",
    "nn_motion": "NN motion",
    "nn_audio": "NN audio",
    "training_listener": "Training listener",
    "oracle": "Oracle",
    "oracle_mean": "Conditional mean",
}
"""Rows that are always there -> how the papers' tables call them (the last three are ours)."""
NAIVE = ("random", "mirror", "mean_sequence", "mean_frame", "nn_motion", "nn_audio")
FITTED = ("mean_sequence", "mean_frame", "nn_motion", "nn_audio")
"""Naive systems that learn from the training split, by `fit` alone."""
MEAN_OF = 50
"""Draws whose mean is the row "Conditional mean"."""


@dataclass(frozen=True)
class System:
    """Something that answers speakers."""

    name: str
    """Of its row in a results folder: two systems that differ have two names."""
    label: str
    """In tables."""
    kind: Kind
    draw: Draw
    """Numbers of clips -> their reactions, [K, T, 25] each; [1, T, 25] where all K are the same."""
    stochastic: bool = False
    derived: bool = False
    """Whether its attributes were computed from its coefficients."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """What makes the row again: model, settings, fingerprint of the weights, where from."""
    model: ReactionModel[Any] | None = None
    samples: int | None = None
    """How many it draws a clip; None: as many as the bench asks for."""


def ground_truth(clips: Clips) -> System:
    """The paired real listener, K times."""
    own = [clips.seen[targets[0]] for targets in clips.targets]

    def draw(numbers: Sequence[int]) -> list[Real]:
        return [aligned(own[n], len(clips.heard[clips.ids[n]]))[None] for n in numbers]

    return System("gt", LABELS["gt"], "real", draw, derived=clips.derived)


def training_listener(clips: Clips, train: Corpus, samples: int, seed: int, *, pool: int) -> System:
    """K of the first `pool` listeners of the training split for each speaker, drawn without
    looking at the speaker."""
    names = train.ids[:pool]
    kept: dict[str, Real] = {}

    def listener(name: str) -> Real:
        if name not in kept:  # 75 kB a clip of 30 s
            kept[name] = _packed(train.listener(name))
        return kept[name]

    def draw(numbers: Sequence[int]) -> list[Real]:
        made = []
        for n in numbers:
            rng = np.random.default_rng((seed, clips.place(n)))
            chosen = rng.choice(len(names), size=samples, replace=len(names) < samples)
            frames = len(clips.heard[clips.ids[n]])
            made.append(np.stack([aligned(listener(names[i]), frames) for i in chosen]))
        return made

    about = {"drawn from": f"the first {len(names)} clips of the training split"}
    return System(
        "training_listener", LABELS["training_listener"], "naive", draw, True, about=about
    )


def oracle(clips: Clips, samples: int, seed: int, *, name: str = "oracle") -> System:
    """Fresh listeners from the true distribution.

    Raises:
        InputError: the corpus has none.
    """
    source = _oracle_of(clips.corpus)

    def draw(numbers: Sequence[int]) -> list[Real]:
        return [_packed(source.oracle(clips.ids[n], samples, seed=seed)) for n in numbers]

    return System(name, LABELS["oracle"], "oracle", draw, True, about={"draws from seed": seed})


def oracle_mean(clips: Clips, seed: int) -> System:
    """The mean of 50 fresh listeners: what a perfect regression would give."""
    source = _oracle_of(clips.corpus)

    def draw(numbers: Sequence[int]) -> list[Real]:
        return [
            _packed(source.oracle(clips.ids[n], MEAN_OF, seed=seed)).mean(0, keepdims=True)
            for n in numbers
        ]

    about = {"draws": MEAN_OF, "draws from seed": seed}
    return System("oracle_mean", LABELS["oracle_mean"], "oracle", draw, about=about)


def _oracle_of(corpus: Corpus) -> Oracle:
    if not isinstance(corpus, Oracle):
        raise InputError(
            f"the corpus {corpus.name!r} has no oracle: nobody knows which other reactions would "
            "have been appropriate there. The corpus 'simulated' has one."
        )
    return corpus


def of_model(
    model: ReactionModel[Any],
    clips: Clips,
    samples: int,
    seed: int,
    *,
    name: str | None = None,
    label: str | None = None,
    kind: Kind = "model",
    about: Mapping[str, Any] | None = None,
    speaker: Speaker | None = None,
    listeners: Listeners | None = None,
) -> System:
    """A model that answers each clip with the seed `seed` + its place in the split.

    Args:
        speaker: changes what the model is told of a speaker; scores know the whole one.
        listeners: who listens, for a personal model; nobody in particular without.

    Raises:
        MissingChannel: the corpus's speakers lack what the model reads; the text names the
            channel and what extracts it.
    """
    first = clips.speaker(0, model.reads)
    try:
        model.check_speaker(first)
    except MissingChannel as error:
        raise MissingChannel(
            f"the corpus {clips.corpus.name!r} cannot be put before this model: {error}"
        ) from error
    mark = fingerprint(model)
    returned = {n for group in model.outputs for n in GROUPS.get(group, (group,))}

    def draw(numbers: Sequence[int]) -> list[Real]:
        people = [(n, clips.speaker(n, model.reads)) for n in numbers]
        told = [p if speaker is None else speaker(n, p) for n, p in people]
        speakers = Behaviour.stack([p.select(*_kept(model, first)) for p in told])
        seeds = torch.tensor([seed + clips.place(n) for n in numbers])
        persona = None if listeners is None else listeners(numbers)
        answers = model.generate(speakers, samples, seeds=seeds, persona=persona)
        made = complete(answers).pack("attributes")
        lengths = [len(clips.heard[clips.ids[n]]) for n in numbers]
        return [_checked(m[:, :t], model.name) for m, t in zip(made, lengths, strict=True)]

    return System(
        name or f"{model.name}-{mark[:8]}",
        label or model.name,
        kind,
        draw,
        model.stochastic,
        not set(GROUPS["attributes"]) <= returned,
        {
            "model": type(model).__module__.rpartition(".")[2],
            "settings": settings(model),
            "weights": mark,
            "trained": model.trained,
            **(about or {}),
        },
        model,
    )


def _kept(model: ReactionModel[Any], speaker: Behaviour) -> tuple[str, ...]:
    """Channels to stack: what is read and is there (a model that reads words makes their channels
    itself), or any one as a clock for a model that reads nothing."""
    wanted = dict.fromkeys((*model.reads, *model.reads_also))
    return tuple(n for n in wanted if n in speaker.layout) or speaker.layout.names[:1]


def _packed(drawn: Behaviour) -> Real:
    return np.ascontiguousarray(complete(drawn).pack("attributes").float().numpy())


def _checked(made: torch.Tensor, name: str) -> Real:
    found = np.ascontiguousarray(made.float().cpu().numpy())
    if not np.isfinite(found).all():
        raise InputError(
            f"{name} returned values that are not finite, which cannot be scored; its weights or "
            "its inputs are damaged."
        )
    if len(found) > 1 and (found == found[:1]).all():
        return found[:1]
    return found


def settings(model: ReactionModel[Any]) -> dict[str, Any]:
    """A model's configuration, as its `config.json` has it."""
    from pydantic import TypeAdapter

    kept = TypeAdapter(model.config_class).dump_python(model.config, mode="json")
    return dict(kept)


def fingerprint(model: ReactionModel[Any]) -> str:
    """Of configuration and weights."""
    digest = hashlib.sha256(json.dumps(settings(model), sort_keys=True).encode())
    for name, values in model.state_dict().items():
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(values.detach().cpu().numpy()).tobytes())
    return digest.hexdigest()[:16]
