"""A dry run: one batch through everything, and what the whole run would cost."""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from visavis.dyad import Batch
from visavis.models._base import ReactionModel
from visavis.recipes import StageRecipe
from visavis.training import devices
from visavis.training.loop import Place, StageState, Validate
from visavis.training.resume import Run
from visavis.training.stages import StageModule, checked, only_trained

if TYPE_CHECKING:
    from lightning_fabric import Fabric

STEPS = 3
"""The first is a warm-up and is not counted."""


@dataclass(frozen=True)
class Estimate:
    """What was measured, and what follows from it."""

    stage: str
    steps: int
    step_seconds: float
    """A step, without its data."""
    data_seconds: float
    """Making a batch."""
    validate_seconds: float
    checkpoint_seconds: float
    checkpoint_bytes: int
    trained: int
    """Parameters that move in this stage."""
    memory_bytes: int
    """The most this process ever held, on the GPU if there is one."""
    seconds: float
    """Of the whole stage."""


def dry_run(
    model: ReactionModel[Any],
    draw: Callable[[int], Batch],
    plan: Sequence[StageRecipe],
    *,
    fabric: Fabric,
    fit_on: Iterable[Batch] = (),
    validate: Validate | None = None,
) -> list[Estimate]:
    """Fit, a few steps of every stage on one batch, a validation, a checkpoint and its way back.

    The model is changed; nothing stays on disk.
    """
    model.fit(fit_on)
    model.to(fabric.device)
    found, first = list[Estimate](), 0
    wrapped: Any = None
    for stage in plan:
        if stage.training.steps:
            checked(model, stage)
            with devices.put_together(wrapped):
                model.prepare(stage.name, (batch.to(fabric.device) for batch in fit_on))
            wrapped = wrapped or fabric.setup_module(StageModule(model))
            with only_trained(model, stage), tempfile.TemporaryDirectory() as folder:
                state = StageState(fabric, wrapped, stage)
                found.append(_measure(state, draw, first, Path(folder), validate))
        first += stage.training.steps
    return found


def _measure(
    state: StageState,
    draw: Callable[[int], Batch],
    first: int,
    folder: Path,
    validate: Validate | None,
) -> Estimate:
    model, fabric, settings = state.model, state.fabric, state.stage.training
    model.train()
    data, steps = [], []
    for step in range(STEPS):
        began = time.perf_counter()
        batch = draw(first).to(fabric.device)
        data.append(time.perf_counter() - began)
        state.advance(batch, step * _beat(state))
        _wait(fabric.device)
        steps.append(time.perf_counter() - began - data[-1])
    began = time.perf_counter()
    if validate is not None and settings.select != "last":  # the loop leaves it out then
        validate(model, state.stage, state.terms)
    validated = time.perf_counter() - began
    began = time.perf_counter()
    run = Run(folder, {"name": model.name, "model": ""})
    run.save(state, Place(), model, fabric, must=True)
    saved = time.perf_counter() - began
    size = 0
    if fabric.is_global_zero:
        size = run.keeper.path(0).stat().st_size
    if fabric.world_size == 1:
        _, tree = run.keeper.newest()
        run.put(tree, model)
        run.restore(tree, state)
    each, read = min(steps[1:]), min(data[1:])
    n = settings.steps
    loading = 0.0 if settings.workers else read
    total = n * (each + loading) + saved * (n // settings.checkpoint_every)
    total += validated * -(-n // settings.validate_every)
    return Estimate(
        stage=state.stage.name,
        steps=n,
        step_seconds=each,
        data_seconds=read,
        validate_seconds=validated,
        checkpoint_seconds=saved,
        checkpoint_bytes=size,
        trained=sum(p.numel() for p in model.parameters() if p.requires_grad),
        memory_bytes=_memory(fabric.device),
        seconds=total,
    )


def _beat(state: StageState) -> int:
    """A step at which every objective is due."""
    beat = 1
    for objective in state.objectives:
        beat *= objective.every
    return beat


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _memory(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
