"""The one loop: repeatable, careful with bad numbers, and it learns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from tests.people import ATTRIBUTES, COEFFICIENTS, batch, person
from visavis.behaviour import Behaviour
from visavis.dyad import Batch, Persona
from visavis.errors import InputError, VisavisError
from visavis.models._base import STRICT, Objective, ReactionConfig, ReactionModel
from visavis.models.trans_vae import TransVAE, TransVAEConfig
from visavis.recipes import StageRecipe, TrainingRecipe, new_model
from visavis.training.faults import NotFinite
from visavis.training.loop import Terms, train


@dataclass(frozen=True, kw_only=True, config=STRICT)
class OneNumberConfig(ReactionConfig):
    """Nothing to set."""


class OneNumber(ReactionModel[OneNumberConfig]):
    """The smallest model that trains: one weight per objective, drawn to the step's target."""

    config_class = OneNumberConfig
    inputs = ("energy",)
    outputs = ("va",)

    def __init__(self) -> None:
        super().__init__(OneNumberConfig())
        self.weight = nn.Parameter(torch.zeros(1))
        self.second = nn.Parameter(torch.zeros(1))
        self.bad_from = 10**9
        self.calls: list[str] = []

    def react(
        self, speaker: Behaviour, seeds: Tensor, num_samples: int, persona: Persona | None
    ) -> dict[str, Tensor]:
        return {"va": self.weight.expand(len(seeds), num_samples, speaker.frames, 2)}

    def fit(self, batches: Any) -> None:
        self.calls += ["fit", *(f"batch of {len(b)}" for b in batches)]

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        self.calls.append(f"train {self.training}")
        pull = (self.weight - 1).square().sum()
        spoilt = pull * float("nan") if len(self.calls) >= self.bad_from else pull * 0
        return {"pull": pull, "regular": spoilt, "log/weight": self.weight.detach().sum() / 0}


def settings(steps: int = 20, **more: Any) -> TrainingRecipe:
    return TrainingRecipe(**{"steps": steps, "learning_rate": 0.1, "weight_decay": 0.0, **more})


def draw(step: int) -> Batch:
    return batch(1, 4, seed=step)


# ---------------------------------------------------------------------- repeatable


def tiny(**more: Any) -> TransVAE:
    torch.manual_seed(1)
    return TransVAE(TransVAEConfig(**{"width": 16, "heads": 2, **more}))


def test_equal_seeds_train_bit_for_bit_alike_and_other_seeds_do_not() -> None:
    def trained(seed: int) -> tuple[list[Tensor], list[dict[str, float]]]:
        model = tiny()
        torch.manual_seed(seed)
        history = train(
            model, lambda step: batch(2, 12, seed=step), settings(6), fit_on=[batch(2, 12)]
        )
        return [x.clone() for x in model.state_dict().values()], history.rows

    (one, rows), (again, rows_again), (other, _) = trained(3), trained(3), trained(4)
    assert all(torch.equal(a, b) for a, b in zip(one, again, strict=True))
    assert rows == rows_again
    assert not all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_the_batch_is_a_function_of_the_step() -> None:
    asked: list[int] = []

    def noted(step: int) -> Batch:
        asked.append(step)
        return draw(step)

    train(OneNumber(), noted, settings(5))
    assert asked == [0, 1, 2, 3, 4]


# ---------------------------------------------------------------------- bad numbers


def test_a_loss_that_is_not_a_number_names_step_term_and_clips() -> None:
    model = OneNumber()
    model.bad_from = 5  # the call of fit counts too
    with pytest.raises(NotFinite) as caught:
        train(model, lambda step: replace(draw(step), ids=("anna-07",)), settings())
    text = str(caught.value)
    assert "step 4" in text and "regular" in text and "anna-07" in text
    assert "pull" not in text
    assert isinstance(caught.value, VisavisError)
    assert all(bool(p.isfinite().all()) for p in model.parameters())


def test_what_is_only_logged_may_be_infinite_and_is_not_summed() -> None:
    history = train(OneNumber(), draw, settings(3))
    assert history.rows[0]["log/weight"] != history.rows[0]["log/weight"]  # 0 / 0
    assert history.rows[0]["loss"] == history.rows[0]["pull"] == 1.0


# ---------------------------------------------------------------------- steps


def test_statistics_are_fitted_once_and_before_the_first_step() -> None:
    model = OneNumber()
    train(model, draw, settings(2), fit_on=[batch(3, 4), batch(2, 4)])
    assert model.calls == ["fit", "batch of 3", "batch of 2", "train True", "train True"]
    assert not model.training


def test_without_steps_a_model_is_only_fitted() -> None:
    model = new_model("mean_frame", {})
    history = train(model, draw, settings(0), fit_on=[batch(2, 10)])
    assert float(model.frame.abs().sum()) > 0
    assert history.rows == []


def test_a_model_without_parameters_refuses_steps() -> None:
    with pytest.raises(InputError, match=r"mirror.*training\.steps to 0"):
        train(new_model("mirror", {}), draw, settings(1))


class TwoObjectives(OneNumber):
    def objectives(self, stage: str = "main") -> tuple[Objective, ...]:
        def second(batch: Batch) -> Mapping[str, Tensor]:
            return {"fall": (self.second + 1).square().sum()}

        sgd = torch.optim.SGD
        return (
            Objective("reaction", (self.weight,), self.loss, sgd),
            Objective("critic", (self.second,), second, sgd, every=3),
        )


def test_each_objective_moves_its_own_parameters_every_so_often() -> None:
    model = TwoObjectives()
    model.bad_from = 10**9
    history = train(model, draw, settings(7, validate_every=1))
    rows = history.rows
    assert [("critic/fall" in row) for row in rows] == [
        True,
        False,
        False,
        True,
        False,
        False,
        True,
    ]
    assert float(model.weight.detach()) > 0 > float(model.second.detach())


def test_gradients_are_clipped_to_the_norm() -> None:
    class Steep(OneNumber):
        def objectives(self, stage: str = "main") -> tuple[Objective, ...]:
            def steep(batch: Batch) -> Mapping[str, Tensor]:
                return {"steep": 1e6 * self.weight.sum()}

            return (Objective("reaction", (self.weight,), steep, torch.optim.SGD),)

    model = Steep()
    train(model, draw, settings(1, learning_rate=0.1, clip_norm=0.5))
    assert float(model.weight.detach()) == pytest.approx(-0.05, rel=1e-3)


@pytest.mark.parametrize("every", [1, 4])
def test_the_rate_warms_up_and_ends_at_a_twentieth(every: int) -> None:
    """Also for an objective that is stepped more rarely than the others."""

    class Steady(OneNumber):
        def objectives(self, stage: str = "main") -> tuple[Objective, ...]:
            def steady(batch: Batch) -> Mapping[str, Tensor]:
                seen.append(float(self.weight.detach()))
                return {"steady": -self.weight.sum()}

            return (Objective("reaction", (self.weight,), steady, torch.optim.SGD, every),)

    seen: list[float] = []
    model = Steady()
    train(model, draw, settings(200, learning_rate=1.0))
    moves = torch.tensor([*seen, float(model.weight.detach())]).diff()
    assert float(moves[0]) == pytest.approx(0.1)  # ten steps of warm-up
    assert len(moves) == 200 // every
    assert float(moves.max()) == pytest.approx(1.0, abs=1e-2)
    assert float(moves[-1]) == pytest.approx(0.05, abs=5e-3)
    assert bool((moves[12:].diff() < 1e-4).all())


# ---------------------------------------------------------------------- the best weights


def test_the_best_validated_weights_are_kept() -> None:
    model, scores = OneNumber(), iter([3.0, 1.0, 2.0, 5.0])
    kept: list[float] = []

    def validate(now: ReactionModel[Any], stage: StageRecipe, terms: Terms) -> float:
        now.eval()  # a validation may leave the model in any mode
        kept.append(float(model.weight.detach()))
        return next(scores)

    history = train(model, draw, settings(8, validate_every=2), validate=validate)
    assert (history.best_step, history.best_score) == (4, 1.0)
    assert float(model.weight.detach()) == kept[1] != kept[-1]
    assert [row["validation"] for row in history.rows if "validation" in row] == [3, 1, 2, 5]
    assert set(model.calls[1:]) == {"train True"}


def test_without_validation_the_last_weights_are_kept() -> None:
    short, long = OneNumber(), OneNumber()
    train(short, draw, settings(4))
    history = train(long, draw, settings(8))
    assert float(long.weight.detach()) > float(short.weight.detach())
    assert history.best_step == 0


def test_the_end_is_validated_even_off_the_beat() -> None:
    asked = []
    train(
        OneNumber(), draw, settings(5, validate_every=4), validate=lambda *_: asked.append(1) or 0.0
    )
    assert len(asked) == 2


def test_progress_counts_every_step() -> None:
    seen: list[tuple[int, int]] = []
    train(
        OneNumber(), draw, settings(3), progress=lambda done, total, row: seen.append((done, total))
    )
    assert seen == [(1, 3), (2, 3), (3, 3)]


# ---------------------------------------------------------------------- learning


def toy(seed: int) -> Batch:
    """Listeners who answer with the speaker's own level of smile: learnable, and from nothing else.

    The level is one number a clip, so that one latent can carry it.
    """
    generator = torch.Generator().manual_seed(seed)
    level = torch.rand(8, 1, 1, generator=generator)
    speaker = person(12, lead=(8,), seed=seed)
    shapes = torch.zeros(8, 12, 52) + level
    listener = person(12, lead=(8,), names=(*ATTRIBUTES, *COEFFICIENTS))
    told = {n: torch.zeros_like(listener[n]) for n in listener.layout.names}
    told["blendshapes"] = shapes
    told["expression"][..., 0] = 1.0
    real = listener.with_channels(told)
    targets = Behaviour({n: x[:, None] for n, x in real.channels.items()}, real.layout)
    return Batch(
        speaker.with_channels({"blendshapes": shapes}),
        real,
        targets,
        torch.ones(8, 1, dtype=torch.bool),
    )


def test_a_tiny_trans_vae_learns_who_smiled() -> None:
    model = tiny(dropout=0.0, diversity_weight=0.0, kl_weight=1e-4)
    recipe = settings(150, learning_rate=5e-3)
    train(model, toy, recipe, fit_on=[toy(i) for i in range(5)])
    unseen = [toy(1000 + i) for i in range(4)]
    made = torch.cat([model.generate(b.speaker, 1)["blendshapes"][:, 0] for b in unseen])
    real = torch.cat([b.listener["blendshapes"] for b in unseen])
    error, spread = (made - real).square().mean(), real.var(0, unbiased=False).mean()
    assert float(error) < 0.3 * float(spread)  # 1 is the mean listener
