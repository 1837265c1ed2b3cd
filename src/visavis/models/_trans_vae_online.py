"""Trans-VAE's online branch: windows that follow the listener's own past.

The released code encodes the whole prefix again at every window. The head's queries are two
learned tokens that never change, so the prefix is kept here as a running softmax instead: a
window costs the same at minute thirty as at second one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from visavis.behaviour import Behaviour
from visavis.channels import FPS
from visavis.dyad import Persona
from visavis.models._session import Conversation, WindowSession
from visavis.nn.attention import DecoderLayer, EncoderLayer
from visavis.nn.gaussian import Gaussian
from visavis.nn.running_attention import RunningAttention

if TYPE_CHECKING:
    from visavis.models.trans_vae import TransVAE


@dataclass(frozen=True)
class Past:
    """Attention's keys and values of the own past frames, each [B * K, heads, P, C / heads]."""

    self_keys: Tensor
    self_values: Tensor
    cross_keys: Tensor
    cross_values: Tensor

    def each(self, change: Callable[[Tensor], Tensor]) -> Past:
        return Past(*(change(x) for x in self.tensors().values()))

    def tensors(self) -> dict[str, Tensor]:
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @staticmethod
    def cat(parts: Sequence[Past], axis: int) -> Past:
        return Past(
            *(
                torch.cat(same, axis)
                for same in zip(*(p.tensors().values() for p in parts), strict=True)
            )
        )


@dataclass(frozen=True)
class OnlineState:
    """What B conversations of K samples remember between windows."""

    window: Tensor
    """int64 [B]: number of the next window."""
    prefix: RunningAttention
    """The head's two tokens over the speaker's (and own) past, [B * K, heads, 2, ...]."""
    past: Past
    last: Tensor
    """The own last frame as a token, [B * K, C]."""
    filled: Tensor
    """int64 [B]: how many of the P past frames are real; they are the last ones."""
    recent: Tensor
    """Averages of the speaker's features over `RECENT_S`, [B, 3, C]; [B, 0, C] without them."""


RECENT_S = (0.4, 1.0, 2.5)
"""Time constants of what was heard lately, seconds: a listener answers after 0.4 to 1.4 s."""


class OnlineBranch(nn.Module):
    """The layers that only the online model has (354,944 parameters more than offline)."""

    def __init__(
        self, width: int, heads: int, dropout: float, past: int, *, recency: bool = False
    ) -> None:
        super().__init__()
        self.recent = nn.Linear(len(RECENT_S) * width, width, bias=False) if recency else None
        self.width, self.heads, self.past = width, heads, past
        self.fusion = nn.Linear(width + 58 + 25, width)
        self.past_token = nn.Linear(58, width)
        self.window_token = nn.Linear(width, width)
        self.decoder = DecoderLayer(width, heads, 2 * width, dropout=dropout)
        self.lstm = nn.LSTM(width, width, batch_first=True)

    def start(self, model: TransVAE, clips: int, samples: int) -> OnlineState:
        """Before the first window of B = `clips` conversations."""
        tokens = model.latent.tokens.expand(clips * samples, -1, -1)
        layer = _layer(model)
        keys, values = layer.attention.keys_values(tokens)
        queries = layer.attention.split(layer.attention.query(tokens))
        empty = tokens.new_zeros(clips * samples, self.heads, 0, self.width // self.heads)
        counts = torch.zeros(clips, dtype=torch.int64, device=tokens.device)
        return OnlineState(
            counts,
            RunningAttention.over(queries, keys, values),
            Past(empty, empty, empty, empty),
            tokens.new_zeros(clips * samples, self.width),
            counts,
            tokens.new_zeros(clips, 0 if self.recent is None else len(RECENT_S), self.width),
        )

    def step(
        self,
        model: TransVAE,
        features: Tensor,
        state: OnlineState,
        noise: Callable[[Tensor], Tensor],
        inside: Tensor | None,
    ) -> tuple[OnlineState, dict[str, Tensor], Gaussian]:
        """One window.

        Args:
            features: fused speaker features [B, t, C].
            noise: window numbers [B] to standard normal [B, K, C].
            inside: bool [B, t], frames that are not padding.

        Returns:
            The next state, raw coefficients and attributes [B, K, t, ...], and the Gaussian of
            each sample's latent [B * K, C].
        """
        clips, frames, _ = features.shape
        samples = len(state.last) // clips
        features, recent = self._lately(features, state.recent, inside)
        features = features.repeat_interleave(samples, dim=0)
        mask = None if inside is None else inside.repeat_interleave(samples, dim=0)

        nothing = features.new_zeros(*features.shape[:2], 58 + 25)
        now = self._attended(model, torch.cat([features, nothing], -1), mask)
        layer = _layer(model)
        mixed = layer.attention.out(state.prefix.join(now).mixed())
        tokens = model.latent.tokens.expand(len(features), -1, -1)
        out = layer.finish(tokens, mixed)
        distribution = Gaussian(out[:, 0], out[:, 1])
        latent = distribution.at(noise(state.window).flatten(0, 1))

        seen = None if mask is None else _never_empty(mask)
        hidden = model.unroll(latent[:, None, None], frames, inside=seen)[:, 0]
        coefficients = self._coefficients(model, hidden, state, samples, seen)
        attributes = model.attributes(coefficients, hidden)

        own = torch.cat([features, coefficients, attributes], -1)
        tokens = self.past_token(coefficients)
        new = OnlineState(
            state.window + 1,
            state.prefix.join(self._attended(model, own, mask)),
            self._remembered(state.past, tokens),
            tokens[:, -1],
            (state.filled + frames).clamp(max=self.past),
            recent,
        )
        shape = (clips, samples)
        channels = {
            "coefficients": coefficients.unflatten(0, shape),
            "attributes": attributes.unflatten(0, shape),
        }
        return new, channels, distribution

    def _lately(
        self, features: Tensor, before: Tensor, inside: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Features [B, t, C] with what was heard lately added, and the averages at their end."""
        if self.recent is None:
            return features, before
        keep = torch.exp(-1.0 / (torch.tensor(RECENT_S, device=features.device) * FPS))
        frames = features.shape[1]
        age = torch.arange(frames, device=features.device)
        gap = (age[:, None] - age).clamp(min=0)
        weights = (1 - keep)[:, None, None] * keep[:, None, None] ** gap
        weights = torch.where(age[:, None] >= age, weights, 0.0).to(features.dtype)
        seen = features if inside is None else torch.where(inside[..., None], features, 0.0)
        fading = (keep[:, None] ** (age + 1)).to(features.dtype)
        averages = torch.einsum("kts,bsc->btkc", weights, seen)
        averages = averages + torch.einsum("kt,bkc->btkc", fading, before)
        return features + self.recent(averages.flatten(2)), averages[:, -1]

    def _attended(self, model: TransVAE, fused: Tensor, mask: Tensor | None) -> RunningAttention:
        """The head's tokens over one window of [feature, own coefficients, own attributes]."""
        x = model.latent.linear(self.fusion(fused))
        layer = _layer(model)
        keys, values = layer.attention.keys_values(x)
        queries = layer.attention.split(layer.attention.query(model.latent.tokens))
        return RunningAttention.over(queries.expand(len(x), -1, -1, -1), keys, values, mask)

    def _coefficients(
        self,
        model: TransVAE,
        hidden: Tensor,
        state: OnlineState,
        samples: int,
        inside: Tensor | None,
    ) -> Tensor:
        """Window features [B * K, t, C] to coefficients that go on from the own past."""
        first = model.to_coefficients(hidden)
        if not bool((state.window > 0).any()):
            return first  # type: ignore[no-any-return]
        x = self.window_token(hidden)
        decoder = self.decoder
        keys, values = decoder.self_attention.keys_values(x)
        known = self._known(state, samples)
        frames = hidden.shape[1]
        causal = torch.ones(frames, frames, dtype=torch.bool, device=x.device).tril()
        seen = torch.cat(
            [known[:, None, None].expand(-1, 1, frames, -1), causal.expand(len(x), 1, -1, -1)], -1
        )
        mixed = decoder.self_attention.attend(
            x,
            torch.cat([state.past.self_keys, keys], 2),
            torch.cat([state.past.self_values, values], 2),
            mask=seen,
        )
        y = decoder.after_self(x, mixed)
        keys, values = decoder.cross_attention.keys_values(x)
        window = known.new_ones(len(x), frames) if inside is None else inside
        everything = torch.cat([known, window], -1)[:, None, None]
        mixed = decoder.cross_attention.attend(
            y,
            torch.cat([state.past.cross_keys, keys], 2),
            torch.cat([state.past.cross_values, values], 2),
            mask=everything,
        )
        y = decoder.after_cross(y, mixed)
        y, _ = self.lstm(y, (state.last[None].contiguous(), state.last[None].contiguous()))
        later = model.to_coefficients(y)
        begun = (state.window > 0).repeat_interleave(samples)
        return torch.where(begun[:, None, None], later, first)

    def _known(self, state: OnlineState, samples: int) -> Tensor:
        """Which of the P cached frames are real, bool [B * K, P]: lanes differ in age."""
        size = state.past.self_keys.shape[2]
        age = torch.arange(size, 0, -1, device=state.filled.device)
        return (age <= state.filled[:, None]).repeat_interleave(samples, dim=0)

    def _remembered(self, past: Past, tokens: Tensor) -> Past:
        """The past with a window's own tokens [B * K, t, C] behind it, cut to the horizon."""
        fresh = Past(
            *self.decoder.self_attention.keys_values(tokens),
            *self.decoder.cross_attention.keys_values(tokens),
        )
        return Past.cat([past, fresh], 2).each(lambda x: x[:, :, -self.past :])


def _never_empty(mask: Tensor) -> Tensor:
    """The mask [N, t] with a wholly padded window's first frame seen: softmax of nothing is NaN."""
    return torch.cat([mask[:, :1] | ~mask.any(1, keepdim=True), mask[:, 1:]], 1)


def _layer(model: TransVAE) -> EncoderLayer:
    (layer,) = model.latent.layers
    assert isinstance(layer, EncoderLayer)
    return layer


class TransVAESession(WindowSession[OnlineState]):
    """Conversations with the online model: hop = window, constant cost a window."""

    model: TransVAE

    def start(self, seed: int, persona: Persona | None) -> OnlineState:
        assert self.model.online is not None
        with torch.no_grad():
            return self.model.online.start(self.model, 1, self.num_samples)

    def advance(
        self, conversations: Sequence[Conversation[OnlineState]], speaker: Behaviour, *, last: bool
    ) -> tuple[list[OnlineState], list[dict[str, Tensor]]]:
        from visavis.models.trans_vae import as_channels

        seeds = torch.tensor([c.seed for c in conversations], device=speaker.device)
        state = _joined([c.state for c in conversations])
        features = self.model.encode(speaker)
        state, out, _ = self.model.step(features, state, seeds, self.num_samples)
        channels = as_channels(out)
        parts = [{n: x[i] for n, x in channels.items()} for i in range(len(conversations))]
        return _apart(state, len(conversations)), parts

    def state_tensors(self, state: OnlineState) -> dict[str, Tensor]:
        flat = {"window": state.window, "last": state.last, "filled": state.filled}
        flat["recent"] = state.recent
        flat |= {f"past/{n}": x for n, x in state.past.tensors().items()}
        return flat | {f"prefix/{n}": x for n, x in state.prefix.tensors().items()}

    def state_from(self, tensors: Mapping[str, Tensor]) -> OnlineState:
        def under(prefix: str) -> dict[str, Tensor]:
            return {n.removeprefix(prefix): x for n, x in tensors.items() if n.startswith(prefix)}

        return OnlineState(
            tensors["window"],
            RunningAttention(**under("prefix/")),
            Past(**under("past/")),
            tensors["last"],
            tensors["filled"],
            tensors["recent"],
        )


def _joined(states: Sequence[OnlineState]) -> OnlineState:
    """Many conversations as one batch; shorter pasts are padded in front."""
    if len(states) == 1:
        return states[0]
    longest = max(s.past.self_keys.shape[2] for s in states)

    def padded(x: Tensor) -> Tensor:
        return nn.functional.pad(x, (0, 0, longest - x.shape[2], 0))

    prefixes = [s.prefix.tensors() for s in states]
    return OnlineState(
        torch.cat([s.window for s in states]),
        RunningAttention(**{n: torch.cat([p[n] for p in prefixes]) for n in prefixes[0]}),
        Past.cat([s.past.each(padded) for s in states], 0),
        torch.cat([s.last for s in states]),
        torch.cat([s.filled for s in states]),
        torch.cat([s.recent for s in states]),
    )


def _apart(state: OnlineState, clips: int) -> list[OnlineState]:
    """The inverse of `_joined`: each conversation keeps only its own past."""
    samples = len(state.last) // clips
    return [
        _one(state, slice(i, i + 1), slice(i * samples, (i + 1) * samples)) for i in range(clips)
    ]


def _one(state: OnlineState, clip: slice, rows: slice) -> OnlineState:
    size = int(state.filled[clip])
    return OnlineState(
        state.window[clip],
        RunningAttention(**{n: x[rows].clone() for n, x in state.prefix.tensors().items()}),
        state.past.each(lambda x: x[rows, :, x.shape[2] - size :].clone()),
        state.last[rows].clone(),
        state.filled[clip],
        state.recent[clip].clone(),
    )
