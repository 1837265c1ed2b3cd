"""ReactDiff (LRS), with Listener Reaction Shifts (Li et al., Neural Networks 2025).

The paper names the shifts and says that PerFRDiff's weight editing inspired them; it gives no
equation, and the released code has none. Ours (specification 1.3, "a design"): a transformer reads
another clip of the listener's coefficients into a style; a hypernetwork turns it into low-rank
shifts of the maps by which the step and z_bc enter the two middle blocks of the U-Net, and of the
last maps of both heads. They begin at zero, so that the personal stage begins with ReactDiff, bit
for bit; each clip has its own, so listeners share a batch, and no weight is written to.

Stages: "person" learns styles by contrast, "shifts" the hypernetwork alone; ReactDiff itself is
begun with (`begin` in the recipe) or trained before, and stays as it is. Without a persona it
answers as ReactDiff does.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from visavis.behaviour import Behaviour
from visavis.channels import GROUPS
from visavis.dyad import Batch, Persona
from visavis.errors import InputError
from visavis.models._appropriate_loss import real
from visavis.models._base import STRICT, Objective
from visavis.models._history import cut, first_windows, observed_frames
from visavis.models._perfrdiff_person import PersonEncoder, contrast, right
from visavis.models._personal import (
    embedding_for,
    expressed,
    path_of,
    rest_of,
    warn_of_speaker,
)
from visavis.models._reactdiff_config import ReactDiffConfig
from visavis.models._reactdiff_losses import personal_terms
from visavis.models._reactdiff_mmt import ATTRIBUTES, COEFFICIENTS
from visavis.models.reactdiff import ReactDiff
from visavis.nn.low_rank import Shift, Shifts, mean_square
from visavis.nn.standardise import RunningMoments, Standardise

_HISTORIES_AT_ONCE = 16


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ReactDiffLRSConfig(ReactDiffConfig):
    """ReactDiff's settings, and those of the shifts."""

    style: int = Field(default=512, gt=0)
    """Width of a listener's style; this and the next three are PerFRDiff's."""
    style_heads: int = Field(default=4, gt=0)
    style_hidden: int = Field(default=1024, gt=0)
    style_layers: int = Field(default=4, gt=0)
    history: int = Field(default=750, gt=0)
    """Frames of history that are read at once."""
    rank: int = Field(default=4, gt=0)
    shift_scale: float = Field(default=1.0, gt=0)
    """s of y = x W^T + s (x B^T) A^T."""
    shift_weight: float = Field(default=1e-3, ge=0)
    """Of the mean squared norm of A B."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.online:
            raise ValueError("listener reaction shifts are offline: leave online = false")
        if not self.diffusion.enabled:
            raise ValueError("listener reaction shifts need diffusion.enabled = true")
        if self.style % self.style_heads:
            raise ValueError(
                f"style must be a multiple of style_heads, not {self.style} of {self.style_heads}"
            )


class ReactDiffLRS(ReactDiff):
    """See the module's text."""

    config_class = ReactDiffLRSConfig
    personal = True
    config: ReactDiffLRSConfig
    rest_coefficients: Tensor
    rest_attributes: Tensor

    def __init__(self, config: ReactDiffLRSConfig) -> None:
        super().__init__(config)
        self.listener_scale = Standardise(COEFFICIENTS)
        self.person = PersonEncoder(
            config.style, config.style_heads, config.style_hidden, config.style_layers, 0.0
        )
        self.hypernetwork = Shifts(
            config.style, self._targets(), rank=config.rank, scale=config.shift_scale
        )
        self.register_buffer("rest_coefficients", torch.zeros(COEFFICIENTS))
        self.register_buffer("rest_attributes", torch.zeros(ATTRIBUTES))

    def _targets(self) -> dict[str, tuple[int, int]]:
        """What is shifted: name -> (out, in)."""
        assert self.denoiser is not None
        middle, decoder = self.denoiser.unet.middle, self.decoder
        maps = {"middle0": middle[0].embed, "middle2": middle[2].embed}
        maps |= {
            "coefficients": decoder.to_coefficients[-1],
            "attributes": decoder.to_attributes[-1],
        }
        found = {}
        for name, layer in maps.items():
            assert isinstance(layer, nn.Linear)
            found[name] = (layer.out_features, layer.in_features)
        return found

    def edited(self, shifts: Mapping[str, Shift]) -> ReactDiffLRS:
        """The same weights under a listener's shifts, one row a clip."""
        other = copy.copy(self)
        other.edits = shifts
        return other

    # ------------------------------------------------------------------ generation

    def react(
        self, speaker: Behaviour, seeds: Tensor, num_samples: int, persona: Persona | None
    ) -> dict[str, Tensor]:
        if persona is None:
            return super().react(speaker, seeds, num_samples, None)
        warn_of_speaker(speaker, persona)
        style = embedding_for(persona, len(seeds), self.config.style, self.rest_attributes)
        bound = self.edited(self.hypernetwork(style))
        channels = ReactDiff.react(bound, speaker, seeds, num_samples, None)
        rest = rest_of(self.rest_coefficients, self.rest_attributes)
        return expressed(channels, rest, persona.expressiveness)

    def persona(self, history: Behaviour | None, traits: Tensor | None = None) -> Persona:
        """Who is listening, from a history [T, ...] of any length: the mean of its windows' styles.

        Raises:
            InputError: no history came, less than a second of it was observed, or traits came;
                MissingChannel: it lacks a coefficient.
        """
        if history is None or traits is not None:
            raise InputError(
                f"{self.name} makes a persona from a listener's history alone; "
                f"{'none came' if history is None else 'leave traits out'}."
            )
        with self.sampling():
            frames = observed_frames(history, GROUPS["coefficients"]).to(self.rest_attributes)
            windows = cut(self.listener_scale(frames), self.config.history)
            styles = torch.cat([self.person(w) for w in windows.split(_HISTORIES_AT_ONCE)])
        embedding = nn.functional.normalize(styles.mean(0), dim=-1)
        return Persona(self.name, embedding, source=path_of(history))

    # ------------------------------------------------------------------ training

    def styles(self, people: Behaviour) -> Tensor:
        """Styles [B, C] of a batch of clips [B, T]."""
        frames = first_windows(people, GROUPS["coefficients"], self.config.history)
        style: Tensor = self.person(self.listener_scale(frames))
        return style

    def prepare(self, stage: str, batches: Iterable[Batch]) -> None:
        """Before "person" also the listeners' moments, for styles and for expressiveness."""
        super().prepare(stage, batches)
        if stage != "person":
            return
        listener, attributes = RunningMoments(COEFFICIENTS), RunningMoments(ATTRIBUTES)
        for batch in batches:
            for moments, group in ((listener, "coefficients"), (attributes, "attributes")):
                values, seen = real(batch.listener, *GROUPS[group])
                moments.update(values[seen])
        listener.write_to(self.listener_scale)
        with torch.no_grad():
            self.rest_coefficients.copy_(listener.mean)
            self.rest_attributes.copy_(attributes.mean)

    def objectives(self, stage: str = "main") -> tuple[Objective, ...]:
        """ReactDiff's stages, then "person" and "shifts"."""
        known = {
            "person": (self.person, self.person_loss),
            "shifts": (self.hypernetwork, self.shift_loss),
        }
        if stage in known:
            part, loss = known[stage]
            return (Objective(stage, tuple(part.parameters()), loss, torch.optim.AdamW),)
        mine = {id(p) for part, _ in known.values() for p in part.parameters()}
        found = []
        for one in super().objectives(stage):
            kept = tuple(p for p in one.parameters if id(p) not in mine)
            found.append(Objective(one.name, kept, one.loss, one.optimizer, one.every))
        if stage == "main":
            found += [*self.objectives("person"), *self.objectives("shifts")]
        return tuple(found)

    def person_loss(self, batch: Batch) -> Mapping[str, Tensor]:
        """Contrast of a listener's reaction here and their history, among the batch's listeners."""
        here, before = self.styles(batch.listener), self.styles(_history(self, batch))
        return {"contrast": contrast(here, before), "log/right": right(here, before)}

    def shift_loss(self, batch: Batch) -> Mapping[str, Tensor]:
        """ReactDiff's losses for the listener's own reactions, under their shifts."""
        if batch.personal_mask is None:
            raise InputError('the stage "shifts" wants batches with a personal_mask (collate).')
        with torch.no_grad():
            styles = self.styles(_history(self, batch))
        shifts = self.hypernetwork(styles)
        terms = personal_terms(self.edited(shifts), batch)
        return terms | {"shift": self.config.shift_weight * mean_square(shifts)}

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        """The terms of all stages."""
        terms = dict(super().loss(batch))
        if batch.history is not None:
            terms |= self.person_loss(batch)
            terms |= {f"own/{n}": x for n, x in self.shift_loss(batch).items()}
        return terms


def _history(model: ReactDiffLRS, batch: Batch) -> Behaviour:
    if batch.history is None:
        raise InputError(
            f"{model.name} learns persons from their histories; set corpus.history="
            f"{model.config.history}."
        )
    return batch.history
