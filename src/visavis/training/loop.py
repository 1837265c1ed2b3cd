"""The one loop: batches in, objectives stepped, the best weights kept."""

from __future__ import annotations

import copy
import logging
import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from visavis.dyad import Batch
from visavis.errors import InputError, VisavisError
from visavis.models._base import Objective, ReactionModel
from visavis.recipes import TrainingRecipe

logger = logging.getLogger("visavis")


class NotFinite(VisavisError):
    """A loss turned NaN or infinite; the text names the step, the term and the clips."""


@dataclass
class History:
    """What happened: one row a logged step."""

    rows: list[dict[str, float]] = field(default_factory=list)
    best_step: int = 0
    best_score: float = math.inf
    seconds: float = 0.0


Progress = Callable[[int, int, Mapping[str, float]], None]
"""(steps done, steps in all, the last losses)"""


def train(
    model: ReactionModel[Any],
    draw: Callable[[int], Batch],
    settings: TrainingRecipe,
    *,
    fit_on: Iterable[Batch] = (),
    validate: Callable[[ReactionModel[Any]], float] | None = None,
    progress: Progress | None = None,
) -> History:
    """Fit statistics, then step every objective; the model ends with its best validated weights.

    Args:
        draw: step number to batch; a function of the step, so that a run can be repeated.
        fit_on: one pass over the training data for `model.fit`.
        validate: a score to be low, asked every `validate_every` steps and at the end; without
            it the last weights are kept.

    Raises:
        NotFinite: a loss is no longer a number.
        InputError: steps are asked of a model without trained parameters.
    """
    history, began = History(), time.perf_counter()
    model.fit(fit_on)
    objectives = model.objectives()
    if settings.steps and not objectives:
        raise InputError(f"{model.name} has nothing to train by steps; set training.steps to 0.")
    optimizers = [_optimizer(o, settings) for o in objectives]
    schedules = [
        torch.optim.lr_scheduler.LambdaLR(o, _pace(objective.every, settings.steps))
        for objective, o in zip(objectives, optimizers, strict=True)
    ]
    best: dict[str, Tensor] | None = None
    model.train()
    for step in range(settings.steps):
        batch = draw(step)
        row: dict[str, float] = {}
        for objective, optimizer, schedule in zip(objectives, optimizers, schedules, strict=True):
            if step % objective.every == 0:
                row |= _step(objective, optimizer, batch, settings.clip_norm, step)
                schedule.step()
        due = (step + 1) % settings.validate_every == 0 or step + 1 == settings.steps
        if validate is not None and due:
            score = validate(model)
            if not math.isfinite(score):
                raise NotFinite(f"the validation score is {score} at step {step + 1}.")
            model.train()
            row["validation"] = score
            if score < history.best_score:
                history.best_score, history.best_step = score, step + 1
                best = copy.deepcopy(model.state_dict())
        if due or step % 20 == 0:
            history.rows.append({"step": step + 1, **row})
        if progress is not None:
            progress(step + 1, settings.steps, row)
    if best is not None:
        model.load_state_dict(best)
    model.eval()
    history.seconds = time.perf_counter() - began
    return history


def _optimizer(objective: Objective, settings: TrainingRecipe) -> torch.optim.Optimizer:
    optimizer = objective.optimizer(objective.parameters)
    for group in optimizer.param_groups:
        group["lr"] = settings.learning_rate
        group["weight_decay"] = settings.weight_decay
    return optimizer


def _pace(every: int, steps: int) -> Callable[[int], float]:
    """The rate by an objective's own count, which moves on only at every n-th step."""
    return lambda count: _rate(count * every, steps)


def _rate(step: int, steps: int) -> float:
    """A short warm-up, then half a cosine down to a twentieth."""
    warm = max(1, min(100, steps // 20))
    if step < warm:
        return (step + 1) / warm
    return 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def _step(
    objective: Objective,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    clip_norm: float,
    step: int,
) -> dict[str, float]:
    terms = objective.loss(batch)
    total = torch.stack([x for n, x in terms.items() if not n.startswith("log/")]).sum()
    if not bool(torch.isfinite(total)):
        bad = [n for n, x in terms.items() if not bool(torch.isfinite(x))]
        raise NotFinite(
            f"the loss of {objective.name!r} is not finite at step {step + 1} "
            f"(terms: {', '.join(bad)}; clips: {', '.join(batch.ids) or 'unnamed'}). "
            "A lower training.learning_rate or clip_norm usually cures it."
        )
    optimizer.zero_grad(set_to_none=True)
    total.backward()
    torch.nn.utils.clip_grad_norm_(objective.parameters, clip_norm)
    optimizer.step()
    prefix = "" if objective.name == "reaction" else f"{objective.name}/"
    return {"loss": float(total.detach())} | {
        f"{prefix}{n}": float(x.detach()) for n, x in terms.items()
    }
