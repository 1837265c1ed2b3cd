"""A run in its folder: what a checkpoint holds, how a run goes on from it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from visavis.dyad import Batch
from visavis.errors import InputError
from visavis.models._base import ReactionModel
from visavis.training import devices
from visavis.training.checkpoint import (
    Keeper,
    Tree,
    changes,
    random_state,
    restore_random_state,
)
from visavis.training.faults import save_batch
from visavis.training.logs import Log

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from visavis.training.loop import Place, StageState

logger = logging.getLogger("visavis")

_FREE = ("about", "note", "training.checkpoint_every", "training.workers")
"""What a resumed run's recipe may say otherwise: no number depends on it."""


class Run:
    """A training run's folder.

    Args:
        folder: holds `checkpoints/`; made when the first is written.
        recipe: the resolved recipe as JSON; a run goes on only with its own.
        resume: go on from the newest checkpoint.
        free: what else the recipe of a resumed run may say otherwise, as dotted keys.
    """

    def __init__(
        self,
        folder: str | Path,
        recipe: Mapping[str, Any],
        *,
        resume: bool = False,
        free: tuple[str, ...] = (),
    ) -> None:
        self.folder, self.recipe, self.resume = Path(folder), dict(recipe), resume
        self.free = (*_FREE, *free)
        self.keeper = Keeper(folder)

    def begin(self, log: Log) -> Tree | None:
        """The state to go on from, or None for a new run.

        Raises:
            InputError: the folder holds a run that would be lost, or none to go on with, or one
                of another recipe or model.
        """
        if not self.resume:
            if steps := self.keeper.steps():
                raise InputError(
                    f"{self.folder} holds a run at step {steps[-1]}. Go on with --resume, or "
                    "choose another --out (or remove the folder)."
                )
            log.begin()
            return None
        step, saved = self.keeper.newest()
        self._check(saved)
        log.begin(step)
        logger.info("resuming %s at step %d", self.folder, step)
        return saved

    def _check(self, saved: Tree) -> None:
        before, now = saved["recipe"], self.recipe
        if before["model"] != now["model"] or before["name"] != now["name"]:
            raise InputError(
                f"{self.folder} holds a run of {before['name']!r} (model {before['model']!r}), not "
                f"of {now['name']!r} (model {now['model']!r}); choose another --out."
            )
        found = changes(_stepped(before), _stepped(now))
        different = [c for c in found if not c.startswith(self.free)]
        if different:
            raise InputError(
                f"the recipe has changed since {self.folder} began: {'; '.join(different)}. "
                "Resume with the old values, or begin anew in another --out."
            )

    def save(
        self,
        state: StageState | None,
        place: Place,
        model: ReactionModel[Any],
        fabric: Fabric,
        *,
        must: bool = False,
    ) -> None:
        """Write a checkpoint; between stages `state` is None.

        A full disk costs this checkpoint, not the run, which goes on with the last good one.

        Raises:
            InputError: it cannot be written, and `must` be.
        """
        tree = _tree(state, place, model, fabric) | {"recipe": self.recipe}
        failure: InputError | None = None
        if fabric.is_global_zero:
            try:
                self.keeper.save(place.done, tree)
            except InputError as error:
                failure = error
                kept = self.keeper.steps()
                good = f"the last good one is of step {kept[-1]}" if kept else "there is none yet"
                logger.error("no checkpoint at step %d: %s (%s)", place.done, error, good)
        if must and failure is not None:
            raise failure

    def restore(self, saved: Tree, state: StageState) -> None:
        """Put a checkpoint into what a stage moves beside the model, and into the generators."""
        if saved["optimizers"]:  # empty between two stages
            for optimizer, kept in zip(state.optimizers, saved["optimizers"], strict=True):
                _load_optimizer(optimizer, kept)
            if state.ema is not None:
                state.ema.load(
                    {n: devices.like(x, state.ema.average[n]) for n, x in saved["ema"].items()}
                )
            if saved["best"] is not None:
                own = state.model.state_dict()
                state.best = {n: devices.like(x, own[n]) for n, x in saved["best"].items()}
        scaler = getattr(state.fabric.strategy.precision, "scaler", None)
        if scaler is not None and saved["scaler"] is not None:
            scaler.load_state_dict(saved["scaler"])
        self._restore_random(saved, state.fabric)

    def put(self, saved: Tree, model: ReactionModel[Any]) -> None:
        """Put a checkpoint's weights and statistics into a model.

        Raises:
            InputError: they do not fit it.
        """
        own, kept = model.state_dict(), saved["model"]
        if set(own) != set(kept) or any(kept[n].shape != x.shape for n, x in own.items()):
            raise InputError(
                f"the checkpoint in {self.folder} does not fit {model.name}: it is of another "
                "version of visavis or another model. Begin anew in another --out."
            )
        with torch.no_grad():
            for name, value in own.items():
                value.copy_(devices.like(kept[name], value))

    def _restore_random(self, saved: Tree, fabric: Fabric) -> None:
        states = saved["random"]
        if len(states) == fabric.world_size:
            restore_random_state(states[fabric.global_rank], fabric.device)
            return
        logger.warning(
            "this run had %d process(es) and goes on with %d: its draws will differ",
            len(states),
            fabric.world_size,
        )
        torch.manual_seed(int(saved["place"]["done"]) * 4096 + fabric.global_rank)

    def failed(self, batch: Batch, step: int) -> Path:
        """Keep the batch of a failure, for `training.faults.load_batch`."""
        return save_batch(batch, self.folder / "failed" / f"step-{step:08d}")


def _stepped(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe without the last stages where they take no step; those before have places that a
    checkpoint counts."""
    stages = list(recipe.get("stages", ()))
    while stages and not stages[-1]["training"]["steps"]:
        stages.pop()
    return {**recipe, "stages": stages}


def _tree(
    state: StageState | None, place: Place, model: ReactionModel[Any], fabric: Fabric
) -> Tree:
    """Everything, whole; every process must come here, since shards are put together."""

    def whole(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {n: devices.whole(x) for n, x in tensors.items()}

    ema = state.ema if state is not None else None
    best = state.best if state is not None else None
    return {
        "place": asdict(place),
        "model": whole(model.state_dict()),
        "optimizers": [] if state is None else [_optimizer(o) for o in state.optimizers],
        "ema": {} if ema is None else whole(ema.average),
        "best": None if best is None else whole(best),
        "random": devices.gathered(fabric, random_state(fabric.device)),
        "scaler": _scaler(fabric),
    }


def _optimizer(optimizer: torch.optim.Optimizer) -> Tree:
    state = optimizer.state_dict()
    return {
        "groups": state["param_groups"],
        "state": {
            str(index): {
                n: devices.whole(x) if isinstance(x, Tensor) else x for n, x in values.items()
            }
            for index, values in state["state"].items()
        },
    }


def _load_optimizer(optimizer: torch.optim.Optimizer, kept: Tree) -> None:
    own = [p for group in optimizer.param_groups for p in group["params"]]
    state = {}
    for index, values in kept["state"].items():
        weight = own[int(index)]
        state[int(index)] = {
            n: devices.like(x, weight) if isinstance(x, Tensor) and x.shape == weight.shape else x
            for n, x in values.items()
        }
    optimizer.load_state_dict({"param_groups": kept["groups"], "state": state})


def _scaler(fabric: Fabric) -> Tree | None:
    """float16's loss scale."""
    scaler = getattr(fabric.strategy.precision, "scaler", None)
    return None if scaler is None else dict(scaler.state_dict())
