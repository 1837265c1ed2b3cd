"""Small made-up people for tests: random but plausible numbers, no corpus behind them."""

from __future__ import annotations

from typing import Any

import torch

from visavis.behaviour import Behaviour, Word
from visavis.channels import GROUPS, STANDARD
from visavis.dyad import Batch

ATTRIBUTES, COEFFICIENTS = GROUPS["attributes"], GROUPS["coefficients"]
SAID = tuple(
    Word(text, 0.12 * i, 0.12 * i + 0.1)
    for i, text in enumerate(["we", "were", "thrilled", "and", "shocked"])
)
EVERYTHING = (*ATTRIBUTES, *COEFFICIENTS, "mfcc78", "energy", "pitch", "voice")


def person(
    frames: int, *, lead: tuple[int, ...] = (), seed: int = 0, names: tuple[str, ...] = EVERYTHING
) -> Behaviour:
    """Smooth random channels [*lead, frames, ...] in their ranges."""
    generator = torch.Generator().manual_seed(seed)

    def noise(width: int) -> torch.Tensor:
        steps = torch.randn(*lead, frames + 8, width, generator=generator)
        return steps.unfold(-2, 9, 1).mean(-1) * 3

    made = {}
    for name in names:
        channel = STANDARD[name]
        raw = noise(channel.size)
        if channel.kind == "simplex":
            made[name] = raw.softmax(-1)
        elif channel.kind == "binary":
            made[name] = (raw > 0.8).float()
        elif channel.kind == "bounded":
            low, high = channel.low or 0.0, channel.high or 1.0
            made[name] = low + (high - low) * raw.sigmoid()
        elif name == "rotation":
            made[name] = raw * 0.1
        elif name == "translation":
            made[name] = raw * 0.01
        else:
            made[name] = raw.abs() if channel.low == 0.0 else raw
    return Behaviour.of(made)


def batch(
    clips: int,
    frames: int,
    *,
    targets: int = 2,
    seed: int = 0,
    lengths: list[int] | None = None,
    history: int | None = None,
) -> Batch:
    """A batch of made-up dyads; the paired listener is the first target.

    Every speaker says the same five words at the beginning.

    With `history` frames it also has what personal models and critics learn from: a history,
    traits, and two inappropriate reactions a clip, the first by the same listener.
    """
    listener = (*ATTRIBUTES, *COEFFICIENTS)
    reals = person(frames, lead=(clips, targets), seed=seed + 1, names=listener)
    size = None if lengths is None else torch.tensor(lengths)
    speaker = person(frames, lead=(clips,), seed=seed)
    more: dict[str, Any] = {}
    if history is not None:
        wrong = person(frames, lead=(clips, 2), seed=seed + 2, names=listener)
        own = torch.tensor([[True, False]]).expand(clips, -1)
        more["history"] = person(history, lead=(clips,), seed=seed + 3, names=listener)
        more["personal_mask"] = torch.arange(targets).expand(clips, -1) == 0
        more["traits"] = torch.full((clips, 5), 0.5)
        more["negatives"] = Behaviour(wrong.channels, wrong.layout, lengths=size)
        more |= {"negative_mask": own | True, "negative_personal": own.clone()}
    return Batch(
        speaker=Behaviour(speaker.channels, speaker.layout, lengths=size, words=(SAID,) * clips),
        listener=Behaviour(
            {n: x[:, 0] for n, x in reals.channels.items()}, reals.layout, lengths=size
        ),
        targets=Behaviour(reals.channels, reals.layout, lengths=size),
        target_mask=torch.ones(clips, targets, dtype=torch.bool),
        lengths=torch.full((clips,), frames) if size is None else size,
        ids=tuple(f"clip{i}" for i in range(clips)),
        **more,
    )
