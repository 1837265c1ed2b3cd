"""`config.json` of a saved model: what it must say, and what is answered to another's."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from visavis import __version__
from visavis.errors import InputError

FORMAT = 1
NEEDED = ("format", "name", "model", "settings", "trained")
ALLOWED = (*NEEDED, "files")
"""`files`: size and SHA-256 of what lies beside it."""
_TABLES = ("settings", "trained", "files")
_FOREIGN = {
    "_class_name": "diffusers",
    "model_type": "transformers",
    "architectures": "transformers",
    "peft_type": "peft",
}
"""A field that gives another library's file away."""


def read(folder: Path) -> dict[str, Any]:
    """A folder's `config.json`, checked.

    Raises:
        InputError: it is not there, or another library's, version's or a damaged one.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise InputError(f"{folder} holds no config.json; wanted a folder that visavis saved.")
    try:
        config: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is not JSON ({error}).") from error
    if not isinstance(config, dict):
        raise InputError(f"{path} holds {config!r:.40}; wanted the table that visavis saved.")
    for field, library in _FOREIGN.items():
        if field in config and "settings" not in config:
            raise InputError(
                f"{path} was written by {library} (it has {field!r}), not by visavis; load that "
                f"model with {library}."
            )
    _check_format(path, config)
    _check_fields(path, config)
    return config


def _check_format(path: Path, config: dict[str, Any]) -> None:
    came = config.get("format")
    if came == FORMAT:
        return
    newer = isinstance(came, int) and came > FORMAT
    cure = "Install a newer visavis." if newer else "Save the model again with this version."
    raise InputError(f"{path} has format {came!r}; this version of visavis reads {FORMAT}. {cure}")


def _check_fields(path: Path, config: dict[str, Any]) -> None:
    unknown, missing = set(config) - set(ALLOWED), set(NEEDED) - set(config)
    if unknown or missing:
        raise InputError(
            f"{path} does not fit: unknown fields {sorted(unknown)}, missing {sorted(missing)}. "
            f"Fields of format {FORMAT}: {', '.join(ALLOWED)}."
        )
    for key in ALLOWED:
        wanted = dict if key in _TABLES else str
        if key in config and key != "format" and not isinstance(config[key], wanted):
            name = "a table" if wanted is dict else "a name"
            raise InputError(f"{path} has {key} {config[key]!r:.40}; wanted {name}.")


def saved_by(config: dict[str, Any]) -> str:
    """A sentence for settings that do not fit, where another version saved them; or nothing."""
    version = config["trained"].get("version")
    if version in (None, __version__):
        return ""
    return f" It was saved by visavis {version}; this is {__version__}."


def stamp(path: Path) -> dict[str, Any]:
    """What `files` says of a file."""
    return {"bytes": path.stat().st_size, "sha256": sha256(path)}


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_files(folder: Path, config: dict[str, Any]) -> None:
    """Compare the files of a folder with what its `config.json` says of them, if it does.

    Raises:
        InputError: one is missing, cut short or changed.
    """
    for name, told in config.get("files", {}).items():
        path = folder / Path(name).name
        if not path.is_file():
            raise InputError(f"{folder} lacks {name}, which its config.json names.")
        size = path.stat().st_size
        if size != told["bytes"] or sha256(path) != told["sha256"]:
            raise InputError(
                f"{path} is not the file that config.json describes ({size} bytes, told "
                f"{told['bytes']}): it is damaged or was exchanged. Fetch or save it again."
            )
