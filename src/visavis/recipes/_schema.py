"""What a recipe may say, checked when it is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

_STRICT = ConfigDict(extra="forbid")

Schedule = Literal["constant", "cosine", "flat", "noam", "steps"]
Precision = Literal["32", "bf16", "16"]


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class CorpusRecipe:
    """Which dyads a model learns from."""

    name: str = "simulated"
    """A corpus of `visavis.corpora.load`; where it lies is not the recipe's business."""
    train_size: int = Field(default=256, gt=0)
    """Simulated dyads; corpora on disk have their own splits."""
    val_size: int = Field(default=64, gt=0)
    frames: int = Field(default=750, gt=0)
    """Length of a simulated clip."""
    crop: int | None = Field(default=256, gt=0)
    """Frames of a training crop; None takes whole clips."""
    targets: int = Field(default=1, gt=0)
    """Appropriate reactions a batch carries."""
    history: int | None = Field(default=None, gt=0)
    """Frames of the same listener in another clip, for personal models; None carries none."""
    negatives: int = Field(default=0, ge=0)
    """Inappropriate real reactions a batch carries, for critics; half by the same listener."""
    seed: int = 0
    """Of the simulated corpus."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """What else `visavis.corpora.load` takes for this corpus."""


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class TrainingRecipe:
    """How long, how fast, and what is kept."""

    steps: int = Field(default=0, ge=0)
    """0 for models that only `fit`."""
    batch: int = Field(default=8, gt=0)
    """Clips an optimiser step sees, over all devices and accumulated pieces together."""
    accumulate: int = Field(default=1, gt=0)
    """Pieces that a device takes its share of the batch in: more pieces, less memory."""
    learning_rate: float = Field(default=1e-4, gt=0)
    rates: Mapping[str, float] = field(default_factory=dict)
    """Learning rates of single objectives, by name, where they differ (a GAN's critic)."""
    crop: int | None = Field(default=None, gt=0)
    """Frames of a window in this stage; None takes `corpus.crop`."""
    weight_decay: float = Field(default=5e-4, ge=0)
    clip_norm: float = Field(default=1.0, gt=0)
    """Of each objective's gradient."""
    schedule: Schedule = "cosine"
    """How the rate goes on after the warm-up (`visavis.training.schedule`)."""
    warmup: int | None = Field(default=None, ge=0)
    """Steps of linear warm-up; None takes a twentieth of all steps, at most 100."""
    floor: float = Field(default=0.05, ge=0, le=1)
    """Where "cosine" and "flat" end, as a share of the rate."""
    milestones: tuple[int, ...] = ()
    """Steps at which "steps" multiplies the rate by `gamma`; where "flat" begins to fall."""
    gamma: float = Field(default=0.1, gt=0, le=1)
    ema: float = Field(default=0.0, ge=0, lt=1)
    """Decay of the average of weights that is validated and kept; 0 keeps the weights."""
    ema_power: float | None = Field(default=None, gt=0)
    """Warm-up of the average: decay min(ema, 1 - (1 + step)^-power), as EDM has it with 2/3;
    without it min(ema, (1 + step) / (10 + step))."""
    precision: Precision = "32"
    """"bf16" and "16" compute in half precision where it is safe; weights stay float32."""
    validate_every: int = Field(default=200, gt=0)
    select: str = "loss"
    """Which weights are kept: "loss", those with the least validation loss of the stage's first
    objective; a term of that loss by its name; or "last"."""
    patience: int = Field(default=0, ge=0)
    """Validations without a better score after which a stage ends; 0 never ends early."""
    checkpoint_every: int = Field(default=200, gt=0)
    workers: int = Field(default=0, ge=0)
    """Processes that read data ahead; 0 reads in the training process, as simulated dyads, which
    are kept in memory, do fastest."""


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class StageRecipe:
    """One stage of several: a tokenizer, then its prior."""

    name: str
    """What `ReactionModel.objectives` is asked for."""
    freeze: tuple[str, ...] = ()
    """Beginnings of names of parameters that stay as they are, beside those that no objective
    of the stage trains."""
    training: TrainingRecipe = TrainingRecipe()
    """`[training]` with the stage's own values laid over it."""


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Recipe:
    """A resolved recipe."""

    name: str
    model: str
    """File name under `visavis.models`."""
    about: str
    """One line for `visavis models`."""
    note: str = ""
    """What a user of the bundled weights must know; goes into their `config.json`."""
    seed: int = 0
    begin: str = ""
    """Weights to begin with: a bundled name or a folder, all of whose parameters this model has.
    They bring their statistics, so `fit` is left out."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the model's configuration; `--set model.x=1` means `settings.x=1`."""
    corpus: CorpusRecipe = CorpusRecipe()
    training: TrainingRecipe = TrainingRecipe()
    stages: tuple[StageRecipe, ...] = ()
    """Empty for a model of one stage, "main"."""

    @property
    def plan(self) -> tuple[StageRecipe, ...]:
        """The stages in order; one called "main" where the recipe names none."""
        return self.stages or (StageRecipe(name="main", training=self.training),)

    @property
    def steps(self) -> int:
        """Of all stages together."""
        return sum(stage.training.steps for stage in self.plan)


KEYS = tuple(
    key
    for section in (Recipe, CorpusRecipe, TrainingRecipe, StageRecipe)
    for key in section.__dataclass_fields__
)
