"""An ablation study as data: rows to train, tables of them, and what the paper claims of each.

A file `bench/tables/<name>.toml` holds the tables of one paper. A row is a preset of a recipe with
others laid over it, and may be answered in another way than the rest (`at_test`, `lost`, `draws`).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import field
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from visavis import recipes
from visavis.bench._systems import LABELS
from visavis.bench._table import BETTER, GROUPED, GROUPS, SCORES
from visavis.corpora._dropout import Dropout
from visavis.errors import InputError, explain, nearest
from visavis.recipes import Recipe

_STRICT = ConfigDict(extra="forbid")
_CLAIM = re.compile(r"(?P<score>[\w/]+): (?P<left>\w+) (?P<sign>[<>=]) (?P<right>[\w.]+)")
_NAME = re.compile(r"\w+")
KNOWN = (*SCORES, *(f"{score}/{group}" for score in GROUPED for group in GROUPS))
"""What a table may show and a claim may be about; `FRDiv/va` is that of one group."""


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class RowPlan:
    """One row: what is trained, and how it answers."""

    label: str
    presets: tuple[str, ...] = ()
    """Laid over the study's own, in order."""
    changes: tuple[str, ...] = ()
    """`section.key=value`, laid over those."""
    recipe: str | None = None
    preset: str | None = None
    """Other ones than the study's."""
    system: str | None = None
    """A row of the bench that is not trained here, such as "gt" or "oracle"."""
    at_test: tuple[str, ...] = ()
    """`key=value` of the model's configuration, changed after training (a sampler's steps)."""
    lost: Mapping[str, float] = field(default_factory=dict)
    """What the speaker loses when it is answered, as `visavis.corpora.Dropout` has it."""
    draws: int = 0
    """Added to the seed of the draws."""
    history: int | None = Field(default=None, gt=0)
    """Frames of the listener in another clip, from which a personal model knows them."""
    history_clip: int = Field(default=0, ge=0)
    """Which of the listener's other clips, in the corpus's order; round again where there are
    fewer."""


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class ClaimPlan:
    """Something that the paper says of its table."""

    says: str
    """In words; "(ours)" before what the paper does not claim."""
    check: str
    """`FRDiv: no_momentum > full`, two rows, or a row and a number (`FRDiv: no_diffusion = 0`)."""


@dataclass(frozen=True)
class Claim:
    """A claim, read."""

    says: str
    score: str
    left: str
    sign: Literal["<", ">", "="]
    right: str | float
    """A row's name, or a number."""

    @property
    def ours(self) -> bool:
        """Whether we claim it, and not the paper."""
        return self.says.startswith("(ours)")

    def __str__(self) -> str:
        return f"{self.score}: {self.left} {self.sign} {self.right}"


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class TablePlan:
    """One table of the paper."""

    number: str
    title: str
    base: str
    """The row that the others are compared with."""
    rows: tuple[str, ...]
    scores: tuple[str, ...] = SCORES
    paper: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """The paper's own numbers: row -> score -> value."""
    scale: str | None = None
    """What these are of, where not what the study says."""
    claims: tuple[ClaimPlan, ...] = ()
    note: str = ""

    def read_claims(self) -> tuple[Claim, ...]:
        return tuple(_claim(one) for one in self.claims)


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Study:
    """The ablations of one paper."""

    name: str
    """Of the file."""
    source: str
    """What `read` was given: a bundled name, or the file's path."""
    recipe: str
    paper: str
    scale: str = ""
    """What the paper's numbers are of, where it is not this bench's scale."""
    preset: str = "laptop"
    rows: Mapping[str, RowPlan]
    tables: tuple[TablePlan, ...]
    notes: tuple[str, ...] = ()
    again: str | None = None
    """A row that is the base from another seed: how far training alone moves a score."""
    test: Mapping[str, Any] = field(default_factory=dict)
    """Options of the simulated test dyads (`affect = "words"`)."""
    changes: tuple[str, ...] = ()
    """Of every row, `--set` on the command line."""
    steps: int | None = None
    """Of every stage of every row, at most."""

    def table(self, number: str) -> TablePlan:
        """The table of that number.

        Raises:
            InputError: there is none.
        """
        for table in self.tables:
            if table.number == number:
                return table
        known = [table.number for table in self.tables]
        raise InputError(f"{self.name} has no table {number!r}; it has {', '.join(known)}.")

    def preset_of(self, row: RowPlan) -> str:
        return "+".join((row.preset or self.preset, *row.presets))

    def changes_of(self, row: RowPlan) -> tuple[str, ...]:
        said = (*row.changes, *self.changes)
        return said if self.steps is None else (*said, *_capped(self._read(row, said), self.steps))

    def resolved(self, row: RowPlan) -> Recipe:
        """What is trained for this row.

        Raises:
            InputError: no such recipe, preset or key.
        """
        return self._read(row, self.changes_of(row))

    def _read(self, row: RowPlan, changes: Sequence[str]) -> Recipe:
        return recipes.read(row.recipe or self.recipe, preset=self.preset_of(row), changes=changes)

    def run_of(self, row: RowPlan) -> str:
        """Name of the training run: rows that are trained alike have one."""
        from visavis.training.record import recipe_json

        recipe = self.resolved(row)
        told = {k: v for k, v in recipe_json(recipe).items() if k not in ("about", "note")}
        mark = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:10]
        return f"{recipe.name}-{mark}"


def names() -> tuple[str, ...]:
    """Names of the bundled studies."""
    found = (p.name for p in _home().iterdir() if p.name.endswith(".toml"))
    return tuple(sorted(name.removesuffix(".toml") for name in found))


def _capped(recipe: Recipe, steps: int) -> list[str]:
    """Changes that leave no stage more steps; one that has none keeps none."""
    if not recipe.stages:
        return [f"training.steps={min(recipe.training.steps, steps)}"]
    return [f"stages.{s.name}.steps={min(s.training.steps, steps)}" for s in recipe.stages]


def read(name: str, *, changes: Sequence[str] = (), steps: int | None = None) -> Study:
    """A bundled study, or one of your own.

    Args:
        name: of a bundled study, or the path of a .toml file.
        changes: `section.key=value` laid over every row's recipe.
        steps: of every stage of every row, at most.

    Raises:
        InputError: no such study; a row, preset, score or claim in it that makes no sense.
    """
    data = _toml(name)
    short = Path(name).name.removesuffix(".toml")
    try:
        study = TypeAdapter(Study).validate_python(
            {**data, "name": short, "source": name, "changes": tuple(changes), "steps": steps}
        )
    except ValidationError as error:
        keys = (*Study.__dataclass_fields__, *RowPlan.__dataclass_fields__,
                *TablePlan.__dataclass_fields__, *ClaimPlan.__dataclass_fields__)  # fmt: skip
        why = explain(error, keys)
        raise InputError(f"the study {name!r} is not valid. {why}") from error
    for key, row in study.rows.items():
        _check_row(study, key, row)
    for table in study.tables:
        _check_table(study, table)
    if study.again is not None and study.again not in study.rows:
        raise InputError(f"there is no row {study.again!r}. {nearest(study.again, study.rows)}")
    return study


def _home() -> Any:
    return files("visavis.bench") / "tables"


def _toml(name: str) -> dict[str, Any]:
    if name in names():
        return tomllib.loads((_home() / f"{name}.toml").read_text("utf-8"))
    path = Path(name)
    if path.suffix != ".toml" or not path.is_file():
        raise InputError(f"there are no ablations of {name!r}. {nearest(name, names())}")
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"cannot read the ablations {path}: {error}.") from error


def _check_row(study: Study, key: str, row: RowPlan) -> None:
    if not _NAME.fullmatch(key):
        raise InputError(f"a row is named by letters, digits and _, not {key!r}.")
    if row.system is not None:
        if row.system not in LABELS:
            raise InputError(f"row {key}: no row {row.system!r}. {nearest(row.system, LABELS)}")
        if row != RowPlan(label=row.label, system=row.system):
            raise InputError(f"row {key} is the bench's {row.system!r}; nothing changes it.")
        return
    Dropout.of(row.lost)
    recipe = study.resolved(row)
    kind, _ = recipes.configured(recipe.model, recipe.settings)
    if row.history is not None and not kind.personal:
        raise InputError(f"row {key}: {recipe.model} is not personal; leave `history` out.")


def _check_table(study: Study, table: TablePlan) -> None:
    where = f"table {table.number}"
    for name in (table.base, *table.rows, *table.paper):
        if name not in study.rows:
            raise InputError(f"{where}: there is no row {name!r}. {nearest(name, study.rows)}")
    if table.base not in table.rows:
        raise InputError(f"{where}: its base {table.base!r} is none of its rows.")
    for score in table.scores:
        if score not in KNOWN:
            raise InputError(f"{where}: there is no score {score!r}. {nearest(score, KNOWN)}")
    for claim in table.read_claims():
        rows = [claim.left, *([claim.right] if isinstance(claim.right, str) else [])]
        for name in rows:
            if name not in table.rows:
                raise InputError(f"{where}: {claim}: no row {name!r}. {nearest(name, table.rows)}")
        if claim.score not in table.scores:
            known = nearest(claim.score, table.scores)
            raise InputError(f"{where}: {claim}: it does not show {claim.score!r}. {known}")


def _claim(plan: ClaimPlan) -> Claim:
    found = _CLAIM.fullmatch(plan.check)
    if found is None:
        raise InputError(
            f"cannot read the claim {plan.check!r}; wanted `SCORE: row > row`, with <, > or =, "
            "and a row or a number on the right."
        )
    right: str | float = found["right"]
    with contextlib.suppress(ValueError):
        right = float(found["right"])
    sign: Any = found["sign"]
    return Claim(plan.says, found["score"], found["left"], sign, right)


def arrow(score: str) -> str:
    """Which way is better: "up", "down"."""
    return BETTER[score.partition("/")[0]]
