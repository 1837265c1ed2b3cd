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
    """Write a batch as files that `load_batch` reads: a behaviour each, and the rest."""
    rest: dict[str, Tensor] = {}
    for field in fields(batch):
        value = getattr(batch, field.name)
        if isinstance(value, Behaviour):
            value.to("cpu").save(folder / f"{field.name}.safetensors")
        elif isinstance(value, Tensor):
            rest[field.name] = value
    about = {"format": 1, "ids": list(batch.ids)}
    write_tensors(folder / "rest.safetensors", rest, kind="batch", about=about)
    with atomic_path(folder / "clips.json") as temporary:
        temporary.write_text(json.dumps(list(batch.ids)) + "\n")
    return folder


def load_batch(folder: str | Path) -> Batch:
    """What `save_batch` wrote.

    Raises:
        InputError: the folder does not hold a batch.
    """
    path = Path(folder)
    about, rest = read_tensors(path / "rest.safetensors", kind="batch", format=1)
    parts: dict[str, Any] = {
        p.stem: Behaviour.load(p) for p in path.glob("*.safetensors") if p.stem != "rest"
    }
    parts |= rest
    return Batch(**parts, ids=tuple(about["ids"]))
