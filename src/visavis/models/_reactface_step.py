"""A step of ReactFace's conversations, with weights packed (`visavis.nn.packed`).

The arithmetic is that of `_reactface_layers`, which whole clips and training run; the tests hold
the two together. Letters: B conversations, K samples, N = B K rows, t new frames, k speech ticks a
frame. Activations are rows [N t, C].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor, nn

from visavis.models._reactface_layers import POSITIONS
from visavis.nn.attention import DecoderLayer, EncoderLayer
from visavis.nn.gaussian import Gaussian
from visavis.nn.packed import Affine, PackedDecoder, PackedEncoder, attention, attention_of_own
from visavis.nn.positions import sinusoid

if TYPE_CHECKING:
    from visavis.models._reactface_store import Lanes, Timing
    from visavis.models.reactface import ReactFace


@dataclass(frozen=True)
class Heard:
    """What a stretch's frames see of the speaker: keys beside values, [B, S, 2 C] or wider."""

    speech: Tensor
    """[B, k S, ...]"""
    motion: Tensor
    own_ticks: tuple[Tensor, Tensor] | None
    """Keys and values [B t, k, C] of each frame's own ticks, for point-to-point alignment."""

    def part(self, size: int, begun: Sequence[int], frames: int) -> Heard:
        """Of `frames` of the stretch's `size`, each lane's from `begun` on; what they see stays,
        with what comes after them."""
        if self.own_ticks is None:
            return self
        device = self.motion.device
        places = torch.tensor(begun, device=device)[:, None] + torch.arange(frames, device=device)
        index = places.clamp(max=size - 1)[:, :, None, None]
        keys, values = (
            x.unflatten(0, (-1, size)).gather(1, index.expand(-1, -1, *x.shape[1:])).flatten(0, 1)
            for x in self.own_ticks
        )
        return Heard(self.speech, self.motion, (keys, values))


class Between(Protocol):
    """What a wrapper puts between the parts of a step."""

    def heard(self, lanes: Lanes, motion: Tensor) -> Tensor:
        """The speaker's motion [B t, C] before it is told."""

    def drawn(self, lanes: Lanes, noise: Tensor) -> Tensor:
        """The noise [B, K, C] of windows that begin at the lanes' counts."""


class Step:
    """A model's weights packed for steps; they are those it had when this was made."""

    def __init__(self, model: ReactFace) -> None:
        config, speaker, listener = model.config, model.speaker, model.synchroniser
        self.window, self.width, self.rate = config.window, config.width, model.rate
        self.heads, self.latent_heads = config.heads, config.latent_heads
        layers = [_decoder(layer) for layer in speaker.layers]
        memory = layers[0].cross_attention
        self.speaker = (
            PackedDecoder.of(layers[0], memory.key, memory.value),
            *(PackedDecoder.of(layer) for layer in layers[1:]),
        )
        self.visual = None if listener.visual is None else PackedDecoder.of(listener.visual)
        self.modality = None if listener.modality is None else PackedDecoder.of(listener.modality)
        self.head = Affine.of(listener.head)
        of_speech, of_motion = (_decoder(layer) for layer in model.interaction.fusion)
        self.own = Affine.of(model.interaction.own)
        self.fusion = (PackedDecoder.of(of_speech), PackedDecoder.of(of_motion))

        # all that reads the speech, and all that reads the motion, side by side
        aligned = layers[1:]
        seen = [of_speech.cross_attention]
        self.pointwise = listener.modality is not None and listener.pointwise
        if listener.modality is not None and self.pointwise:
            aligned.append(listener.modality)
        elif listener.modality is not None:
            seen.append(listener.modality.cross_attention)
        parts = ("value",) if self.rate == 1 else ("key", "value")
        own_ticks = [getattr(x.cross_attention, p) for x in aligned for p in parts]
        self.speech = Affine.of(*own_ticks, *(m for x in seen for m in (x.key, x.value)))
        self.told_width = len(own_ticks) * self.width
        seen = [of_motion.cross_attention]
        seen += [] if listener.visual is None else [listener.visual.cross_attention]
        self.motion = Affine.of(*(m for x in seen for m in (x.key, x.value)))

        latent = model.interaction.latent
        self.latent_in = Affine.of(latent.linear)
        self.latent = tuple(PackedEncoder.of(_encoder(layer)) for layer in latent.layers)
        self.tokens = latent.tokens.detach()
        self.decoder = tuple(PackedDecoder.of(_decoder(layer)) for layer in model.decoder.layers)
        crosses = [_decoder(layer).cross_attention for layer in model.decoder.layers]
        self.latents = Affine.of(*(m for x in crosses for m in (x.key, x.value)))
        self.positions = sinusoid(torch.arange(POSITIONS), self.width).to(self.tokens)

    def rings(self) -> dict[str, tuple[str, int]]:
        """Name of each ring to what it is counted in ("frame", "tick", "past") and its width.

        Those that begin with "own/" are of each sample.
        """
        width = self.width
        found = {f"shared/speaker_{i}": ("frame", 2 * width) for i in range(len(self.speaker))}
        found["shared/speaker_0"] = ("frame", 4 * width)
        found["shared/motion"] = ("frame", self.motion.bias.numel())
        found["shared/speech"] = ("tick", self.speech.bias.numel() - self.told_width)
        for name, layer in (("visual", self.visual), ("modality", self.modality)):
            if layer is not None:
                found[f"own/{name}"] = ("frame", 2 * width)
        found |= {f"own/fusion_{i}": ("frame", 2 * width) for i in range(len(self.fusion))}
        return found | {f"own/latent_{i}": ("past", 2 * width) for i in range(len(self.latent))}

    # ------------------------------------------------------------------ a stretch

    def hear(
        self,
        lanes: Lanes,
        timing: Timing,
        face: Tensor,
        speech: Tensor,
        between: Between | None = None,
    ) -> Heard:
        """Face tokens [B, t, C] and speech tokens [B, t, k C] through SpeakFormer, into the rings
        of the lanes."""
        width, bias = self.width, timing.moment.frame
        spoken = self.speech(speech.reshape(-1, width))
        told = self._told(spoken[:, : self.told_width])
        x = (face + timing.moment.places).reshape(-1, width)
        for i, layer in enumerate(self.speaker):
            all_three = layer.project(x)
            held = lanes.keep(f"shared/speaker_{i}", all_three[:, width:], timing)
            own = held[..., : 2 * width]
            x = layer.after_self(x, attention(all_three[:, :width], own, self.heads, bias))
            if i == 0:
                mixed = attention(layer.query(x), held[..., 2 * width :], self.heads, bias)
            else:
                mixed = self._aligned(layer, x, told[i - 1])
            x = layer.after_cross(x, mixed)
        if between is not None:
            x = between.heard(lanes, x)
        return Heard(
            lanes.keep("shared/speech", spoken[:, self.told_width :], timing),
            lanes.keep("shared/motion", self.motion(x), timing),
            told[-1] if self.pointwise else None,
        )

    def answer(
        self,
        lanes: Lanes,
        timing: Timing,
        heard: Heard,
        lengths: Sequence[int],
        between: Between | None = None,
    ) -> Tensor:
        """Frames that lie in one window of each lane: standardised coefficients [B, K, t, 58], of
        which `lengths` count."""
        tokens = self._window_tokens(lanes, timing, lengths, between)
        made = self._synchronised(lanes, timing, tokens.reshape(-1, self.width), heard)
        self._remember(lanes, timing, made, heard)
        return made.view(-1, lanes.samples, timing.frames, made.shape[1])

    def _told(self, own: Tensor) -> tuple[tuple[Tensor, Tensor], ...]:
        """Projected ticks [B t k, ...] by frame; with one tick a frame keys do not matter."""
        by_frame = own.view(-1, self.rate, own.shape[1])
        parts = by_frame.split(self.width, dim=-1)
        if self.rate == 1:
            return tuple((x, x) for x in parts)
        return tuple(zip(parts[::2], parts[1::2], strict=True))

    def _aligned(self, layer: PackedDecoder, x: Tensor, told: tuple[Tensor, Tensor]) -> Tensor:
        """Point-to-point attention of rows [B t, C] over their own ticks."""
        if self.rate == 1:
            return told[1].reshape(-1, self.width)
        return attention_of_own(layer.query(x), *told, self.heads)

    def _synchronised(self, lanes: Lanes, timing: Timing, x: Tensor, heard: Heard) -> Tensor:
        """VIM, then MIM, on decoded tokens [N t, C]: standardised coefficients [N t, 58]."""
        width, moment = self.width, timing.moment
        if self.visual is not None:
            x = self._own_past("visual", self.visual, x, lanes, timing)
            seen = heard.motion[..., 2 * width :]
            mixed = attention(self.visual.query(x), seen, self.heads, moment.frame)
            x = self.visual.after_cross(x, mixed)
        if self.modality is not None:
            x = self._own_past("modality", self.modality, x, lanes, timing)
            if heard.own_ticks is not None:
                keys, values = (self._each(part, lanes, timing) for part in heard.own_ticks)
                mixed = self._aligned(self.modality, x, (keys, values))
            else:
                seen = heard.speech[..., 2 * width :]
                mixed = attention(self.modality.query(x), seen, self.heads, moment.tick)
            x = self.modality.after_cross(x, mixed)
        return self.head(x)

    def _each(self, ticks: Tensor, lanes: Lanes, timing: Timing) -> Tensor:
        """Ticks [B t, k, C] for each of K samples, [N t, k, C]."""
        if lanes.samples == 1:
            return ticks
        apart = ticks.unflatten(0, (-1, timing.frames))
        each: Tensor = apart.repeat_interleave(lanes.samples, dim=0).flatten(0, 1)
        return each

    def _own_past(
        self, name: str, layer: PackedDecoder, x: Tensor, lanes: Lanes, timing: Timing
    ) -> Tensor:
        """Self-attention of each sample's rows [N t, C] over its own past, and the norm."""
        all_three = layer.project(x)
        held = lanes.keep(f"own/{name}", all_three[:, self.width :], timing)
        bias = timing.mine.frame
        mixed = attention(all_three[:, : self.width], held, self.heads, bias)
        return layer.after_self(x, mixed)

    def _remember(self, lanes: Lanes, timing: Timing, made: Tensor, heard: Heard) -> None:
        """Own frames that were just made, [N t, 58], into the interaction encoder's past."""
        moment, width = timing.moment, self.width
        x = self.own(made).view(-1, timing.frames, width) + timing.mine.places
        x = x.view(-1, width)
        memories = ((heard.speech, moment.tick), (heard.motion, moment.frame))
        for i, (layer, (memory, bias)) in enumerate(zip(self.fusion, memories, strict=True)):
            x = self._own_past(f"fusion_{i}", layer, x, lanes, timing)
            seen = memory[..., : 2 * width]
            x = layer.after_cross(x, attention(layer.query(x), seen, self.heads, bias))
        x = self.latent_in(x)
        for i, encoder in enumerate(self.latent):
            all_three = encoder.project(x)
            held = lanes.keep(f"own/latent_{i}", all_three[:, width:], timing)
            if i + 1 < len(self.latent):
                asked, heads = all_three[:, :width], self.latent_heads
                x = encoder.finish(x, attention(asked, held, heads, timing.mine.past))

    # ------------------------------------------------------------------ a window

    def _window_tokens(
        self, lanes: Lanes, timing: Timing, lengths: Sequence[int], between: Between | None
    ) -> Tensor:
        """Decoded tokens of the frames, [N, t, C]; lanes that go on over a border get their
        window's first."""
        window, counts = self.window, lanes.counts
        begins = [i for i, n in enumerate(lengths) if n and counts[i] % window == 0]
        if begins:
            self._begin_window(lanes.some(begins), between)
        whole = lanes.read("tokens").flatten(0, 1)
        within = [count % window for count in counts]
        if len(set(within)) == 1 and within[0] + timing.frames <= window:
            return whole[:, within[0] : within[0] + timing.frames]
        first = torch.tensor(within, device=whole.device).repeat_interleave(lanes.samples)
        which = first[:, None] + torch.arange(timing.frames, device=whole.device)
        which = which.clamp(max=window - 1)
        return whole.gather(1, which[:, :, None].expand(-1, -1, whole.shape[-1]))

    def _begin_window(self, lanes: Lanes, between: Between | None) -> None:
        """A new latent from the frames before, and what the decoder makes of it."""
        samples = lanes.samples
        gaussian = self._distribution(lanes, len(lanes.counts) * samples)
        noise = lanes.noise()
        if between is not None:
            noise = between.drawn(lanes, noise)
        draw = gaussian.at(noise.flatten(0, 1))
        before: Tensor | None = None
        if any(lanes.counts):
            before = lanes.read("latent").flatten(0, 1)
            if not all(lanes.counts):  # some begin, and have no latent before
                old = torch.tensor([count > 0 for count in lanes.counts], device=draw.device)
                before = torch.where(old.repeat_interleave(samples)[:, None], before, draw)
        latent, latents = lanes.store.model.next_latent(draw, before, self.window)
        tokens = self._decoded(lanes, latents)
        lanes.write("latent", latent.unflatten(0, (-1, samples)))
        lanes.write("tokens", tokens.unflatten(0, (-1, samples)))

    def _distribution(self, lanes: Lanes, rows: int) -> Gaussian:
        """What the two tokens read in each row's own past: N(mean, variance), [N, C]."""
        width, place, bias = self.width, *lanes.looking_back()
        x = self.tokens.repeat(rows, 1)
        for i, layer in enumerate(self.latent):
            all_three = layer.project(x)
            ring = lanes.ring(f"own/latent_{i}")
            held = place.beside(ring, all_three[:, width:].view(rows, -1, 2 * width))
            mixed = attention(all_three[:, :width], held, self.latent_heads, bias)
            x = layer.finish(x, mixed)
        mean, log_variance = x.view(rows, -1, width).unbind(1)
        return Gaussian(mean, log_variance)

    def _decoded(self, lanes: Lanes, latents: Tensor) -> Tensor:
        """Latents [N, w, C] of windows that begin at the lanes' counts to tokens [N, w, C]."""
        rows, window, width = latents.shape
        counts = lanes.counts[:1] if len(set(lanes.counts)) == 1 else lanes.counts
        starts = torch.tensor(counts, device=latents.device)[:, None]
        frames = (starts + torch.arange(window, device=latents.device)) % POSITIONS
        x = self.positions[frames.flatten()]
        memory = self.latents(latents.reshape(-1, width)).view(rows, window, -1)
        for i, layer in enumerate(self.decoder):
            all_three = layer.project(x)
            own = all_three[:, width:].view(-1, window, 2 * width)
            x = layer.after_self(x, attention(all_three[:, :width], own, self.heads, None))
            if i == 0:  # until the latents come in, samples are alike, and lanes that are in step
                x = x.view(len(counts), 1, window, width)
                x = x.expand(len(counts), rows // len(counts), -1, -1).reshape(-1, width)
            seen = memory[..., 2 * i * width : 2 * (i + 1) * width]
            x = layer.after_cross(x, attention(layer.query(x), seen, self.heads, None))
        return x.view(rows, window, width)


def _decoder(layer: nn.Module) -> DecoderLayer:
    assert isinstance(layer, DecoderLayer)
    return layer


def _encoder(layer: nn.Module) -> EncoderLayer:
    assert isinstance(layer, EncoderLayer)
    return layer
