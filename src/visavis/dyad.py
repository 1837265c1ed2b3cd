"""Two people: a dyad of a corpus, a batch of dyads for a model, a listener's persona."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from visavis._files_tensors import read_tensors, write_tensors
from visavis.behaviour import Behaviour
from visavis.errors import InputError

TRAITS = ("openness", "conscientiousness", "extraversion", "agreeableness", "neuroticism")
"""The Big Five, in the order of every `traits` tensor."""


@dataclass(frozen=True)
class Dyad:
    """One recorded (or simulated) clip of a speaker and the listener who met them."""

    id: str
    speaker: Behaviour
    listener: Behaviour
    speaker_id: str
    listener_id: str
    split: str
    script: str | None = None
    """What was said, where several dyads share it."""
    context: str | None = None
    appropriate: tuple[str, ...] = ()
    """Ids of the dyads whose listener is an appropriate reaction to this speaker, itself first."""
    personal: tuple[str, ...] = ()
    """Those of `appropriate` whose listener is the same person, itself first."""
    history: tuple[str, ...] = ()
    """Ids of other dyads of this listener, in the same split, that tell other scripts: what a
    personalised model may see of the person. None of them is appropriate to this speaker."""
    traits: Tensor | None = None
    """Big Five of the listener, [5] in [0, 1], in the order of `TRAITS`."""

    def __post_init__(self) -> None:
        if self.traits is not None and tuple(self.traits.shape) != (len(TRAITS),):
            raise InputError(
                f"traits must be the {len(TRAITS)} of {', '.join(TRAITS)}, but came as "
                f"{list(self.traits.shape)}."
            )


@dataclass(frozen=True)
class Batch:
    """B dyads as tensors: what `ReactionModel.loss` takes."""

    speaker: Behaviour
    """[B, T, ...]"""
    listener: Behaviour
    """[B, T, ...]: the paired, real reaction."""
    targets: Behaviour
    """[B, N, T, ...]: appropriate real reactions, the paired one first."""
    target_mask: Tensor
    """bool [B, N]: which of the N are there."""
    history: Behaviour | None = None
    """[B, T', ...]: the same listener in another clip, of another script."""
    lengths: Tensor | None = None
    """int64 [B], frames before padding."""
    ids: tuple[str, ...] = ()
    personal_mask: Tensor | None = None
    """bool [B, N]: which of the targets are reactions of the very listener of this row."""
    traits: Tensor | None = None
    """Big Five of the listeners, [B, 5] in [0, 1]; NaN for a listener whose traits are unknown."""
    negatives: Behaviour | None = None
    """[B, M, T, ...]: real reactions that are not appropriate to this speaker."""
    negative_mask: Tensor | None = None
    """bool [B, M]: which of the M are there; with `negatives`."""
    negative_personal: Tensor | None = None
    """bool [B, M]: which of them are reactions of the very listener of this row."""

    def __post_init__(self) -> None:
        clips = self.speaker.lead
        if len(clips) != 1:
            raise InputError(f"a batch's speaker has one leading axis, not {list(clips)}.")
        targets = self.targets.lead
        if self.listener.lead != clips or len(targets) != 2 or targets[:1] != clips:
            raise InputError(
                f"a batch of {clips[0]} speakers came with listeners {list(self.listener.lead)} "
                f"and targets {list(self.targets.lead)}; wanted [B] and [B, N]."
            )
        if tuple(self.target_mask.shape) != self.targets.lead:
            raise InputError(
                f"target_mask is {list(self.target_mask.shape)}, wanted {list(self.targets.lead)}."
            )
        if self.target_mask.dtype != torch.bool:
            raise InputError(f"target_mask must be bool, not {self.target_mask.dtype}.")
        self._check_person()
        self._check_negatives()
        frames = {self.speaker.frames, self.listener.frames, self.targets.frames}
        if len(frames) != 1:
            raise InputError(
                f"speaker, listener and targets have {self.speaker.frames}, "
                f"{self.listener.frames} and {self.targets.frames} frames; wanted the same."
            )
        for name, value in (("lengths", self.lengths), ("ids", self.ids or None)):
            if value is not None and len(value) != clips[0]:
                raise InputError(f"{len(value)} {name} came for {clips[0]} clips.")

    def _check_person(self) -> None:
        """Whether what tells of the listeners fits the clips."""
        personal = self.personal_mask
        if personal is not None and (
            personal.shape != self.target_mask.shape or personal.dtype != torch.bool
        ):
            raise InputError(
                f"personal_mask must be bool {list(self.target_mask.shape)}, but came as "
                f"{personal.dtype} {list(personal.shape)}."
            )
        if self.history is not None and self.history.lead != self.speaker.lead:
            raise InputError(
                f"history has leading axes {list(self.history.lead)}, wanted "
                f"{list(self.speaker.lead)}: one clip a listener."
            )
        if self.traits is not None and tuple(self.traits.shape) != (len(self), len(TRAITS)):
            raise InputError(
                f"traits are {list(self.traits.shape)}, wanted {[len(self), len(TRAITS)]}."
            )

    def _check_negatives(self) -> None:
        if self.negatives is None:
            return
        lead = self.negatives.lead
        if len(lead) != 2 or lead[0] != len(self) or self.negatives.frames != self.speaker.frames:
            raise InputError(
                f"negatives are {list(lead)} of {self.negatives.frames} frames, wanted "
                f"[{len(self)}, M] of {self.speaker.frames}."
            )
        for name in ("negative_mask", "negative_personal"):
            mask = getattr(self, name)
            if mask is None or mask.shape != lead or mask.dtype != torch.bool:
                came = "nothing" if mask is None else f"{mask.dtype} {list(mask.shape)}"
                raise InputError(f"{name} must be bool {list(lead)}, but came as {came}.")

    def __len__(self) -> int:
        return len(self.speaker)

    def to(self, device: torch.device | str) -> Batch:
        moved: dict[str, Any] = {
            f.name: value.to(device)
            for f in fields(self)
            if isinstance(value := getattr(self, f.name), Behaviour | Tensor)
        }
        return replace(self, **moved)


@dataclass(frozen=True)
class Persona:
    """Who is listening, as one model sees it: a value to save, pass, mix and compare."""

    model: str
    """Public name of the model that made it; no other model can read the embedding."""
    embedding: Tensor
    """[D], or [B, D] for a batch. Zero is nobody in particular."""
    traits: Tensor | None = None
    """Big Five in [0, 1], [..., 5], where they were given."""
    expressiveness: float = 1.0
    """How far reactions go from the average listener's face, as a share of what the model says:
    0 is that face, 1 the model's own answer, 2 twice as much."""
    source: str = ""
    """The file the history was perceived from, where it is known."""

    def __post_init__(self) -> None:
        if self.embedding.ndim not in (1, 2) or not bool(self.embedding.isfinite().all()):
            raise InputError(
                f"a persona's embedding is finite numbers [D] or [B, D], not "
                f"{list(self.embedding.shape)} of them or some that are not finite."
            )
        if not 0.0 <= self.expressiveness <= 4.0:
            raise InputError(f"expressiveness lies in 0 to 4, not at {self.expressiveness}.")

    def between(self, other: Persona, share: float = 0.5) -> Persona:
        """The persona `share` of the way from this one (0) to the other (1), in a straight line.

        Raises:
            InputError: the other is of another model or size, or the share is not in 0 to 1.
        """
        if other.model != self.model or other.embedding.shape != self.embedding.shape:
            raise InputError(
                f"a persona of {self.model} {list(self.embedding.shape)} cannot be mixed with one "
                f"of {other.model} {list(other.embedding.shape)}."
            )
        if not 0.0 <= share <= 1.0:
            raise InputError(f"share lies in 0 to 1, not at {share}.")
        both = self.traits is not None and other.traits is not None
        return Persona(
            self.model,
            torch.lerp(self.embedding, other.embedding, share),
            torch.lerp(self.traits, other.traits, share) if both else None,  # type: ignore[arg-type]
            (1 - share) * self.expressiveness + share * other.expressiveness,
        )

    def expressive(self, factor: float) -> Persona:
        """The same person, `factor` times as expressive.

        Raises:
            InputError: the result is not in 0 to 4.
        """
        return replace(self, expressiveness=self.expressiveness * factor)

    def save(self, path: str | Path) -> Path:
        tensors = {"embedding": self.embedding}
        if self.traits is not None:
            tensors["traits"] = self.traits
        about = {
            "format": 1,
            "model": self.model,
            "expressiveness": self.expressiveness,
            "source": self.source,
        }
        return write_tensors(path, tensors, kind="persona", about=about)

    @classmethod
    def load(cls, path: str | Path) -> Persona:
        """Read what `save` wrote.

        Raises:
            InputError: the file is not a persona.
        """
        about, tensors = read_tensors(path, kind="persona", format=1)
        expressiveness, source = about.get("expressiveness", 1.0), about.get("source", "")
        if (
            not isinstance(about.get("model"), str)
            or "embedding" not in tensors
            or not isinstance(expressiveness, int | float)
            or not isinstance(source, str)
        ):
            raise InputError(f"{path} is damaged: it lacks a model's name or an embedding.")
        embedding, traits = tensors["embedding"], tensors.get("traits")
        return cls(about["model"], embedding, traits, float(expressiveness), source)
