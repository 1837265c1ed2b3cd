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
from visavis.models._mreactor_denoiser import Manner
from visavis.models._mreactor_regions import Before
from visavis.models._mreactor_stream import Rings, TokenDenoiser
from visavis.models._mreactor_subjects import chances_of
from visavis.models._session import Conversation, WindowSession
from visavis.nn.cache import Recall
from visavis.nn.schedules import trailing_steps

if TYPE_CHECKING:
    from visavis.models.mreactor import MReactor

_KEPT = 3
"""Utterances whose words are kept: the present one, and what may still be heard of others."""


@dataclass(frozen=True)
class OnlineState:
    """What a conversation of K samples remembers between tokens."""

    token: Tensor
    """int64 [1]: number of the next token."""
    pose: Tensor
    """[1, 25, 6]"""
    total: Tensor
    """float64 [1, 58]"""
    frames: Tensor
    """float64 [1]"""
    perceived: Tensor
    """Keys and values of the perception, [2 attentions, M, heads, span, c], the latest last."""
    heard_keys: Tensor
    """Of the speaker, [layers, 1, heads, span, c], a ring: token n lies in slot n % span ..."""
    heard_values: Tensor
    """... [layers, K, heads, span, c]."""
    own: Tensor
    """Of the own past, [steps, layers, 2, K, heads, span, c], a ring."""
    variation: Tensor
    """v, [1, K, variation]; no numbers where the model has none."""
    made: Tensor
    """The reactions' last frames as they were drawn, as far as steadying reads, [1, K, n, 83]."""
    chances: Tensor
    """What orders each utterance's subjects, [1, slots]."""
    said: Tensor
    """uint8: the words of the last utterances as JSON."""


def begin(model: MReactor, seed: int, samples: int) -> OnlineState:
    """Before the first frame."""
    from visavis.models.mreactor import Controls

    config, denoiser = model.config, model.denoiser
    like, span = model.listener_scale.mean, config.span or 1
    before = Before.none(1, like)
    seeds = torch.tensor([seed], device=like.device)

    def ring(*lead: int) -> Tensor:
        return like.new_zeros(*lead, config.heads, span, config.width // config.heads)

    perceiving = config.perception_heads, span, config.perception_width // config.perception_heads
    variation = model.manner(seeds, samples, Controls()).variation
    return OnlineState(
        token=torch.zeros(1, dtype=torch.int64, device=like.device),
        pose=before.pose,
        total=before.total,
        frames=before.frames,
        perceived=like.new_zeros(
            2 * model.perception.attentions, len(config.modalities), *perceiving
        ),
        heard_keys=ring(denoiser.heard_attentions, 1),
        heard_values=ring(denoiser.heard_attentions, samples),
        own=ring(config.sampling_steps, denoiser.own_attentions, 2, samples),
        variation=like.new_zeros(1, samples, 0) if variation is None else variation,
        made=model.nothing_made(like.new_zeros(1, samples)),
        chances=chances_of(seeds),
        said=torch.zeros(0, dtype=torch.uint8, device=like.device),
    )


_LANES = {"perceived": 1, "heard_keys": 1, "heard_values": 1, "own": 3}
"""Axis of a state's tensors along which conversations lie side by side; 0 for those not named."""


def hidden_of(token: Tensor, span: int, like: Tensor) -> Tensor:
    """What of the perception's memory is not there yet, [B, 1, 1, span + 1]."""
    empty = torch.arange(span + 1, device=like.device) < span - token[:, None]
    hidden = like.new_zeros(len(token), 1, 1, span + 1)
    return hidden.masked_fill(empty[:, None, None], float("-inf"))


def advance(
    model: MReactor,
    speaker: Behaviour,
    states: Sequence[OnlineState],
    seeds: Tensor,
    samples: int,
) -> tuple[list[OnlineState], dict[str, Tensor]]:
    """The next token of B conversations: speaker [B, t] of at most a patch, channels [B, K, t].

    Rings are written in place, where tokens are out of reach: doing it twice is the same.
    """
    from visavis.models.mreactor import Controls

    config, span = model.config, model.config.span
    assert span is not None
    at = _together(states)
    perceived = Recall(at.perceived.unbind(0), span)
    before = Before(at.pose, at.total, at.frames)
    hidden = hidden_of(at.token, span, at.pose)
    understood, after = model.told(speaker, before, perceived, hidden)
    elements, chosen = model.subject_sets(understood.slots, at.chances, samples)
    smoothness = model.manner(seeds, samples, Controls(without=("variation",))).smoothness
    variation = at.variation if at.variation.shape[-1] else None
    denoise = TokenDenoiser(
        model.denoiser,
        Rings(at.heard_keys, at.heard_values, at.own),
        at.token,
        understood.tokens,
        elements,
        chosen,
        Manner(variation, smoothness),
        trailing_steps(config.steps, config.sampling_steps),
        samples,
    )
    start = model.start(seeds, samples, at.token, 1)
    clean = model.sampled(denoise, start.flatten(0, 1)).unflatten(0, (-1, samples))
    raw = model.frames(clean, speaker.frames)
    steady = model.steadied_behind(raw, at.made, at.token * config.patch)
    before = before if after is None else after
    made = torch.cat([at.made, raw], -2)
    now = replace(
        at,
        token=at.token + 1,
        pose=before.pose,
        total=before.total,
        frames=before.frames,
        perceived=torch.stack(perceived.kept),
        made=made[..., made.shape[-2] - at.made.shape[-2] :, :],
    )
    new = {"heard_keys": denoise.heard_keys, "heard_values": denoise.heard_values}
    new["own"] = denoise.own
    kept = []
    for i, state in enumerate(states):
        slot = int(state.token) % span
        for name, x in new.items():
            getattr(state, name)[..., slot, :] = _lane(name, x, i, len(states))[..., 0, :]
        kept.append(_apart(now, state, i, len(states)))
    return kept, model.channels(steady)


class MReactorSession(WindowSession[OnlineState]):
    """Conversations with the online model: hop and latency are a patch."""

    model: MReactor

    def start(self, seed: int, persona: Persona | None) -> OnlineState:
        return begin(self.model, seed, self.num_samples)

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
        before = [c.state for c in conversations]
        states, made = advance(self.model, speaker, before, seeds, self.num_samples)
        return states, [{n: x[i] for n, x in made.items()} for i in range(len(states))]

    def state_tensors(self, state: OnlineState) -> dict[str, Tensor]:
        return dict(vars(state))

    def state_from(self, tensors: Mapping[str, Tensor]) -> OnlineState:
        return OnlineState(**tensors)


def _together(states: Sequence[OnlineState]) -> OnlineState:
    """Conversations as one batch; one alone as it is."""
    if len(states) == 1:
        return states[0]
    parts = {
        name: torch.cat([getattr(s, name) for s in states], _LANES.get(name, 0))
        for name in vars(states[0])
        if name != "said"
    }
    return OnlineState(**parts, said=states[0].said[:0])


def _lane(name: str, x: Tensor, index: int, count: int) -> Tensor:
    """One conversation's part of a tensor of several."""
    axis = _LANES.get(name, 0)
    rows = x.shape[axis] // count
    return x.narrow(axis, index * rows, rows)


_MOVED = ("token", "pose", "total", "frames", "perceived", "made")


def _apart(now: OnlineState, state: OnlineState, index: int, count: int) -> OnlineState:
    """A conversation after a batch's token; what it keeps is in memory of its own."""
    if count == 1:
        return replace(state, **{name: getattr(now, name) for name in _MOVED})
    return replace(
        state, **{name: _lane(name, getattr(now, name), index, count).clone() for name in _MOVED}
    )


# ---------------------------------------------------------------------- words


def _joined(known: Sequence[Word], new: Sequence[Word]) -> list[Word]:
    """Words of a conversation, each once: one that crosses two pieces comes with both."""
    found = list(known)
    for word in new:
        same = any(  # of another piece: a recogniser may write one word twice
            word.text == w.text
            and abs(word.start_s - w.start_s) < 1e-4
            and abs(word.end_s - w.end_s) < 1e-4
            for w in known
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
