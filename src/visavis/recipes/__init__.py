"""Recipes: one TOML per trained model; its file's name is the public name."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from visavis.errors import InputError, explain, nearest
from visavis.recipes._schema import (
    KEYS,
    CorpusRecipe,
    Recipe,
    StageRecipe,
    TrainingRecipe,
)

__all__ = [
    "CorpusRecipe",
    "Recipe",
    "StageRecipe",
    "TrainingRecipe",
    "anew",
    "build",
    "configured",
    "model_files",
    "names",
    "new_model",
    "overlaid",
    "parsed",
    "read",
]


def names() -> tuple[str, ...]:
    """Public names of all bundled recipes."""
    found = (p.name for p in files(__package__).iterdir() if p.name.endswith(".toml"))
    return tuple(sorted(name.removesuffix(".toml") for name in found))


def read(name: str, *, preset: str | None = None, changes: Sequence[str] = ()) -> Recipe:
    """A recipe with a `[preset.<preset>]` and `section.key=value` changes laid over it.

    Args:
        name: a bundled recipe, or the path of a .toml file; then its file's name is the name.
        preset: one, or several laid one over the other, `laptop+no_momentum`: an ablation of what
            a laptop trains.
        changes: `training.steps=10` (of every stage, whatever the recipe says of it);
            `model.window=8` is the model's own setting, and `stages.prior.steps=10` a stage's.

    Raises:
        InputError: unknown name, preset or key; the nearest is suggested.
    """
    data = _toml(name)
    name = Path(name).name.removesuffix(".toml")
    presets = data.pop("preset", {})
    for layer in [] if preset is None else preset.split("+"):
        if layer not in presets:
            raise InputError(f"recipe {name!r} has no preset {layer!r}. {nearest(layer, presets)}")
        data = overlaid(data, presets[layer])
    for change in changes:
        asked = parsed(change)
        data = overlaid(data, asked)
        if _named(data.get("stages")) and isinstance(asked.get("training"), Mapping):
            data["stages"] = [_without(entry, asked["training"]) for entry in data["stages"]]
    if "name" in data:
        raise InputError(f"a recipe's name is its file's, {name!r}; leave `name` out.")
    if isinstance(data.get("stages"), list):
        data["stages"] = [_stage(entry, data.get("training", {})) for entry in data["stages"]]
        _unique(name, [entry.get("name") for entry in data["stages"]])
    if isinstance(data.get("stages"), Mapping):
        raise InputError(_stageless(name, data["stages"], preset, presets))
    try:
        return TypeAdapter(Recipe).validate_python({"name": name, **data})
    except ValidationError as error:
        raise InputError(f"recipe {name!r} is not valid. {explain(error, KEYS)}") from error


def _toml(name: str) -> dict[str, Any]:
    if name in names():
        return tomllib.loads((files(__package__) / f"{name}.toml").read_text("utf-8"))
    path = Path(name)
    if path.suffix != ".toml" or not path.is_file():
        raise InputError(f"there is no recipe {name!r}. {nearest(name, names())}")
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"cannot read the recipe {path}: {error}.") from error


def _stage(entry: Any, training: Any) -> Any:
    """A stage's own name and freezing, and the rest laid over `[training]`."""
    if not isinstance(entry, Mapping) or not isinstance(training, Mapping):
        return entry  # pydantic says what is wrong
    own = {k: v for k, v in entry.items() if k in ("name", "freeze")}
    rest = {k: v for k, v in entry.items() if k not in own}
    return {**own, "training": {**training, **rest}}


def _stageless(
    recipe: str, asked: Mapping[str, Any], preset: str | None, presets: Mapping[str, Any]
) -> str:
    """Stages were changed by name, but none was named: those come with another preset."""
    text = f"recipe {recipe!r} has no stages, and so no {', '.join(asked)}"
    having = [p for p, layer in presets.items() if _named(layer.get("stages"))]
    if not having:
        return f"{text}; name them as a list of [[stages]]."
    behind = f"+{preset}" if preset is not None else ""
    return f"{text}. These come with a preset: --preset {having[0]}{behind}."


def _unique(recipe: str, stages: list[Any]) -> None:
    twice = {str(n) for n in stages if stages.count(n) > 1}
    if twice:
        raise InputError(f"recipe {recipe!r} has several stages named {', '.join(sorted(twice))}.")


def parsed(change: str) -> dict[str, Any]:
    """`training.steps=10` to {"training": {"steps": 10}}; the value is TOML, none, or a string."""
    path, sign, text = change.partition("=")
    keys = [k.strip() for k in path.split(".")]
    if not sign or not all(keys):
        raise InputError(f"cannot read {change!r}; wanted section.key=value.")
    if keys[0] == "model" and len(keys) > 1:
        keys[0] = "settings"
    text = text.strip()
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = None if text.lower() == "none" else text  # TOML has no word for it
    for key in reversed(keys):
        value = {key: value}
    return value  # type: ignore[no-any-return]


def overlaid(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` laid over `base`, table by table."""
    merged = dict(base)
    for key, value in over.items():
        here = merged.get(key)
        if isinstance(value, Mapping) and isinstance(here, Mapping):
            merged[key] = overlaid(here, value)
        elif _named(here):
            merged[key] = _stages_overlaid(here, value)
        else:
            merged[key] = value
    return merged


def _named(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(x, Mapping) and "name" in x for x in value)


def _stages_overlaid(base: Any, over: Any) -> Any:
    """Stages by their names: from a preset's list of tables, or {"prior": {"steps": 10}}."""
    if _named(over):
        over = {entry["name"]: entry for entry in over}
    if not isinstance(over, Mapping):
        return over  # pydantic says what is wrong
    names = [entry["name"] for entry in base]
    for name in over:
        if name not in names:
            raise InputError(f"there is no stage {name!r}. {nearest(str(name), names)}")
    return [overlaid(entry, over.get(entry["name"], {})) for entry in base]


def _without(stage: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
    """A stage without what is asked of all of them, so that it takes that."""
    tables = {k: overlaid(stage[k], v) for k, v in asked.items() if _both(stage.get(k), v)}
    return {k: v for k, v in stage.items() if k not in asked or k in ("name", "freeze")} | tables


def _both(a: Any, b: Any) -> bool:
    return isinstance(a, Mapping) and isinstance(b, Mapping)


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
    cls, config = configured(kind, settings)
    return _made(cls, config)


def anew(model: Any, config: Any) -> Any:
    """A model of the same class with initial weights, under another configuration."""
    return _made(type(model), config)


def _made(cls: Any, config: Any) -> Any:
    if cls.around is None:
        return cls(config)
    from visavis.pretrained import placed

    return cls(config, placed(getattr(config, cls.around)))


def configured(kind: str, settings: Mapping[str, Any]) -> tuple[Any, Any]:
    """The class and the checked configuration of `new_model`, which builds it.

    Raises:
        InputError: as `new_model`.
    """
    from visavis.models._base import model_class

    kinds = model_files()
    if kind not in kinds:
        raise InputError(f"there is no model {kind!r}. {nearest(kind, kinds)}")
    cls = model_class(import_module(f"visavis.models.{kind}"))
    try:
        return cls, TypeAdapter(cls.config_class).validate_python(dict(settings))
    except ValidationError as error:
        known = cls.config_class.__dataclass_fields__
        raise InputError(f"settings of {kind} are not valid. {explain(error, known)}") from error


def model_files() -> tuple[str, ...]:
    """Names of the files that hold a model."""
    found = (p.name for p in files("visavis.models").iterdir() if p.name.endswith(".py"))
    return tuple(sorted(n.removesuffix(".py") for n in found if not n.startswith("_")))
