"""Small real models and batches for tests of the loop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from tests.people import batch
from visavis.behaviour import Behaviour
from visavis.dyad import Batch, Persona
from visavis.models._base import STRICT, Objective, ReactionConfig, ReactionModel
from visavis.models.trans_vae import TransVAE, TransVAEConfig
from visavis.recipes import StageRecipe, TrainingRecipe


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ToyConfig(ReactionConfig):
    """Nothing to set."""


class Toy(ReactionModel[ToyConfig]):
    """Two layers in a row; the loss draws nothing, so any split of a batch gives one gradient."""

    config_class = ToyConfig
    inputs = ("va",)
    outputs = ("va",)

    def __init__(self) -> None:
        super().__init__(ToyConfig())
        torch.manual_seed(7)
        self.encoder = nn.Linear(2, 4)
        self.decoder = nn.Linear(4, 2)
        self.critic = nn.Linear(2, 1)
        self.register_buffer("mean", torch.zeros(2))

    def react(
        self, speaker: Behaviour, seeds: Tensor, num_samples: int, persona: Persona | None
    ) -> dict[str, Tensor]:
        made = self.decoder(self.encoder(speaker["va"] - self.mean))
        return {"va": made[:, None].expand(-1, num_samples, -1, -1)}

    def fit(self, batches: Any) -> None:
        for one in batches:
            self.mean.copy_(one.speaker["va"].mean((0, 1)))

    def made(self, batch: Batch) -> Tensor:
        out: Tensor = self.decoder(self.encoder(batch.speaker["va"] - self.mean).tanh())
        return out

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        return {"error": (self.made(batch) - batch.listener["va"]).square().mean()}


class Gan(Toy):
    """A generator and a critic with an optimiser each; a tokenizer stage before them, whose
    codes' mean the second stage needs."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("code", torch.zeros(4))

    def prepare(self, stage: str, batches: Any) -> None:
        if stage == "gan":
            with torch.no_grad():
                codes = [self.encoder(b.speaker["va"]).mean((0, 1)) for b in batches]
            self.code.copy_(torch.stack(codes).mean(0))

    def made(self, batch: Batch) -> Tensor:
        out: Tensor = self.decoder(
            self.encoder(batch.speaker["va"] - self.mean).tanh() + 0.1 * self.code
        )
        return out

    def objectives(self, stage: str = "main") -> tuple[Objective, ...]:
        generator = (*self.encoder.parameters(), *self.decoder.parameters())
        adam, sgd = torch.optim.AdamW, torch.optim.SGD
        if stage == "tokenizer":
            return (Objective("reaction", generator, self.loss, adam),)
        return (
            Objective("generator", tuple(self.decoder.parameters()), self.fool, adam),
            Objective("critic", tuple(self.critic.parameters()), self.judge, sgd, every=2),
        )

    def fool(self, batch: Batch) -> Mapping[str, Tensor]:
        made = self.made(batch)
        return {
            "error": (made - batch.listener["va"]).square().mean(),
            "fool": -0.1 * self.critic(made).mean(),
        }

    def judge(self, batch: Batch) -> Mapping[str, Tensor]:
        real, made = batch.listener["va"], self.made(batch).detach()
        return {"judge": torch.relu(1 - self.critic(real)).mean() + self.critic(made).mean()}


def tiny(**more: Any) -> TransVAE:
    """A Trans-VAE with dropout and draws of its own."""
    torch.manual_seed(1)
    return TransVAE(TransVAEConfig(**{"width": 16, "heads": 2, **more}))


def settings(steps: int = 8, **more: Any) -> TrainingRecipe:
    return TrainingRecipe(**{"steps": steps, "learning_rate": 0.05, "weight_decay": 0.0, **more})


def two_stages(**more: Any) -> tuple[StageRecipe, ...]:
    return (
        StageRecipe(name="tokenizer", training=settings(5, **more)),
        StageRecipe(name="gan", freeze=("encoder",), training=settings(7, **more)),
    )


def draw(step: int) -> Batch:
    return batch(4, 6, seed=step)


def weights(model: nn.Module) -> dict[str, Tensor]:
    return {n: x.detach().clone() for n, x in model.state_dict().items()}


def same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return set(one) == set(other) and all(torch.equal(x, other[n]) for n, x in one.items())
