"""Which clips a step sees: epochs in an order of their own, a function of seed and place alone."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from visavis.behaviour import Behaviour
from visavis.dyad import Batch
from visavis.errors import InputError
from visavis.recipes import StageRecipe


@dataclass(frozen=True)
class Share:
    """One process's clips of one step."""

    indices: tuple[int, ...]
    """Places in the corpus."""
    seeds: tuple[tuple[int, int], ...]
    """One a clip, for its window and targets: whoever reads the clip draws the same."""
    crop: int | None = None
    """Frames of a window, where the stage has its own."""

    def generators(self) -> list[np.random.Generator]:
        return [np.random.default_rng(s) for s in self.seeds]


class Sampler:
    """Every clip once an epoch, in a new order each; a step's clips are split among processes.

    Args:
        size: clips in the corpus.
        plan: the stages, whose batches may differ.
        seed: of the order and of everything drawn with a clip.
        rank, world: this process, and how many there are.

    Raises:
        InputError: a batch that is larger than the corpus, or cannot be divided evenly.
    """

    def __init__(
        self, size: int, plan: Sequence[StageRecipe], *, seed: int, rank: int = 0, world: int = 1
    ) -> None:
        self.size, self.seed, self.rank, self.world = size, seed, rank, world
        self._order = lru_cache(maxsize=2)(self._shuffled)
        self._batches, self._first, self._clips = [], [0], [0]
        self._crops = [stage.training.crop for stage in plan]
        for stage in plan:
            steps, batch = stage.training.steps, stage.training.batch
            if steps:
                _check(stage, size, world)
            self._batches.append(batch)
            self._first.append(self._first[-1] + steps)
            self._clips.append(self._clips[-1] + steps * batch)

    @property
    def steps(self) -> int:
        """Of all stages together."""
        return self._first[-1]

    def __call__(self, step: int) -> Share:
        """This process's clips of `step`, counted from the run's beginning."""
        stage = min(bisect_right(self._first, step) - 1, len(self._batches) - 1)
        batch = self._batches[stage]
        start = self._clips[stage] + (step - self._first[stage]) * batch
        mine = batch // self.world
        places = range(start + self.rank * mine, start + (self.rank + 1) * mine)
        chosen = tuple(int(self._order(p // self.size)[p % self.size]) for p in places)
        return Share(chosen, tuple((self.seed, p) for p in places), self._crops[stage])

    def _shuffled(self, epoch: int) -> NDArray[np.int64]:
        return np.random.default_rng((self.seed, 1 << 40, epoch)).permutation(self.size)


def _check(stage: StageRecipe, size: int, world: int) -> None:
    settings = stage.training
    if settings.batch > size:
        raise InputError(
            f"training.batch is {settings.batch}, but the corpus has {size} clips; set "
            f"training.batch={size} or take more clips."
        )
    pieces = world * settings.accumulate
    if settings.batch % pieces:
        best = max(pieces, settings.batch - settings.batch % pieces)
        raise InputError(
            f"training.batch={settings.batch} cannot be divided among {world} device(s) in "
            f"{settings.accumulate} piece(s) each; set training.batch={best}, or another "
            "training.accumulate."
        )


def pieces(batch: Batch, count: int) -> list[Batch]:
    """A batch of B clips in `count` equal pieces."""
    if count == 1:
        return [batch]
    size = len(batch) // count
    return [_slice(batch, slice(i * size, (i + 1) * size)) for i in range(count)]


def _slice(batch: Batch, rows: slice) -> Batch:
    cut: dict[str, Any] = {}
    for field in fields(batch):
        value = getattr(batch, field.name)
        if isinstance(value, (Behaviour, Tensor)) or (isinstance(value, tuple) and value):
            cut[field.name] = value[rows]
    return replace(batch, **cut)


def ahead(draw: Callable[[int], Batch], start: int, stop: int, workers: int) -> Iterator[Batch]:
    """The batches of steps start to stop, in order, read ahead by worker processes if there are."""
    if workers == 0:
        yield from map(draw, range(start, stop))
        return
    from torch.utils.data import DataLoader

    yield from DataLoader(
        _Steps(draw, stop),  # type: ignore[arg-type]
        sampler=range(start, stop),
        batch_size=None,
        num_workers=workers,
        prefetch_factor=2,
        generator=torch.Generator(),  # the loader draws a seed: not from what the losses draw from
    )


class _Steps:
    """`draw` as a data set whose items are steps."""

    def __init__(self, draw: Callable[[int], Batch], stop: int) -> None:
        self.draw, self.stop = draw, stop

    def __len__(self) -> int:
        return self.stop

    def __getitem__(self, step: int) -> Batch:
        return self.draw(step)
