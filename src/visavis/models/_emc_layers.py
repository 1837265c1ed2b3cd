"""EMC's own modules: emotions to embeddings, emotion-aware attention, compensation.

Letters: R rows (a clip, or a window or patch of one), T frames, L tokens, d the width of emotions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from visavis.nn.gaussian import Gaussian
from visavis.nn.standardise import Standardise

FACE_EMOTION, SPEECH_EMOTION = 25, 10
NEVER = 1e6
FADING = 25.0
"""Frames, where memory's fading begins to be learned."""


class Sight(Protocol):
    """Which keys the tokens of a row see."""

    def __call__(self, name: str, keys_values: Tensor) -> tuple[Tensor, Tensor | None]:
        """Keys beside values of the new frames [R, T, 2 d]; all there are [R, S, 2 d], and a mask
        bool [R or 1, 1, T or 1, S], True = seen. `name` says whose they are."""


class Whole:
    """Every frame of its row, or those where `inside` bool [R, T] is True (one a row at least)."""

    def __init__(self, inside: Tensor | None = None) -> None:
        self.mask = None if inside is None else inside[:, None, None]

    def __call__(self, name: str, keys_values: Tensor) -> tuple[Tensor, Tensor | None]:
        return keys_values, self.mask


class Band:
    """Frames up to each one, over a stretch that goes on where the last one ended.

    `held[name]` [R, H - 1, 2 d] are keys and values of the frames before, the newest last; what is
    to be held next is left in `kept`.
    """

    def __init__(self, held: Mapping[str, Tensor], count: Tensor, frames: int, horizon: int):
        """`count` int64 [R]: frames that each row has seen before."""
        self.held, self.horizon = held, horizon
        self.kept: dict[str, Tensor] = {}
        key = torch.arange(1 - horizon, frames, device=count.device)
        query = torch.arange(frames, device=count.device)[:, None]
        reach = (key <= query) & (key > query - horizon)
        self.mask = reach & (key >= -count[:, None])[:, None, None]

    def __call__(self, name: str, keys_values: Tensor) -> tuple[Tensor, Tensor | None]:
        joined = torch.cat([self.held[name], keys_values], dim=1)
        self.kept[name] = joined[:, joined.shape[1] - self.horizon + 1 :]
        return joined, self.mask


class GatedAttention(nn.Module):
    """Attention between sequences of any widths, as a residual.

    With `gate`, the output projection begins at zero: until it has learned, what it is added to
    stays as it is, bit for bit.
    """

    def __init__(
        self, asks: int, told: int, width: int, heads: int, *, dropout: float, gate: bool
    ) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.ask, self.tell = nn.LayerNorm(asks), nn.LayerNorm(told)
        self.query = nn.Linear(asks, width)
        self.key, self.value = nn.Linear(told, width), nn.Linear(told, width)
        self.out = nn.Linear(width, asks)
        self.drop = nn.Dropout(dropout)
        nn.init.zeros_(self.out.bias)
        if gate:
            nn.init.zeros_(self.out.weight)

    def keys_values(self, memory: Tensor) -> Tensor:
        """[R, S, told] to keys beside values, [R, S, 2 d]."""
        told = self.tell(memory)
        return torch.cat([self.key(told), self.value(told)], dim=-1)

    def forward(self, x: Tensor, keys_values: Tensor, mask: Tensor | None) -> Tensor:
        """What is to be added to x [R, L, asks]; mask bool [.., L, S], True = seen."""
        query = self.query(self.ask(x)).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        key, value = (
            y.unflatten(-1, (self.heads, -1)).transpose(1, 2) for y in keys_values.chunk(2, -1)
        )
        mixed = F.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, dropout_p=self.dropout if self.training else 0.0
        )
        out: Tensor = self.drop(self.out(mixed.transpose(1, 2).flatten(2)))
        return out


class EmotionAttention(nn.Module):
    """EA (Fig. 4): self-attention over features, over emotions, then features ask emotions.

    x' = x + SA(x), e' = e + SA(e), y = x' + CA(x', e'). What is added to x is gated. `alone`: for
    tokens that stand by themselves, whose self-attention has one key and is left out.
    """

    def __init__(
        self, features: int, emotions: int, heads: int, *, dropout: float, alone: bool = False
    ) -> None:
        super().__init__()
        self.own: GatedAttention | None = None
        if not alone:
            self.own = GatedAttention(
                features, features, emotions, heads, dropout=dropout, gate=True
            )
        self.emotion = GatedAttention(
            emotions, emotions, emotions, heads, dropout=dropout, gate=False
        )
        self.cross = GatedAttention(features, emotions, emotions, heads, dropout=dropout, gate=True)

    def told(self, emotion: Tensor, see: Sight, name: str) -> Tensor:
        """Emotions [R, T, d], having seen each other, as keys beside values [R, T, 2 d]."""
        known, mask = see(f"{name}/emotion", self.emotion.keys_values(emotion))
        felt: Tensor = emotion + self.emotion(emotion, known, mask)
        return self.cross.keys_values(felt)

    def forward(self, x: Tensor, emotion: Tensor, see: Sight, name: str) -> Tensor:
        """Features [R, T, C] and the emotions of the same frames [R, T, d]."""
        assert self.own is not None
        known, mask = see(f"{name}/own", self.own.keys_values(x))
        x = x + self.own(x, known, mask)
        known, mask = see(f"{name}/cross", self.told(emotion, see, name))
        out: Tensor = x + self.cross(x, known, mask)
        return out

    def asked(
        self, tokens: Tensor, keys_values: Tensor, nothing: Tensor, mask: Tensor | None
    ) -> Tensor:
        """Tokens [R, L, C] that are of no single frame over told emotions [R, S, 2 d].

        The null emotion `nothing` [d] stands before them, so that there is always one to ask;
        mask bool [R or 1, 1, L or 1, S].
        """
        if self.own is not None:
            tokens = tokens + self.own(tokens, self.own.keys_values(tokens), None)
        null = self.cross.keys_values(nothing).expand(len(tokens), 1, -1)
        if mask is not None:
            mask = F.pad(mask, (1, 0), value=True)
        out: Tensor = tokens + self.cross(tokens, torch.cat([null, keys_values], 1), mask)
        return out


class EmotionMLP(nn.Module):
    """e-MLP: the face's 25 numbers, or the voice's 10, to one space, [.., d].

    Each has a layer of its own before a shared one, and a vector that says which it was. Where
    there is neither, a learned vector stands.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.face = nn.Linear(FACE_EMOTION, width)
        self.speech = nn.Linear(SPEECH_EMOTION, width)
        self.shared = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)
        self.source = nn.Parameter(0.02 * torch.randn(2, width))
        self.nothing = nn.Parameter(0.02 * torch.randn(width))

    def of_face(self, numbers: Tensor) -> Tensor:
        """AUs, valence and arousal, expressions [.., 25]."""
        return self._placed(F.gelu(self.face(numbers)), 0)

    def of_speech(self, numbers: Tensor) -> Tensor:
        """Valence and arousal, expressions [.., 10]."""
        return self._placed(F.gelu(self.speech(numbers)), 1)

    def _placed(self, hidden: Tensor, source: int) -> Tensor:
        out: Tensor = self.norm(self.shared(hidden)) + self.source[source]
        return out

    def forward(
        self,
        face: tuple[Tensor, Tensor],
        speech: tuple[Tensor, Tensor] | None,
        *,
        mean: bool = False,
    ) -> Tensor:
        """Numbers [R, T, 25] and [R, T, 10], each with where they are known, bool [R, T]: the
        face's where it is known, or the mean of both; else the voice's; else nothing."""
        values, seen = face
        known = self.of_face(torch.where(seen[..., None], values, 0.0))
        out = torch.where(seen[..., None], known, self.nothing)
        if speech is None:
            return out
        numbers, heard = speech
        spoken = self.of_speech(torch.where(heard[..., None], numbers, 0.0))
        if mean:
            out = torch.where((seen & heard)[..., None], (known + spoken) / 2, out)
        return torch.where((heard & ~seen)[..., None], spoken, out)


@dataclass(frozen=True)
class Held:
    """The last frame that was seen of a modality: features [R, 1, C], frames ago [R, 1], `NEVER`
    or more where none was."""

    features: Tensor
    age: Tensor


@dataclass(frozen=True)
class Recalled:
    """What stands for each frame of a modality by itself, from the frames that were seen."""

    value: Tensor
    """[R, T, C], the less the longer ago"""
    fresh: Tensor
    """[R, T, 1], 1 for a frame that is seen, 0 where none ever was"""

    def repeat(self, times: int) -> Recalled:
        return Recalled(*(x.repeat_interleave(times, 0) for x in (self.value, self.fresh)))


class Compensation(nn.Module):
    """CMA: features of one modality from those of the other, as a conditional VAE (Eq. 6 to 18).

    Everything is standardised. Before the condition's first frame, and where it is lost itself,
    stands a learned vector. With `recall` it also knows the modality's own frames around the loss:
    they fade towards the average, channel by channel, and the nets add what they do not say.
    """

    z_mean: Tensor
    z_std: Tensor

    def __init__(
        self,
        target: int,
        condition: int,
        width: int,
        latent: int,
        context: int,
        *,
        causal: bool,
        recall: bool = False,
    ) -> None:
        super().__init__()
        self.causal, self.latent = causal, latent
        self.of_recalled: nn.Linear | None = None
        if recall:
            self.of_recalled = nn.Linear(target + 1, width)
            self.fading = nn.Parameter(torch.full((target,), math.log(FADING)))
            """Logarithm of the frames in which a channel's memory falls to 1 / e."""
        self.scale = Standardise(target)
        """Of the features that it makes."""
        same = target == width and condition == width
        self.of_target = nn.Identity() if same else nn.Linear(target, width)
        self.of_condition = nn.Identity() if same else nn.Linear(condition, width)
        self.to_target = nn.Identity() if same else nn.Linear(width, target)
        self.nothing = nn.Parameter(0.02 * torch.randn(condition))
        self.around = nn.Conv1d(condition, condition, context, groups=condition)
        self.encoder = nn.Sequential(
            nn.Linear(2 * width, 2 * width), nn.GELU(), nn.Linear(2 * width, 2 * latent)
        )
        self.decoder = nn.Sequential(
            nn.Linear(latent + width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )
        with torch.no_grad():  # it begins as the frame itself, nearly
            self.around.weight.normal_(std=0.02)
            self.around.weight[:, :, -1 if causal else context // 2] = 1.0
            assert self.around.bias is not None
            self.around.bias.zero_()
            last = self.decoder[-1] if same else self.to_target
            for p in last.parameters():  # untrained, it makes up the average
                p.zero_()
        self.register_buffer("z_mean", torch.zeros(latent))
        self.register_buffer("z_std", torch.ones(latent))

    @property
    def before(self) -> int:
        """Frames of the condition that a frame looks back."""
        size = self.around.kernel_size[0]
        return size - 1 if self.causal else size // 2

    def empty(self, rows: int) -> Tensor:
        """The condition before the first frame, [R, before, C]."""
        return self.nothing.expand(rows, self.before, -1)

    def condition(
        self, features: Tensor | None, there: Tensor, tail: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Standardised features [R, T, C], None where none are known, and where they are, bool
        [R, T]: what the nets read [R, T, d], and the last frames for the next stretch."""
        nothing = self.nothing.expand(*there.shape, -1)
        known = nothing if features is None else torch.where(there[..., None], features, nothing)
        joined = torch.cat([self.empty(len(there)) if tail is None else tail, known], 1)
        kept = joined[:, joined.shape[1] - self.before :]
        if not self.causal:
            joined = torch.cat([joined, self.empty(len(there))], 1)
        mixed: Tensor = self.of_condition(self.around(joined.transpose(1, 2)).transpose(1, 2))
        return mixed, kept

    def nothing_seen(self, rows: int) -> Held:
        """Before the first frame."""
        like = self.scale.mean
        return Held(like.new_zeros(rows, 1, len(like)), like.new_full((rows, 1), NEVER))

    def recalled(
        self, features: Tensor | None, there: Tensor, held: Held | None = None
    ) -> tuple[Recalled | None, Held | None]:
        """Standardised features [R, T, C] of its own modality (None where no row has any) and
        where they are, bool [R, T]; and what is held for the next stretch. None without recall."""
        if self.of_recalled is None:
            return None, None
        held = self.nothing_seen(len(there)) if held is None else held
        if features is None:
            features = held.features.new_zeros(*there.shape, held.features.shape[-1])
        value, age = last_seen(features, there, held)
        kept = Held(value[:, -1:], age[:, -1:] + 1)
        if not self.causal:
            none = self.nothing_seen(len(there))
            ahead = last_seen(features.flip(1), there.flip(1), none)
            after, until = (x.flip(1) for x in ahead)
            value = torch.where((age <= until)[..., None], value, after)
            age = torch.minimum(age, until)
        weight = torch.exp(-age[..., None] / self.fading.exp())
        return Recalled(value * weight, torch.exp(-age / FADING)[..., None]), kept

    def told(self, condition: Tensor, own: Recalled | None) -> Tensor:
        """What the nets read, with what is recalled."""
        if own is None or self.of_recalled is None:
            return condition
        out: Tensor = condition + self.of_recalled(torch.cat([own.value, own.fresh], -1))
        return out

    def posterior(self, target: Tensor, condition: Tensor) -> Gaussian:
        """q(z | both), [R, T, z]; the target standardised."""
        mean, log_variance = self.encoder(
            torch.cat([self.of_target(target), condition], dim=-1)
        ).chunk(2, -1)
        return Gaussian(mean, log_variance.clamp(-8.0, 4.0))

    def made(self, z: Tensor, condition: Tensor, own: Recalled | None = None) -> Tensor:
        """Standardised features [R, T, C] of z [R, T, z] and what `told` gave, beside what is
        recalled."""
        out: Tensor = self.to_target(self.decoder(torch.cat([z, condition], dim=-1)))
        return out if own is None else out + own.value

    def unscaled(self, features: Tensor) -> Tensor:
        return features * self.scale.std + self.scale.mean

    @torch.no_grad()
    def remember(self, z: Tensor, share: float = 0.02) -> None:
        """Move the aggregate posterior's moments towards those of z [N, z]."""
        if len(z) > 1:
            self.z_mean.lerp_(z.mean(0), share)
            self.z_std.lerp_(z.std(0), share)


def last_seen(features: Tensor, there: Tensor, held: Held) -> tuple[Tensor, Tensor]:
    """For each frame of [R, T, C] the last one that is `there` bool [R, T], itself included, and
    its age in frames [R, T]; before the first, what was held."""
    joined = torch.cat([held.features.expand(len(there), -1, -1), features], 1)
    clock = torch.arange(there.shape[1] + 1, device=there.device).expand(len(there), -1)
    seen = F.pad(there, (1, 0), value=True)
    place = torch.where(seen, clock, 0).cummax(1).values
    age = (clock - place).to(features.dtype) + torch.where(place == 0, held.age - 1, 0.0)
    value = joined.gather(1, place[..., None].expand(-1, -1, joined.shape[-1]))
    return value[:, 1:], age[:, 1:]
