"""A row: what is asked of a system, computed once, written when it is whole."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.bench import _score
from visavis.bench._clips import Clips
from visavis.bench._folder import Folder, code_version
from visavis.bench._left_out import left_out
from visavis.bench._predict import predict
from visavis.bench._systems import System

log = logging.getLogger("visavis")
Progress = Callable[[int, int | None], None]
Bars = Callable[[str], AbstractContextManager[Progress | None]]
"""A label -> a progress bar while the work lasts."""


def no_bars(label: str) -> AbstractContextManager[Progress | None]:
    return nullcontext(None)


@dataclass(frozen=True)
class Wanted:
    """What a row must hold."""

    scores: Mapping[str, Sequence[str] | None] = field(default_factory=dict)
    """Protocol -> scores; None for all that it defines."""
    jerk: bool = False
    shuffled: bool = False
    realism: bool = False
    left_out: bool = False
    """FRDvs and FRRea with each script left out, from which their intervals come."""


Row = dict[str, Any]


def made(
    system: System,
    clips: Clips,
    folder: Folder,
    wanted: Wanted,
    *,
    samples: int,
    bars: Bars = no_bars,
    keep: bool = False,
) -> Row:
    """The row of `system` in `folder`, with at least what is `wanted`; only what is missing is
    computed. Predictions are deleted once it is written, unless `keep`."""
    row = folder.read(system.name) or _begun(system)
    left = lacking(row, wanted)
    if left == Wanted():
        if not keep:  # of a run that ended between the row and the deletion
            shutil.rmtree(folder.predictions(system.name), ignore_errors=True)
        if row["code"] != code_version():
            _warn_once(row["code"], str(folder.row(system.name).parent))
        return row
    row["code"] = code_version()
    began = time.perf_counter()
    with bars(f"{system.label}: reacting") as report:
        predictions = predict(
            system, clips, folder.predictions(system.name), samples, progress=report
        )
    log.debug("%s reacted in %.1f s", system.name, time.perf_counter() - began)
    for protocol, metrics in left.scores.items():
        with bars(f"{system.label}: {protocol}") as report:
            found = _score.score(clips, predictions, protocol, metrics, progress=report)
        entry = row["scores"].setdefault(
            protocol, {"values": {}, "per_clip": {}, "not_defined": {}}
        )
        for part, values in found.items():
            entry[part] |= values
    if left.jerk:
        row["jerk"] = _score.jerks(clips, predictions)
    if left.shuffled:
        row["shuffled"] = _score.shuffled(clips, predictions)
    if left.realism:
        row["frrea"] = _score.realism(clips, predictions)
    if left.left_out:
        row["left_out"] = left_out(clips, predictions)
    folder.write(system.name, row)
    if not keep:
        predictions.forget()
    return row


@lru_cache(maxsize=64)
def _warn_once(code: str, rows: str) -> None:
    log.warning(
        "some rows were made by other code (%s; now %s) and are kept. To make them again, delete "
        "their files in %s.", code, code_version(), rows,
    )  # fmt: skip


def _begun(system: System) -> Row:
    return {
        "name": system.name,
        "label": system.label,
        "kind": system.kind,
        "stochastic": system.stochastic,
        "derived": system.derived,
        "system": dict(system.about),
        "code": code_version(),
        "scores": {},
    }


def lacking(row: Row, wanted: Wanted) -> Wanted:
    """What of `wanted` the row does not hold yet."""
    from visavis.metrics.protocol import protocol_named

    scores = {}
    for name, metrics in wanted.scores.items():
        have = row["scores"].get(name, {"values": {}, "not_defined": {}})
        every = protocol_named(name).metrics if metrics is None else metrics
        left = [m for m in every if m not in have["values"] and m not in have["not_defined"]]
        if left:
            scores[name] = left
    return Wanted(
        scores,
        wanted.jerk and "jerk" not in row,
        wanted.shuffled and "shuffled" not in row,
        wanted.realism and "frrea" not in row,
        wanted.left_out and "left_out" not in row,
    )


def per_clip(row: Row, score: str, protocol: str = "corrected") -> NDArray[np.float64]:
    """One value a clip, [N]; NaN where a clip has none."""
    return _numbers(row["scores"][protocol]["per_clip"][score])


def _numbers(values: Sequence[float | None]) -> NDArray[np.float64]:
    return np.array([np.nan if v is None else v for v in values], dtype=np.float64)


def jerk(row: Row, group: str) -> NDArray[np.float64]:
    return _numbers(row["jerk"][group])


def shuffled(row: Row) -> NDArray[np.float64]:
    return _numbers(row["shuffled"])
