"""MReactor online: nothing looks ahead, and every token is computed once.

In training and in `generate` a token at one denoising step attends only to earlier tokens at the
same step, so a conversation keeps keys and values a step and layer, and a new token passes through
all steps with them: exactly what the whole clip would give. Memory holds `memory` frames, so a hop
costs the same at any time. The reaction to a frame waits for the end of its patch.

Words may come with the frames: a conversation keeps what was said lately and makes their channels
itself. A word counts from the frame after its end, so it may come with any piece up to that frame.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from visavis.behaviour import Behaviour, Word
from visavis.dyad import Persona
from visavis.features.subjects.channel import utterances
from visavis.models._base import Lane
from visavis.models._mreactor_regions import Before
from visavis.models._session import Conversation, WindowSession
from visavis.nn.cache import Recall

if TYPE_CHECKING:
    from visavis.models.mreactor import MReactor

_KEPT = 3
"""Utterances whose words are kept: the present one, and what may still be heard of others."""


@dataclass(frozen=True)
class OnlineState:
    """What B conversations of K samples remember between tokens."""

    token: Tensor
    """int64 [B]: number of the next token; as many of the memory are real, its last ones."""
    pose: Tensor
    """[B, 25, 6]"""
    total: Tensor
    """float64 [B, 58]"""
    frames: Tensor
    """float64 [B]"""
    perceived: tuple[Tensor, ...]
    """Keys and values of the perception, [B M, heads, span, c] each."""
    heard: tuple[Tensor, ...]
    """Keys [B, heads, span, c] and values [B K, heads, span, c] of the speaker, a layer."""
    own: tuple[Tensor, ...]
    """Keys and values of the own past, [B K, heads, span, c], a layer and denoising step."""
    said: Tensor
    """uint8: the words of the last utterances as JSON, one conversation's; empty in a batch."""


def begin(model: MReactor, clips: int, samples: int) -> OnlineState:
    """Before the first frame."""
    config = model.config
    like, span = model.listener_scale.mean, config.span or 1
    before = Before.none(clips, like)

    def memory(rows: int, count: int, heads: int, width: int) -> tuple[Tensor, ...]:
        return tuple(like.new_zeros(rows, heads, span, width // heads) for _ in range(count))

    many, denoiser = clips * samples, model.denoiser
    heard: list[Tensor] = []
    for _ in range(denoiser.heard_attentions):
        heard += memory(clips, 1, config.heads, config.width)
        heard += memory(many, 1, config.heads, config.width)
    return OnlineState(
        torch.zeros(clips, dtype=torch.int64, device=like.device),
        before.pose,
        before.total,
        before.frames,
        memory(
            clips * len(config.modalities),
            2 * model.perception.attentions,
            config.perception_heads,
            config.perception_width,
        ),
        tuple(heard),
        memory(
            many,
            2 * denoiser.own_attentions * config.sampling_steps,
            config.heads,
            config.width,
        ),
        torch.zeros(0, dtype=torch.uint8, device=like.device),
    )


def hidden_of(state: OnlineState, span: int, tokens: int, like: Tensor) -> Tensor:
    """What of the memory is not there yet, [B, 1, 1, span + tokens]."""
    place = torch.arange(span + tokens, device=like.device)
    empty = place < span - state.token[:, None]
    hidden = like.new_zeros(len(state.token), 1, 1, span + tokens)
    return hidden.masked_fill(empty[:, None, None], float("-inf"))


def advance(
    model: MReactor, speaker: Behaviour, state: OnlineState, seeds: Tensor, samples: int
) -> tuple[OnlineState, dict[str, Tensor]]:
    """The next token of B conversations: speaker [B, t] of at most a patch, channels [B, K, t]."""
    from visavis.models.mreactor import Controls

    config = model.config
    span = config.span
    assert span is not None
    hidden = hidden_of(state, span, 1, state.pose)
    perceived = Recall(state.perceived, span)
    before = Before(state.pose, state.total, state.frames)
    understood, after = model.told(speaker, before, perceived, hidden)
    heard = Recall(state.heard, span)
    elements, chosen = model.subject_sets(understood.slots, seeds, samples)
    known = model.denoiser.remember(
        understood.tokens,
        elements,
        chosen,
        samples,
        hidden=hidden,
        recall=heard,
        first=state.token,
    )
    manner = model.manner(seeds, samples, Controls())
    each = 2 * model.denoiser.own_attentions
    kept: list[Tensor] = []

    def denoise(x: Tensor, t: Tensor) -> Tensor:
        number = len(kept) // each if each else 0
        own = Recall(state.own[number * each : (number + 1) * each], span)
        made = model.denoiser(
            x.unflatten(0, (-1, samples)),
            t.unflatten(0, (-1, samples)),
            known,
            manner,
            recall=own,
            first=state.token,
        )
        kept.extend(own.kept)
        flat: Tensor = made.flatten(0, 1)
        return flat

    start = model.start(seeds, samples, state.token, 1)
    clean = model.sampled(denoise, start.flatten(0, 1)).unflatten(0, (-1, samples))
    if after is not None:
        before = after
    new = replace(
        state,
        token=state.token + 1,
        pose=before.pose,
        total=before.total,
        frames=before.frames,
        perceived=tuple(perceived.kept),
        heard=tuple(heard.kept),
        own=tuple(kept),
    )
    return new, model.channels(clean, speaker.frames)


class MReactorSession(WindowSession[OnlineState]):
    """Conversations with the online model: hop and latency are a patch."""

    model: MReactor

    def start(self, seed: int, persona: Persona | None) -> OnlineState:
        return begin(self.model, 1, self.num_samples)

    def step(self, speakers: Mapping[Lane, Behaviour]) -> Mapping[Lane, Behaviour]:
        """As every session's; words that come with the frames are kept and told."""
        if isinstance(speakers, Mapping):
            told = {lane: self._told(lane, x) for lane, x in speakers.items()}
            done = super().step({lane: x for lane, (x, _) in told.items()})
            for lane, (_, said) in told.items():
                conversation = self._lanes[lane]
                conversation.state = replace(conversation.state, said=said)
            return done
        return super().step(speakers)

    def _told(self, lane: Lane, frames: Behaviour) -> tuple[Behaviour, Tensor]:
        """Frames with the channels of what was said in this conversation; and what is kept of it.

        What does not fit is left as it is: the step will say what is wrong.
        """
        conversation = self._at(lane)
        said = conversation.state.said
        if not isinstance(frames, Behaviour) or frames.lead:
            return frames, said
        lacking = [n for n in self.model.spoken if n not in frames.layout]
        known = _words(said)
        if not lacking or not (known or frames.words):
            return frames, said
        pending = 0 if conversation.pending is None else conversation.pending.frames
        begin_s = (conversation.answered + pending) / frames.fps
        new = [w.moved(begin_s) for w in frames.words if isinstance(w, Word)]
        known = _joined(known, new)
        lately = tuple(w.moved(-begin_s) for w in known)
        made = self.model.with_words(replace(frames, words=lately))
        return replace(made, words=()), _bytes(_lately(known)).to(said.device)

    def advance(
        self, conversations: Sequence[Conversation[OnlineState]], speaker: Behaviour, *, last: bool
    ) -> tuple[list[OnlineState], list[dict[str, Tensor]]]:
        seeds = torch.tensor([c.seed for c in conversations], device=speaker.device)
        states = [c.state for c in conversations]
        state, made = advance(self.model, speaker, _together(states), seeds, self.num_samples)
        rows = range(len(states))
        parts = [{n: x[i] for n, x in made.items()} for i in rows]
        return [_apart(state, i, len(states), states[i].said) for i in rows], parts

    def state_tensors(self, state: OnlineState) -> dict[str, Tensor]:
        flat: dict[str, Tensor] = {}
        for name, value in vars(state).items():
            if isinstance(value, tuple):
                flat |= {f"{name}/{i:04}": x for i, x in enumerate(value)}
            else:
                flat[name] = value
        return flat

    def state_from(self, tensors: Mapping[str, Tensor]) -> OnlineState:
        def many(prefix: str) -> tuple[Tensor, ...]:
            return tuple(tensors[n] for n in sorted(tensors) if n.startswith(f"{prefix}/"))

        single = {n: x for n, x in tensors.items() if "/" not in n}
        return OnlineState(
            **single, perceived=many("perceived"), heard=many("heard"), own=many("own")
        )


def _together(states: Sequence[OnlineState]) -> OnlineState:
    """Conversations as one batch."""
    parts: dict[str, Tensor | tuple[Tensor, ...]] = {}
    for name, value in vars(states[0]).items():
        if name == "said":
            parts[name] = value[:0]
        elif isinstance(value, tuple):
            same = zip(*(getattr(s, name) for s in states), strict=True)
            parts[name] = tuple(torch.cat(list(x)) for x in same)
        else:
            parts[name] = torch.cat([getattr(s, name) for s in states])
    return OnlineState(**parts)  # type: ignore[arg-type]


def _apart(state: OnlineState, index: int, count: int, said: Tensor) -> OnlineState:
    """One conversation of several, in memory of its own."""

    def own(x: Tensor) -> Tensor:
        rows = len(x) // count
        return x[index * rows : (index + 1) * rows].clone()

    parts: dict[str, Tensor | tuple[Tensor, ...]] = {"said": said}
    for name, value in vars(state).items():
        if name != "said":
            parts[name] = tuple(own(x) for x in value) if isinstance(value, tuple) else own(value)
    return OnlineState(**parts)  # type: ignore[arg-type]


# ---------------------------------------------------------------------- words


def _joined(known: Sequence[Word], new: Sequence[Word]) -> list[Word]:
    """Words of a conversation, each once: one that crosses two pieces comes with both."""
    found = list(known)
    for word in new:
        same = any(
            word.text == w.text
            and abs(word.start_s - w.start_s) < 1e-4
            and abs(word.end_s - w.end_s) < 1e-4
            for w in found
        )
        if not same:
            found.append(word)
    return sorted(found, key=lambda w: (w.start_s, w.end_s))


def _lately(words: Sequence[Word]) -> list[Word]:
    """The words of the last utterances, whole."""
    starts = [0, *(i + 1 for i, said in enumerate(utterances(words)) if said.ends)]
    whole = starts[:-1]  # where each utterance begins
    return list(words[whole[max(0, len(whole) - _KEPT)] :]) if whole else []


def _bytes(words: Sequence[Word]) -> Tensor:
    text = json.dumps([[w.text, w.start_s, w.end_s] for w in words])
    return torch.from_numpy(np.frombuffer(text.encode(), np.uint8).copy())


def _words(said: Tensor) -> list[Word]:
    if not len(said):
        return []
    return [Word(*item) for item in json.loads(bytes(said.cpu().numpy()))]
