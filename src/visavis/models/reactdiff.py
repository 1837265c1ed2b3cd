"""ReactDiff (Li et al., "Latent Behaviour Diffusion for Sequential Reaction Generation in Dyadic
Setting", Neural Networks 2025).

A Multi-Modality Transformer makes latents of a person's behaviour, and behaviour of latents; a
conditional diffusion draws a listener's latents in windows of 50 frames, given a vector of the
speaker's latents in that window (z_bc). The transformer is trained first, as an autoencoder of
both partners, and is then frozen.

Where we differ from the released code, on purpose: latents are normalised by a dimension's
statistics, kept with the weights (released: by a frame position's, with brackets missing); the
perceptron behind z_bc is part of the model and is saved (released: random at each start); nothing
drops out while sampling; a clip is encoded once for all samples. Ours, and off in the presets
"paper" and "released": positions in the transformer, windows without seams, a first guess, outputs
in their ranges. `online` does not look ahead (released: it does).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import torch
from pydantic import ValidationError
from torch import Tensor

from visavis.behaviour import Behaviour
from visavis.channels import GROUPS
from visavis.dyad import Batch, Persona
from visavis.errors import InputError
from visavis.models._appropriate_loss import real
from visavis.models._base import Objective, ReactionModel
from visavis.models._reactdiff_attention import whole_clip
from visavis.models._reactdiff_config import FEW, ReactDiffConfig
from visavis.models._reactdiff_denoiser import Condition, WindowDenoiser
from visavis.models._reactdiff_distil import distil_terms
from visavis.models._reactdiff_inputs import Inputs
from visavis.models._reactdiff_latent import (
    LatentScale,
    LatentStatistics,
    blend_weights,
    blended,
    count,
    padded,
    windows,
)
from visavis.models._reactdiff_losses import diffusion_terms, transformer_terms
from visavis.models._reactdiff_mmt import (
    COEFFICIENTS,
    Decoder,
    Encoder,
    PlainEncoder,
    as_channels,
    perceptron,
)
from visavis.models._reactdiff_online import ReactDiffSession, advance, begin
from visavis.models._reactdiff_sampling import sample
from visavis.nn.guidance import Denoiser, guided
from visavis.nn.low_rank import Shift
from visavis.nn.smooth_noise import continued
from visavis.nn.standardise import RunningMoments

Noise = Callable[[str], Tensor]

_ENOUGH = 64
"""Clips from which the latents' statistics are taken; encoding all costs as much as training."""


class ReactDiff(ReactionModel[ReactDiffConfig]):
    """See the module's text."""

    config_class = ReactDiffConfig
    sampled_with: tuple[str, ...] = ("diffusion.guidance", "diffusion.sampler", "diffusion.taken")
    taught: Tensor
    """Whether there is a student that the stage "distil" has begun to teach."""
    edits: Mapping[str, Shift] = {}
    """Shifts of maps, a clip each; `reactdiff_lrs` answers with a copy of itself that has some."""

    def __init__(self, config: ReactDiffConfig) -> None:
        super().__init__(config)
        spec = config.transformer
        self.inputs_of = Inputs(spec)
        widths = self.inputs_of.widths
        self.encoder: Encoder | PlainEncoder = (
            Encoder(spec, widths) if spec.attention else PlainEncoder(spec, widths)
        )
        self.decoder = Decoder(spec)
        self.turn = perceptron(spec.latent, 2 * spec.latent, spec.latent) if config.guess else None
        if not config.diffusion.distilled:  # a student learns for its temperature
            self.sampled_with = (*type(self).sampled_with, "diffusion.temperature")
        self.denoiser: WindowDenoiser | None = None
        self.student: WindowDenoiser | None = None
        """What samples in few steps, if there is one."""
        if config.diffusion.enabled:
            self.scale = LatentScale(spec.latent, config.diffusion.scale)
            self.speaker_scale = LatentScale(spec.latent, config.diffusion.scale)
            self.denoiser = WindowDenoiser(
                config.denoiser, config.diffusion, spec.latent, guess=config.guess
            )
            if config.diffusion.distilled:
                self.student = copy.deepcopy(self.denoiser)
                self.register_buffer("taught", torch.tensor(False))

    @property
    def inputs(self) -> tuple[str, ...]:
        return self.inputs_of.names

    @property
    def outputs(self) -> tuple[str, ...]:
        return ("attributes", "coefficients")

    def sampled(self, *, sampler: str, taken: int) -> ReactDiff:
        """The same weights under another sampler or number of steps.

        Raises:
            InputError: no such sampler, one that does not fit what the denoiser predicts, or a
                number of steps that does not fit the schedule.
        """
        try:
            changed = replace(self.config.diffusion, sampler=sampler, taken=taken)  # type: ignore[arg-type]
        except ValidationError as error:
            told = "; ".join(
                " ".join(map(str, [*one["loc"], one["msg"].removeprefix("Value error, ")]))
                + (f", not {one['input']!r}" if one["loc"] else "")
                for one in error.errors()
            )
            raise InputError(f"{self.name} cannot be sampled so: {told}.") from error
        other = copy.copy(self)
        other.config = replace(self.config, diffusion=changed)
        return other

    # ------------------------------------------------------------------ the transformer

    def encode(self, person: Behaviour, inside: Tensor | None, *, speaking: bool) -> Tensor:
        """A person [B, T] to latents [B, T, d]; `inside` bool [B, T] where clips are padded."""
        streams = self.inputs_of(person, speaking=speaking)
        bias = self._bias(streams["au"], inside) if self.encoder.attentions else None
        latents: Tensor = self.encoder(streams, bias)
        return latents

    def answer(self, latents: Tensor) -> Tensor:
        """The speaker's latents to a first guess of the listener's, [B, T, d]."""
        return latents if self.turn is None else latents + self.turn(latents)

    def decode(self, latents: Tensor, inside: Tensor | None) -> dict[str, Tensor]:
        """Latents [N, T, d] to {"coefficients": [N, T, 58], "attributes": [N, T, 25]}."""
        bias = self._bias(latents, inside) if self.decoder.attentions else None
        raw: dict[str, Tensor] = self.decoder(latents, bias, shifts=self._edits_of(len(latents)))
        return raw

    def _edits_of(self, rows: int) -> dict[str, Shift]:
        """The clips' shifts for rows that are so many of each clip in a row."""
        return {n: s.each(rows // len(s)) for n, s in self.edits.items()}

    def _bias(self, x: Tensor, inside: Tensor | None) -> Tensor | None:
        spec = self.config.transformer
        span = self.config.memory if self.config.online else None
        return whole_clip(spec.positions, spec.heads, x, inside, span)

    def conditions(self, told: Tensor, inside: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """The speaker's latents [B, T, d], scaled for z_bc, and the scaled guess, if there is one;
        0 in padding, which is what stands for frames that are not there."""
        shown = self.speaker_scale(told)
        guess = None if self.turn is None else self.scale(self.answer(told))
        if inside is not None:
            shown = torch.where(inside[..., None], shown, 0.0)
            guess = None if guess is None else torch.where(inside[..., None], guess, 0.0)
        return shown, guess

    # ------------------------------------------------------------------ the denoiser

    def predict(self, x: Tensor, steps: Tensor, shown: Tensor, guess: Tensor | None) -> Tensor:
        """Noisy windows [N, w, d] of speakers shown [N, w, d] to predictions of new frames."""
        assert self.denoiser is not None
        condition = Condition(self.denoiser.vector(shown), guess)
        given: Tensor = self.denoiser(x, steps, condition, self._edits_of(len(x)))
        return given

    def window_denoiser(self, shown: Tensor, guess: Tensor | None, samples: int) -> Denoiser:
        """A denoiser of `samples` draws for each of N windows; z_bc is computed once.

        Rows are ordered as `shown` [N, w, d], each `samples` times in a row.
        """
        few = self.config.diffusion.taken in FEW
        network = self.student if few and self.student is not None and self.taught else None
        network = self.denoiser if network is None else network
        assert network is not None
        condition = Condition(network.vector(shown), guess).repeat(samples)
        edits = self._edits_of(len(condition.vector))

        def conditional(x: Tensor, steps: Tensor) -> Tensor:
            return network(x, steps, condition, edits)  # type: ignore[no-any-return]

        if not self.config.diffusion.condition_dropout:
            return guided(conditional, None, self.config.diffusion.guidance)
        nothing = torch.zeros_like(shown)
        empty = Condition(network.vector(nothing), None if guess is None else nothing)
        empty = empty.repeat(samples)

        def unconditional(x: Tensor, steps: Tensor) -> Tensor:
            return network(x, steps, empty, edits)  # type: ignore[no-any-return]

        return guided(conditional, unconditional, self.config.diffusion.guidance)

    def noise(self, seeds: Tensor, samples: int, index: Tensor | int) -> Noise:
        """Noise [B * K, hop, d] of one hop by stream; smooth noise goes on from the hop before."""
        spec = self.config.diffusion
        shape = (spec.hop, self.config.transformer.latent)

        number = torch.as_tensor(index, device=seeds.device).expand(len(seeds))

        def white(stream: str, hop: Tensor) -> Tensor:
            return self.draw(seeds, samples, f"reactdiff/{stream}", hop, shape).flatten(0, 1)

        def noise(stream: str) -> Tensor:
            here = white(stream, number)
            if not spec.smooth_noise:
                return here
            before = white(stream, (number - 1).clamp(min=0))
            first = (number == 0).repeat_interleave(samples)
            return continued(here, before, first, spec.smooth_noise)

        return noise

    def latents_blended(
        self, shown: Tensor, guess: Tensor | None, seeds: Tensor, samples: int, lengths: Tensor
    ) -> Tensor:
        """Scaled latents of a clip [B * K, T, d], all windows at once, averaged where they meet."""
        spec, (clips, frames) = self.config.diffusion, shown.shape[:2]
        number = count(frames, spec.hop)
        whole = (number - 1) * spec.hop + spec.window
        weights = blend_weights(lengths, number, spec.window, spec.hop)
        weights = weights.repeat_interleave(samples, 0)

        def cut(x: Tensor) -> Tensor:
            return windows(padded(x, whole), spec.window, spec.hop).flatten(0, 1)

        network = self.window_denoiser(cut(shown), None if guess is None else cut(guess), samples)

        def denoise(x: Tensor, steps: Tensor) -> Tensor:
            parts = windows(x, spec.window, spec.hop).unflatten(0, (clips, samples))
            rows = parts.transpose(1, 2).flatten(0, 2)
            given = network(rows, steps[:1].expand(len(rows)))
            given = given.unflatten(0, (clips, number, samples)).transpose(1, 2).flatten(0, 1)
            return blended(given, weights, spec.hop)

        def noise(stream: str) -> Tensor:
            hops = [self.noise(seeds, samples, i)(stream) for i in range(count(whole, spec.hop))]
            return torch.cat(hops, dim=1)[:, :whole]

        return sample(spec, denoise, noise)[:, :frames]

    def latents_next(
        self, known: Tensor, shown: Tensor, guess: Tensor | None, samples: int, noise: Noise
    ) -> Tensor:
        """Scaled latents of one hop [B * K, hop, d] behind what is known [B * K, overlap, d], for
        a window of speakers shown [B, w, d]."""
        network = self.window_denoiser(shown, guess, samples)

        def denoise(x: Tensor, steps: Tensor) -> Tensor:
            return network(torch.cat([known, x], dim=1), steps)

        return sample(self.config.diffusion, denoise, noise)

    def latents_in_turn(
        self, shown: Tensor, guess: Tensor | None, seeds: Tensor, samples: int
    ) -> Tensor:
        """Scaled latents of a clip [B * K, T, d], a window after the other."""
        spec, (clips, frames, width) = self.config.diffusion, shown.shape
        number = count(frames, spec.hop)

        def cut(x: Tensor) -> Tensor:
            x = torch.cat([x.new_zeros(clips, spec.overlap, width), x], dim=1)
            return windows(padded(x, spec.overlap + number * spec.hop), spec.window, spec.hop)

        told, guesses = cut(shown), None if guess is None else cut(guess)
        made = shown.new_zeros(clips * samples, spec.overlap, width)
        for i in range(number):
            known = made[:, made.shape[1] - spec.overlap :]
            first = None if guesses is None else guesses[:, i]
            noise = self.noise(seeds, samples, i)
            made = torch.cat(
                [made, self.latents_next(known, told[:, i], first, samples, noise)], dim=1
            )
        return made[:, spec.overlap : spec.overlap + frames]

    # ------------------------------------------------------------------ generation

    def react(
        self, speaker: Behaviour, seeds: Tensor, num_samples: int, persona: Persona | None
    ) -> dict[str, Tensor]:
        if self.config.online:
            return self._react_online(speaker, seeds, num_samples)
        frames = speaker.frames
        inside = None if speaker.lengths is None else speaker.inside()
        told = self.encode(speaker, inside, speaking=True)
        if self.denoiser is None:
            raw = self.decode(self.answer(told), inside)
            return as_channels({n: _repeated(x, num_samples) for n, x in raw.items()})
        shown, guess = self.conditions(told, inside)
        if self.config.diffusion.seams == "past":
            scaled = self.latents_in_turn(shown, guess, seeds, num_samples)
        else:
            lengths = speaker.lengths
            if lengths is None:
                lengths = torch.full((len(shown),), frames, device=shown.device)
            scaled = self.latents_blended(shown, guess, seeds, num_samples, lengths)
        many = None if inside is None else inside.repeat_interleave(num_samples, 0)
        raw = self.decode(self.scale.back(scaled), many)
        shape = (len(seeds), num_samples)
        return as_channels({n: x.unflatten(0, shape) for n, x in raw.items()})

    def _react_online(
        self, speaker: Behaviour, seeds: Tensor, num_samples: int
    ) -> dict[str, Tensor]:
        streams = self.inputs_of(speaker, speaking=True)
        inside = None if speaker.lengths is None else speaker.inside()
        state, parts, hop = begin(self, len(seeds), num_samples), [], self.config.diffusion.hop
        for start in range(0, speaker.frames, hop):
            piece = {n: x[:, start : start + hop] for n, x in streams.items()}
            here = None if inside is None else inside[:, start : start + hop]
            state, out = advance(self, piece, state, seeds, num_samples, here)
            parts.append(out)
        return {n: torch.cat([p[n] for p in parts], dim=2) for n in parts[0]}

    def session(self, num_samples: int = 1) -> ReactDiffSession:
        """Streams the online model, a hop at a time; offline models raise `OfflineOnly`."""
        if not self.config.online:
            super().session(num_samples)
        return ReactDiffSession(self, hop=self.config.diffusion.hop, num_samples=num_samples)

    # ------------------------------------------------------------------ training

    def fit(self, batches: Iterable[Batch]) -> None:
        """Means and deviations of both partners' inputs, and the listeners' mean coefficients."""
        moments, listener = self.inputs_of.moments(), RunningMoments(COEFFICIENTS)
        for batch in batches:
            self.inputs_of.observe(batch, moments)
            values, seen = real(batch.listener, *GROUPS["coefficients"])
            listener.update(values[seen])
        self.inputs_of.settle(moments)
        with torch.no_grad():  # start from the average face
            self.decoder.mean_face.copy_(listener.mean)

    def prepare(self, stage: str, batches: Iterable[Batch]) -> None:
        """Before "diffusion": the statistics of both partners' latents, over the first clips.
        Before "distil": the student begins as the teacher."""
        if stage == "distil" and self.student is not None and self.denoiser is not None:
            self.student.load_state_dict(self.denoiser.state_dict())
            self.taught.fill_(True)
        if stage != "diffusion" or self.denoiser is None:
            return
        latent = self.config.transformer.latent
        heard, told = LatentStatistics(latent), LatentStatistics(latent)
        with self.sampling():
            clips = 0
            for batch in batches:
                if clips >= _ENOUGH:
                    break
                clips += len(batch)
                inside = batch.speaker.inside()
                listener = self.encode(batch.listener, inside, speaking=False)
                heard.update(listener[self.inputs_of.face_seen(batch.listener)])
                told.update(self.encode(batch.speaker, inside, speaking=True)[inside])
        heard.write_to(self.scale)
        told.write_to(self.speaker_scale)

    def objectives(self, stage: str = "main") -> tuple[Objective, ...]:
        """ "transformer"; then "diffusion", with the transformer frozen; then, where few steps are
        to be learnt, "distil", with all else frozen. "main" is all at once."""
        apart = {
            "diffusion": (self.denoiser, lambda b: diffusion_terms(self, b)),
            "distil": (self.student, self._distil),
        }
        own = {id(p) for part, _ in apart.values() if part is not None for p in part.parameters()}
        rest = tuple(p for p in self.parameters() if id(p) not in own)
        adam = torch.optim.AdamW
        found = {"transformer": Objective("transformer", rest, self._transform, adam)}
        for name, (part, loss) in apart.items():
            if part is not None:
                found[name] = Objective(name, tuple(part.parameters()), loss, adam)
        return tuple(o for name, o in found.items() if stage in (name, "main"))

    def _transform(self, batch: Batch) -> Mapping[str, Tensor]:
        return transformer_terms(self, batch)

    def _distil(self, batch: Batch) -> Mapping[str, Tensor]:
        assert self.denoiser is not None and self.student is not None
        return distil_terms(self, self.denoiser, self.student, batch)

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        """The terms of all stages."""
        terms = transformer_terms(self, batch)
        if self.denoiser is not None:
            terms = terms | diffusion_terms(self, batch)
        return terms if self.student is None else terms | dict(self._distil(batch))


def _repeated(x: Tensor, samples: int) -> Tensor:
    """[B, T, C] to [B, K, T, C]."""
    return x[:, None].expand(-1, samples, -1, -1)
