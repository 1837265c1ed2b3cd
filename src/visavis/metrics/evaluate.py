"""All scores of a system at once, from arrays, lists or behaviours, under a named protocol."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from visavis.channels import GROUPS, STANDARD
from visavis.errors import InputError, nearest
from visavis.metrics._device import Where, device_named
from visavis.metrics._scoring import Progress, run, undefined
from visavis.metrics._sources import Source, from_arrays, from_lists
from visavis.metrics.protocol import METRICS, Protocol, protocol_named
from visavis.metrics.scores import Scores

if TYPE_CHECKING:
    from torch import Tensor

    from visavis.behaviour import Behaviour

LABELS = tuple(label for name in GROUPS["attributes"] for label in STANDARD[name].labels)
"""Of the 25 facial attributes, in the order of the arrays."""


class ProtocolWarning(UserWarning):
    """The data met a quirk of a published protocol; the text counts how often."""


def evaluate_arrays(
    pred: Any,
    gt: Any,
    speaker: Any,
    neighbour: Any,
    protocol: str | Protocol = "react2024",
    *,
    metrics: Sequence[str] | None = None,
    per_clip: bool = False,
    workers: int | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Scores:
    """Scores of N clips of one length.

    Args:
        pred: [N, K, T, D], K reactions to each speaker; float32 keeps memory low.
        gt: [N, T, D], the real listener of each clip.
        speaker: [N, T, D].
        neighbour: [N, N], 0 or 1: row i marks the clips whose real listener suits speaker i.
        protocol: a name from `visavis.metrics.PROTOCOLS`.
        metrics: which scores; default: all the protocol defines.
        per_clip: also each clip's share of FRDvs (a second pass); the rest is always there.
        workers: threads; default: as many as there are cores.
        device: "cpu", or a GPU such as "cuda": batched torch in float64, the same numbers.
        progress: called with (clips done, clips).

    Returns:
        A dict, score -> value, with `.protocol`, `.per_clip` and `.counts`.

    Raises:
        InputError: shapes that do not agree (the axis is named), an unknown protocol or score, a
            clip without an appropriate reaction, a bad matrix, a device that is not there;
            `corrected`: a value that is not finite, or a score that these clips do not define.

    Warns:
        ProtocolWarning: once, counting values that are not finite, constant channels and clips
            too short for the lags, which the published protocols score in their own way.
    """
    chosen, where = protocol_named(protocol), device_named(device)
    source = from_arrays(pred, gt, speaker, neighbour, chosen, LABELS)
    return score(source, metrics, per_clip, workers, where, progress)


def evaluate_lists(
    pred: Any,
    targets: Any,
    speaker: Any,
    protocol: str | Protocol = "mars",
    *,
    metrics: Sequence[str] | None = None,
    per_clip: bool = False,
    workers: int | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Scores:
    """Scores of N clips whose lengths may differ.

    Args:
        pred: N of [K, T, D].
        targets: N of G of [T, D], the appropriate real reactions, aligned to T frames. FRDist
            alone (`metrics=("FRDist",)`) takes targets of any length.
        speaker: N of [T, D].

    FRDvs compares frames of different clips and is left out where lengths differ. The rest as
    for `evaluate_arrays`.
    """
    chosen, where = protocol_named(protocol), device_named(device)
    source = from_lists(pred, targets, speaker, chosen, LABELS)
    return score(source, metrics, per_clip, workers, where, progress)


def evaluate_behaviours(
    reactions: Iterable[Behaviour],
    targets: Iterable[Behaviour | Sequence[Behaviour]],
    speakers: Iterable[Behaviour],
    protocol: str | Protocol = "mars",
    *,
    channels: str | Sequence[str] = "attributes",
    metrics: Sequence[str] | None = None,
    per_clip: bool = False,
    workers: int | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Scores:
    """Scores of N clips given as behaviours.

    Args:
        reactions: N of [K, T, ...]; a batch [N, K, T, ...] is one, too.
        targets: N of [G, T, ...], or N of G of [T, ...].
        speakers: N of [T, ...].
        channels: a group ("attributes", "coefficients") or names of channels, side by side in
            the order given.

    Raises:
        MissingChannel: a channel is not there or was not observed in every frame.
        InputError: as for `evaluate_lists`.
    """
    device_named(device)  # told before any channel is packed
    names = GROUPS.get(channels, (channels,)) if isinstance(channels, str) else tuple(channels)
    return evaluate_lists(
        [_packed(one, names) for one in reactions],
        [[_packed(target, names) for target in some] for some in targets],
        [_packed(one, names) for one in speakers],
        protocol,
        metrics=metrics,
        per_clip=per_clip,
        workers=workers,
        device=device,
        progress=progress,
    )


def _packed(behaviour: Behaviour, names: Sequence[str]) -> Tensor:
    import torch

    return torch.cat([behaviour.pack(name) for name in names], dim=-1)


def score(
    source: Source,
    metrics: Sequence[str] | None,
    per_clip: bool,
    workers: int | None,
    where: Where,
    progress: Progress | None,
) -> Scores:
    """Scores of checked clips, with the warning that their protocol asks for."""
    wanted, notes = choose(source, metrics)
    if workers is not None and workers < 1:
        raise InputError(f"workers must be at least 1, not {workers}.")
    scores = run(source, wanted, per_clip=per_clip, workers=workers, progress=progress, where=where)
    if not source.protocol.strict:
        notes = [*scores.counts.sentences(), *notes]
    if notes:
        text = f"{source.protocol.name}: {'; '.join(notes)}. See docs/metrics.md."
        warnings.warn(text, ProtocolWarning, stacklevel=3)
    return scores


def choose(source: Source, metrics: Sequence[str] | None) -> tuple[tuple[str, ...], list[str]]:
    """The scores to take of these clips, and what is to be said about those that are not.

    Raises:
        InputError: a score is unknown, or was asked for (by name or by `corrected`) and is not
            defined for these clips.
    """
    protocol, notes = source.protocol, []
    if isinstance(metrics, str):
        metrics = (metrics,)
    wanted = protocol.metrics if metrics is None else tuple(metrics)
    for name in wanted:
        if name not in (*METRICS, "MAE"):
            raise InputError(f"unknown score {name!r}. {nearest(name, (*METRICS, 'MAE'))}")
        if name not in (*protocol.metrics, "MAE"):
            raise InputError(f"the protocol {protocol.name!r} does not define {name}.")
    if metrics is None and len(set(source.lengths)) > 1 and "FRDvs" in wanted:
        wanted = tuple(name for name in wanted if name != "FRDvs")
        notes.append("FRDvs is left out, since clips differ in length")
    reasons = undefined(source)
    for name in wanted:
        if name in reasons:
            raise InputError(f"{protocol.name}: {reasons[name]}")
    if "FRDist" in wanted and protocol.warps(source.width) is None:
        notes.append(
            f"FRDist is NaN: its groups are 25 channels, and the clips have {source.width}"
        )
    return wanted, notes
