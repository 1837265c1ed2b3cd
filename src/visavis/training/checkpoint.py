"""Whole checkpoints: everything a run needs to go on as if it had never stopped, in one file.

A file is written beside its name and moved onto it, so a kill during a write costs that write
alone. The last two stay, so that a file damaged later is not the only one.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from visavis._files_tensors import read_tensors, write_tensors
from visavis.errors import InputError

logger = logging.getLogger("visavis")

FORMAT = 1
KEPT = 2
Tree = dict[str, Any]
"""Tensors, numbers, texts and None, in dicts with text keys and lists."""


class Keeper:
    """The checkpoints of a run's folder, `checkpoints/00000400.safetensors`."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder) / "checkpoints"

    def steps(self) -> list[int]:
        """Steps that have a file, oldest first."""
        found = (p.stem for p in self.folder.glob("*.safetensors"))
        return sorted(int(name) for name in found if name.isdecimal())

    def path(self, step: int) -> Path:
        return self.folder / f"{step:08d}.safetensors"

    def clean(self) -> None:
        """Remove what a killed write left behind."""
        for path in self.folder.glob(".*.safetensors"):
            path.unlink(missing_ok=True)

    def save(self, step: int, state: Tree) -> Path:
        """Write a checkpoint, then let go of those before the last two.

        Raises:
            InputError: it cannot be written, e.g. because the disk is full; the files that were
                there stay.
        """
        tensors, about = packed(state)
        path = self.path(step)
        write_tensors(path, tensors, kind="checkpoint", about={"format": FORMAT, "state": about})
        with path.open("rb") as file:  # older ones go only once this one is on the disk
            os.fsync(file.fileno())
        for old in self.steps()[:-KEPT]:
            self.path(old).unlink(missing_ok=True)
        return path

    def newest(self) -> tuple[int, Tree]:
        """The newest checkpoint that can be read, and its step.

        Raises:
            InputError: there is none.
        """
        for step in reversed(self.steps()):
            try:
                about, tensors = read_tensors(self.path(step), kind="checkpoint", format=FORMAT)
            except InputError as error:
                logger.warning("a checkpoint cannot be read, trying the one before: %s", error)
                continue
            tree: Tree = unpacked(about["state"], tensors)
            return step, tree
        raise InputError(
            f"{self.folder} holds no checkpoint to resume from; leave --resume out to begin."
        )


_MARK = "tensor:"


def packed(tree: Any) -> tuple[dict[str, Tensor], Any]:
    """A tree's tensors by their place in it, and the tree as JSON with those places."""
    tensors: dict[str, Tensor] = {}

    def walk(node: Any, place: str) -> Any:
        if isinstance(node, Tensor):
            tensors[place] = node
            return f"{_MARK}{place}"
        if isinstance(node, Mapping):
            return {key: walk(value, f"{place}/{key}") for key, value in node.items()}
        if isinstance(node, (list, tuple)):
            return [walk(value, f"{place}/{i}") for i, value in enumerate(node)]
        assert node is None or isinstance(node, (bool, int, float, str)), (place, type(node))
        return node

    return tensors, walk(tree, "")


def unpacked(node: Any, tensors: Mapping[str, Tensor]) -> Any:
    """What `packed` took apart."""
    if isinstance(node, str) and node.startswith(_MARK):
        return tensors[node.removeprefix(_MARK)]
    if isinstance(node, dict):
        return {key: unpacked(value, tensors) for key, value in node.items()}
    if isinstance(node, list):
        return [unpacked(value, tensors) for value in node]
    return node


def random_state(device: torch.device) -> Tensor:
    """The state of torch's generators on the host and on `device`, uint8 [N].

    Nothing else is drawn from: the sampler has generators of its own, a function of the step.
    """
    host = torch.get_rng_state()
    return torch.cat([host, torch.cuda.get_rng_state(device)]) if device.type == "cuda" else host


def restore_random_state(state: Tensor, device: torch.device) -> None:
    """Go on drawing where `random_state` was taken."""
    host = len(torch.get_rng_state())
    torch.set_rng_state(state[:host])
    if device.type == "cuda":
        torch.cuda.set_rng_state(state[host:], device)


def changes(before: Mapping[str, Any], now: Mapping[str, Any], place: str = "") -> list[str]:
    """Where two recipes as JSON differ: `training.steps: 10, now 20`."""
    found = []
    for key in sorted({*before, *now}):
        a, b = before.get(key), now.get(key)
        here = f"{place}{key}"
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            found += changes(a, b, f"{here}.")
        elif a != b:
            found.append(f"{here}: {a!r}, now {b!r}")
    return found
