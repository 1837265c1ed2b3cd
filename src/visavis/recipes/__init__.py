"""Recipes: one TOML per trained model; its file's name is the public name."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import field
from importlib import import_module
from importlib.resources import files
from typing import Any

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from visavis.errors import InputError, nearest

_STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class CorpusRecipe:
    """Which dyads a model learns from."""

    name: str = "simulated"
    train_size: int = Field(default=256, gt=0)
    val_size: int = Field(default=64, gt=0)
    frames: int = Field(default=750, gt=0)
    crop: int | None = Field(default=256, gt=0)
    """Frames of a training crop; None takes whole clips."""
    targets: int = Field(default=1, gt=0)
    """Appropriate reactions a batch carries."""
    seed: int = 0


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class TrainingRecipe:
    """How long and how fast."""

    steps: int = Field(default=0, ge=0)
    """0 for models that only `fit`."""
    batch: int = Field(default=8, gt=0)
    learning_rate: float = Field(default=1e-4, gt=0)
    weight_decay: float = Field(default=5e-4, ge=0)
    clip_norm: float = Field(default=1.0, gt=0)
    validate_every: int = Field(default=200, gt=0)


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Recipe:
    """A resolved recipe."""

    name: str
    model: str
    """File name under `visavis.models`."""
    about: str
    """One line for `visavis models`."""
    note: str = ""
    """What a user of the bundled weights must know; goes into their `config.json`."""
    seed: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the model's configuration."""
    corpus: CorpusRecipe = CorpusRecipe()
    training: TrainingRecipe = TrainingRecipe()


def names() -> tuple[str, ...]:
    """Public names of all bundled recipes."""
    found = (p.name for p in files(__package__).iterdir() if p.name.endswith(".toml"))
    return tuple(sorted(name.removesuffix(".toml") for name in found))


def read(name: str, *, preset: str | None = None, changes: Sequence[str] = ()) -> Recipe:
    """The recipe `name`, with a `[preset.<preset>]` and `section.key=value` changes laid over it.

    Raises:
        InputError: unknown name, preset or key; the nearest is suggested.
    """
    if name not in names():
        raise InputError(f"there is no recipe {name!r}. {nearest(name, names())}")
    data = tomllib.loads((files(__package__) / f"{name}.toml").read_text("utf-8"))
    presets = data.pop("preset", {})
    if preset is not None:
        if preset not in presets:
            raise InputError(
                f"recipe {name!r} has no preset {preset!r}. {nearest(preset, presets)}"
            )
        data = _overlaid(data, presets[preset])
    for change in changes:
        data = _overlaid(data, _parsed(change))
    if "name" in data:
        raise InputError(f"a recipe's name is its file's, {name!r}; leave `name` out.")
    try:
        return TypeAdapter(Recipe).validate_python({"name": name, **data})
    except ValidationError as error:
        raise InputError(f"recipe {name!r} is not valid. {explain(error)}") from error


def _parsed(change: str) -> dict[str, Any]:
    """`training.steps=10` to {"training": {"steps": 10}}; the value is TOML, none, or a string."""
    path, sign, text = change.partition("=")
    keys = [k.strip() for k in path.split(".")]
    if not sign or not all(keys):
        raise InputError(f"cannot read {change!r}; wanted section.key=value.")
    text = text.strip()
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = None if text.lower() == "none" else text  # TOML has no word for it
    for key in reversed(keys):
        value = {key: value}
    return value  # type: ignore[no-any-return]


def _overlaid(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _overlaid(merged[key], value) if both else value
    return merged


def build(recipe: Recipe) -> Any:
    """The recipe's model with initial weights (seeded by the recipe)."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        model = new_model(recipe.model, recipe.settings)
    model.name = recipe.name
    return model


def new_model(kind: str, settings: Mapping[str, Any]) -> Any:
    """A model of the file `visavis/models/<kind>.py`.

    Raises:
        InputError: no such file, or settings that its configuration does not know.
    """
    from visavis.models._base import model_class

    kinds = model_files()
    if kind not in kinds:
        raise InputError(f"there is no model {kind!r}. {nearest(kind, kinds)}")
    cls = model_class(import_module(f"visavis.models.{kind}"))
    try:
        config = TypeAdapter(cls.config_class).validate_python(dict(settings))
    except ValidationError as error:
        known = cls.config_class.__dataclass_fields__
        raise InputError(f"settings of {kind} are not valid. {explain(error, known)}") from error
    return cls(config)


def model_files() -> tuple[str, ...]:
    """Names of the files that hold a model."""
    found = (p.name for p in files("visavis.models").iterdir() if p.name.endswith(".py"))
    return tuple(sorted(n.removesuffix(".py") for n in found if not n.startswith("_")))


def explain(error: ValidationError, known: Mapping[str, Any] | None = None) -> str:
    """Pydantic's findings as sentences, with the nearest known key for a misspelt one."""
    lines = []
    for item in error.errors():
        where = ".".join(str(part) for part in item["loc"])
        line = f"{where}: {item['msg']} (came: {item['input']!r})"
        if item["type"] == "unexpected_keyword_argument":
            line = f"{where}: there is no such key"
            close = difflib.get_close_matches(str(item["loc"][-1]), list(known or _KEYS), n=1)
            line += f", did you mean {close[0]!r}?" if close else ""
        elif item["type"] == "value_error":  # raised by a configuration itself, about several keys
            line = item["msg"].removeprefix("Value error, ")
        lines.append(line)
    return "; ".join(lines) + "."


_KEYS = tuple(
    key
    for section in (Recipe, CorpusRecipe, TrainingRecipe)
    for key in section.__dataclass_fields__
)
