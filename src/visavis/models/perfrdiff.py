"""PerFRDiff (Zhu et al., ACM MM 2024): diffusion over windows, its weights edited a listener.

A window of 50 frames is denoised from what is known of the speaker; a hypernetwork turns a
listener's style into shifts of a few of the denoiser's maps. Three stages: "person" learns styles
by contrast, "generic" the denoiser, "personal" the hypernetwork alone. Without a persona the
generic denoiser answers.

Where we differ from the released code, on purpose (specification 3.5): the hypernetwork is
low-rank by default (released: 1.6 billion parameters; `hypernetwork = "published"` has them) and
begins at zero, so that the personal stage begins with the generic model, which it loads; shifts are
a sample's own, so listeners share a batch; keys and values of the speaker are computed once for all
steps and samples; the clean data of the last step are returned; attributes are scaled to [-1, 1],
where the sampler clamps, and come out in their ranges; inputs are standardised; the speaker's
latent is the last state of a recurrent layer that is learned with the denoiser (released: of a
frozen auto-encoder). The prior, whose output the released configuration drops, is not built.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn

from visavis.behaviour import Behaviour
from visavis.channels import GROUPS, STANDARD
from visavis.dyad import Batch, Persona
from visavis.errors import InputError
from visavis.models import _perfrdiff_losses as losses
from visavis.models._appropriate_loss import real
from visavis.models._base import Objective, ReactionModel
from visavis.models._clip_decoder import ATTRIBUTES, COEFFICIENTS, Hearing
from visavis.models._history import cut, first_windows, observed_frames
from visavis.models._perfrdiff_config import PerFRDiffConfig
from visavis.models._perfrdiff_denoiser import Denoiser, Memory, targets
from visavis.models._perfrdiff_losses import mixed, schedule
from visavis.models._perfrdiff_person import PersonEncoder, contrast, right
from visavis.models._perfrdiff_session import PerFRDiffSession
from visavis.models._personal import (
    embedding_for,
    expressed,
    path_of,
    rest_of,
    warn_of_speaker,
)
from visavis.models._steady import steadied
from visavis.nn.diffusion import rows
from visavis.nn.low_rank import Shift, Shifts, mean_square
from visavis.nn.samplers import ddim
from visavis.nn.schedules import alpha_bars, cosine_betas
from visavis.nn.standardise import RunningMoments, Standardise

MFCC = STANDARD["mfcc78"].size
SIZES = (MFCC, COEFFICIENTS, ATTRIBUTES)
READ = (("mfcc78",), GROUPS["coefficients"], GROUPS["attributes"])
_HISTORIES_AT_ONCE = 16
_WINDOWS_AT_ONCE = 32
_FRAMES_AT_ONCE = 1000
"""Noisy frames that a processor denoises together: about as many as its cache holds."""


class PerFRDiff(ReactionModel[PerFRDiffConfig]):
    """See the module's text."""

    config_class = PerFRDiffConfig
    personal = True
    sampled_with = ("temperature", "sharpness", "au_sharpness", "steady")
    rest_attributes: Tensor

    def __init__(self, config: PerFRDiffConfig) -> None:
        super().__init__(config)
        width = config.width
        self.scales = nn.ModuleList(Standardise(size) for size in SIZES)
        self.audio = nn.Linear(MFCC, width)
        self.face = nn.Linear(COEFFICIENTS, width)
        self.recurrent = nn.GRU(ATTRIBUTES, width, batch_first=True)
        self.hearing = Hearing(width) if config.timed else None
        # else what is heard drowns the noisy window that it is added to
        self.level = nn.LayerNorm(width) if config.timed else None
        self.denoiser = Denoiser(
            width,
            config.heads,
            config.hidden,
            config.layers,
            config.dropout,
            query=config.scope == "all",
        )
        self.listener_scale = Standardise(COEFFICIENTS)
        self.person = PersonEncoder(
            config.style, config.heads, config.style_hidden, config.style_layers, config.dropout
        )
        hidden = (config.hypernetwork_hidden,) * 2
        rank = config.rank if config.hypernetwork == "low_rank" else None
        edited = targets(width, config.layers)
        self.hypernetwork = Shifts(config.style, edited, rank=rank, hidden=hidden)
        self.register_buffer("rest_attributes", torch.zeros(ATTRIBUTES))

    @property
    def inputs(self) -> tuple[str, ...]:
        return ("mfcc78", "coefficients", "attributes")

    @property
    def outputs(self) -> tuple[str, ...]:
        return ("attributes",)

    # ------------------------------------------------------------------ the speaker

    numbers: ClassVar[int] = sum(SIZES)
    """What is read of the speaker a frame: 161."""

    def read(self, speaker: Behaviour) -> Tensor:
        """Speaker [B, T] to standardised numbers [B, T, 161]; unobserved is zero, the average."""
        parts = []
        for names, scale in zip(READ, self.scales, strict=True):
            values = torch.cat([speaker.filled(n, float("nan")) for n in names], dim=-1)
            parts.append(scale(values).nan_to_num(0.0))
        joined = torch.cat(parts, -1)
        if speaker.lengths is None:
            return joined
        return torch.where(speaker.inside()[..., None], joined, 0.0)

    def windows(self, heard: Tensor, before: Tensor) -> Tensor:
        """Numbers [B, T, 161] after `before` [B, L, 161] to what each window sees, [B, W, S, 161].

        The last window is filled up with zeros.
        """
        size = self.config.window
        lacking = -heard.shape[1] % size
        padded = nn.functional.pad(torch.cat([before, heard], 1), (0, 0, 0, lacking))
        if self.config.sees == "previous":
            padded = padded[:, :-size]
        return padded.unfold(1, self.config.heard, size).transpose(2, 3)

    def tokens(self, seen: Tensor, *, drop: float = 0.0) -> tuple[Tensor, Tensor | None]:
        """What R windows see, [R, S, 161], to memory tokens [R, 2 S / pool + 1, C] and, with
        `timed`, what each of the window's own frames hears [R, L, C]."""
        mfcc, coefficients, attributes = seen.split(SIZES, -1)
        audio, face = self.audio(mfcc), self.face(coefficients)
        _, latent = self.recurrent(attributes)
        parts = [audio, face, latent.transpose(0, 1)]
        if drop:
            kept = torch.rand(3, len(seen), 1, 1, device=seen.device) >= drop
            parts = [x * keep for x, keep in zip(parts, kept, strict=True)]
        heard = None
        if self.hearing is not None and self.level is not None:
            heard = self.level(self.hearing(parts[0] + parts[1])[:, -self.config.window :])
        if self.config.pool > 1:
            parts[:2] = [x.unflatten(1, (-1, self.config.pool)).mean(2) for x in parts[:2]]
        return torch.cat(parts, 1), heard

    # ------------------------------------------------------------------ generation

    def react(
        self, speaker: Behaviour, seeds: Tensor, num_samples: int, persona: Persona | None
    ) -> dict[str, Tensor]:
        style = None
        if persona is not None:
            warn_of_speaker(speaker, persona)
            style = embedding_for(persona, len(seeds), self.config.style, self.rest_attributes)
        heard = self.read(speaker)
        before = heard.new_zeros(len(heard), self.config.window, heard.shape[-1])
        seen = self.windows(heard, before)
        shifts = self.shifts(style)
        parts = [
            self.sample(some, seeds, num_samples, start, shifts)
            for start, some in zip(
                range(0, seen.shape[1], _WINDOWS_AT_ONCE),
                seen.split(_WINDOWS_AT_ONCE, 1),
                strict=True,
            )
        ]
        clean = torch.cat(parts, 2)[:, :, : speaker.frames]
        return self.finished(clean, persona)

    def shifts(self, style: Tensor | None) -> Mapping[str, Shift]:
        """Styles [B, C] to a listener's shifts; none for nobody in particular."""
        made: Mapping[str, Shift] = {} if style is None else self.hypernetwork(style)
        return made

    def sample(
        self,
        seen: Tensor,
        seeds: Tensor,
        num_samples: int,
        first: Tensor | int,
        shifts: Mapping[str, Shift],
    ) -> Tensor:
        """W windows of B clips, [B, W, S, 161], to K clean answers [B, K, W L, 25] in [-1, 1].

        Args:
            first: number of the first window, or [B] of them.
        """
        config, (clips, count) = self.config, seen.shape[:2]
        twice = config.guidance != 1.0
        if seen.is_cpu:
            frames = clips * num_samples * config.window * (2 if twice else 1)
            few = max(_FRAMES_AT_ONCE // frames, 1)
            if few < count:
                parts = [
                    self.sample(some, seeds, num_samples, first + i * few, shifts)
                    for i, some in enumerate(seen.split(few, 1))
                ]
                return torch.cat(parts, 2)
        shape = (config.window, ATTRIBUTES)
        noise = [
            self.draw(seeds, num_samples, "perfrdiff/window", first + i, shape)
            for i in range(count)
        ]
        x = torch.stack(noise, 1)
        if config.persistence:
            kept = self.draw(seeds, num_samples, "perfrdiff/clip", 0, (1, ATTRIBUTES))
            x = mixed(x, kept[:, None], config.persistence)
        x = config.temperature * x.flatten(0, 1)  # [B W, K, L, 25]
        tokens, heard = self.tokens(seen.flatten(0, 1))
        if twice:  # with what is known of the speaker and without, side by side
            tokens = torch.stack([tokens, torch.zeros_like(tokens)], 1).flatten(0, 1)
            if heard is not None:
                heard = torch.stack([heard, torch.zeros_like(heard)], 1).flatten(0, 1)
        each = count * (2 if twice else 1)
        known = {n: s.each(each) for n, s in shifts.items()}
        memory = self.denoiser.remember(tokens, known, heard)
        levels, steps = schedule(config)
        clean = ddim(self._guided(memory, twice), x, levels, steps, prediction="x0", clip=1.0)
        clean = steadied(clean, config.steady)
        answers: Tensor = clean.unflatten(0, (clips, count)).transpose(1, 2).flatten(2, 3)
        return answers

    def denoised(self, x: Tensor, steps: Tensor, memory: Memory, *, sides: int = 1) -> Tensor:
        """Noisy windows [R, K, L, 25] at steps [R] to clean ones [R * sides, K, L, 25]."""
        out: Tensor = self.denoiser(x, steps, memory, sides=sides)
        if not self.config.skip:
            return out
        x, steps = x.repeat_interleave(sides, 0), steps.repeat_interleave(sides)
        level = alpha_bars(cosine_betas(self.config.steps)).to(x.device)[steps]
        signal = level * self.config.skip**2
        share = rows(signal / (signal + 1 - level), x)
        return share * x / rows(level.sqrt(), x) + (1 - share) * out

    def _guided(self, memory: Memory, twice: bool) -> Callable[[Tensor, Tensor], Tensor]:
        if not twice:
            return lambda x, t: self.denoised(x, t, memory)

        def both(x: Tensor, t: Tensor) -> Tensor:
            given = self.denoised(x, t, memory, sides=2)
            known, unknown = given.unflatten(0, (-1, 2)).unbind(1)
            out: Tensor = unknown + self.config.guidance * (known - unknown)
            return out

        return both

    def finished(self, clean: Tensor, persona: Persona | None) -> dict[str, Tensor]:
        """Clean windows [..., 25] in [-1, 1] as channels in their ranges."""
        au, va, expression = clean.split([15, 2, 8], -1)
        chances = ((expression + 1) / 2).clamp(min=1e-6) ** self.config.sharpness
        on, off = (
            ((1 + sign * au) / 2).clamp(0.0, 1.0) ** self.config.au_sharpness for sign in (1, -1)
        )
        channels = {
            "au": on / (on + off),
            "va": va.clamp(-1.0, 1.0),
            "expression": chances / chances.sum(-1, keepdim=True),
        }
        if persona is None:
            return channels
        rest = rest_of(self.rest_attributes.new_zeros(COEFFICIENTS), self.rest_attributes)
        return expressed(channels, rest, persona.expressiveness)

    def session(self, num_samples: int = 1) -> PerFRDiffSession:
        """Streams the model a window at a time; its answer never depends on what comes later."""
        return PerFRDiffSession(self, hop=self.config.window, num_samples=num_samples)

    # ------------------------------------------------------------------ persons

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

    def styles(self, people: Behaviour) -> Tensor:
        """Styles [B, C] of a batch of clips [B, T]."""
        frames = first_windows(people, GROUPS["coefficients"], self.config.history)
        style: Tensor = self.person(self.listener_scale(frames))
        return style

    # ------------------------------------------------------------------ training

    def fit(self, batches: Iterable[Batch]) -> None:
        """Means and deviations of what is read, and the average listener's attributes."""
        moments = [RunningMoments(size) for size in SIZES]
        listener, attributes = RunningMoments(COEFFICIENTS), RunningMoments(ATTRIBUTES)
        for batch in batches:
            for found, names in zip(moments, READ, strict=True):
                found.update(_rows(batch.speaker, names))
            listener.update(_rows(batch.listener, GROUPS["coefficients"]))
            attributes.update(_rows(batch.listener, GROUPS["attributes"]))
        with torch.no_grad():
            for found, scale in zip(moments, self.scales, strict=True):
                assert isinstance(scale, Standardise)
                found.write_to(scale)
            listener.write_to(self.listener_scale)
            self.rest_attributes.copy_(attributes.mean)

    def objectives(self, stage: str = "main") -> tuple[Objective, ...]:
        """One objective a stage: "person", "mean" (ours), "generic" or "personal"."""
        generic = ("audio", "face", "recurrent", "hearing", "level", "denoiser")
        known: dict[str, tuple[Callable[[Batch], Mapping[str, Tensor]], tuple[str, ...]]] = {
            "person": (self.person_loss, ("person",)),
            "mean": (partial(losses.mean_terms, self), generic),
            "personal": (self.personal_loss, ("hypernetwork",)),
        }
        if stage == "mean" and self.config.objective == "published":
            return ()  # as published there is no such stage
        loss, parts = known.get(stage, (self.loss, generic))
        named = self.named_parameters()
        parameters = tuple(p for n, p in named if n.partition(".")[0] in parts)
        return (Objective(stage, parameters, loss, torch.optim.AdamW),)

    def person_loss(self, batch: Batch) -> Mapping[str, Tensor]:
        """Contrast of a listener's reaction here and their history, among the batch's listeners."""
        here, before = self.styles(batch.listener), self.styles(_history(self, batch))
        return {"contrast": contrast(here, before), "log/right": right(here, before)}

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        """The generic denoiser's: every appropriate reaction is a draw of its own."""
        return losses.generic_terms(self, batch, batch.target_mask, {})

    def personal_loss(self, batch: Batch) -> Mapping[str, Tensor]:
        """The same for the listener's own reactions, with the denoiser's maps shifted."""
        if batch.personal_mask is None:
            raise InputError("the personal stage wants batches with a personal_mask (collate).")
        with torch.no_grad():
            styles = self.styles(_history(self, batch))
        shifts = self.hypernetwork(styles)
        terms = losses.generic_terms(self, batch, batch.target_mask & batch.personal_mask, shifts)
        return terms | {"shift": self.config.shift_weight * mean_square(shifts)}


def _history(model: PerFRDiff, batch: Batch) -> Behaviour:
    if batch.history is None:
        raise InputError(
            f"{model.name} learns persons from their histories; set corpus.history="
            f"{model.config.history}."
        )
    return batch.history


def _rows(behaviour: Behaviour, names: tuple[str, ...]) -> Tensor:
    """Frames that were observed in all of the channels, [N, C]."""
    values, keep = real(behaviour, *names)
    return values[keep]
