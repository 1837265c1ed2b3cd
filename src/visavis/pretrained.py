"""Save and load models: `config.json` beside `model.safetensors`, never a pickle."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visavis import _pretrained_card as cards
from visavis import _pretrained_config as configs
from visavis import recipes
from visavis.errors import InputError, nearest
from visavis.files import atomic_path

if TYPE_CHECKING:
    from visavis._pretrained_hub import HubModel as HubModel
    from visavis.models._base import ReactionModel

WEIGHTS = Path(str(files("visavis"))) / "weights"
_HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*")


def __getattr__(name: str) -> Any:
    if name == "HubModel":  # on first use: the hub's client is slow to import
        from visavis._pretrained_hub import HubModel

        return HubModel
    raise AttributeError(f"module 'visavis.pretrained' has no attribute {name!r}")


def available() -> tuple[str, ...]:
    """Names that `load` knows without a file of yours: bundled weights, and models without any."""
    return tuple(n for n in recipes.names() if _bundled(n) or recipes.read(n).model in WEIGHTLESS)


WEIGHTLESS = ("mirror", "random")
"""Models with nothing to learn, which load without weights."""


def _bundled(name: str) -> bool:
    return (WEIGHTS / name / "config.json").is_file()


def load(name: str | Path, *, device: str = "cpu") -> ReactionModel[Any]:
    """A model ready to generate.

    Args:
        name: a bundled name (`available()`), a folder that `save` wrote, or a hub id
            `owner/name` (the only case that may use the network).

    Raises:
        InputError: nothing of that name, or files that do not fit; the text says which.
    """
    model = _found(str(name))
    try:
        return model.to(device)
    except (RuntimeError, AssertionError) as error:  # torch: no such device, or not built in
        reason = str(error).splitlines()[0]
        raise InputError(f"cannot use the device {device!r}: {reason}") from error


def placed(name: str) -> ReactionModel[Any]:
    """As `load`, left where it was made: on the device that is the default then.

    Raises:
        InputError: as `load`.
    """
    return _found(name)


def _found(text: str) -> ReactionModel[Any]:
    if _bundled(text):
        return _from_folder(WEIGHTS / text)
    if text in recipes.names():
        recipe = recipes.read(text)
        if recipe.model in WEIGHTLESS:
            model: ReactionModel[Any] = recipes.build(recipe)
            return model.eval()
        raise InputError(
            f"{text!r} has no bundled weights. Train it with `visavis train {text} --out FOLDER`, "
            "then load that folder."
        )
    folder = Path(text)
    if folder.is_dir():
        return _from_folder(folder)
    if _HUB_ID.fullmatch(text) and not folder.exists():
        return _from_folder(downloaded(text))
    raise InputError(f"there is no model or folder {text!r}. {nearest(text, available())}")


def downloaded(hub_id: str, **options: Any) -> Path:
    """The folder that a hub id was fetched to; options are `snapshot_download`'s.

    Raises:
        InputError: the hub did not give a model of that name.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
    )

    try:
        wanted = ["config.json", "model.safetensors"]
        return Path(snapshot_download(hub_id, allow_patterns=wanted, **options))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise InputError(
            f"there is no folder {hub_id!r} here, and the hub did not give a model of that name "
            f"({type(error).__name__}). {nearest(hub_id, available())}"
        ) from error


def save(
    model: ReactionModel[Any],
    folder: str | Path,
    *,
    half: bool = False,
    trained: dict[str, Any] | None = None,
) -> Path:
    """Write a model's folder.

    Args:
        half: store weights as float16, as bundled weights are (buffers of counts stay).
        trained: where the weights come from: corpus, its version, steps, scores.
    """
    import torch
    from pydantic import TypeAdapter
    from safetensors.torch import save_file

    target = Path(folder)
    if target.is_file():
        raise InputError(f"{target} is a file; give a folder to save a model in.")
    state = {
        n: (x.half() if half and x.dtype == torch.float32 else x).detach().cpu().contiguous()
        for n, x in model.state_dict().items()
    }
    settings = TypeAdapter(model.config_class).dump_python(model.config)
    settings = settings if isinstance(settings, dict) else asdict(settings)
    if model.around is not None:
        settings[model.around] = _anywhere(settings[model.around])
    config = {
        "format": configs.FORMAT,
        "name": model.name,
        "model": type(model).__module__.rpartition(".")[2],
        "settings": settings,
        "trained": trained or {},
    }
    with atomic_path(target / "model.safetensors") as temporary:
        save_file(state, temporary, metadata={"format": "pt"})
    config["files"] = {"model.safetensors": configs.stamp(target / "model.safetensors")}
    with atomic_path(target / "config.json") as temporary:
        temporary.write_text(json.dumps(config, indent=2) + "\n")
    return target


def _anywhere(name: str) -> str:
    """A name that loads from any working folder: a folder's with its whole path."""
    folder = name not in recipes.names() and Path(name).is_dir()
    return str(Path(name).resolve()) if folder else name


def card(name: str | Path) -> dict[str, Any]:
    """What a bundled model's or folder's `config.json` says."""
    folder = WEIGHTS / str(name) if _bundled(str(name)) else Path(name)
    return configs.read(folder)


def model_card(model: ReactionModel[Any] | str | Path) -> str:
    """The model card (Markdown) of a model at hand, a bundled name or a folder: data, scores with
    their protocol, limits, intended use, ethics."""
    if isinstance(model, str | Path):
        config, bundled = card(model), _bundled(str(model))
    else:
        bundled = False
        kind = type(model).__module__.rpartition(".")[2]
        config = {"name": model.name, "model": kind, "trained": model.trained}
    known = config["name"] in recipes.names()
    about = recipes.read(config["name"]).about if known else ""
    return cards.text(config, about=about, bundled=bundled)


def _from_folder(folder: Path) -> ReactionModel[Any]:
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    config = configs.read(folder)
    configs.check_files(folder, config)
    with torch.random.fork_rng(devices=[]):  # initial weights are drawn, and thrown away
        try:
            model: ReactionModel[Any] = recipes.new_model(config["model"], config["settings"])
        except InputError as error:
            reason = f"{folder / 'config.json'}: {error}{configs.saved_by(config)}"
            raise InputError(reason) from error
    model.name = config["name"]
    model.trained = config["trained"]
    if any(p.is_meta for p in model.parameters()):  # only its size is asked for
        return model.eval()
    path = folder / "model.safetensors"
    try:
        model.load_state_dict(load_file(path))  # halves become the model's own floats
    except (SafetensorError, OSError) as error:
        raise InputError(f"cannot read {path} ({error}).") from error
    except RuntimeError as error:  # torch's list of missing and unexpected names
        raise InputError(
            f"{path} does not hold the weights of {config['model']}: {error}"
        ) from error
    return model.eval()
