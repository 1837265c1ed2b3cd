"""`visavis evaluate A.npz --compare B.npz`: two systems on the same clips, paired."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.errors import InputError
from visavis.metrics.intervals import Comparison, compare
from visavis.metrics.protocol import Protocol
from visavis.metrics.report import Report

Found = Mapping[str, Mapping[str, Comparison]]
"""protocol -> score -> comparison"""


def same_clips(
    a: dict[str, NDArray[Any]],
    b: dict[str, NDArray[Any]],
    files: tuple[Path, Path],
    protocol: Protocol,
) -> None:
    """Check that two files hold predictions for the same clips.

    Raises:
        InputError: other clips, other targets, or (where samples are summed) another K.
    """
    for name in ("gt", "speaker", "neighbour"):
        if a[name].shape != b[name].shape:
            raise InputError(
                f"{name} has shape {list(a[name].shape)} in {files[0]} and "
                f"{list(b[name].shape)} in {files[1]}: a paired comparison needs the same clips."
            )
        if not np.array_equal(a[name], b[name], equal_nan=a[name].dtype.kind == "f"):
            place = [int(i) for i in np.argwhere(a[name] != b[name])[0]]
            raise InputError(
                f"{name} differs between {files[0]} and {files[1]}, first at {place}: a paired "
                "comparison needs the same clips in the same order, only pred may differ."
            )
    samples = [held["pred"].shape[1] if held["pred"].ndim == 4 else 0 for held in (a, b)]
    if protocol.over_samples == "sum" and samples[0] != samples[1]:
        raise InputError(
            f"{files[0]} has {samples[0]} samples a clip and {files[1]} {samples[1]} (axis K), and "
            f"{protocol.name} sums over samples. Cut both to the same K, or compare under a "
            "protocol that takes means (corrected, reactface_serial)."
        )


def compared(a: Report, b: Report) -> Found:
    """Every score that both systems have, clip by clip; clips without a value are left out."""
    found: dict[str, dict[str, Comparison]] = {}
    for ours, theirs in ((a.published, b.published), (a.corrected, b.corrected)):
        if ours is None or theirs is None or ours.protocol in found:
            continue
        entries = found.setdefault(ours.protocol, {})
        for name in ours.per_clip:
            if name not in theirs.per_clip:
                continue
            first, second = ours.per_clip[name], theirs.per_clip[name]
            known = np.isfinite(first) & np.isfinite(second)
            if known.sum() > 1:
                entries[name] = compare(first[known], second[known])
    if not any(found.values()):
        raise InputError("no score has a value on two clips or more in both files.")
    return found


def comparison_lines(found: Found, files: tuple[Path, Path]) -> list[str]:
    lines = [f"A = {files[0]}", f"B = {files[1]}", ""]
    lines.append(
        f"{'':<8} {'protocol':<18}{'A':>11}{'B':>11}{'A - B':>11}   {'95 % interval':<22}{'p':>8}"
        f"{'clips':>7}"
    )
    few = False
    for protocol, scores in found.items():
        for name, pair in scores.items():
            if "/" in name:
                continue
            apart = pair.difference
            few |= apart.few
            span = f"{apart.low:.4f} to {apart.high:.4f}"
            lines.append(
                f"{name:<8} {protocol:<18}{pair.a:>11.4f}{pair.b:>11.4f}{apart.mean:>11.4f}   "
                f"{span:<22}{pair.p:>8.4f}{apart.n:>7}"
            )
    lines += ["", "paired by clip: BCa bootstrap of the difference, p by flipping its sign"]
    lines.append("clips of one script or person are not independent: then both are too sure")
    if few:
        lines.append("fewer than 20 clips: intervals are too narrow, only a hint")
    return lines


def comparison_record(found: Found) -> dict[str, Any]:
    return {
        protocol: {
            name: {
                "a": pair.a,
                "b": pair.b,
                "difference": pair.difference.mean,
                "interval": [pair.difference.low, pair.difference.high],
                "p": pair.p,
                "clips": pair.difference.n,
            }
            for name, pair in scores.items()
        }
        for protocol, scores in found.items()
    }
