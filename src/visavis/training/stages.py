"""One stage: which parameters move, and its objectives behind one `forward`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from visavis.dyad import Batch
from visavis.errors import InputError, nearest
from visavis.models._base import Objective, ReactionModel
from visavis.recipes import StageRecipe
from visavis.training import schedule

if TYPE_CHECKING:
    from lightning_fabric import Fabric


class Held:
    """A batch on its way through a strategy's wrapper, which looks into no class of ours."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch


class StageModule(nn.Module):
    """A model with the objectives of the present stage as its forward, so that DDP and FSDP,
    which work at `forward`, see every loss. It is wrapped once and serves all stages."""

    def __init__(self, model: ReactionModel[Any]) -> None:
        super().__init__()
        self.model = model
        self.objectives: tuple[Objective, ...] = ()

    def choose(self, stage: StageRecipe) -> None:
        """Take the objectives of a stage, over the parameters as they are after the wrapping,
        which may have put shards in their place."""
        self.objectives = objectives(self.model, stage)

    def forward(self, index: int, held: Held) -> dict[str, Tensor]:
        """Terms of one objective; what is only logged has no gradient."""
        terms = self.objectives[index].loss(held.batch)
        return {n: x.detach() if n.startswith("log/") else x for n, x in terms.items()}


def objectives(model: ReactionModel[Any], stage: StageRecipe) -> tuple[Objective, ...]:
    """A stage's objectives without what its recipe freezes.

    Raises:
        InputError: `freeze` matches no parameter, or leaves an objective without any.
    """
    names = {id(p): n for n, p in model.named_parameters()}
    for prefix in stage.freeze:
        if not any(_under(n, prefix) for n in names.values()):
            tops = {n.partition(".")[0] for n in names.values()}
            raise InputError(
                f"stage {stage.name!r} freezes {prefix!r}, which {model.name} does not have. "
                f"{nearest(prefix, tops)}"
            )
    kept = []
    for one in model.objectives(stage.name):
        left = tuple(
            p for p in one.parameters if not any(_under(names[id(p)], f) for f in stage.freeze)
        )
        if not left:
            raise InputError(
                f"stage {stage.name!r} freezes everything that {one.name!r} would train."
            )
        kept.append(replace(one, parameters=left))
    return tuple(kept)


def _under(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(prefix.rstrip(".") + ".")


def checked(model: ReactionModel[Any], stage: StageRecipe) -> tuple[Objective, ...]:
    """A stage's objectives, of which there are some.

    Raises:
        InputError: steps are asked of a model, or a stage, without trained parameters; a rate is
            given for an objective that is not there.
    """
    found = objectives(model, stage)
    if not found:
        raise InputError(
            f"{model.name} has nothing to train by steps in stage {stage.name!r}; set "
            "training.steps to 0."
        )
    names = [o.name for o in found]
    for name in stage.training.rates:
        if name not in names and name not in model.sometimes:
            raise InputError(f"training.rates names {name!r}. {nearest(name, names)}")
    return found


@contextmanager
def only_trained(model: ReactionModel[Any], stage: StageRecipe) -> Iterator[None]:
    """Inside, parameters that no objective of the stage trains ask for no gradient.

    A sharded parameter keeps asking: FSDP settles it at the first step. No optimiser moves it.
    """
    trained = {id(p) for objective in objectives(model, stage) for p in objective.parameters}
    frozen = [
        p
        for p in model.parameters()
        if p.requires_grad and id(p) not in trained and not hasattr(p, "device_mesh")
    ]
    for p in frozen:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in frozen:
            p.requires_grad_(True)


def optimizers(fabric: Fabric, stage: StageRecipe, found: Sequence[Objective]) -> list[Any]:
    """An optimiser an objective, at the recipe's rates."""
    made = []
    for objective in found:
        optimizer = objective.optimizer(objective.parameters)
        rate = stage.training.rates.get(objective.name, stage.training.learning_rate)
        schedule.own(optimizer, rate, stage.training.weight_decay)
        made.append(fabric.setup_optimizers(optimizer))
    return made
