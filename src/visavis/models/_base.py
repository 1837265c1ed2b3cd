"""The contract that every model obeys; `tests/contracts/` holds it to it."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar, runtime_checkable

import torch
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass as pydantic_dataclass
from torch import Tensor, nn

from visavis import noise
from visavis.behaviour import Behaviour
from visavis.channels import GROUPS, Layout
from visavis.dyad import Batch, Persona
from visavis.errors import InputError, OfflineOnly
from visavis.models._checks import readable, seeds_of

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


Samples = int | Tensor
"""How many draws a clip, numbered from 0; or the numbers themselves, int64 [B, K]."""


def numbered(samples: Samples, device: torch.device) -> Tensor:
    """The numbers of a clip's draws, int64 [1 or B, K]."""
    return samples if isinstance(samples, Tensor) else torch.arange(samples, device=device)[None]


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

    def sample(
        self, distribution: Any, seeds: Tensor, num_samples: Samples, index: int = 0
    ) -> Tensor:
        """Seeds int64 [B]; K draws [B, K, L, d]."""

    def decode(self, latent: Tensor, frames: int, *, distribution: Any = None) -> dict[str, Tensor]:
        """[B, K, L, d] to output channels [B, K, T, ...].

        `distribution` is what the latent was drawn from: some decoders read more of it than the
        draw (the edges of REGNN's graph), others ignore it.
        """

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
    inert: tuple[str, ...] = ()
    """Prefixes of parameters that the published architecture has and no loss can move."""
    sampled_with: tuple[str, ...] = ()
    """Settings that sampling alone reads: a trained run may be taken up again with others."""
    sometimes: ClassVar[tuple[str, ...]] = ()
    """Objectives that some configurations lack (a critic): a recipe may give their rates anyway."""
    personal: ClassVar[bool] = False
    """Whether it takes a persona."""
    around: ClassVar[str | None] = None
    """Field of the configuration that names another model, for a model that stands around one: it
    is loaded and given to `__init__` behind the configuration (`recipes.new_model`)."""

    def __init__(self, config: ConfigT) -> None:
        super().__init__()
        self.config = config
        self.name = type(self).__module__.rpartition(".")[2]
        """Public name: the recipe's, set by `load`."""
        self.trained: dict[str, Any] = {}
        """Where the weights come from, as their `config.json` says; empty for initial weights."""

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

    def prepare(self, stage: str, batches: Iterable[Batch]) -> None:
        """Before a stage's first step, with the weights of the stages before it: e.g. statistics
        of the latent space that they learned, kept as buffers. The first stage comes after `fit`.
        """

    # ------------------------------------------------------------------ given

    @property
    def reads(self) -> tuple[str, ...]:
        """The channels behind `inputs`."""
        return tuple(n for group in self.inputs for n in GROUPS.get(group, (group,)))

    @property
    def reads_also(self) -> tuple[str, ...]:
        """Channels that are read where they are there; `check_speaker` adds them, unobserved."""
        return ()

    def objectives(self, stage: str = "main") -> tuple[Objective, ...]:
        """What the loop optimises in a stage; by default one objective around `loss`.

        Empty for a model without trained parameters.
        """
        parameters = tuple(p for p in self.parameters() if p.requires_grad)
        if not parameters:
            return ()
        return (Objective("reaction", parameters, self.loss, torch.optim.AdamW),)

    def persona(self, history: Behaviour | None, traits: Tensor | None = None) -> Persona:
        """Who is listening, from their history [T, ...], their Big Five [5] in [0, 1], or both,
        as far as the model reads them.

        Raises:
            InputError: the model is not personal.
        """
        raise InputError(f"{self.name} is not personal: it has no use for a listener's history.")

    def session(self, num_samples: int = 1) -> ReactionSession:
        """A session that streams the model itself.

        A model whose reactions depend on how long the conversation has lasted must have one:
        `RollingSession` begins each run at frame 0.

        Raises:
            OfflineOnly: it has none.
        """
        raise OfflineOnly(
            f"{self.name} has no session of its own: it answers a clip at a time. "
            "visavis.RollingSession(model, ...) streams it over a sliding window, with a stated "
            "context and latency."
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
            Behaviour [B, K, T, ...], without B for a speaker without B; a clip's reactions have
            its source.

        Raises:
            MissingChannel: the speaker lacks a channel of `inputs`.
            InputError: a shape, a convention, a seed or the persona does not fit.
        """
        if num_samples < 1:
            raise InputError(f"num_samples must be at least 1, not {num_samples}.")
        self.check_persona(persona)
        read = self.check_speaker(speaker)
        single = not read.lead
        clips = read.unsqueeze() if single else read
        if len(clips.lead) != 1:
            raise InputError(
                "generate takes one clip [T] or a batch [B, T], not leading axes "
                f"{list(clips.lead)}."
            )
        numbers = seeds_of(seeds, len(clips))
        if clips.frames:
            drawn = torch.tensor(numbers, dtype=torch.int64, device=clips.device)
            with self.sampling():
                channels = self.react(clips, drawn, num_samples, persona)
        else:
            channels = dict(self.nothing(*clips.lead, num_samples).to(clips.device).channels)
        reactions = Behaviour(
            channels,
            Layout.of(*self.outputs),
            clips.fps,
            lengths=clips.lengths,
            source=clips.source,
        )
        return reactions[0] if single else reactions

    @contextmanager
    def sampling(self) -> Iterator[None]:
        """Without gradients and dropout; the training mode comes back afterwards."""
        training = self.training
        if training:  # a walk through all modules, which a session would pay at every step
            self.eval()
        try:
            with torch.no_grad():
                yield
        finally:
            if training:
                self.train()

    def check_speaker(self, speaker: Behaviour) -> Behaviour:
        """Only the channels that are read, in the model's dtype, or an error that says why not."""
        kept = chain(self.parameters(), self.buffers())
        dtype = next((x.dtype for x in kept if x.is_floating_point()), torch.float32)
        return readable(self.name, self.reads, speaker, dtype)

    def check_persona(self, persona: Persona | None) -> None:
        """Raise `InputError` for a persona that this model did not make."""
        if persona is not None and not self.personal:
            raise InputError(f"{self.name} is not personal; leave `persona` out.")
        if persona is not None and persona.model != self.name:
            raise InputError(
                f"this persona was made by {persona.model}, not by {self.name}: make one of the "
                f"same history with `visavis persona HISTORY --model {self.name}`, or "
                "model.persona(history)."
            )

    def nothing(self, *lead: int) -> Behaviour:
        """No frames of reactions, [*lead, 0, ...]."""
        layout = Layout.of(*self.outputs)
        kept = chain(self.parameters(), self.buffers())
        device = next((x.device for x in kept), None)
        return Behaviour(
            {c.name: torch.zeros(*lead, 0, *c.width, device=device) for c in layout}, layout
        )

    def draw(
        self,
        seeds: Tensor,
        num_samples: Samples,
        stream: str,
        index: Tensor | int,
        shape: tuple[int, ...],
    ) -> Tensor:
        """Standard normal noise [B, K, *shape] for seeds [B] and an index, or [B] of them."""
        samples = numbered(num_samples, seeds.device)
        when = index[:, None] if isinstance(index, Tensor) else index
        return noise.normal(seeds[:, None], samples, stream, when, shape)

    def extra_repr(self) -> str:
        count = sum(p.numel() for p in self.parameters())
        ends = f"{', '.join(self.inputs) or 'nothing'} -> {', '.join(self.outputs)}"
        return f"{self.name}: {ends}, {count:,} parameters"


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
