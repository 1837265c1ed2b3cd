"""A system's reactions on disk, eight clips a file: an interrupted run goes on after the last."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from visavis.bench._clips import Clips, Real
from visavis.bench._folder import code_version
from visavis.bench._systems import System
from visavis.files import atomic_path

Progress = Callable[[int, int | None], None]
CHUNK = 8
"""Clips a file, and speakers a batch. Fixed, so that a run in pieces meets the same batches."""


@dataclass(frozen=True)
class Predictions:
    """N clips' reactions, read when asked for."""

    folder: Path
    samples: int

    def of(self, number: int) -> Real:
        """Reactions to one clip, [K, T, 25], or [1, T, 25] where all K are equal."""
        from safetensors import safe_open

        with safe_open(self.folder / _part(number), framework="numpy") as file:
            values: Real = file.get_tensor(str(number))
        return values

    def whole(self, number: int) -> Real:
        """[K, T, 25] in any case."""
        values = self.of(number)
        return values if len(values) == self.samples else values.repeat(self.samples, axis=0)

    def forget(self) -> None:
        """Delete the files."""
        shutil.rmtree(self.folder, ignore_errors=True)


def predict(
    system: System, clips: Clips, folder: Path, samples: int, progress: Progress | None = None
) -> Predictions:
    """Let `system` answer all clips; files that this code made already are not made again."""
    from safetensors.torch import save_file

    made_by, now = folder / "made-by.txt", f"{code_version()}, {samples} samples\n"
    if folder.is_dir() and not (made_by.is_file() and made_by.read_text("utf-8") == now):
        shutil.rmtree(folder)  # a run of other code was interrupted: the two do not belong together
    folder.mkdir(parents=True, exist_ok=True)
    made_by.write_text(now, "utf-8")
    for first in range(0, len(clips), CHUNK):
        numbers = range(first, min(first + CHUNK, len(clips)))
        path = folder / _part(first)
        if not path.is_file():
            made: Mapping[str, torch.Tensor] = {
                str(n): torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
                for n, values in zip(numbers, _equal_lengths(system, clips, numbers), strict=True)
            }
            with atomic_path(path) as temporary:
                save_file(dict(made), temporary)
        if progress:
            progress(numbers[-1] + 1, len(clips))
    return Predictions(folder, samples)


def _equal_lengths(system: System, clips: Clips, numbers: range) -> list[Real]:
    """Clips of one length are answered together, so that no model sees padding."""
    found: dict[int, Real] = {}
    lengths = {n: len(clips.heard[clips.ids[n]]) for n in numbers}
    for frames in sorted(set(lengths.values())):
        same = [n for n in numbers if lengths[n] == frames]
        found |= dict(zip(same, system.draw(same), strict=True))
    return [found[n] for n in numbers]


def _part(number: int) -> str:
    return f"{number - number % CHUNK:05d}.safetensors"
