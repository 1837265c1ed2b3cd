"""Conversations with FaceAIS: any number of frames a step, each answered as it comes.

A patch of reactions is predicted from what lies before it, so it is there when its first frame
comes; its last frame is the speaker's cue to be worked into the next one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from visavis.behaviour import Behaviour
from visavis.dyad import Persona
from visavis.models import _faceais_state as states
from visavis.models._session import Conversation, WindowSession

if TYPE_CHECKING:
    from visavis.models.faceais import FaceAIS


@dataclass
class Talk:
    """What one conversation remembers."""

    state: states.State
    number: int
    """Of the present patch."""
    phase: int
    """Frames of it that have passed."""
    codes: Tensor
    """Own codes of the present patch [K, n]; before the first frame, of nothing."""
    reaction: Tensor
    """The present patch decoded, [K, n, 83]."""
    face: Tensor
    """The speaker's frames of it so far, standardised, [n, 58]."""
    known: Tensor
    """bool [n]"""
    voice: Tensor
    """[n * rate, A]"""


class FaceAISSession(WindowSession[Talk]):
    """hop 1, latency 0."""

    stretches = True
    model: FaceAIS

    def __init__(self, model: FaceAIS, *, num_samples: int) -> None:
        super().__init__(model, hop=1, num_samples=num_samples)

    def start(self, seed: int, persona: Persona | None) -> Talk:
        model, size = self.model, self.model.config.patch
        like = model.predictor.head.weight
        sizes = model.predictor.sizes
        return Talk(
            states.begin(model.predictor, 1, self.num_samples),
            0,
            0,
            model.nothing_before(self.num_samples),
            like.new_zeros(self.num_samples, size, 83),
            like.new_zeros(size, 58),
            torch.zeros(size, dtype=torch.bool, device=like.device),
            like.new_zeros(size * sizes.rate, sizes.speech),
        )

    def advance(
        self, conversations: Sequence[Conversation[Talk]], speaker: Behaviour, *, last: bool
    ) -> tuple[list[Talk], list[dict[str, Tensor]]]:
        model = self.model
        size, rate = model.config.patch, model.predictor.sizes.rate
        faces, known = model.face_of(speaker)
        voices = model.voice_of(speaker)
        talks, done = [c.state for c in conversations], 0
        parts: list[list[Tensor]] = [[] for _ in talks]
        while done < speaker.frames:
            due = [i for i, t in enumerate(talks) if t.phase == 0]
            self._next_patch([talks[i] for i in due], [conversations[i].seed for i in due])
            step = min(speaker.frames - done, *(size - t.phase for t in talks))
            for i, talk in enumerate(talks):
                here = slice(talk.phase, talk.phase + step)
                talk.face[here] = faces[i, done : done + step]
                talk.known[here] = known[i, done : done + step]
                ticks = slice(talk.phase * rate, (talk.phase + step) * rate)
                talk.voice[ticks] = voices[i, done * rate : (done + step) * rate]
                parts[i].append(talk.reaction[:, here])
                talk.phase = (talk.phase + step) % size
            done += step
        return talks, [_channels(torch.cat(p, 1)) for p in parts]

    def _next_patch(self, talks: Sequence[Talk], seeds: Sequence[int]) -> None:
        """Begin the next patch of conversations at their patches' borders; those whose windows are
        alike go together."""
        slots = self.model.predictor.sizes.slots
        groups: dict[tuple[int, int], list[int]] = {}
        for i, talk in enumerate(talks):
            groups.setdefault(states.place(talk.state, slots), []).append(i)
        for group in groups.values():
            self._together([talks[i] for i in group], [seeds[i] for i in group])

    def _together(self, talks: Sequence[Talk], seeds: Sequence[int]) -> None:
        model, samples = self.model, self.num_samples
        predictor = model.predictor
        state = states.join([t.state for t in talks])
        like = torch.stack([t.face for t in talks])
        if int(state.heard[0]):
            known = torch.stack([t.known for t in talks])
            face = predictor.face(model.codes_of(like, known))
            speech = predictor.embed_speech(torch.stack([t.voice for t in talks]))
        else:
            face, speech = predictor.before(like, like)
        features = states.hear(predictor, state, face, speech)
        numbers = state.heard - 1
        codes = model.next_codes(
            state,
            torch.cat([t.codes for t in talks]),
            features,
            torch.tensor(seeds, device=like.device),
            samples,
            numbers,
        ).unflatten(0, (len(talks), samples))
        made = model.decode(model.tokenizer.quantise.decode(codes), codes.shape[-1])
        reaction = torch.cat([made["attributes"], made["coefficients"]], -1)
        apart = states.part(state, len(talks))
        for i, talk in enumerate(talks):
            talk.state, talk.codes, talk.reaction = apart[i], codes[i], reaction[i]
            talk.number = int(numbers[i])

    def state_tensors(self, state: Talk) -> dict[str, Tensor]:
        flat = {
            "number": torch.tensor(state.number),
            "phase": torch.tensor(state.phase),
            "codes": state.codes,
            "reaction": state.reaction,
            "face": state.face,
            "known": state.known,
            "voice": state.voice,
        }
        return flat | {f"inner/{n}": x for n, x in state.state.tensors().items()}

    def state_from(self, tensors: Mapping[str, Tensor]) -> Talk:
        inner = {n.removeprefix("inner/"): x for n, x in tensors.items() if n.startswith("inner/")}
        return Talk(
            states.State.of(inner, self.model.predictor),
            int(tensors["number"]),
            int(tensors["phase"]),
            tensors["codes"],
            tensors["reaction"],
            tensors["face"],
            tensors["known"],
            tensors["voice"],
        )


def _channels(packed: Tensor) -> dict[str, Tensor]:
    """[K, t, 25 + 58] by channel."""
    from visavis.models.faceais import as_channels

    attributes, coefficients = packed.split([25, 58], dim=-1)
    return as_channels({"attributes": attributes, "coefficients": coefficients})
