"""Conversations with FaceAIS: any number of frames a step, each answered as it comes.

A patch of reactions is predicted from what lies before it, so it is there when its first frame
comes; its last frame is the speaker's cue to be worked into the next one.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from visavis.behaviour import Behaviour
from visavis.dyad import Persona
from visavis.models import _faceais_state as states
from visavis.models._session import Conversation, WindowSession, under
from visavis.models._steady import trailing

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
    """The present patch decoded and steadied, [K, n, 83]."""
    behind: Tensor
    """The frames before the next patch as far as steadying reads them, as they were drawn,
    [K, steady - 1, 83]."""
    heard: dict[str, Tensor]
    """The speaker's frames of it so far, by name, [n, ...]."""
    memory: dict[str, Tensor] = field(default_factory=dict)
    """What a wrapper remembers besides."""


class PatchSession(WindowSession[Talk]):
    """Frame by frame over patches: hop 1, latency 0.

    A subclass says what it keeps of the speaker's frames (`frames_of`, and `nothing_heard`) and
    how the next patch comes of a whole one (`next_patch`); `base` is the model in patches.
    """

    stretches = True

    def __init__(self, model: Any, base: FaceAIS, *, num_samples: int) -> None:
        super().__init__(model, hop=1, num_samples=num_samples)
        self.base = base

    # ------------------------------------------------------------------ to give

    @abstractmethod
    def frames_of(self, talks: Sequence[Talk], speaker: Behaviour) -> dict[str, Tensor]:
        """What is kept of a speaker's new frames [B, T], by name [B, T, ...]."""

    @abstractmethod
    def nothing_heard(self) -> dict[str, Tensor]:
        """Room for a patch of that, [n, ...]."""

    @abstractmethod
    def next_patch(
        self, talks: Sequence[Talk], state: states.State, seeds: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The next codes [B, K, n] and reactions [B, K, n, 83] of conversations that stand at the
        same place; their joint `state` moves on. Nothing was heard yet where its `heard` is 0."""

    # ------------------------------------------------------------------ given

    def start(self, seed: int, persona: Persona | None) -> Talk:
        return self.opened(1)

    def opened(self, rows: int) -> Talk:
        """Before the first frame, of `rows` speakers that share the samples."""
        base, size = self.base, self.base.config.patch
        like = base.predictor.head.weight
        return Talk(
            base.beginning(rows, self.num_samples // rows),
            0,
            0,
            base.nothing_before(self.num_samples),
            like.new_zeros(self.num_samples, size, 83),
            like.new_zeros(self.num_samples, base.config.steady - 1, 83),
            self.nothing_heard(),
        )

    def advance(
        self, conversations: Sequence[Conversation[Talk]], speaker: Behaviour, *, last: bool
    ) -> tuple[list[Talk], list[dict[str, Tensor]]]:
        size = self.base.config.patch
        talks, done = [c.state for c in conversations], 0
        frames = self.frames_of(talks, speaker)
        parts: list[list[Tensor]] = [[] for _ in talks]
        while done < speaker.frames:
            due = [i for i, t in enumerate(talks) if t.phase == 0]
            self._next_patches([talks[i] for i in due], [conversations[i].seed for i in due])
            step = min(speaker.frames - done, *(size - t.phase for t in talks))
            for i, talk in enumerate(talks):
                here = slice(talk.phase, talk.phase + step)
                for name, x in frames.items():
                    talk.heard[name][here] = x[i, done : done + step]
                parts[i].append(talk.reaction[:, here])
                talk.phase = (talk.phase + step) % size
            done += step
        return talks, [_channels(torch.cat(p, 1)) for p in parts]

    def _next_patches(self, talks: Sequence[Talk], seeds: Sequence[int]) -> None:
        """Begin the next patch of conversations at their patches' borders; those whose windows are
        alike go together."""
        slots = self.base.predictor.sizes.slots
        groups: dict[tuple[int, int], list[int]] = {}
        for i, talk in enumerate(talks):
            groups.setdefault(states.place(talk.state, slots), []).append(i)
        for group in groups.values():
            self._together([talks[i] for i in group], [seeds[i] for i in group])

    def _together(self, talks: Sequence[Talk], seeds: Sequence[int]) -> None:
        state = states.join([t.state for t in talks])
        numbers = state.heard.view(len(talks), -1)[:, 0].tolist()
        drawn = torch.tensor(seeds, device=state.heard.device)
        codes, reactions = self.next_patch(talks, state, drawn)
        apart = states.part(state, len(talks))
        behind = torch.stack([t.behind for t in talks])
        first = torch.tensor(numbers, device=behind.device) * self.base.config.patch
        steady = trailing(reactions, behind.shape[2] + 1, behind, first)
        behind = torch.cat([behind, reactions], 2)[:, :, reactions.shape[2] :]
        for i, talk in enumerate(talks):
            talk.state, talk.codes, talk.number = apart[i], codes[i], numbers[i]
            talk.reaction, talk.behind = steady[i], behind[i]

    def state_tensors(self, state: Talk) -> dict[str, Tensor]:
        flat = {
            "number": torch.tensor(state.number),
            "phase": torch.tensor(state.phase),
            "codes": state.codes,
            "reaction": state.reaction,
            "behind": state.behind,
        }
        for prefix, tensors in (
            ("heard/", state.heard),
            ("memory/", state.memory),
            ("inner/", state.state.tensors()),
        ):
            flat |= {prefix + n: x for n, x in tensors.items()}
        return flat

    def state_from(self, tensors: Mapping[str, Tensor]) -> Talk:
        return Talk(
            states.State.of(under(tensors, "inner/"), self.base.predictor),
            int(tensors["number"]),
            int(tensors["phase"]),
            tensors["codes"],
            tensors["reaction"],
            tensors["behind"],
            under(tensors, "heard/"),
            under(tensors, "memory/"),
        )


class FaceAISSession(PatchSession):
    """Conversations with the model itself."""

    model: FaceAIS

    def __init__(self, model: FaceAIS, *, num_samples: int) -> None:
        super().__init__(model, model, num_samples=num_samples)

    def frames_of(self, talks: Sequence[Talk], speaker: Behaviour) -> dict[str, Tensor]:
        return of_speaker(self.model, speaker)

    def nothing_heard(self) -> dict[str, Tensor]:
        return no_speaker(self.model)

    def next_patch(
        self, talks: Sequence[Talk], state: states.State, seeds: Tensor
    ) -> tuple[Tensor, Tensor]:
        model, predictor = self.model, self.model.predictor
        heard = {n: torch.stack([t.heard[n] for t in talks]) for n in talks[0].heard}
        if int(state.heard[0]):
            face = predictor.face(model.codes_of(heard["face"], heard["known"]))
            speech = predictor.embed_speech(ticks_of(model, heard["voice"]))
        else:
            face, speech = predictor.before(heard["face"], heard["face"])
        features = states.hear(predictor, state, face, speech)
        own = torch.cat([t.codes for t in talks])
        codes = model.next_codes(state, own, features, seeds, self.num_samples, state.heard - 1)
        codes = codes.unflatten(0, (len(talks), -1))
        return codes, packed(model, model.tokenizer.quantise.decode(codes))


def of_speaker(model: FaceAIS, speaker: Behaviour) -> dict[str, Tensor]:
    """Standardised face [B, T, 58], whether it is "known" bool [B, T], and the voice's ticks side
    by side [B, T, rate * A]."""
    face, known = model.face_of(speaker)
    voice = model.voice_of(speaker).unflatten(1, (speaker.frames, -1)).flatten(2)
    return {"face": face, "known": known, "voice": voice}


def no_speaker(model: FaceAIS) -> dict[str, Tensor]:
    """Room for a patch of that."""
    like, sizes = model.predictor.head.weight, model.predictor.sizes
    return {
        "face": like.new_zeros(sizes.patch, 58),
        "known": torch.zeros(sizes.patch, dtype=torch.bool, device=like.device),
        "voice": like.new_zeros(sizes.patch, sizes.rate * sizes.speech),
    }


def ticks_of(model: FaceAIS, voice: Tensor) -> Tensor:
    """[B, n, rate * A] to [B, n * rate, A]."""
    ticks: Tensor = voice.unflatten(-1, (model.predictor.sizes.rate, -1)).flatten(1, 2)
    return ticks


def packed(model: FaceAIS, latent: Tensor) -> Tensor:
    """Codes' vectors of a patch [B, K, n, C] to attributes and coefficients [B, K, n, 83]."""
    made = model.decode(latent, latent.shape[2])
    return torch.cat([made["attributes"], made["coefficients"]], -1)


def _channels(both: Tensor) -> dict[str, Tensor]:
    """[K, t, 25 + 58] by channel."""
    from visavis.models.faceais import as_channels

    attributes, coefficients = both.split([25, 58], dim=-1)
    return as_channels({"attributes": attributes, "coefficients": coefficients})
