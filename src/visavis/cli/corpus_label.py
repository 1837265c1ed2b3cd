"""`visavis corpus label`: which reactions are appropriate, for any corpus, as a file."""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
import typer
from numpy.typing import NDArray

from visavis.appropriate import AppropriateMap
from visavis.behaviour import Behaviour
from visavis.channels import GROUPS
from visavis.cli.console import bar
from visavis.corpora import CORPORA, load
from visavis.errors import InputError, MissingChannel, nearest
from visavis.features.attributes import complete

RULES = ("same-script", "similar")
BARS = 40
"""Characters of the longest bar."""


@dataclass(frozen=True)
class Options:
    """What was asked for."""

    corpus: str
    root: Path | None
    split: str
    rule: str
    out: Path
    measure: str = "dtw"
    quantile: float | None = None
    threshold: float | None = None
    stride: int = 1
    same_listener: bool = False
    draw: int | None = None
    seed: int = 0
    size: int | None = None


@dataclass(frozen=True)
class Heard:
    """What the rules look at."""

    speakers: list[NDArray[np.float32]]
    """[T, 25], observed frames only."""
    scripts: list[str | None]
    listeners: list[str]
    lost: int
    """Frames that were not observed."""


def run(options: Options, *, as_json: bool, quiet: bool) -> None:
    if options.rule not in RULES:
        raise InputError(f"unknown rule {options.rule!r}. {nearest(options.rule, RULES)}")
    about = _checked(options)
    corpus = load(options.corpus, options.split, root=options.root, **about)
    heard = _heard(options, corpus, about, quiet=quiet)
    recipe = {"corpus": options.corpus, "split": options.split}
    labels = _labels(options, corpus.ids, heard, recipe, corpus.fingerprint, quiet=quiet)
    if options.same_listener:
        labels = labels.same_listener(heard.listeners)
    if options.draw is not None:
        labels = labels.draw(options.draw, seed=options.seed)
    labels.save(options.out)
    summary = _summary(labels, heard, options)
    typer.echo(json.dumps(summary) if as_json else _told(labels, summary))


def _checked(options: Options) -> dict[str, Any]:
    """Options of the corpus; refuses what the rule cannot use."""
    given = {"quantile": options.quantile, "threshold": options.threshold}
    odd = [name for name, value in given.items() if value is not None]
    if options.rule != "similar" and (odd or options.measure != "dtw" or options.stride != 1):
        raise InputError(f"the rule {options.rule!r} takes no measure, quantile or stride.")
    if options.out.suffix != ".safetensors":
        raise InputError(f"--out is {options.out}; end its name in .safetensors.")
    return {} if options.size is None else {"size": options.size}


def _heard(options: Options, corpus: Any, about: dict[str, Any], *, quiet: bool) -> Heard:
    """Every dyad looked at once, without its sound."""
    entry = CORPORA[options.corpus]
    known = inspect.signature(getattr(import_module(f"visavis.corpora.{entry.module}"), entry.name))
    silent: dict[str, Any] = {"speech": (), "audio": False}
    silent = {name: value for name, value in silent.items() if name in known.parameters}
    mute = load(options.corpus, options.split, root=options.root, **about, **silent)
    heard = Heard([], [], [], 0)
    lost = 0
    with bar("reading clips", quiet=quiet) as progress:
        for number in range(len(mute)):
            dyad = mute[number]
            heard.scripts.append(dyad.script)
            heard.listeners.append(dyad.listener_id)
            if options.rule == "similar":
                values, missed = _attributes(dyad.speaker, dyad.id)
                heard.speakers.append(values)
                lost += missed
            progress(number + 1, len(mute))
    if mute.ids != corpus.ids:
        raise InputError(f"{options.corpus} has other clips without its sound; report this.")
    return Heard(heard.speakers, heard.scripts, heard.listeners, lost)


def _attributes(speaker: Behaviour, id: str) -> tuple[NDArray[np.float32], int]:
    """Observed frames of the facial attributes, [T, 25], and how many were not observed."""
    try:
        face = complete(speaker)
    except MissingChannel as error:
        raise InputError(f"the speaker of {id} shows no face: {error}") from error
    names = GROUPS["attributes"]
    seen = torch.stack([face.mask(name) for name in names]).all(0)
    values = torch.cat([face.filled(name) for name in names], dim=-1)[seen]
    return values.numpy(), int((~seen).sum())


def _labels(
    options: Options,
    ids: Sequence[str],
    heard: Heard,
    recipe: dict[str, Any],
    fingerprint: str,
    *,
    quiet: bool,
) -> AppropriateMap:
    if options.rule == "same-script":
        if not any(heard.scripts):
            raise InputError(
                f"{options.corpus} does not say who told the same script; use --rule similar."
            )
        recipe = {**recipe, "rule": "same script"}
        return AppropriateMap.same(ids, heard.scripts, recipe=recipe, corpus=fingerprint)
    with bar("comparing speakers", quiet=quiet) as progress:
        return AppropriateMap.similar(
            ids,
            heard.speakers,
            measure=options.measure,  # type: ignore[arg-type]  # checked there
            quantile=options.quantile,
            threshold=options.threshold,
            stride=options.stride,
            threads=os.cpu_count() or 1,
            progress=progress,
            recipe=recipe,
            corpus=fingerprint,
        )


def _summary(labels: AppropriateMap, heard: Heard, options: Options) -> dict[str, Any]:
    least, median, most = labels.spread
    return {
        "out": str(options.out),
        "corpus": options.corpus,
        "split": options.split,
        "dyads": len(labels),
        "least": least,
        "median": median,
        "most": most,
        "own alone": int((labels.sizes == 1).sum()),
        "unobserved frames": heard.lost,
        "recipe": dict(labels.recipe),
        "fingerprint": labels.fingerprint,
    }


def _told(labels: AppropriateMap, summary: dict[str, Any]) -> str:
    recipe = summary["recipe"]
    rule = str(recipe["rule"])
    if recipe.get("threshold") is not None:
        sign = "distance <=" if recipe["measure"] == "dtw" else "correlation >="
        rule += f" ({recipe['measure']}, {sign} {recipe['threshold']:.6g}"
        rule += f", {recipe['pairs']} of {recipe['of_pairs']} pairs)"
    if recipe.get("same_listener"):
        rule += ", same listener"
    lines = [
        f"{summary['dyads']} dyads of {summary['corpus']} {summary['split']}, {rule}",
        f"appropriate reactions a clip: least {summary['least']}, median {summary['median']:g}, "
        f"most {summary['most']}; with the own one alone: {summary['own alone']}",
        *_histogram(labels.sizes),
    ]
    if summary["unobserved frames"]:
        lines.append(f"{summary['unobserved frames']} unobserved frames were left out")
    lines.append(f"written to {summary['out']}")
    return "\n".join(lines)


def _histogram(sizes: NDArray[np.int64]) -> list[str]:
    """A line for 1, 2-3, 4-7, ... reactions, with its clips."""
    steps = np.floor(np.log2(sizes)).astype(int)
    counts = np.bincount(steps)
    lines = []
    for step, count in enumerate(counts):
        low, high = 2**step, 2 ** (step + 1) - 1
        span = f"{low}" if low == high else f"{low}-{high}"
        filled = "#" * max(int(count > 0), round(BARS * count / counts.max()))
        lines.append(f"{span:>12}  {filled} {count}" if count else f"{span:>12}  0")
    return lines
