"""ReactDiff online: nothing looks ahead, and a conversation is answered a hop at a time.

Attention keeps its keys and values of the last `memory` frames; a window holds the frames already
answered, as the denoiser's known past, and one new hop. So the reaction to frame t waits for the
end of its hop and no longer: the latency is hop - 1 frames. A hop costs the same at any time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from visavis.behaviour import Behaviour
from visavis.dyad import Persona
from visavis.models._reactdiff_attention import streamed
from visavis.models._reactdiff_latent import padded
from visavis.models._reactdiff_mmt import Decoder, Encoder, as_channels
from visavis.models._session import Conversation, WindowSession
from visavis.nn.cache import Recall

if TYPE_CHECKING:
    from visavis.models.reactdiff import ReactDiff


@dataclass(frozen=True)
class OnlineState:
    """What B conversations of K samples remember between hops."""

    hop: Tensor
    """int64 [B]: number of the next hop."""
    filled: Tensor
    """int64 [B]: how many frames of the memory are real; they are the last ones."""
    shown: Tensor
    """The speaker's scaled latents of the overlap, [B, overlap, d]."""
    guess: Tensor
    """The scaled guess likewise; [B, 0, d] without one."""
    known: Tensor
    """The own scaled latents of the overlap, [B * K, overlap, d]."""
    heard: tuple[Tensor, ...]
    """Keys and values of the encoder, [B, heads, memory, c] each."""
    own: tuple[Tensor, ...]
    """Keys and values of the decoder, [B * K, heads, memory, c] each."""


def begin(model: ReactDiff, clips: int, samples: int) -> OnlineState:
    """Before the first frame."""
    config = model.config
    spec, overlap = config.transformer, config.diffusion.overlap
    like = next(model.parameters())

    def nothing(*shape: int) -> Tensor:
        return like.new_zeros(shape)

    def memory(rows: int, attentions: int, width: int) -> tuple[Tensor, ...]:
        shape = (rows, spec.heads, config.memory, width // spec.heads)
        return tuple(nothing(*shape) for _ in range(2 * attentions))

    count = torch.zeros(clips, dtype=torch.int64, device=like.device)
    return OnlineState(
        count,
        count,
        nothing(clips, overlap, spec.latent),
        nothing(clips, overlap if config.guess else 0, spec.latent),
        nothing(clips * samples, overlap, spec.latent),
        memory(clips, model.encoder.attentions, spec.width),
        memory(clips * samples, model.decoder.attentions, spec.latent),
    )


def advance(
    model: ReactDiff,
    streams: Mapping[str, Tensor],
    state: OnlineState,
    seeds: Tensor,
    samples: int,
    inside: Tensor | None = None,
) -> tuple[OnlineState, dict[str, Tensor]]:
    """One hop: streams [B, t, C] of at most `hop` frames to channels [B, K, t, ...].

    `inside` bool [B, t] where clips are padded.
    """
    config = model.config
    spec, (clips, frames) = config.diffusion, streams["au"].shape[:2]
    assert isinstance(model.encoder, Encoder)
    positions, heads = config.transformer.positions, config.transformer.heads
    bias = streamed(positions, heads, frames, config.memory, state.filled, state.shown)
    heard = Recall(state.heard, config.memory)
    told = model.encoder(streams, bias, heard)

    if model.denoiser is None:
        latents, tails = _repeated(model.answer(told), samples), {}
    else:
        shown, guess = model.conditions(told, inside)
        whole = torch.cat([state.shown, padded(shown, spec.hop)], dim=1)
        first = None if guess is None else torch.cat([state.guess, padded(guess, spec.hop)], dim=1)
        noise = model.noise(seeds, samples, state.hop)
        made = model.latents_next(state.known, whole, first, samples, noise)
        tails = {
            "shown": whole[:, spec.hop :],
            "guess": state.guess if first is None else first[:, spec.hop :],
            "known": torch.cat([state.known, made], dim=1)[:, spec.hop :],
        }
        latents = model.scale.back(made[:, :frames])

    assert isinstance(model.decoder, Decoder)
    own = Recall(state.own, config.memory)
    raw = model.decoder(latents, bias.repeat_interleave(samples, 0), own)
    new = replace(
        state,
        hop=state.hop + 1,
        filled=(state.filled + frames).clamp(max=config.memory),
        heard=tuple(heard.kept),
        own=tuple(own.kept),
        **tails,
    )
    return new, as_channels({n: x.unflatten(0, (clips, samples)) for n, x in raw.items()})


def _repeated(x: Tensor, samples: int) -> Tensor:
    return x.repeat_interleave(samples, 0)


class ReactDiffSession(WindowSession[OnlineState]):
    """Conversations with the online model: latency hop - 1, constant cost a hop."""

    model: ReactDiff

    def start(self, seed: int, persona: Persona | None) -> OnlineState:
        return begin(self.model, 1, self.num_samples)

    def advance(
        self, conversations: Sequence[Conversation[OnlineState]], speaker: Behaviour, *, last: bool
    ) -> tuple[list[OnlineState], list[dict[str, Tensor]]]:
        seeds = torch.tensor([c.seed for c in conversations], device=speaker.device)
        streams = self.model.inputs_of(speaker, speaking=True)
        state = _each(torch.cat, [c.state for c in conversations])
        state, out = advance(self.model, streams, state, seeds, self.num_samples)
        rows = range(len(conversations))
        parts = [{n: x[i] for n, x in out.items()} for i in rows]
        return [self._one(state, i) for i in rows], parts

    def _one(self, state: OnlineState, index: int) -> OnlineState:
        """One conversation of several, in memory of its own."""
        clip = slice(index, index + 1)
        rows = slice(index * self.num_samples, (index + 1) * self.num_samples)
        return OnlineState(
            state.hop[clip].clone(),
            state.filled[clip].clone(),
            state.shown[clip].clone(),
            state.guess[clip].clone(),
            state.known[rows].clone(),
            tuple(x[clip].clone() for x in state.heard),
            tuple(x[rows].clone() for x in state.own),
        )

    def state_tensors(self, state: OnlineState) -> dict[str, Tensor]:
        flat = {
            "hop": state.hop,
            "filled": state.filled,
            "shown": state.shown,
            "guess": state.guess,
            "known": state.known,
        }
        flat |= {f"heard/{i:03}": x for i, x in enumerate(state.heard)}
        return flat | {f"own/{i:03}": x for i, x in enumerate(state.own)}

    def state_from(self, tensors: Mapping[str, Tensor]) -> OnlineState:
        def many(prefix: str) -> tuple[Tensor, ...]:
            return tuple(tensors[n] for n in sorted(tensors) if n.startswith(prefix))

        return OnlineState(
            tensors["hop"],
            tensors["filled"],
            tensors["shown"],
            tensors["guess"],
            tensors["known"],
            many("heard/"),
            many("own/"),
        )


def _each(join: Callable[[list[Tensor]], Tensor], states: Sequence[OnlineState]) -> OnlineState:
    """Many conversations as one batch."""
    return OnlineState(
        join([s.hop for s in states]),
        join([s.filled for s in states]),
        join([s.shown for s in states]),
        join([s.guess for s in states]),
        join([s.known for s in states]),
        tuple(join(list(same)) for same in zip(*(s.heard for s in states), strict=True)),
        tuple(join(list(same)) for same in zip(*(s.own for s in states), strict=True)),
    )
