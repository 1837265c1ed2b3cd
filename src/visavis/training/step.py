"""One step of one objective: forward, check, backward, clip, move."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from visavis.dyad import Batch
from visavis.models._base import Objective
from visavis.recipes import TrainingRecipe
from visavis.training import schedule
from visavis.training.devices import shared_flag
from visavis.training.faults import NotFinite, memory_named
from visavis.training.stages import Held

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def take(
    fabric: Fabric,
    module: Any,
    optimizer: torch.optim.Optimizer,
    parts: Sequence[Batch],
    settings: TrainingRecipe,
    *,
    index: int,
    step: int,
) -> dict[str, Tensor]:
    """Step objective `index` of a set-up `StageModule` on a batch in pieces.

    Each piece's loss counts 1 / pieces, so the gradient is the whole batch's where terms are
    means over clips.

    Returns:
        Its terms, without gradients, averaged over the pieces; "loss" is their sum, "rate" the
        learning rate. Objectives after the first have their name before it: "critic/loss".

    Raises:
        NotFinite: the loss or the gradient is NaN or infinite; nothing was stepped.
    """
    objective = module.module.objectives[index]
    pace = schedule.pace(optimizer, settings, step)
    module.zero_grad(set_to_none=True)  # also what another objective left in these parameters
    found: list[dict[str, Tensor]] = []
    for number, part in enumerate(parts):
        last = number + 1 == len(parts)
        with memory_named(part), fabric.no_backward_sync(module, enabled=not last):
            terms = module(index, Held(part))
            total = torch.stack([x for n, x in terms.items() if not n.startswith("log/")]).sum()
            _check(fabric, objective, terms, total, part, step)
            fabric.backward(total / len(parts))
        found.append({"loss": total.detach()} | {n: x.detach() for n, x in terms.items()})
    norm = fabric.clip_gradients(
        module, optimizer, max_norm=settings.clip_norm, error_if_nonfinite=False
    )
    # float16 finds infinite gradients as it looks for its scale, and leaves the step out itself
    if settings.precision != "16" and norm is not None and not bool(torch.isfinite(norm)):
        raise NotFinite(
            f"the gradient of {objective.name!r} is not finite at step {step + 1}, though its "
            f"loss is (clips: {', '.join(parts[-1].ids) or 'unnamed'}).",
            parts[-1],
        )
    optimizer.step()
    prefix = "" if index == 0 else f"{objective.name}/"
    mean = {n: torch.stack([f[n] for f in found]).mean() for n in found[0]}
    return {f"{prefix}{n}": x for n, x in mean.items()} | {f"{prefix}rate": torch.tensor(pace)}


def _check(
    fabric: Fabric,
    objective: Objective,
    terms: dict[str, Tensor],
    total: Tensor,
    part: Batch,
    step: int,
) -> None:
    fine = bool(torch.isfinite(total))
    if not shared_flag(fabric, int(not fine)):
        return
    if fine:
        raise NotFinite(f"another process met a loss that is not finite at step {step + 1}.")
    bad = [n for n, x in terms.items() if not n.startswith("log/") and not bool(x.isfinite())]
    raise NotFinite(
        f"the loss of {objective.name!r} is not finite at step {step + 1} "
        f"(terms: {', '.join(bad) or 'their sum'}; clips: {', '.join(part.ids) or 'unnamed'}). "
        "A lower training.learning_rate or clip_norm usually cures it.",
        part,
    )
