"""What EMC needs of a base between whose parts it stands: the common part of its adapters.

A `SplitModel` has the parts; what differs is which rows attention runs over (a clip, a window, a
patch), which frames a latent may know, and how a draw is scored. Letters: R rows of speakers
(clips, or their samples apart), k draws a row.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from torch import Tensor

from visavis.dyad import Batch
from visavis.models._base import ReactionModel, Samples
from visavis.models._emc_layers import EmotionAttention, Whole

ModelT = TypeVar("ModelT", bound=ReactionModel[Any])


@dataclass(frozen=True)
class Modules:
    """EMC's attention at its three places, and the null emotion [d]."""

    face: EmotionAttention
    speech: EmotionAttention
    fused: EmotionAttention
    latent: EmotionAttention
    nothing: Tensor


class Around(ABC, Generic[ModelT]):
    """A base between whose parts EMC stands. It holds no weights."""

    causal: ClassVar[bool] = False
    """Whether nothing of it sees the future."""
    alone: ClassVar[bool] = False
    """Whether a latent's tokens stand by themselves."""

    def __init__(self, model: ModelT) -> None:
        self.model = model
        self.split: Any = model
        """The same, as the `SplitModel` that it is."""

    @property
    def width(self) -> int:
        """d, where the configuration does not say it."""
        return int(self.model.config.width)

    @property
    def fused_width(self) -> int:
        """Of the part of `fuse`'s output that attention reads."""
        return self.width

    @property
    def latent_width(self) -> int:
        return self.width

    # ------------------------------------------------------------------ between the parts

    def unimodal(
        self, face: Tensor, speech: Tensor, emotion: Tensor, inside: Tensor | None, ea: Modules
    ) -> tuple[Tensor, Tensor]:
        """U-EA (Eq. 8 to 10): features [R, T, C] of both, emotions [R, T, d]."""
        see = Whole(inside)
        return ea.face(face, emotion, see, "face"), ea.speech(speech, emotion, see, "speech")

    def fuse(self, face: Tensor, speech: Tensor, inside: Tensor | None) -> Tensor:
        out: Tensor = self.split.fuse(face, speech)
        return out

    def mixed(self, fused: Tensor, emotion: Tensor, inside: Tensor | None, ea: Modules) -> Tensor:
        """M-EA (Eq. 11 to 13), on what `fuse` gives."""
        out: Tensor = ea.fused(fused, emotion, Whole(inside), "fused")
        return out

    def predict(self, fused: Tensor, inside: Tensor | None) -> Any:
        return self.split.predict(fused, inside)

    def sample(
        self,
        distribution: Any,
        seeds: Tensor,
        samples: Samples,
        by: Tensor | None = None,
        inside: Tensor | None = None,
    ) -> Tensor:
        """Draws [R, k, L, C]; `by` [R, T] is how many times as far they deviate, a frame."""
        out: Tensor = self.split.sample(distribution, seeds, samples)
        return out if by is None else self.spread(out, distribution, by, inside)

    def spread(
        self, latent: Tensor, distribution: Any, by: Tensor, inside: Tensor | None
    ) -> Tensor:
        """Draws further from the middle of their distribution, or nearer to it; `by` is 1 behind
        a clip's end. Asked by `sample` alone: a base that spreads as it draws has its own."""
        raise NotImplementedError

    @abstractmethod
    def refined(
        self, latent: Tensor, emotion: Tensor, inside: Tensor | None, ea: Modules
    ) -> Tensor:
        """S-EA (Eq. 15): draws [R, k, L, C]."""

    def learning(
        self, latent: Tensor, emotion: Tensor, inside: Tensor | None, ea: Modules
    ) -> Tensor:
        """The same for what `drawn` drew."""
        return self.refined(latent, emotion, inside, ea)

    def raw(
        self, latent: Tensor, frames: int, distribution: Any, inside: Tensor | None
    ) -> dict[str, Tensor]:
        """[R, k, L, C] to what `channels` takes, [R, k, T, ..]."""
        raw: dict[str, Tensor] = self.split.decode(latent, frames, distribution=distribution)
        return raw

    @abstractmethod
    def channels(self, raw: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What `raw` gave, by channel."""

    # ------------------------------------------------------------------ training

    @abstractmethod
    def drawn(self, distribution: Any) -> Tensor:
        """Draws for the loss, [R, k, L, C], at the noise that the base itself learns with."""

    def loss(self, distribution: Any, latent: Tensor, batch: Batch) -> dict[str, Tensor]:
        terms: dict[str, Tensor] = self.split.base_loss(distribution, latent, batch)
        return terms

    def beside(self, fused: Tensor, inside: Tensor | None, seeds: Tensor) -> Any:
        """The distribution of fused rows, ready to be compared with another of the same seeds."""
        return self.predict(fused, inside)

    def apart(self, one: Any, other: Any) -> Tensor:
        """KL(one || other), a mean over the distribution's numbers, [R]."""
        each: Tensor = one.kl(other)
        return each.flatten(1).mean(1)
