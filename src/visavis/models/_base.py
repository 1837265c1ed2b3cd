"""The contract that every model obeys; `tests/contracts/` holds it to it."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar, runtime_checkable

import torch
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass as pydantic_dataclass
from torch import Tensor, nn

from visavis import noise
from visavis.behaviour import Behaviour
from visavis.channels import FPS, GROUPS, Layout
from visavis.dyad import Batch, Persona
from visavis.errors import InputError, MissingChannel, OfflineOnly

if TYPE_CHECKING:
    from collections.abc import Iterator

STRICT = ConfigDict(extra="forbid")
"""Unknown fields of a configuration are errors."""


@pydantic_dataclass(frozen=True, kw_only=True, config=STRICT)
class ReactionConfig:
    """Base of every model's configuration; a subclass stands in the model's own file."""


ConfigT = TypeVar("ConfigT", bound=ReactionConfig)


@dataclass(frozen=True)
class Objective:
    """One loss and the parameters it trains; a GAN has several."""

    name: str
    parameters: tuple[nn.Parameter, ...]
    loss: Callable[[Batch], Mapping[str, Tensor]]
    """Terms, weighted; the loop sums them. A name that starts with "log/" is only logged."""
    optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]
    every: int = 1
    """Stepped at every n-th batch."""


@dataclass(frozen=True)
class Lane:
    """One conversation of a session."""

    number: int


class ReactionSession(Protocol):
    """The state of conversations lives here, never on the weights."""

    hop: int
    """Reactions come out in pieces of this many frames."""
    latency: int
    """The reaction to frame t is ready once frame t + latency has come."""

    def open(self, *, seed: int, persona: Persona | None = None) -> Lane: ...

    def step(self, speakers: Mapping[Lane, Behaviour]) -> Mapping[Lane, Behaviour]:
        """Any number of new frames each, [t, ...]; the reactions that are ready, [K, t', ...]."""

    def flush(self, lane: Lane) -> Behaviour:
        """The reactions to the frames still held back, [K, t, ...]; the lane takes no more."""

    def close(self, lane: Lane) -> None: ...

    def snapshot(self, lane: Lane) -> Mapping[str, Tensor]: ...

    def resume(self, snapshot: Mapping[str, Tensor]) -> Lane: ...


class Distribution(Protocol):
    """What `SplitModel.predict` returns."""

    @property
    def mean(self) -> Tensor: ...

    def kl(self, other: Any = None) -> Tensor: ...


@runtime_checkable
class SplitModel(Protocol):
    """A model in the parts that a wrapper such as EMC needs to stand between."""

    d_face: int
    d_speech: int

    def encode_face(self, speaker: Behaviour) -> Tensor:
        """Speaker [B, T] to face features [B, T, d_face]; unobserved frames are not read."""

    def encode_speech(self, speaker: Behaviour) -> Tensor:
        """Speaker [B, T] to speech features [B, T, d_speech]; unobserved frames are not read."""

    def fuse(self, face: Tensor, speech: Tensor) -> Tensor:
        """Features of both to one sequence [B, T, d]."""

    def predict(self, fused: Tensor, mask: Tensor | None = None) -> Any:
        """[B, T, d] to the distribution of reactions; mask bool [B, T]."""

    def sample(self, distribution: Any, seeds: Tensor, num_samples: int, index: int = 0) -> Tensor:
        """Seeds int64 [B]; K draws [B, K, L, d]."""

    def decode(self, latent: Tensor, frames: int) -> dict[str, Tensor]:
        """[B, K, L, d] to output channels [B, K, T, ...]."""

    def base_loss(self, distribution: Any, latent: Tensor, batch: Batch) -> dict[str, Tensor]:
        """The model's own loss for draws [B, K, L, d]."""


class ReactionModel(nn.Module, ABC, Generic[ConfigT]):
    """A speaker's behaviour in, K behaviours of listeners out.

    A subclass gives `config_class`, `inputs`, `outputs`, `react` and, where it learns, `loss`.
    It never opens files, names devices, knows corpora or computes metrics.
    """

    config_class: ClassVar[type[ReactionConfig]]
    stochastic: ClassVar[bool] = True
    """Whether the K reactions differ."""
    inert: ClassVar[tuple[str, ...]] = ()
    """Prefixes of parameters that the published architecture has and no loss can move."""
    personal: ClassVar[bool] = False
    """Whether it takes a persona."""

    def __init__(self, config: ConfigT) -> None:
        super().__init__()
        self.config = config
        self.name = type(self).__module__.rpartition(".")[2]
        """Public name: the recipe's, set by `load`."""

    # ------------------------------------------------------------------ to give

    @property
    @abstractmethod
    def inputs(self) -> tuple[str, ...]:
        """Channels or groups of the speaker that are read."""

    @property
    @abstractmethod
    def outputs(self) -> tuple[str, ...]:
        """Channels or groups of the listener that are returned."""

    @abstractmethod
    def react(
        self, speaker: Behaviour, seeds: Tensor, num_samples: int, persona: Persona | None
    ) -> dict[str, Tensor]:
        """Reactions to a batch: speaker [B, T, ...], seeds int64 [B]; channels [B, K, T, ...]."""

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        """Weighted terms that the loop sums; "log/..." only logged."""
        raise InputError(f"{self.name} has no loss: it learns by `fit` alone, or not at all.")

    def fit(self, batches: Iterable[Batch]) -> None:
        """One pass over the training data before the first step: statistics kept as buffers."""

    # ------------------------------------------------------------------ given

    def objectives(self, stage: str = "main") -> tuple[Objective, ...]:
        """What the loop optimises in a stage; by default one objective around `loss`.

        Empty for a model without trained parameters.
        """
        parameters = tuple(p for p in self.parameters() if p.requires_grad)
        if not parameters:
            return ()
        return (Objective("reaction", parameters, self.loss, torch.optim.AdamW),)

    def persona(self, history: Behaviour, traits: Tensor | None = None) -> Persona:
        """Who is listening, from their history [T, ...].

        Raises:
            InputError: the model is not personal.
        """
        raise InputError(f"{self.name} is not personal: it has no use for a listener's history.")

    def session(self, num_samples: int = 1) -> ReactionSession:
        """A session that streams the model itself.

        Raises:
            OfflineOnly: it needs the whole clip.
        """
        raise OfflineOnly(
            f"{self.name} needs the whole clip. visavis.RollingSession(model, ...) streams it over "
            "a sliding window, with a stated context and latency."
        )

    def generate(
        self,
        speaker: Behaviour,
        num_samples: int = 10,
        *,
        seeds: Tensor | int = 0,
        persona: Persona | None = None,
    ) -> Behaviour:
        """K listeners' reactions.

        Args:
            speaker: [B, T, ...], or [T, ...] for one clip.
            num_samples: K.
            seeds: who draws: one number for all clips, or int64 [B]. A clip's reactions depend on
                its own seed and content alone, and K reactions begin with the same K - 1.
            persona: for personal models.

        Returns:
            Behaviour [B, K, T, ...], without B for a speaker without B.

        Raises:
            MissingChannel: the speaker lacks a channel of `inputs`.
            InputError: a shape or convention does not fit.
        """
        if num_samples < 1:
            raise InputError(f"num_samples must be at least 1, not {num_samples}.")
        if persona is not None and not self.personal:
            raise InputError(f"{self.name} is not personal; leave `persona` out.")
        if persona is not None and persona.model != self.name:
            raise InputError(f"this persona was made by {persona.model}, not by {self.name}.")
        single = not speaker.lead
        clips = self.check_speaker(speaker.unsqueeze() if single else speaker)
        if len(clips.lead) != 1:
            raise InputError(
                "generate takes one clip [T] or a batch [B, T], not leading axes "
                f"{list(clips.lead)}."
            )
        seeds = torch.as_tensor(seeds, dtype=torch.int64, device=clips.device)
        if seeds.ndim and tuple(seeds.shape) != clips.lead:
            raise InputError(f"seeds {list(seeds.shape)} do not fit {clips.lead[0]} clips.")
        with self.sampling():
            channels = self.react(clips, seeds.expand(clips.lead), num_samples, persona)
        reactions = Behaviour(channels, Layout.of(*self.outputs), clips.fps, lengths=clips.lengths)
        return reactions[0] if single else reactions

    @contextmanager
    def sampling(self) -> Iterator[None]:
        """Without gradients and dropout; the training mode comes back afterwards."""
        training = self.training
        self.eval()
        try:
            with torch.no_grad():
                yield
        finally:
            self.train(training)

    def check_speaker(self, speaker: Behaviour) -> Behaviour:
        """Only the channels that are read, or an error that says what does not fit."""
        if speaker.layout.convention != "arkit":
            raise InputError(
                f"{self.name} reads coefficients in this library's convention, but these are in "
                f"{speaker.layout.convention}'s; convert them first."
            )
        if speaker.fps != FPS:
            raise InputError(
                f"{self.name} works at {FPS:g} frames a second, but this speaker is at "
                f"{speaker.fps:g}; visavis.perceive gives {FPS:g}, or resample the channels."
            )
        wanted = [n for group in self.inputs for n in GROUPS.get(group, (group,))]
        if not wanted:  # nothing is read but the clock
            return speaker
        missing = [n for n in wanted if n not in speaker.layout]
        if missing:
            raise MissingChannel(
                f"{self.name} reads {', '.join(wanted)}, but the speaker has no "
                f"{', '.join(missing)} (it has {', '.join(speaker.layout.names)}). "
                f"{_advice(missing)}"
            )
        return speaker.select(*wanted)

    def draw(
        self,
        seeds: Tensor,
        num_samples: int,
        stream: str,
        index: Tensor | int,
        shape: tuple[int, ...],
    ) -> Tensor:
        """Standard normal noise [B, K, *shape] for seeds [B] and an index, or [B] of them."""
        samples = torch.arange(num_samples, device=seeds.device)
        when = index[:, None] if isinstance(index, Tensor) else index
        return noise.normal(seeds[:, None], samples[None], stream, when, shape)

    def extra_repr(self) -> str:
        count = sum(p.numel() for p in self.parameters())
        ends = f"{', '.join(self.inputs) or 'nothing'} -> {', '.join(self.outputs)}"
        return f"{self.name}: {ends}, {count:,} parameters"


def _advice(missing: list[str]) -> str:
    speech = [n for n in missing if n in GROUPS["speech"]]
    if speech:
        return f"visavis.perceive(..., speech={tuple(speech)!r}) extracts speech."
    if "pixels" in missing:
        return "visavis.perceive(..., keep_pixels=True) keeps pixels."
    return (
        "visavis.perceive tracks a face; visavis.features.attributes.complete makes attributes "
        "from coefficients and back."
    )


def model_class(module: Any) -> type[ReactionModel[Any]]:
    """The one concrete model that a module of `visavis.models` defines."""
    found = [
        c
        for c in vars(module).values()
        if inspect.isclass(c)
        and issubclass(c, ReactionModel)
        and not inspect.isabstract(c)
        and c.__module__ == module.__name__
    ]
    assert len(found) == 1, f"{module.__name__} must define one model, not {len(found)}"
    return found[0]
