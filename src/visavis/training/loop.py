"""The one loop: batches in, objectives stepped stage by stage, the best weights kept."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from torch import Tensor

from visavis.dyad import Batch
from visavis.models._base import ReactionModel
from visavis.recipes import StageRecipe, TrainingRecipe
from visavis.training import devices
from visavis.training.checkpoint import Tree
from visavis.training.ema import Ema
from visavis.training.faults import NotFinite, Stopped
from visavis.training.logs import Log
from visavis.training.sampler import ahead, pieces
from visavis.training.signals import StopRequest
from visavis.training.stages import Held, StageModule, checked, only_trained, optimizers
from visavis.training.step import take

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from visavis.training.resume import Run

logger = logging.getLogger("visavis")

LOG_EVERY = 20

Terms = Callable[[Batch], Mapping[str, Tensor]]
"""The terms of a stage's first objective for a batch, through the devices' own wrapper."""
Validate = Callable[[ReactionModel[Any], StageRecipe, Terms], float]
"""A score of the model in a stage, to be low; the same on every process."""
Progress = Callable[[int, int, Mapping[str, float]], None]
"""(steps done, steps in all, the last losses, empty where nothing was logged)"""
Sample = Callable[[ReactionModel[Any], int], None]
"""Called with the weights that would be kept now, and the steps done."""


@dataclass
class History:
    """What happened: one row a logged step."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    best_step: int = 0
    """Of the last stage; 0 where nothing was validated."""
    best_score: float = math.inf
    seconds: float = 0.0
    """Of the whole run, what it had spent before an interruption included."""
    steps: int = 0
    """Steps that this process made."""


@dataclass
class Place:
    """Where a run stands, beside the tensors: what a checkpoint keeps of the loop itself."""

    stage: int = 0
    step: int = 0
    """Done in this stage."""
    done: int = 0
    """Done in the whole run."""
    best_step: int = 0
    best_score: float = math.inf
    worse: int = 0
    """Validations since the best one."""
    seconds: float = 0.0
    """Spent so far, in whatever process."""


class StageState:
    """What one stage moves: optimisers, the average, the best weights so far."""

    def __init__(self, fabric: Fabric, wrapped: Any, stage: StageRecipe) -> None:
        module: StageModule = wrapped.module
        module.choose(stage)
        self.fabric, self.wrapped, self.stage = fabric, wrapped, stage
        self.model, self.objectives = module.model, module.objectives
        self.optimizers = optimizers(fabric, stage, module.objectives)
        model = module.model
        settings = stage.training
        self.ema = Ema(model, settings.ema, power=settings.ema_power) if settings.ema else None
        self.best: dict[str, Tensor] | None = None

    def advance(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Step every objective that is due."""
        settings, row = self.stage.training, dict[str, Tensor]()
        parts = pieces(batch, settings.accumulate)
        for index, objective in enumerate(self.objectives):
            if step % objective.every == 0:
                optimizer = self.optimizers[index]
                row |= take(
                    self.fabric, self.wrapped, optimizer, parts, settings, index=index, step=step
                )
        if self.ema is not None:
            self.ema.update(step)
        return row

    def terms(self, batch: Batch) -> Mapping[str, Tensor]:
        """What the first objective says of a batch."""
        out: Mapping[str, Tensor] = self.wrapped(0, Held(batch.to(self.fabric.device)))
        return out

    def to_keep(self) -> Any:
        """Inside, the model has the weights that would be kept: the average, if there is one."""
        return nullcontext() if self.ema is None else self.ema.swapped()


def train(
    model: ReactionModel[Any],
    draw: Callable[[int], Batch],
    plan: TrainingRecipe | Sequence[StageRecipe],
    *,
    fit_on: Iterable[Batch] = (),
    fitted: bool = False,
    validate: Validate | None = None,
    fabric: Fabric | None = None,
    run: Run | None = None,
    log: Log | None = None,
    progress: Progress | None = None,
    sample: Sample | None = None,
    sample_every: int = 0,
) -> History:
    """Fit statistics, then step every objective of every stage; a stage ends with its best weights.

    Args:
        draw: step (from the run's beginning) to this process's clips; a function of the step, so
            that a run can be repeated and resumed.
        plan: the stages in order, or the settings of the only one.
        fit_on: a pass over the training data for `model.fit`, before the first stage, and for
            `model.prepare`, before every stage (give what can be gone through again).
        fitted: the model has its statistics, with the weights that it begins with: no `fit`.
        validate: a score to be low, asked every `validate_every` steps and at a stage's end;
            without it the last weights are kept.
        fabric: launched devices (`training.devices.fabric`); default one CPU process.
        run: the run's folder: checkpoints, resuming, the batch of a failure (`training.resume`).
        sample: shown the model every `sample_every` steps, e.g. to draw its reactions.

    Raises:
        NotFinite: a loss, gradient or score is no longer a number; the batch is in the folder.
        Stopped: SIGINT or SIGTERM came; a checkpoint was written.
        InputError: steps are asked of a model without trained parameters, memory or disk do not
            suffice, or a checkpoint does not fit.
    """
    if isinstance(plan, TrainingRecipe):
        plan = (StageRecipe(name="main", training=plan),)
    fabric = devices.fabric() if fabric is None else fabric
    log = Log() if log is None else log
    saved = None if run is None else run.begin(log)
    if saved is None and not fitted:
        model.fit(fit_on)
    model.to(fabric.device)
    loop = _Loop(model, draw, tuple(plan), fabric, log, run, validate, progress)
    if sample is not None and sample_every:
        loop.sample, loop.sample_every = sample, sample_every
    loop.fit_on = fit_on
    with StopRequest() as loop.request:
        loop.all_stages(saved)
    model.eval()
    place = loop.place
    return History(log.rows, place.best_step, place.best_score, place.seconds, loop.made)


@dataclass
class _Loop:
    model: ReactionModel[Any]
    draw: Callable[[int], Batch]
    plan: tuple[StageRecipe, ...]
    fabric: Fabric
    log: Log
    run: Run | None
    validate: Validate | None
    progress: Progress | None
    sample: Sample | None = None
    sample_every: int = 0
    fit_on: Iterable[Batch] = ()
    request: StopRequest = field(default_factory=StopRequest)
    place: Place = field(default_factory=Place)
    made: int = 0
    clock: float = field(default_factory=time.perf_counter)

    def all_stages(self, saved: Tree | None) -> None:
        for stage in self.plan:
            if stage.training.steps:
                checked(self.model, stage)  # also of later stages, before the first begins
        wrapped: Any = None
        if saved is not None and self.run is not None:
            self.place = Place(**saved["place"])
            self.run.put(saved, self.model)
        for number in range(self.place.stage, len(self.plan)):
            stage = self.plan[number]
            if not stage.training.steps:
                continue
            if self.place.step == 0:
                self.place = Place(number, done=self.place.done, seconds=self.place.seconds)
                with devices.put_together(wrapped):
                    here = (batch.to(self.fabric.device) for batch in self.fit_on)
                    self.model.prepare(stage.name, here)
            if wrapped is None:
                wrapped = self.fabric.setup_module(StageModule(self.model))
            with only_trained(self.model, stage):
                state = StageState(self.fabric, wrapped, stage)
                if saved is not None and self.run is not None:
                    self.run.restore(saved, state)
                    saved = None
                self.one_stage(state)

    def one_stage(self, state: StageState) -> None:
        settings, place = state.stage.training, self.place
        first = place.done - place.step
        batches = ahead(self.draw, place.done, first + settings.steps, settings.workers)
        self.model.train()
        for batch in batches:
            if self.one_step(state, batch.to(self.fabric.device)):
                break
        if state.best is not None:
            self.model.load_state_dict(state.best)
        elif state.ema is not None:
            state.ema.keep()
        # the next stage begins with these weights; a stage that ended early counts whole, so that
        # the clips of a step do not depend on it
        place.stage, place.step, place.done = place.stage + 1, 0, first + settings.steps
        if self.run is not None:
            self.run.save(None, place, self.model, self.fabric)

    def one_step(self, state: StageState, batch: Batch) -> bool:
        """Whether the stage ends early after it."""
        settings, place = state.stage.training, self.place
        row = self.guarded(state, batch)
        place.step, place.done, self.made = place.step + 1, place.done + 1, self.made + 1
        now = time.perf_counter()
        place.seconds, self.clock = place.seconds + now - self.clock, now
        last = place.step == settings.steps
        due = last or place.step % settings.validate_every == 0
        scores = self.score(state) if due else {}
        early = 0 < settings.patience <= place.worse
        told: dict[str, float] = {}
        if due or (place.step - 1) % LOG_EVERY == 0:
            told = {n: float(x) for n, x in row.items()} | scores
            stage = {"stage": state.stage.name} if len(self.plan) > 1 else {}
            self.log.add({"step": place.done, **stage, **told})
        if self.sample is not None and place.done % self.sample_every == 0:
            with state.to_keep(), devices.put_together(state.wrapped):
                self.sample(self.model, place.done)
            self.model.train()
        if self.progress is not None:
            self.progress(place.done, sum(s.training.steps for s in self.plan), told)
        self.keep(state, ends=last or early)
        return early

    def guarded(self, state: StageState, batch: Batch) -> dict[str, Tensor]:
        try:
            return state.advance(batch, self.place.step)
        except NotFinite as error:
            if self.run is not None and error.batch is not None:
                folder = self.run.failed(error.batch, self.place.done + 1)
                raise NotFinite(f"{error} The batch is in {folder}.", error.batch) from error
            raise

    def score(self, state: StageState) -> dict[str, float]:
        if self.validate is None or state.stage.training.select == "last":
            return {}
        place = self.place
        with state.to_keep():
            score = self.validate(self.model, state.stage, state.terms)
            if not math.isfinite(score):
                raise NotFinite(f"the validation score is {score} at step {place.done}.")
            if score < place.best_score:
                place.best_score, place.best_step, place.worse = score, place.done, 0
                state.best = {n: x.detach().clone() for n, x in self.model.state_dict().items()}
            else:
                place.worse += 1
        self.model.train()
        return {"validation": score}

    def keep(self, state: StageState, *, ends: bool) -> None:
        """A checkpoint where one is due, and the end of the run where a signal asked for it."""
        signal = devices.shared_flag(self.fabric, self.request.signal)
        due = self.place.step % state.stage.training.checkpoint_every == 0
        if self.run is not None and not ends and (due or signal):
            self.run.save(state, self.place, self.model, self.fabric, must=bool(signal))
        if signal:
            done = self.place.done
            kept = "" if self.run is None else " Go on with --resume."
            raise Stopped(f"stopped at step {done}.{kept}", signal=signal, step=done)
