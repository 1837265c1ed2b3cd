"""What EMC remembers of a conversation beside its base, and lost features made up as it goes on."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from visavis.models._emc_fade import Fading, faded, sources
from visavis.models._emc_layers import NEVER, Compensation, Held, Recalled
from visavis.models._emc_read import Told
from visavis.models._emc_spread import deviation, unseen

if TYPE_CHECKING:
    from visavis.models.emc import EMC

Memory = dict[str, Tensor]
"""By name, [R, ...]; "count" int64 [R] is of the frames seen, "head" [1, ...] of the voice."""

PARTS = ("face", "speech")


def samples_apart(model: EMC, num_samples: int) -> int:
    """Rows of the speaker a conversation: one a sample, where each may be told something else."""
    config = model.config
    return 1 if config.z_shared or config.z == "mean" else num_samples


def begun(model: EMC, rows: int) -> Memory:
    """Before the first frame."""
    assert model.cma_face is not None
    assert model.cma_speech is not None
    memory: Memory = {
        "count": torch.zeros(rows, dtype=torch.int64, device=model.mark.device),
        "head": model.head.start(1),
        "face": model.cma_face.empty(1).detach().clone(),
        "speech": model.cma_speech.empty(1).detach().clone(),
    }
    memory |= {f"{name}/since": model.mark.new_full((1, 1), NEVER).float() for name in PARTS}
    if model.config.recall:
        for name, cma in (("face", model.cma_face), ("speech", model.cma_speech)):
            nothing = cma.nothing_seen(1)
            memory |= {f"{name}/last": nothing.features, f"{name}/age": nothing.age}
    if model.fades:
        for name in (*PARTS, "felt"):
            fading = Fading.begun(rows, _like(model, name))
            memory |= {f"{name}/fading/{n}": x for n, x in vars(fading).items()}
    return memory


def _like(model: EMC, name: str) -> Tensor:
    """Something that has as many numbers a frame."""
    if name == "felt":
        return model.mark.new_zeros(model.width).float()
    assert model.cma_face is not None
    assert model.cma_speech is not None
    return (model.cma_face if name == "face" else model.cma_speech).scale.mean


def joined(memories: list[Memory]) -> Memory:
    """Of several conversations, as one batch."""
    return {n: torch.cat([m[n] for m in memories]) for n in memories[0]}


def parted(memory: Memory, count: int) -> list[Memory]:
    """The inverse of `joined`."""
    each = {n: x.chunk(count) for n, x in memory.items()}
    return [{n: x[i] for n, x in each.items()} for i in range(count)]


def compensated(
    model: EMC, told: Told, memory: Memory, seeds: Tensor, samples: Tensor
) -> tuple[Tensor, Tensor]:
    """`EMC.compensated` for frames that go on: features [R, t, C] of B conversations of R / B rows,
    seeds and numbers of samples int64 [R]. `memory` moves on, but for "count"."""
    assert model.cma_face is not None
    assert model.cma_speech is not None
    clips, frames = told.face_there.shape
    each = len(seeds) // clips
    clock = memory["count"][:, None] + torch.arange(frames, device=seeds.device)
    face = model.scaled(model.cma_face, told.face)
    speech = model.scaled(model.cma_speech, told.speech)
    made = []
    kinds = (
        (model.cma_face, speech, told.face, told.face_there, told.speech_there, "face"),
        (model.cma_speech, face, told.speech, told.speech_there, told.face_there, "speech"),
    )
    for (cma, other, mine, there, others, name), own in zip(kinds, (face, speech), strict=True):
        recalled = _recalled(cma, own, there, memory, name)
        condition, memory[name] = cma.condition(other, others, memory[name])
        if mine is not None and bool(there.all()):
            made.append(mine.repeat_interleave(each, 0))
            continue
        z = model.z_of(cma, seeds, samples, f"emc/{name}", clock)
        mine = None if mine is None else mine.repeat_interleave(each, 0)
        there, others, condition = (
            x.repeat_interleave(each, 0) for x in (there, others, condition)
        )
        recalled = None if recalled is None else recalled.repeat(each)
        made.append(model.made_up(cma, mine, there, others, condition, z, recalled))
    own_face, own_voice = told.face_there, told.speech_there
    face = _eased(model, made[0], sources(own_face, own_voice), memory, "face")
    speech = _eased(model, made[1], sources(own_voice, own_face), memory, "speech")
    return face, speech


def felt(model: EMC, told: Told, memory: Memory, each: int) -> Tensor | None:
    """`EMC.felt` for frames that go on, of `each` rows a conversation; `memory` moves on."""
    emotion = model.felt(told)
    if emotion is None:
        return None
    emotion = emotion.repeat_interleave(each, 0)
    return _eased(model, emotion, sources(told.shown_there, told.spoken_there), memory, "felt")


def _eased(model: EMC, x: Tensor, source: Tensor, memory: Memory, name: str) -> Tensor:
    if not model.fades:
        return x
    names = [f"{name}/fading/{f.name}" for f in fields(Fading)]
    source = source.repeat_interleave(len(x) // len(source), 0)
    out, kept = faded(x, source, model.config.fade, Fading(*(memory[n] for n in names)))
    memory |= dict(zip(names, vars(kept).values(), strict=True))
    return out


def deviations(model: EMC, told: Told, memory: Memory) -> Tensor | None:
    """`EMC.spread_of` for frames that go on, [B, t]; `memory` moves on."""
    numbers = model.config.spread
    if set(numbers) == {1.0}:
        return None
    since = {}
    for name, there in zip(PARTS, (told.face_there, told.speech_there), strict=True):
        before = memory[f"{name}/since"]
        since[name], memory[f"{name}/since"] = unseen(there, before, causal=True)
    return deviation(since["face"], since["speech"], numbers, model.config.spread_frames)


def _recalled(
    cma: Compensation, own: Tensor | None, there: Tensor, memory: Memory, name: str
) -> Recalled | None:
    if f"{name}/last" not in memory:
        return None
    held = Held(memory[f"{name}/last"], memory[f"{name}/age"])
    recalled, kept = cma.recalled(own, there, held)
    assert kept is not None
    memory |= {f"{name}/last": kept.features, f"{name}/age": kept.age}
    return recalled
