"""The trained test: may this model call itself trained?

Eight lines or so, each a number with its bound and its 95 % interval by bootstrap over scripts
(clips of one script share their targets and are not independent). All scores are taken under
`corrected`. `docs/bench.md` says what each line is for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from visavis.bench import _rows, _systems
from visavis.bench._bench import Bench, begin, known
from visavis.bench._rows import Row, Wanted
from visavis.bench._systems import NAIVE, System
from visavis.errors import InputError
from visavis.metrics.intervals import FEW, Interval, bootstrap, bootstrap_statistic

if TYPE_CHECKING:
    from visavis.corpora._base import Corpus
    from visavis.models._base import ReactionModel

F64 = NDArray[np.float64]

GROUPS: Mapping[str, str] = {"au": "AU", "va": "V/A", "expression": "expressions"}
SPREAD = (0.5, 1.5)
"""FRDiv and FRVar of a stochastic model, as a share of the oracle's."""
JERK = 1.5
"""Largest jerk, as a share of the real listeners'."""
WAY = 0.25
"""Least share of the way in FRCorr from the best naive system to the oracle."""
RESAMPLES = 2000
"""Of the ratios' intervals, which no line rests on; differences take 10,000."""
_REFERENCES = ("random", "mean_sequence")
_APPROPRIATE = {"corrected": ("FRCorr", "FRDist")}
_CORRELATION = {"corrected": ("FRCorr",)}
_ORACLE = {"corrected": ("FRCorr", "FRDiv", "FRVar")}


@dataclass(frozen=True)
class Line:
    """One line of the test."""

    what: str
    value: float | None
    """None where the line does not apply."""
    bound: str
    low: float | None
    high: float | None
    """95 % interval of `value`, by script."""
    passed: bool | None
    """None: skipped."""
    note: str = ""

    @property
    def verdict(self) -> str:
        return {True: "pass", False: "FAIL", None: "skipped"}[self.passed]


@dataclass(frozen=True)
class Trained:
    """The outcome of the trained test."""

    model: str
    lines: tuple[Line, ...]
    clips: int
    scripts: int
    samples: int
    stamp: Mapping[str, Any]
    system: Mapping[str, Any]
    """What was tested: model, settings, fingerprint of the weights."""

    @property
    def passed(self) -> bool:
        """Whether no line failed."""
        return all(line.passed is not False for line in self.lines)

    @property
    def small(self) -> bool:
        """Fewer than 20 scripts: intervals are too narrow, and the outcome is only a hint."""
        return self.scripts < FEW

    def to_json(self) -> dict[str, Any]:
        return {
            "trained": self.model,
            "passed": self.passed,
            "clips": self.clips,
            "scripts": self.scripts,
            "samples": self.samples,
            "small": self.small,
            "lines": [{**asdict(line), "verdict": line.verdict} for line in self.lines],
            "stamp": dict(self.stamp),
            "system": dict(self.system),
        }


def trained(
    model: str | Path | ReactionModel[Any] | System,
    corpus: Corpus | Bench,
    *,
    out: str | Path | None = None,
    **options: Any,
) -> Trained:
    """Put a model through the trained test.

    Args:
        model: "oracle", a naive row's name, a bundled name, a folder, a hub id, a model at hand,
            or a `System`.
        corpus: a test split whose dyads share scripts and which has an oracle; or a `Bench`.
        out: results folder; what a second model needs as well is kept there.
        options: as for `visavis.bench.begin` (train, scripts, dyads, samples, seed, ...).

    Returns:
        The lines with value, bound, interval and verdict.

    Raises:
        InputError: the corpus has no scripts or no oracle, or `out` is missing or of something
            else; MissingChannel: the corpus lacks what the model reads.
    """
    if isinstance(model, str | Path):
        known([str(model)])
    if isinstance(corpus, Bench):
        bench = corpus
    elif out is None:
        raise InputError("give `out`, a results folder: what a second model needs is kept there.")
    else:
        bench = begin(corpus, out, **options)
    _check(bench)
    system, fresh = _under_test(model, bench)
    tested = bench.row(
        system,
        Wanted({"corrected": ("FRCorr", "FRDist", "FRDiv", "FRVar")}, jerk=True, shuffled=True),
    )
    lines = [
        *_better(bench, tested, fresh),
        _shuffling(bench, tested),
        *_variety(bench, tested),
        *_smoothness(bench, tested),
        _way(bench, tested),
    ]
    clips = bench.clips
    return Trained(
        system.label, tuple(lines), len(clips), clips.units, bench.samples,
        bench.folder.stamp, system.about,
    )  # fmt: skip


def _check(bench: Bench) -> None:
    clips = bench.clips
    _systems.oracle(clips, 1, 0)
    if not clips.scripted or clips.units < 2:
        raise InputError(
            f"the trained test draws scripts, and these {len(clips)} clips of "
            f"{clips.corpus.name!r} are of {clips.units if clips.scripted else 'no'} script(s). "
            "It needs clips of at least two scripts; 20 for an interval to be trusted."
        )


def _under_test(
    model: str | Path | ReactionModel[Any] | System, bench: Bench
) -> tuple[System, System | None]:
    """The system, and the same with initial weights where it has weights."""
    if isinstance(model, System):
        return model, None
    if str(model) == "oracle":  # other draws than those it is compared with
        return _systems.oracle(
            bench.clips, bench.samples, bench.seed + 1, name="oracle-again"
        ), None
    if isinstance(model, str | Path):
        (system,) = bench.named([str(model)])
    else:
        system = bench.model(model)
    learns = system.kind == "model" and system.model is not None and _has_weights(system.model)
    return system, bench.initial(system.model) if learns and system.model is not None else None


def _has_weights(model: ReactionModel[Any]) -> bool:
    return any(p.requires_grad or p.numel() for p in model.parameters())


# ---------------------------------------------------------------------- lines


def _better(bench: Bench, tested: Row, fresh: System | None) -> list[Line]:
    """Line 1: FRCorr higher and FRDist lower than random, mean_sequence and initial weights."""
    others = [bench.row(s, Wanted(_APPROPRIATE)) for s in bench.named(_REFERENCES)]
    names = ["random", "mean_sequence"]
    lines = []
    if fresh is not None:
        others.append(bench.row(fresh, Wanted(_APPROPRIATE)))
        names.append("its initial weights")
    for score, sign in (("FRCorr", 1), ("FRDist", -1)):
        for name, other in zip(names, others, strict=True):
            ours, theirs = _rows.per_clip(tested, score), _rows.per_clip(other, score)
            interval = _interval(bench, ours - theirs)
            above = interval.low > 0 if sign > 0 else interval.high < 0
            note = f"{np.nanmean(ours):.4g} against {np.nanmean(theirs):.4g}"
            bound = "> 0" if sign > 0 else "< 0"
            lines.append(_line(f"{score} less that of {name}", interval, bound, above, note))
        if fresh is None:
            lines.append(
                _skipped(f"{score} less that of its initial weights", "it has no trained weights")
            )
    return lines


def _shuffling(bench: Bench, tested: Row) -> Line:
    """Line 2: reactions to other scripts' speakers must fit worse."""
    ours, moved = _rows.per_clip(tested, "FRCorr"), _rows.shuffled(tested)
    interval = _interval(bench, ours - moved)
    note = f"{np.nanmean(ours):.4g}, shuffled {np.nanmean(moved):.4g}"
    return _line("FRCorr lost by shuffling speakers", interval, "> 0", interval.low > 0, note)


def _variety(bench: Bench, tested: Row) -> list[Line]:
    """Line 3: as varied as the oracle, in each group apart: a pooled one hides in valence."""
    names = [(score, group) for score in ("FRDiv", "FRVar") for group in GROUPS]
    if not tested["stochastic"]:
        why = "deterministic: its reactions to one speaker are all the same, or meant to be"
        return [_skipped(f"{s} of {GROUPS[g]} / the oracle's", why) for s, g in names]
    (oracle,) = bench.named(["oracle"])
    reference = bench.row(oracle, Wanted(_ORACLE))
    lines = []
    for score, group in names:
        key = f"{score}/{group}"
        ours, real = _rows.per_clip(tested, key), _rows.per_clip(reference, key)
        within = SPREAD[0] <= _ratio(ours, real) <= SPREAD[1]
        bound = f"{SPREAD[0]} to {SPREAD[1]}"
        lines.append(
            _ratio_line(
                bench, f"{score} of {GROUPS[group]} / the oracle's", ours, real, bound, within
            )
        )
    return lines


def _smoothness(bench: Bench, tested: Row) -> list[Line]:
    """Line 4: no more trembling than people."""
    (real,) = bench.named(["gt"])
    people = bench.row(real, Wanted(jerk=True))
    lines = []
    for group, label in GROUPS.items():
        ours, theirs = _rows.jerk(tested, group), _rows.jerk(people, group)
        smooth = _ratio(ours, theirs) <= JERK
        what = f"jerk of {'rounded ' if group == 'au' else ''}{label} / real listeners'"
        lines.append(_ratio_line(bench, what, ours, theirs, f"<= {JERK}", smooth))
    return lines


def _way(bench: Bench, tested: Row) -> Line:
    """Line 5: a quarter of the way in FRCorr from the best naive system to the oracle."""
    names = [n for n in bench.always() if n in (*NAIVE, "training_listener")]
    naive = [bench.row(s, Wanted(_CORRELATION)) for s in bench.named(names)]
    best = max(naive, key=lambda row: float(np.nanmean(_rows.per_clip(row, "FRCorr"))))
    (system,) = bench.named(["oracle"])
    top = _rows.per_clip(bench.row(system, Wanted(_ORACLE)), "FRCorr")
    ours, low = _rows.per_clip(tested, "FRCorr"), _rows.per_clip(best, "FRCorr")
    room = float(np.nanmean(top - low))
    what = f"share of the way in FRCorr from {best['label']} to the oracle"
    note = f"{np.nanmean(low):.4g} to {np.nanmean(top):.4g}"
    if room <= 0:
        return Line(what, None, f">= {WAY}", None, None, False, f"no room: {note}")
    margin = _interval(bench, ours - low - WAY * (top - low))
    share = _ratio_of(bench, ours - low, top - low)
    note += f"; margin over a quarter {margin.low:+.4g} to {margin.high:+.4g}"
    return Line(what, share.mean, f">= {WAY}", share.low, share.high, margin.low > 0, note)


# ---------------------------------------------------------------------- intervals


def _line(what: str, interval: Interval, bound: str, passed: bool, note: str = "") -> Line:
    return Line(what, interval.mean, bound, interval.low, interval.high, bool(passed), note)


def _skipped(what: str, why: str) -> Line:
    return Line(what, None, "", None, None, None, why)


def _ratio_line(bench: Bench, what: str, ours: F64, theirs: F64, bound: str, passed: bool) -> Line:
    note = f"{np.nanmean(ours):.4g} against {np.nanmean(theirs):.4g}"
    return _line(what, _ratio_of(bench, ours, theirs), bound, passed, note)


def _interval(bench: Bench, difference: F64) -> Interval:
    """Of the mean over the clips that have a value."""
    known, groups = _known(bench, difference)
    return bootstrap(difference[known], groups)


def _ratio(ours: F64, theirs: F64) -> float:
    total = float(np.nansum(theirs))
    return float(np.nansum(ours)) / total if total else math.inf


def _ratio_of(bench: Bench, ours: F64, theirs: F64) -> Interval:
    """Of the ratio of the two means over clips."""
    known, groups = _known(bench, ours + theirs)
    a, b = ours[known], theirs[known]
    names = np.array(groups)
    if any(b[names == name].sum() <= 0 for name in set(groups)):
        raise InputError(
            "the trained test compares ratios over scripts, and in one of these scripts nothing "
            "ever moves in the reference. Take more or longer clips."
        )
    return bootstrap_statistic(
        lambda i: float(a[i].sum() / b[i].sum()), len(a), groups, resamples=RESAMPLES
    )


def _known(bench: Bench, values: F64) -> tuple[NDArray[np.intp], list[str]]:
    known = np.flatnonzero(np.isfinite(values))
    return known, [bench.clips.groups[i] for i in known]
