"""ReactFace's modules, each over a stretch of frames that goes on where the last one ended.

Whoever calls them keeps the caches: tapes for whole clips and training, rings for conversations
(`visavis.nn.cache`). Letters: B conversations, K samples, N = B K rows, t new frames, k speech
ticks a frame, S keys in reach.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from visavis.nn.attention import Attention, DecoderLayer, EncoderLayer
from visavis.nn.cache import Cache
from visavis.nn.gaussian import Gaussian, TokenGaussian
from visavis.nn.positions import sinusoid

COEFFICIENTS = 58
POSITIONS = 5000
"""Frames after which positions begin again: the length of the published table (200 s)."""

Caches = Mapping[str, Cache]
KeysValues = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Moment:
    """Which keys the frames of one stretch see, the same for all modules of a step."""

    frame: Tensor
    """Bias over keys that come one a frame, [1 or B, 1 or heads, t, S]."""
    tick: Tensor
    """Bias over speech keys, [1 or B, 1 or heads, t, k S]."""
    past: Tensor
    """0 or -inf over the own past that the interaction encoder reads, [1 or B, 1, t, P]."""
    places: Tensor
    """Periodic positions of the frames, [1 or B, t, C]."""

    def rows(self, samples: int) -> Moment:
        """The same for each of K samples' own sequences, B K rows."""
        if samples == 1 or len(self.frame) == 1:
            return self
        return Moment(
            *(
                x.repeat_interleave(samples, dim=0)
                for x in (self.frame, self.tick, self.past, self.places)
            )
        )


@dataclass(frozen=True)
class Heard:
    """What a stretch of frames may attend to of the speaker: keys and values [B, S, C]."""

    visual: KeysValues | None
    modality: KeysValues | None
    past_speech: KeysValues
    past_motion: KeysValues
    speech: Tensor
    """The stretch's own speech tokens [B, t k, C], for point-to-point alignment."""


class SpeakFormer(nn.Module):
    """Speaker's face tokens, aligned point to point with their speech (Eq. 6 of Luo et al., 2024).

    Three decoder layers; layer 1 attends to the face alone, 2 and 3 to each frame's own speech.
    Released, layer 1's cross-attention is unmasked and sees the future; here it has the causal
    bias of the self-attention.
    """

    caches = ("self_0", "face_0", "self_1", "self_2")

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            DecoderLayer(width, heads, 2 * width, dropout=dropout) for _ in range(3)
        )

    def forward(
        self, face: Tensor, speech: Tensor, caches: Caches, moment: Moment
    ) -> tuple[Tensor, Tensor]:
        """Face tokens with positions [B, t, C], speech tokens [B, t k, C]: the speaker's motion
        [B, t, C], and layer 2's output, which the auxiliary head reads."""
        x, outputs = face, []
        for i, layer in enumerate(self.layers):
            assert isinstance(layer, DecoderLayer)
            memory = x
            x = attended(layer, x, caches[f"self_{i}"], moment.frame)
            cross = layer.cross_attention
            if i == 0:
                seen = caches["face_0"].put(cross.key(memory), cross.value(memory))
                x = layer.after_cross(x, cross.biased(x, *seen, moment.frame))
            else:
                x = layer.after_cross(x, cross.of_own(x, speech))
            outputs.append(x)
        return outputs[2], outputs[1]


class SpeakerHead(nn.Module):
    """The auxiliary head: the speaker's coefficients from SpeakFormer's second layer.

    One decoder layer that attends to its own input, then a linear map that begins at zero.
    """

    caches = ("auxiliary_self", "auxiliary_cross")

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.layer = DecoderLayer(width, heads, 2 * width, dropout=dropout)
        self.linear = nn.Linear(width, COEFFICIENTS)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, x: Tensor, caches: Caches, moment: Moment) -> Tensor:
        """[B, t, C] to standardised coefficients [B, t, 58]."""
        cross = self.layer.cross_attention
        seen = caches["auxiliary_cross"].put(cross.key(x), cross.value(x))
        y = attended(self.layer, x, caches["auxiliary_self"], moment.frame)
        out: Tensor = self.linear(self.layer.after_cross(y, cross.biased(y, *seen, moment.frame)))
        return out


class Interaction(nn.Module):
    """The conditional interaction encoder with the fusion of the listener's own past (Eq. 7).

    Own past frames attend to the speaker's speech and motion of their time and before, then two
    distribution tokens read them. Own tokens see own tokens up to themselves and never the
    distribution's, so that what was computed for a frame stays (released: all see all).
    """

    def __init__(
        self, width: int, heads: int, latent: TokenGaussian, *, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.own = nn.Linear(COEFFICIENTS, width)
        self.fusion = nn.ModuleList(
            DecoderLayer(width, heads, 2 * width, dropout=dropout) for _ in range(2)
        )
        self.latent = latent
        self.drop = nn.Dropout(dropout)

    @property
    def caches(self) -> tuple[str, ...]:
        return ("past_0", "past_1", *self.latents)

    @property
    def latents(self) -> tuple[str, ...]:
        """The caches of the encoder's layers, which reach further back."""
        return tuple(f"latent_{i}" for i in range(len(self.latent.layers)))

    def remember(
        self, raw: Tensor, heard: Heard, caches: Caches, moment: Moment, samples: int
    ) -> None:
        """Take in own frames that were just made, standardised coefficients [N, t, 58]."""
        mine = moment.rows(samples)
        x = self.drop(self.own(raw) + mine.places)
        speech, motion = self.fusion
        assert isinstance(speech, DecoderLayer) and isinstance(motion, DecoderLayer)
        x = attended(speech, x, caches["past_0"], mine.frame)
        x = speech.after_cross(
            x,
            speech.cross_attention.biased(x, *heard.past_speech, moment.tick, samples=samples),
        )
        x = attended(motion, x, caches["past_1"], mine.frame)
        x = motion.after_cross(
            x,
            motion.cross_attention.biased(x, *heard.past_motion, moment.frame, samples=samples),
        )
        x = self.latent.linear(x)
        for i, layer in enumerate(self.latent.layers):
            assert isinstance(layer, EncoderLayer)
            mixer = layer.attention
            seen = caches[f"latent_{i}"].put(mixer.key(x), mixer.value(x))
            if i + 1 < len(self.latent.layers):
                x = layer.finish(x, mixer.biased(x, *seen, mine.past))

    def distribution(self, caches: Caches, rows: int, bias: Tensor | None = None) -> Gaussian:
        """The Gaussian [N, C] that the own past so far tells; before it, the tokens alone.

        `bias` [N, 1, 1, P + 2], -inf where a cache holds nothing that may be read; the two
        tokens stand behind what it holds.
        """
        tokens = self.latent.tokens.expand(rows, -1, -1)
        for name, layer in zip(self.latents, self.latent.layers, strict=True):
            assert isinstance(layer, EncoderLayer)
            mixer = layer.attention
            seen = projected(mixer, tokens)
            if name in caches:
                seen = caches[name].beside(*seen)
            tokens = layer.finish(tokens, mixer.biased(tokens, *seen, bias))
        return Gaussian(tokens[:, 0], tokens[:, 1])


class ReactionDecoder(nn.Module):
    """The listener reaction decoder: positions ask, the window's latents answer (Eq. 8).

    Eq. 12 has latents as queries and positions as keys and values, so that its output could only
    be a mixture of position vectors; the released code has it this way round.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.width = width
        self.layers = nn.ModuleList(
            DecoderLayer(width, heads, 2 * width, dropout=dropout) for _ in range(2)
        )
        self.drop = nn.Dropout(dropout)

    def forward(self, latents: Tensor, frames: Tensor, samples: int) -> Tensor:
        """A window's latents [N, w, C] and its frame numbers [1 or B, w]: tokens [N, w, C]."""
        first, second = self.layers
        assert isinstance(first, DecoderLayer) and isinstance(second, DecoderLayer)
        queries = self.drop(sinusoid(frames % POSITIONS, self.width))
        # until the latents come in, samples are alike
        queries = first.after_self(queries, first.self_attention(queries, queries))
        queries = queries.expand(len(latents) // samples, -1, -1)
        queries = queries.repeat_interleave(samples, dim=0)
        x = first.after_cross(queries, first.cross_attention(queries, latents))
        out: Tensor = second(x, latents, causal=False)
        return out


class Synchroniser(nn.Module):
    """Speaker-listener behaviour synchronisation: VIM, then MIM (Eq. 14 and 15).

    Either may be left out, and MIM may be aligned point to point (Tables 4 and 5).
    """

    def __init__(
        self, width: int, heads: int, dropout: float, *, visual: bool, modality: str
    ) -> None:
        super().__init__()

        def layer() -> DecoderLayer:
            return DecoderLayer(width, heads, 2 * width, dropout=dropout)

        self.visual = layer() if visual else None
        self.modality = layer() if modality != "none" else None
        self.pointwise = modality == "point"
        self.head = nn.Linear(width, COEFFICIENTS)

    @property
    def caches(self) -> tuple[str, ...]:
        there = (("visual_self", self.visual), ("modality_self", self.modality))
        return tuple(name for name, layer in there if layer is not None)

    def forward(
        self,
        x: Tensor,
        heard: Heard,
        caches: Caches,
        moment: Moment,
        samples: int,
        watch: dict[str, list[Tensor]] | None = None,
    ) -> Tensor:
        """Decoded tokens [N, t, C] to standardised coefficients [N, t, 58].

        `watch` collects the weights of both interactions, [N, heads, t, S].
        """
        mine = moment.rows(samples)
        if self.visual is not None:
            assert heard.visual is not None
            x = attended(self.visual, x, caches["visual_self"], mine.frame)
            cross = self.visual.cross_attention
            if watch is not None:
                shares = cross.weights(x, heard.visual[0], moment.frame, samples=samples)
                watch["visual"].append(shares)
            x = self.visual.after_cross(
                x, cross.biased(x, *heard.visual, moment.frame, samples=samples)
            )
        if self.modality is not None:
            x = attended(self.modality, x, caches["modality_self"], mine.frame)
            cross = self.modality.cross_attention
            if self.pointwise:
                x = self.modality.after_cross(x, cross.of_own(x, heard.speech, samples=samples))
            else:
                assert heard.modality is not None
                if watch is not None:
                    shares = cross.weights(x, heard.modality[0], moment.tick, samples=samples)
                    watch["modality"].append(shares)
                x = self.modality.after_cross(
                    x, cross.biased(x, *heard.modality, moment.tick, samples=samples)
                )
        out: Tensor = self.head(x)
        return out


def attended(layer: DecoderLayer, x: Tensor, cache: Cache, bias: Tensor) -> Tensor:
    """Self-attention of a decoder layer over its cached past and x [N, t, C], and its norm."""
    mixer = layer.self_attention
    return layer.after_self(x, mixer.biased(x, *cache.put(mixer.key(x), mixer.value(x)), bias))


def projected(mixer: Attention, memory: Tensor) -> KeysValues:
    """Keys and values [B, S, C], heads side by side, as caches keep them."""
    return mixer.key(memory), mixer.value(memory)


def interpolated(before: Tensor, after: Tensor, window: int, kind: str) -> Tensor:
    """Latents [N, C] at the ends of the last and this window to those of its frames [N, w, C].

    "paper": the share of the new one is (i + 1) / w at frame i = 0 .. w - 1 (Eq. 11).
    "half_pixel": clamp(2 (i + 0.5) / w - 0.5, 0, 1), what the released code's resize does.
    """
    frames = torch.arange(window, device=before.device, dtype=before.dtype)
    if kind == "paper":
        share = (frames + 1) / window
    else:
        share = (2 * (frames + 0.5) / window - 0.5).clamp(0.0, 1.0)
    return torch.lerp(before[:, None], after[:, None], share[:, None])
