"""ReactDiff of Luo et al. (2025): EDM on coefficients, a window at a time (specification 2).

A window of the listener's coefficients is denoised given the speaker's same window (coefficients
and sound) and the listener's own last frame, from which the next window goes on. It returns no
attributes; tables complete them from the coefficients.

Where we differ from the released code, on purpose: training denoises what sampling denoises (there
most inputs are the previous window); the listener is scaled to the deviation that EDM is told;
frame numbers count within a window, so any length of conversation looks alike; the last window is
shorter (there it is joined to the one before); pose is not frozen by blending with one frame. What
the network does otherwise stands in `_reactdiff_k_network`, what the losses do in
`_reactdiff_k_losses`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from visavis.behaviour import Behaviour
from visavis.channels import GROUPS, STANDARD
from visavis.dyad import Batch, Persona
from visavis.features.attributes import attributes_from_coefficients
from visavis.models._appropriate_loss import mean_terms, one_of, real
from visavis.models._base import STRICT, ReactionConfig, ReactionModel
from visavis.models._reactdiff_k_losses import kinematic_rows, velocity_rows
from visavis.models._reactdiff_k_memory import SpeakerMemory
from visavis.models._reactdiff_k_network import Prepared, WindowUNet
from visavis.models._session import Conversation, WindowSession
from visavis.nn.diffusion import edm_denoiser, edm_loss, v_diffusion_sigmas
from visavis.nn.samplers import edm_dpm_solver, edm_heun
from visavis.nn.schedules import karras_sigmas
from visavis.nn.smooth_noise import continued, drawn_like, reach
from visavis.nn.standardise import RunningMoments, Standardise

COEFFICIENTS = 58


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ReactdiffKConfig(ReactionConfig):
    """The published sizes are the defaults, but for `speech`, which the paper has as "wav2vec2"."""

    speech: Literal["mfcc78", "wav2vec2"] = "mfcc78"
    window: int = Field(default=16, gt=0)
    features: int = Field(default=256, gt=0)
    widths: tuple[int, ...] = (128, 256, 512)
    depths: tuple[int, ...] = (2, 4, 4)
    head: int = Field(default=64, gt=0)
    group: int = Field(default=32, gt=0)
    dropout: float = Field(default=0.05, ge=0, lt=1)
    sampling_steps: int = Field(default=50, gt=0)
    solver: Literal["sde", "ode", "heun"] = "sde"
    """DPM-Solver++(2M) with or without noise on the way, or EDM's own, which evaluates twice a
    step."""
    sigma_data: float = Field(default=0.5, gt=0)
    sigma_min: float = Field(default=0.01, gt=0)
    sigma_max: float = Field(default=80.0, gt=0)
    temperature: float = Field(default=1.0, ge=0)
    """Ours: of the noise that sampling begins with."""
    smooth_noise: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """Ours: frames over which noise is alike, in training and sampling; 0 is white noise, of which
    layers that see a frame at a time leave a trembling."""
    memory: int = Field(default=0, ge=0)
    """Ours: width of a recurrent layer that hears the speaker from the beginning, frame by frame
    beside the noisy frames. 0: the window alone, as published, in which what is reacted to is over
    already."""
    blend: int = Field(default=0, ge=0)
    """Ours: frames over which a window lets go of the last frame before it, where it begins."""
    objective: Literal["paper", "appropriate"] = "paper"
    """"appropriate", ours: any appropriate listener, and what pure noise becomes beside all."""
    agreement_weight: float = Field(default=1.2, ge=0)
    """Under "appropriate", of 1 - CCC of what pure noise becomes."""
    past_noise: float = Field(default=0.0, ge=0)
    """Ours: deviation of the noise on the own last frame in training, which is real there and
    generated later."""
    velocity_weight: float = Field(default=1.0, ge=0)
    kinematic_weight: float = Field(default=0.01, ge=0)

    def __post_init__(self) -> None:
        if not self.widths or len(self.widths) != len(self.depths) or min(self.depths) < 1:
            raise ValueError(
                f"widths and depths must be as many, and depths at least 1, not {self.widths} and "
                f"{self.depths}"
            )
        for width in self.widths:
            if width % self.head or width % self.group:
                raise ValueError(
                    f"widths must be multiples of head {self.head} and group {self.group}, not "
                    f"{width}"
                )
        if reach(self.smooth_noise) > self.window:
            raise ValueError(
                f"smooth_noise = {self.smooth_noise:g} reaches back {reach(self.smooth_noise)} "
                f"frames; at most a window of {self.window} frames is kept"
            )
        if self.sigma_min >= self.sigma_max:
            raise ValueError(
                f"sigma_min must be below sigma_max, not {self.sigma_min} and {self.sigma_max}"
            )
        if self.blend > self.window:
            raise ValueError(f"blend must be at most a window of {self.window}, not {self.blend}")


class ReactdiffK(ReactionModel[ReactdiffKConfig]):
    """See the module's text."""

    config_class = ReactdiffKConfig
    sampled_with: tuple[str, ...] = (
        "blend",
        "sampling_steps",
        "sigma_min",
        "solver",
        "temperature",
    )

    def __init__(self, config: ReactdiffKConfig) -> None:
        super().__init__(config)
        sound = STANDARD[config.speech].size
        self.face_scale = Standardise(COEFFICIENTS)
        self.sound_scale = Standardise(sound)
        self.listener_scale = Standardise(COEFFICIENTS)
        self.network = WindowUNet(
            COEFFICIENTS,
            sound,
            features=config.features,
            widths=config.widths,
            depths=config.depths,
            head=config.head,
            group=config.group,
            dropout=config.dropout,
        )
        self.memory: SpeakerMemory | None = None
        if config.memory:
            self.memory = SpeakerMemory(sound + COEFFICIENTS, config.memory, config.widths[0])

    @property
    def inputs(self) -> tuple[str, ...]:
        return ("coefficients", self.config.speech)

    @property
    def outputs(self) -> tuple[str, ...]:
        return ("coefficients",)

    # ------------------------------------------------------------------ the speaker

    def heard(self, speaker: Behaviour) -> tuple[Tensor, Tensor, Tensor]:
        """Sound [B, T, E] and face [B, T, 58], standardised, and which frames are there [B, T].

        An unobserved frame is the average one. Two ticks of wav2vec2 are pooled to their maximum.
        """
        names = GROUPS["coefficients"]
        face = torch.cat([speaker.filled(n, float("nan")) for n in names], dim=-1)
        sound = speaker.filled(self.config.speech, float("nan"))
        sound = torch.where(sound.isnan(), self.sound_scale.mean, sound)
        face = torch.where(face.isnan(), self.face_scale.mean, face)
        sound, face = self.sound_scale(sound), self.face_scale(face)
        rate = STANDARD[self.config.speech].rate
        if rate > 1:
            sound = sound.unflatten(1, (-1, rate)).amax(2)
        return sound, face, speaker.inside()

    def remembered(
        self, sound: Tensor, face: Tensor, state: Tensor
    ) -> tuple[Tensor | None, Tensor]:
        """What the memory says beside each frame, [B, T, C] or None, and its state [B, memory]."""
        if self.memory is None:
            return None, state
        beside: Tensor
        beside, state = self.memory(sound, face, state)
        return beside, state

    def to_data(self, coefficients: Tensor) -> Tensor:
        """Coefficients to what EDM denoises, of deviation `sigma_data`."""
        out: Tensor = self.listener_scale(coefficients) * self.config.sigma_data
        return out

    def from_data(self, x: Tensor) -> Tensor:
        """The inverse of `to_data`."""
        return x / self.config.sigma_data * self.listener_scale.std + self.listener_scale.mean

    # ------------------------------------------------------------------ the answer

    def answer(
        self, prepared: Prepared, past: Tensor, seeds: Tensor, window: Tensor, frames: int
    ) -> Tensor:
        """One window as data [B, K, t, 58].

        Args:
            prepared: of the speakers' window.
            past: own last frames as data, [B, K, 58].
            seeds: [B].
            window: numbers of the window, [B].
            frames: t, at most `window` of the configuration.
        """
        config = self.config
        count, samples = config.sampling_steps, past.shape[1]
        shape = (config.window, COEFFICIENTS)

        def drawn(stream: str, index: Tensor) -> Tensor:
            return self.draw(seeds, samples, f"reactdiff_k/{stream}", index, shape).to(past.dtype)

        def noise(stream: str, index: Tensor, back: int) -> Tensor:
            """Of this window; smooth noise goes on from the one before, `back` numbers ago."""
            here = drawn(stream, index)[:, :, :frames]
            if not config.smooth_noise:
                return here
            before = drawn(stream, (index - back).clamp(min=0))
            first = (window == 0)[:, None].expand(-1, samples)
            return continued(here, before, first, config.smooth_noise)

        def on_the_way(step: int) -> Tensor:
            return noise("step", window * count + step, count)

        def network(x: Tensor, sigma: Tensor) -> Tensor:
            out: Tensor = self.network(x, sigma[:1], past, prepared)  # one level for all rows
            return out

        denoise = edm_denoiser(network, config.sigma_data)
        sigmas = karras_sigmas(count, low=config.sigma_min, high=config.sigma_max)
        start = config.temperature * noise("start", window, 1)
        if config.solver == "heun":
            made = edm_heun(denoise, start, sigmas)
        else:
            stirred = on_the_way if config.solver == "sde" else None
            made = edm_dpm_solver(denoise, start, sigmas, noise=stirred)
        return self._let_go(made, past)

    def _let_go(self, made: Tensor, past: Tensor) -> Tensor:
        """A window [B, K, t, 58] that begins in the last frame before it, [B, K, 58]."""
        if not self.config.blend:
            return made
        place = torch.arange(1, made.shape[2] + 1, device=made.device, dtype=made.dtype)
        held = (1 - place / (self.config.blend + 1)).clamp(min=0)
        return made + held[:, None] * (past - made[:, :, 0])[:, :, None]

    def start(self, clips: int, samples: int) -> Tensor:
        """The own last frame before the first: the average listener, [B, K, 58]."""
        return self.listener_scale.mean.new_zeros(clips, samples, COEFFICIENTS)

    def nothing_heard(self, clips: int) -> Tensor:
        """The memory before the first frame, [B, memory]."""
        return self.listener_scale.mean.new_zeros(clips, self.config.memory)

    def channels(self, x: Tensor) -> dict[str, Tensor]:
        """Data [..., 58] as named channels."""
        blendshapes, rotation, translation = self.from_data(x).split([52, 3, 3], dim=-1)
        return {
            "blendshapes": blendshapes.clamp(0.0, 1.0),
            "rotation": rotation,
            "translation": translation,
        }

    def react(
        self, speaker: Behaviour, seeds: Tensor, num_samples: int, persona: Persona | None
    ) -> dict[str, Tensor]:
        past = self.start(len(seeds), num_samples)
        size, parts = self.config.window, []
        sound, face, inside = self.heard(speaker)
        beside, _ = self.remembered(sound, face, self.nothing_heard(len(seeds)))
        for number, start in enumerate(range(0, speaker.frames, size)):
            here = slice(start, start + size)
            prepared = self.network.prepare(
                sound[:, here],
                face[:, here],
                inside[:, here],
                None if beside is None else beside[:, here],
            )
            window = torch.full_like(seeds, number)
            made = self.answer(prepared, past, seeds, window, prepared.clocks[0].shape[0])
            past = made[:, :, -1]
            parts.append(made)
        return self.channels(torch.cat(parts, dim=2))

    def session(self, num_samples: int = 1) -> ReactdiffKSession:
        """Streams it, a window at a time: latency `window - 1` frames."""
        return ReactdiffKSession(self, hop=self.config.window, num_samples=num_samples)

    # ------------------------------------------------------------------ training

    def fit(self, batches: Iterable[Batch]) -> None:
        """Means and deviations of the speakers' faces and sounds and of the listeners' faces."""
        scales = (self.face_scale, self.sound_scale, self.listener_scale)
        face, sound, listener = moments = tuple(RunningMoments(s.mean.numel()) for s in scales)
        for batch in batches:
            for person, seen in ((batch.speaker, face), (batch.listener, listener)):
                values, keep = real(person, *GROUPS["coefficients"])
                seen.update(values[keep])
            heard = batch.speaker.filled(self.config.speech, float("nan")).flatten(0, 1)
            inside = batch.speaker.inside() & batch.speaker.mask(self.config.speech)
            rate = STANDARD[self.config.speech].rate
            sound.update(heard[inside.repeat_interleave(rate, 1).flatten()])
        with torch.no_grad():
            for moment, scale in zip(moments, scales, strict=True):
                moment.write_to(scale)

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        """EDM's loss of every window, given the real last frame; movement at low noise only."""
        config = self.config
        listener = one_of(batch) if config.objective == "appropriate" else batch.listener
        values, mask = real(listener, *GROUPS["coefficients"])
        x0 = torch.where(mask[..., None], self.to_data(values), 0.0)
        past = F.pad(x0, (0, 0, 1, 0))[:, : x0.shape[1] : config.window]  # the frame before each
        past = past + config.past_noise * config.sigma_data * torch.randn_like(past)
        sound, face, inside = self.heard(batch.speaker)
        beside, _ = self.remembered(sound, face, self.nothing_heard(len(sound)))
        windows = (_cut(x, config.window) for x in (sound, face, inside, x0, mask))
        sound, face, inside, x0, mask = windows
        beside = None if beside is None else _cut(beside, config.window)
        prepared = self.network.prepare(sound, face, inside, beside)
        begin = past.flatten(0, 1)[:, None]

        def network(x: Tensor, sigma: Tensor) -> Tensor:
            out: Tensor = self.network(x[:, None], sigma, begin, prepared)[:, 0]
            return out

        uniform = torch.rand(len(x0), device=x0.device)
        sigma = v_diffusion_sigmas(uniform, data=config.sigma_data)
        noise = drawn_like(x0, config.smooth_noise)
        errors, clean = edm_loss(network, x0, sigma, noise, data=config.sigma_data, mask=mask)
        made, wanted = self.from_data(clean), self.from_data(x0)
        calm = (uniform < 0.1) & mask.any(1)  # the lowest-noise tenth
        rows = mask.any(1).sum().clamp(min=1)

        def mean(x: Tensor) -> Tensor:
            return (x * calm).sum() / rows

        moved = velocity_rows(clean / config.sigma_data, x0 / config.sigma_data, mask)
        terms = {
            "denoising": errors.sum() / rows,
            "velocity": config.velocity_weight * mean(moved),
            "kinematics": config.kinematic_weight * mean(kinematic_rows(made, wanted, mask)),
        }
        if config.objective == "appropriate":
            high = torch.full_like(sigma, config.sigma_max)
            first = edm_denoiser(network, config.sigma_data)(noise * config.sigma_max, high)
            laid = first.unflatten(0, (len(batch), -1)).flatten(1, 2)[:, : batch.listener.frames]
            terms |= self._beside_all(self.from_data(laid), batch)
        return terms

    def _beside_all(self, coefficients: Tensor, batch: Batch) -> dict[str, Tensor]:
        """What pure noise becomes [B, T, 58], its attributes completed, beside all listeners."""
        found = attributes_from_coefficients(coefficients[..., :52], coefficients[..., 52:55])
        attributes = torch.cat([found[n] for n in GROUPS["attributes"]], dim=-1)
        made = {"coefficients": coefficients, "attributes": attributes}
        return mean_terms(
            made, batch, agreement_weight=self.config.agreement_weight, prefix="begun"
        )


def _cut(x: Tensor, size: int) -> Tensor:
    """[B, T, ...] to windows [B W, size, ...], padded with zeros or False."""
    short = -x.shape[1] % size
    if short:
        x = torch.cat([x, x.new_zeros(x.shape[0], short, *x.shape[2:])], 1)
    apart: Tensor = x.unflatten(1, (-1, size))
    return apart.flatten(0, 1)


class KState(NamedTuple):
    """One conversation between two windows."""

    window: int
    """Number of the next one."""
    past: Tensor
    """Own last frame, [K, 58]."""
    heard: Tensor
    """[memory]"""


class ReactdiffKSession(WindowSession[KState]):
    """Conversations, a window at a time."""

    model: ReactdiffK

    def start(self, seed: int, persona: Persona | None) -> KState:
        model = self.model
        return KState(0, model.start(1, self.num_samples)[0], model.nothing_heard(1)[0])

    def advance(
        self,
        conversations: Sequence[Conversation[KState]],
        speaker: Behaviour,
        *,
        last: bool,
    ) -> tuple[list[KState], list[dict[str, Tensor]]]:
        model, device = self.model, speaker.device
        states = [c.state for c in conversations]
        sound, face, inside = model.heard(speaker)
        beside, heard = model.remembered(sound, face, torch.stack([s.heard for s in states]))
        made = model.answer(
            model.network.prepare(sound, face, inside, beside),
            torch.stack([s.past for s in states]),
            torch.tensor([c.seed for c in conversations], device=device),
            torch.tensor([s.window for s in states], device=device),
            speaker.frames,
        )
        after = [
            KState(s.window + 1, m[:, -1].clone(), h.clone())
            for s, m, h in zip(states, made, heard, strict=True)
        ]
        return after, [model.channels(m) for m in made]

    def state_tensors(self, state: KState) -> dict[str, Tensor]:
        return {"window": torch.tensor(state.window), "past": state.past, "heard": state.heard}

    def state_from(self, tensors: Mapping[str, Tensor]) -> KState:
        return KState(int(tensors["window"]), tensors["past"], tensors["heard"])
