"""What EMC remembers of a conversation beside its base, and lost features made up as it goes on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from visavis.models._emc_layers import Compensation, Held, Recalled
from visavis.models._emc_read import Told

if TYPE_CHECKING:
    from visavis.models.emc import EMC

Memory = dict[str, Tensor]
"""By name, [R, ...]; "count" int64 [R] is of the frames seen, "head" [1, ...] of the voice."""


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
    if model.config.recall:
        for name, cma in (("face", model.cma_face), ("speech", model.cma_speech)):
            nothing = cma.nothing_seen(1)
            memory |= {f"{name}/last": nothing.features, f"{name}/age": nothing.age}
    return memory


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
    return made[0], made[1]


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


def under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Those whose names begin with the prefix, without it."""
    return {n.removeprefix(prefix): x for n, x in tensors.items() if n.startswith(prefix)}
