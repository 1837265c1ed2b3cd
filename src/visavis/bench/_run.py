"""The whole table: every row in turn, then the files; and one row again from its JSON."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visavis import corpora, pretrained
from visavis.bench import _systems
from visavis.bench._bench import Bench, begin, known
from visavis.bench._results import Results, finished
from visavis.bench._rows import Bars, Row, Wanted, no_bars
from visavis.bench._speed import measured
from visavis.bench._systems import System
from visavis.bench._write import write_all
from visavis.corpora.simulated import SimulatedDyads
from visavis.errors import InputError
from visavis.metrics.protocol import protocol_named

if TYPE_CHECKING:
    from visavis.corpora._base import Corpus
    from visavis.models._base import ReactionModel


def bench(
    models: Sequence[str | Path | ReactionModel[Any]],
    corpus: Corpus | Bench,
    *,
    out: str | Path | None = None,
    protocols: Sequence[str] = ("react2024",),
    speed: bool = True,
    source: dict[str, Any] | None = None,
    **options: Any,
) -> Results:
    """Score models beside the naive systems and, where the corpus has one, the oracle.

    Args:
        models: bundled names, folders, hub ids, or models at hand.
        corpus: a split, or a `Bench` that `begin` gave.
        out: results folder; rows in it are not computed again.
        protocols: published ones; `corrected` is always beside them.
        speed: also parameters, memory and frames a second, each model in a process of its own.
        source: what `visavis.corpora.load` takes, kept for `rerun`; simulated dyads know theirs.
        options: as for `visavis.bench.begin`.

    Returns:
        The rows, which also lie in the folder as results.json, .csv, .md, .tex and .html.

    Raises:
        InputError: an unknown protocol or model, or a folder of something else; MissingChannel: a
            model reads what the corpus lacks.
    """
    wanted = [protocol_named(p).name for p in dict.fromkeys((*protocols, "corrected"))]
    if isinstance(models, str):
        raise InputError(f"models came as the text {models!r}; give a list, [{models!r}].")
    names = [str(m) for m in models if isinstance(m, str | Path)]
    known(names)
    if isinstance(corpus, Bench):
        at = corpus
    elif out is None:
        raise InputError("give `out`, a results folder.")
    else:
        at = begin(corpus, out, **options)
    always = at.always()
    systems = at.named([*always, *(n for n in names if n not in always)])
    systems += [at.model(m) for m in models if not isinstance(m, str | Path)]
    rows = [_row(at, system, wanted, speed=speed) for system in systems]
    results = finished(
        rows,
        stamp=at.folder.stamp,
        corpus=source or described(at.clips.corpus),
        asked=at.asked,
        protocols=wanted,
        groups=at.clips.groups if at.clips.scripted else (),
    )
    write_all(results, at.folder.path)
    return results


def _row(at: Bench, system: System, protocols: Sequence[str], *, speed: bool) -> Row:
    wanted = Wanted(dict.fromkeys(protocols), jerk=True, realism=True)
    row = at.row(system, wanted)
    if speed and system.model is not None and "speed" not in row:
        with at.bars(f"{system.label}: speed"):
            row["speed"] = measured(system.model, at.clips.speaker(0, system.model.reads))
        at.folder.write(system.name, row)
    return row


def described(corpus: Corpus) -> dict[str, Any]:
    """What `visavis.corpora.load` takes to give this corpus; without options but for simulated
    dyads, which know theirs."""
    about: dict[str, Any] = {"name": corpus.name, "split": corpus.split, "root": None}
    if isinstance(corpus, SimulatedDyads):
        names = ("frames", "seed", "audio", "affect")
        options = {"size": len(corpus), **{name: getattr(corpus, name) for name in names}}
        options["dropout"] = None if corpus.dropout is None else asdict(corpus.dropout)
        about["options"] = options
    return about


def rerun(
    results: Results,
    name: str,
    *,
    corpus: Corpus | None = None,
    train: Corpus | None = None,
    model: ReactionModel[Any] | None = None,
    bars: Bars = no_bars,
) -> tuple[Row, Row]:
    """Make one row again, from nothing but what the results say.

    Args:
        corpus, train: where the results do not say how to load them.
        model: for a row of a model that was neither bundled nor in a folder.

    Returns:
        The stored row and the new one.

    Raises:
        InputError: no such row; the corpus, its version or the weights are no longer the same.
    """
    stored = results.row(name)
    found = corpus if corpus is not None else loaded(results.corpus, results.corpus["split"])
    learning = train
    if learning is None and not isinstance(found, SimulatedDyads):
        learning = loaded(results.corpus, "train")
    with tempfile.TemporaryDirectory() as folder:
        at = begin(
            found,
            Path(folder) / "again",
            train=learning,
            samples=results.stamp["samples"],
            seed=results.stamp["seed"],
            bars=bars,
            **results.asked,
        )
        _same_place(results, at)
        system = _again(stored, at, model)
        return stored, _row(at, system, list(stored["scores"]), speed=False)


def _same_place(results: Results, at: Bench) -> None:
    from visavis.bench._folder import refuse_other

    refuse_other(dict(results.stamp), dict(at.folder.stamp), Path("results.json"))


def loaded(about: Any, split: str) -> Any:
    """A split of the corpus that results name; its size was that of the scored split only."""
    options = dict(about.get("options", {}))
    if split != about["split"]:
        options.pop("size", None)
    return corpora.load(about["name"], split, root=about["root"], **options)


def _again(stored: Row, at: Bench, model: ReactionModel[Any] | None) -> System:
    if stored["kind"] != "model":
        return at.named([stored["name"]])[0]
    source = stored["system"].get("source")
    if model is None and source is None:
        raise InputError(
            f"the row {stored['name']!r} is of a model that lay in no folder; give it as `model`."
        )
    found = model if model is not None else pretrained.load(source)
    mark = _systems.fingerprint(found)
    if mark != stored["system"]["weights"]:
        raise InputError(
            f"{source or found.name} has other weights now ({mark}; the row was made with "
            f"{stored['system']['weights']})."
        )
    return at.model(found, source=source)
