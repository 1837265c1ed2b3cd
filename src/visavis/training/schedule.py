"""Learning-rate schedules: the share of the rate at a step, a function of the step alone.

So there is no state to save, and an objective that is stepped rarely follows the same clock.
"""

from __future__ import annotations

import math

from torch.optim import Optimizer

from visavis.recipes import TrainingRecipe


def share(settings: TrainingRecipe, step: int) -> float:
    """What the learning rate is multiplied by at `step` (from 0) of a stage.

    Linear warm-up over w steps, then over the rest:
        constant  1
        cosine    half a cosine from 1 to `floor`
        flat      1 until the first milestone (default: two fifths of the stage), then the cosine
                  (UniFaRN: 5 k up, flat to 60 k, cosine to 150 k)
        steps     times `gamma` at each milestone
        noam      sqrt(w / n): falls with the root of the step (Vaswani et al., 2017, Eq. 3,
                  scaled to 1 at its peak)
    """
    total = settings.steps
    warm = settings.warmup
    if warm is None:
        warm = max(1, min(100, total // 20))
    if step < warm:
        return (step + 1) / warm
    if settings.schedule == "cosine":
        return _cosine(step - warm, total - warm, settings.floor)
    if settings.schedule == "flat":
        fall = max(warm, settings.milestones[0] if settings.milestones else 2 * total // 5)
        return 1.0 if step < fall else _cosine(step - fall, total - fall, settings.floor)
    if settings.schedule == "steps":
        return float(settings.gamma ** sum(step >= m for m in settings.milestones))
    if settings.schedule == "noam":
        return math.sqrt(max(1, warm) / (step + 1))
    return 1.0


def _cosine(done: int, total: int, floor: float) -> float:
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * done / max(1, total)))


def own(optimizer: Optimizer, rate: float, weight_decay: float) -> None:
    """Give an optimiser the recipe's rate and weight decay.

    A parameter group may carry `lr_scale` (its share of the rate) and `no_decay`.
    """
    for group in optimizer.param_groups:
        group["base_lr"] = rate * group.get("lr_scale", 1.0)
        group["lr"] = group["base_lr"]
        group["weight_decay"] = 0.0 if group.get("no_decay") else weight_decay


def pace(optimizer: Optimizer, settings: TrainingRecipe, step: int) -> float:
    """Set an optimiser's rates for `step`; returns the first group's."""
    now = share(settings, step)
    for group in optimizer.param_groups:
        group["lr"] = group["base_lr"] * now
    return float(optimizer.param_groups[0]["lr"])
