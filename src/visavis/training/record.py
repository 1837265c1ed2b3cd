"""What a run was made of, so that it can be made again: recipe, code, data, machine."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from visavis import __version__
from visavis.files import atomic_path
from visavis.recipes import Recipe

if TYPE_CHECKING:
    from lightning_fabric import Fabric

PACKAGES = ("torch", "lightning-fabric", "numpy", "safetensors")


def code() -> dict[str, Any]:
    """The version of visavis, and the commit where it runs from a checkout of its own."""
    found: dict[str, Any] = {"version": __version__}
    home = Path(__file__).parents[3]
    if (home / ".git").exists() and (home / "src" / "visavis").is_dir():
        commit = _git(home, "rev-parse", "HEAD")
        if commit:
            found |= {"commit": commit, "changed": bool(_git(home, "status", "--porcelain", "src"))}
    return found


def _git(home: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(home), *arguments], capture_output=True, text=True, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def environment(fabric: Fabric) -> dict[str, Any]:
    """The machine and the packages."""
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": _device(fabric.device),
        "processes": fabric.world_size,
        "strategy": type(fabric.strategy).__name__,
        **{name: _version(name) for name in PACKAGES},
    }


def _device(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def recipe_json(recipe: Recipe) -> dict[str, Any]:
    """A resolved recipe as plain JSON, as files hold it."""
    plain: dict[str, Any] = json.loads(json.dumps(asdict(recipe)))
    # what is not asked for is left out, so that recipes are those written before it could be
    if not recipe.begin:
        del plain["begin"]
    for settings in (plain["training"], *(stage["training"] for stage in plain["stages"])):
        if settings["crop"] is None:
            del settings["crop"]
    return plain


def write(folder: Path, about: Mapping[str, Any]) -> Path:
    """`run.json`: what `about` says, and the command that was given."""
    path = folder / "run.json"
    with atomic_path(path) as temporary:
        text = json.dumps({"format": 1, "command": sys.argv[1:], **about}, indent=2)
        temporary.write_text(text + "\n")
    return path
