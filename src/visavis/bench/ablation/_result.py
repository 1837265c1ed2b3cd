"""A study as numbers: scores with intervals, paired differences to the base row, and what became
of each claim."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from visavis.bench._results import with_intervals
from visavis.bench._rows import Row, per_clip
from visavis.bench.ablation._plan import Claim, Study, TablePlan
from visavis.bench.ablation._work import At, Made, found, stamp_of
from visavis.metrics.intervals import bootstrap

Verdict = Literal[
    "moves as the paper says",
    "the other way",
    "holds",
    "does not hold",
    "no difference",
    "a difference",
    "not made yet",
    "not defined",
]
LEVEL = 0.95
_EXACT = 1e-9
"""What two rows may differ by and still be the same: scores are sums of 32-bit numbers."""


@dataclass(frozen=True)
class Number:
    """A value with its 95 % interval, where it has one."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Judged:
    """A claim, and the difference left - right (or left - number) that it rests on."""

    claim: Claim
    difference: Number | None
    verdict: Verdict
    chance: Number | None = None
    """The base row trained again from another seed, less the base: what training alone does."""


@dataclass(frozen=True)
class TableResult:
    """One table: scores and differences by row and score; what is not there has no entry."""

    plan: TablePlan
    scores: Mapping[str, Mapping[str, Number]]
    differences: Mapping[str, Mapping[str, Number]]
    """Less the base row, clip by clip."""
    claims: tuple[Judged, ...]


@dataclass(frozen=True)
class StudyResult:
    """All tables of a study that have at least one row."""

    study: Study
    tables: tuple[TableResult, ...]
    rows: Mapping[str, Made]
    stamp: Mapping[str, Any]
    folder: str
    options: str
    """Of the command line, beside the row's name: what makes the same study again."""

    def command(self, name: str) -> str:
        """What makes just this row."""
        words = f"visavis ablate {shlex.quote(self.study.source)} --only {name}"
        return f"{words} {self.options}".strip()

    def training(self, name: str) -> str:
        """What trains this row's weights without the study; empty where nothing is trained."""
        plan, run = self.rows[name].plan, self.rows[name].run
        if run is None:
            return ""
        sets = " ".join(f"--set {shlex.quote(c)}" for c in self.study.changes_of(plan))
        recipe = plan.recipe or self.study.recipe
        text = f"visavis train {recipe} --preset {self.study.preset_of(plan)} {sets}".strip()
        return f"{text} -o {shlex.quote(str(run))}"


def result(at: At, *, options: str = "") -> StudyResult:
    """Everything that the folder has of a study."""
    study = at.study
    rows = {name: found(at, name) for name in study.rows}
    groups = at.bench.clips.groups if at.bench.clips.scripted else ()
    tables = tuple(
        _table(study, table, rows, groups)
        for table in study.tables
        if any(rows[name].row is not None for name in table.rows)
    )
    return StudyResult(study, tables, rows, stamp_of(at), str(at.folder), options)


def _table(
    study: Study, plan: TablePlan, rows: Mapping[str, Made], groups: Sequence[str]
) -> TableResult:
    have = {name: row for name in plan.rows if (row := rows[name].row) is not None}
    scores = {name: _scores(row, plan.scores, groups) for name, row in have.items()}
    differences: dict[str, dict[str, Number]] = {}
    if plan.base in have:
        for name, row in have.items():
            if name != plan.base:
                pairs = ((s, difference(row, have[plan.base], s, groups)) for s in plan.scores)
                differences[name] = {s: d for s, d in pairs if d is not None}
    again = rows[study.again].row if study.again is not None else None
    claims = tuple(_judged(claim, have, groups) for claim in plan.read_claims())
    if again is not None and plan.base in have:
        claims = tuple(
            replace(one, chance=difference(again, have[plan.base], one.claim.score, groups))
            for one in claims
        )
    return TableResult(plan, scores, differences, claims)


def _scores(row: Row, scores: Sequence[str], groups: Sequence[str]) -> dict[str, Number]:
    spans = with_intervals(row, groups)["intervals"]["corrected"]
    made: dict[str, Number] = {}
    for score in scores:
        value = _value(row, score)
        if score in row["left_out"]:
            number = _jackknife(row, None, score)
        else:
            number = None if value is None else Number(value, *spans.get(score, (None, None)))
        if number is not None:
            made[score] = number
    return made


def difference(a: Row, b: Row | float, score: str, groups: Sequence[str]) -> Number | None:
    """Mean of a - b over the clips where both have the score, with its 95 % interval over scripts
    (BCa bootstrap; FRDvs, FRRea: jackknife). None where it is not defined."""
    if score in a["left_out"]:
        return _jackknife(a, b, score)
    ours, theirs = _clips(a, score), b if isinstance(b, float) else _clips(b, score)
    if ours is None or theirs is None:
        return None
    less = ours - theirs
    known = np.flatnonzero(np.isfinite(less))
    if not len(known):
        return None
    names = [groups[int(i)] for i in known] if groups else None
    if len(set(known if names is None else names)) < 2:
        return Number(float(less[known].mean()))
    interval = bootstrap(less[known], names, level=LEVEL)
    return Number(interval.mean, interval.low, interval.high)


def _clips(row: Row, score: str) -> NDArray[np.float64] | None:
    entry = row["scores"]["corrected"]["per_clip"]
    return per_clip(row, score) if score in entry else None


def _value(row: Row, score: str) -> float | None:
    found: float | None = (
        row["frrea"] if score == "FRRea" else row["scores"]["corrected"]["values"].get(score)
    )
    return found


def _jackknife(a: Row, b: Row | float | None, score: str) -> Number | None:
    """A score of a, or that less b's, which is no mean over clips: one script left out at a time
    (t quantile)."""
    other = 0.0 if b is None else b if isinstance(b, float) else _value(b, score)
    value = _less(_value(a, score), other)
    if value is None:
        return None
    left = a["left_out"][score]
    right = b["left_out"].get(score, {}) if isinstance(b, dict) else dict.fromkeys(left, other)
    without = [_less(left[group], right.get(group)) for group in left]
    if len(without) < 2 or any(x is None for x in without):
        return Number(value)
    from scipy.stats import t

    spread = np.array(without, dtype=np.float64)
    error = math.sqrt((len(spread) - 1) * float(spread.var()))
    reach = float(t.ppf(0.5 + LEVEL / 2, len(spread) - 1)) * error
    return Number(value, value - reach, value + reach)


def _less(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a - b


def _judged(claim: Claim, have: Mapping[str, Row], groups: Sequence[str]) -> Judged:
    sides = [claim.left, *([claim.right] if isinstance(claim.right, str) else [])]
    if any(name not in have for name in sides):
        return Judged(claim, None, "not made yet")
    other = have[claim.right] if isinstance(claim.right, str) else claim.right
    less = difference(have[claim.left], other, claim.score, groups)
    return Judged(claim, less, verdict(claim.sign, less, ours=claim.ours))


def verdict(sign: str, less: Number | None, *, ours: bool = False) -> Verdict:
    """What a difference says of a claim `left sign right`.

    "=" is a claim of no difference: it holds where the interval contains 0. Of a claim that is
    `ours` the paper says nothing: it holds, or does not.
    """
    right: Verdict = "holds" if ours else "moves as the paper says"
    wrong: Verdict = "does not hold" if ours else "the other way"
    if less is None or less.low is None or less.high is None:
        return "not defined"
    above, below = less.low > _EXACT, less.high < -_EXACT
    if sign == "=":
        return "a difference" if above or below else right
    if not above and not below:
        return "no difference"
    return right if above == (sign == ">") else wrong
