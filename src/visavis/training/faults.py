"""What can go wrong on the way: losses that are no numbers, memory that is not there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from visavis._files_tensors import read_tensors, write_tensors
from visavis.behaviour import Behaviour
from visavis.channels import Layout
from visavis.dyad import Batch
from visavis.errors import InputError, VisavisError
from visavis.files import atomic_path


class NotFinite(VisavisError):
    """A loss or gradient turned NaN or infinite; the text names step, term and clips."""

    def __init__(self, text: str, batch: Batch | None = None) -> None:
        super().__init__(text)
        self.batch = batch
        """What the model was given."""


class Stopped(VisavisError):
    """A signal asked the run to stop; it did after saving, at the end of a step."""

    def __init__(self, text: str, *, signal: int, step: int) -> None:
        super().__init__(text)
        self.signal, self.step = signal, step


@contextmanager
def memory_named(batch: Batch) -> Iterator[None]:
    """Turn a lack of memory into an error that names the knob.

    Raises:
        InputError: there was too little memory inside.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        lacking = isinstance(error, (MemoryError, torch.OutOfMemoryError))
        if not lacking and "can't allocate memory" not in str(error):
            raise
        raise InputError(
            f"out of memory with {len(batch)} clips of {batch.listener.frames} frames and "
            f"{batch.targets.lead[1]} targets at once on {batch.listener.device}. "
            "--set training.accumulate=2 takes a batch in two pieces with the same result; "
            "else lower corpus.crop, corpus.targets or training.batch, or take --precision bf16 "
            "or --strategy fsdp."
        ) from error


def save_batch(batch: Batch, folder: Path) -> Path:
    """Write a batch as `batch.safetensors`, whatever is in it, and its clips' ids for reading.

    Values that are not finite are kept as they are: they may be what is looked for.
    """
    tensors: dict[str, Tensor] = {}
    people: dict[str, Any] = {}
    for field in fields(batch):
        value = getattr(batch, field.name)
        if isinstance(value, Behaviour):
            people[field.name] = {"layout": value.layout.to_json(), "fps": value.fps}
            tensors |= {f"{field.name}/channel/{n}": x for n, x in value.channels.items()}
            tensors |= {f"{field.name}/observed/{n}": x for n, x in value.observed.items()}
            if value.lengths is not None:
                tensors[f"{field.name}/lengths"] = value.lengths
        elif isinstance(value, Tensor):
            tensors[field.name] = value
    about = {"format": 1, "people": people, "ids": list(batch.ids)}
    write_tensors(folder / "batch.safetensors", tensors, kind="batch", about=about)
    with atomic_path(folder / "clips.json") as temporary:
        temporary.write_text(json.dumps(list(batch.ids)) + "\n")
    return folder


def load_batch(folder: str | Path) -> Batch:
    """What `save_batch` wrote; words and sources are left out.

    Raises:
        InputError: the folder does not hold a batch.
    """
    path = Path(folder) / "batch.safetensors"
    about, tensors = read_tensors(path, kind="batch", format=1)

    def under(prefix: str) -> dict[str, Tensor]:
        return {n.removeprefix(prefix): x for n, x in tensors.items() if n.startswith(prefix)}

    parts: dict[str, Any] = {n: x for n, x in tensors.items() if "/" not in n}
    for name, told in about["people"].items():
        parts[name] = Behaviour(
            under(f"{name}/channel/"),
            Layout.from_json(told["layout"]),
            told["fps"],
            observed=under(f"{name}/observed/"),
            lengths=tensors.get(f"{name}/lengths"),
        )
    return Batch(**parts, ids=tuple(about["ids"]))
