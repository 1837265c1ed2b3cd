"""A published score with the corrected one always beside it, and why a number is missing.

The published numbers compare with tables; the corrected ones mean what they say. Shown apart,
either misleads, so this is the one call that gives both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from visavis.errors import InputError
from visavis.metrics._clip import iterated
from visavis.metrics._device import Where, device_named
from visavis.metrics._scoring import Progress, undefined
from visavis.metrics._sources import Source, from_arrays, from_lists
from visavis.metrics.evaluate import LABELS, choose, score
from visavis.metrics.protocol import PROTOCOLS, Protocol, protocol_named
from visavis.metrics.scores import Scores


@dataclass(frozen=True)
class Report:
    """The scores of one system under two protocols."""

    published: Scores
    """Under the protocol asked for."""
    corrected: Scores | None
    """Under `corrected`; the same object where that was asked for, None where the clips hold what
    it refuses."""
    not_defined: Mapping[str, str]
    """Corrected score (or "all") -> why it is missing."""
    notes: Mapping[str, str]
    """Score that is NaN or infinite -> which, and why; corrected ones as "corrected/..."."""

    @property
    def dead_channels(self) -> tuple[int, int]:
        """Channels constant in an appropriate real reaction, of how many."""
        return self.published.counts.dead_channels, self.published.counts.target_channels


@dataclass(frozen=True, kw_only=True)
class _How:
    metrics: tuple[str, ...] | None
    per_clip: bool
    workers: int | None
    where: Where
    progress: Progress | None

    def __call__(self, source: Source, metrics: Sequence[str] | None) -> Scores:
        return score(source, metrics, self.per_clip, self.workers, self.where, self.progress)


def report_arrays(
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
) -> Report:
    """`evaluate_arrays` under `protocol` and under `corrected`, with what makes both fragile.

    Arguments, warnings and errors as there; but scores that `corrected` does not define for these
    clips are named in `not_defined`, and only a clip with a NaN is an error where `corrected`
    itself was asked for.
    """
    return _report(
        lambda chosen: from_arrays(pred, gt, speaker, neighbour, chosen, LABELS),
        protocol,
        _how(metrics, per_clip, workers, device, progress),
    )


def report_lists(
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
) -> Report:
    """The same for clips of any length, given as for `evaluate_lists`."""
    ours, speakers = list(iterated(pred, "pred")), list(iterated(speaker, "speaker"))
    theirs = [list(iterated(some, "targets of a clip")) for some in iterated(targets, "targets")]
    return _report(
        lambda chosen: from_lists(ours, theirs, speakers, chosen, LABELS),
        protocol,
        _how(metrics, per_clip, workers, device, progress),
    )


def _how(
    metrics: Sequence[str] | None,
    per_clip: bool,
    workers: int | None,
    device: str,
    progress: Progress | None,
) -> _How:
    named = (metrics,) if isinstance(metrics, str) else metrics
    return _How(
        metrics=None if named is None else tuple(named),
        per_clip=per_clip,
        workers=workers,
        where=device_named(device),
        progress=progress,
    )


def _report(
    source_under: Callable[[Protocol], Source], protocol: str | Protocol, how: _How
) -> Report:
    chosen = protocol_named(protocol)
    if chosen.strict and how.metrics is not None:
        source = source_under(chosen)
        scores = how(source, how.metrics)
        return Report(scores, scores, {}, _notes(scores, source))
    if chosen.strict:
        source = source_under(chosen)
        corrected, missing = _defined(source, how)
        return Report(corrected, corrected, missing, _notes(corrected, source))
    source = source_under(chosen)
    published = how(source, how.metrics)
    notes = _notes(published, source)
    try:
        strict = source_under(PROTOCOLS["corrected"])
    except InputError as error:
        return Report(published, None, {"all": str(error)}, notes)
    corrected, missing = _defined(strict, how)
    notes |= {f"corrected/{name}": why for name, why in _notes(corrected, strict).items()}
    return Report(published, corrected, missing, notes)


def _defined(source: Source, how: _How) -> tuple[Scores, dict[str, str]]:
    """The corrected scores that these clips define, and why the others are missing."""
    wanted = how.metrics or source.protocol.metrics
    reasons = undefined(source)
    if len(set(source.lengths)) > 1:
        reasons["FRDvs"] = "FRDvs compares clips of one length, and these differ."
    missing = {name: why for name, why in reasons.items() if name in wanted}
    defined, _ = choose(source, [name for name in wanted if name not in missing])
    return how(source, defined), missing


def _notes(scores: Scores, source: Source) -> dict[str, str]:
    """Which scores are no number, and why."""
    return {
        name: f"{'NaN' if math.isnan(value) else value}: {_why(name, scores, source)}"
        for name, value in scores.items()
        if not math.isfinite(value)
    }


def _why(name: str, scores: Scores, source: Source) -> str:
    protocol, counts = source.protocol, scores.counts
    if protocol.strict:
        return "no clip has a channel that moves in this group of the target or speaker"
    if name == "FRDist" and protocol.warps(source.width) is None:
        return f"its groups are 25 channels, and the clips have {source.width}"
    if name == "FRDvs" and len(source) == 1:
        return "one clip has no other to differ from"
    if name == "FRVar" and min(source.lengths) == 1:
        return "one frame has no variance"
    if counts.unfinite_clips:
        return f"{counts.unfinite_clips} clips hold a NaN or an infinity"
    if name == "FRCorr" and protocol.epsilon < 1e-46:
        return (
            "a channel constant and equal in prediction and target is 0/0 without an epsilon, "
            "as in ReactFace's code"
        )
    return "the numbers left the range of float64"
