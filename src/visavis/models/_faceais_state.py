"""What a conversation remembers between patches, and how a patch moves it on.

The same steps make clips and conversations. The causal form keeps keys and values; the published
form keeps its window's frames and works everything out again, since everything in it changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields

import torch
from torch import Tensor

from visavis.models._faceais_blocks import PatchRing
from visavis.models._faceais_predictor import OwnRings, Predictor, SpeakerRings


@dataclass
class State:
    """Of B conversations of K samples that stand at the same place in their windows."""

    heard: Tensor
    """int64 [B]: patches taken from the speaker, with the one before the first."""
    replied: Tensor
    """int64 [B]: patches predicted."""
    rings: dict[str, PatchRing] = field(default_factory=dict)
    """The causal form's, by stack and block."""
    window: dict[str, Tensor] = field(default_factory=dict)
    """The published form's frames: face [B, T, C], speech [B, T, d], own int64 [B * K, T]."""

    def tensors(self) -> dict[str, Tensor]:
        flat = {"heard": self.heard, "replied": self.replied}
        for name, ring in self.rings.items():
            flat |= {f"rings/{name}/keys": ring.keys, f"rings/{name}/values": ring.values}
        return flat | {f"window/{n}": x for n, x in self.window.items()}

    @classmethod
    def of(cls, tensors: dict[str, Tensor], predictor: Predictor) -> State:
        """The inverse of `tensors`."""
        patch = predictor.sizes.patch
        heard, replied = tensors["heard"], tensors["replied"]
        rings = {}
        for name in (n for n in tensors if n.startswith("rings/") and n.endswith("/keys")):
            stem = name.removesuffix("/keys")
            count = replied if stem.startswith("rings/own") else heard
            written = int(count[0]) * patch
            rings[stem.removeprefix("rings/")] = PatchRing(
                tensors[name], tensors[f"{stem}/values"], written
            )
        window = {n.removeprefix("window/"): x for n, x in tensors.items() if n[:7] == "window/"}
        return cls(heard, replied, rings, window)


def begin(predictor: Predictor, clips: int, samples: int) -> State:
    """Before the first patch."""
    sizes, like = predictor.sizes, predictor.head.weight
    none = torch.zeros(clips, dtype=torch.int64, device=like.device)
    state = State(none, none.clone())
    if not sizes.causal:
        return state
    rows = {"sound": clips, "face": clips, "cross": clips, "told": clips, "speaker": clips}
    rows |= {"answer": clips, "own": clips * samples, "own_cross": clips * samples}
    for name, count in rows.items():
        for i in range(sizes.layers):
            state.rings[f"{name}/{i}"] = PatchRing.empty(
                like, count, sizes.heads, sizes.window, sizes.width // sizes.heads
            )
    return state


def hear(predictor: Predictor, state: State, face: Tensor, speech: Tensor) -> Tensor:
    """Take a patch of the speaker, [B, n, C] and [B, n, d_speech].

    Returns:
        The features that the next patch is predicted from: of the new frames [B, n, C] in the
        causal form, of the window's [B, up to S, C] in the published one.
    """
    sizes = predictor.sizes
    if sizes.causal:
        turn = predictor.turn(_positions(state.heard, sizes.patch))
        names = [f.name for f in fields(SpeakerRings)]
        rings = SpeakerRings(*(_of(state, n, sizes.layers) for n in names))
        features = predictor.listen(face, speech, turn=turn, rings=rings)
    else:
        for name, new in (("face", face), ("speech", speech)):
            state.window[name] = _joined(state.window.get(name), new, sizes.window)
        features = predictor.listen(state.window["face"], state.window["speech"])
    state.heard = state.heard + 1
    return features


def reply(predictor: Predictor, state: State, codes: Tensor, features: Tensor) -> Tensor:
    """Take the own patch of codes int64 [B * K, n] and what was heard up to its end (`hear`).

    Returns:
        Logits of the next patch's codes, [B * K, n, codes].
    """
    sizes = predictor.sizes
    if not sizes.causal:
        state.window["own"] = _joined(state.window.get("own"), codes, sizes.window)
        told = predictor.tell(features)
        state.replied = state.replied + 1
        return predictor.answer(state.window["own"], told, last=sizes.patch)
    clock = _positions(state.replied, sizes.patch)
    turn = predictor.turn(clock)
    answers = _of(state, "answer", sizes.layers)
    told = [
        ring.put(*new) if ring is not None else new
        for ring, new in zip(answers, predictor.tell(features, turn), strict=True)
    ]
    samples = len(codes) // len(clock)
    own_turn = turn if len(clock) == 1 else predictor.turn(clock.repeat_interleave(samples, 0))
    rings = OwnRings(_of(state, "own", sizes.layers), _of(state, "own_cross", sizes.layers))
    state.replied = state.replied + 1
    return predictor.answer(codes, told, turn=own_turn, rings=rings)


def join(states: Sequence[State]) -> State:
    """Conversations that stand at the same place (`place`), as one batch."""
    if len(states) == 1:
        return states[0]
    first = states[0]
    rings = {
        n: PatchRing(
            torch.cat([s.rings[n].keys for s in states]),
            torch.cat([s.rings[n].values for s in states]),
            ring.written,
        )
        for n, ring in first.rings.items()
    }
    return State(
        torch.cat([s.heard for s in states]),
        torch.cat([s.replied for s in states]),
        rings,
        {n: torch.cat([s.window[n] for s in states]) for n in first.window},
    )


def part(state: State, clips: int) -> list[State]:
    """The inverse of `join`."""
    if clips == 1:
        return [state]
    tensors = state.tensors()
    found = []
    for i in range(clips):
        own = {n: x[_rows(i, len(x), clips)] for n, x in tensors.items()}
        rings = {
            n: PatchRing(own[f"rings/{n}/keys"], own[f"rings/{n}/values"], ring.written)
            for n, ring in state.rings.items()
        }
        window = {n: own[f"window/{n}"] for n in state.window}
        found.append(State(own["heard"], own["replied"], rings, window))
    return found


def place(state: State, slots: int) -> tuple[int, int]:
    """Conversations that agree in this can be one batch: how full the window is, and which slot
    comes next."""
    heard = int(state.heard[0])
    return min(heard, slots), heard % slots


def _of(state: State, name: str, layers: int) -> list[PatchRing | None]:
    return [state.rings[f"{name}/{i}"] for i in range(layers)]


def _rows(i: int, total: int, clips: int) -> slice:
    each = total // clips
    return slice(i * each, (i + 1) * each)


def _joined(before: Tensor | None, new: Tensor, most: int) -> Tensor:
    return new if before is None else torch.cat([before, new], 1)[:, -most:]


def _positions(patches: Tensor, size: int) -> Tensor:
    """Frames of each row's next patch, int64 [B, n], or [1, n] where all rows stand alike."""
    if bool((patches == patches[0]).all()):
        patches = patches[:1]
    return patches[:, None] * size + torch.arange(size, device=patches.device)
