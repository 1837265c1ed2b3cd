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
Names = NDArray[Any]
"""[N] what each clip belongs to: its script, session or person."""


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


def groups_of(
    a: dict[str, NDArray[Any]], b: dict[str, NDArray[Any]] | None, files: tuple[Path, Path | None]
) -> Names | None:
    """The group of each clip, from either file; None where neither has any.

    Raises:
        InputError: not one name a clip, or the two files disagree.
    """
    found = None
    for held, file in zip((a, b), files, strict=True):
        if held is None or "groups" not in held:
            continue
        names = held["groups"]
        if names.ndim != 1 or len(names) != len(held["gt"]) or names.dtype.kind not in "iubUS":
            raise InputError(
                f"groups in {file} is {names.dtype} {list(names.shape)}; wanted one name or whole "
                f"number for each of the {len(held['gt'])} clips, [N]."
            )
        if found is not None and not np.array_equal(found, names):
            raise InputError(f"groups differs between {files[0]} and {file}: give it in one only.")
        found = names
    if found is not None and len(np.unique(found)) < 2:
        raise InputError("all clips are in one group: an interval over groups needs two.")
    return found


def compared(a: Report, b: Report, groups: Names | None = None) -> Found:
    """Every score that both systems have, clip by clip; clips without a value are left out.

    Clips of one of the `groups` are drawn and flipped together.
    """
    found: dict[str, dict[str, Comparison]] = {}
    for ours, theirs in ((a.published, b.published), (a.corrected, b.corrected)):
        if ours is None or theirs is None or ours.protocol in found:
            continue
        entries = found.setdefault(ours.protocol, {})
        for score in ours.per_clip:
            if score not in theirs.per_clip:
                continue
            first, second = ours.per_clip[score], theirs.per_clip[score]
            known = np.isfinite(first) & np.isfinite(second)
            names = np.flatnonzero(known) if groups is None else groups[known]
            if len(np.unique(names)) > 1:
                entries[score] = compare(
                    first[known], second[known], None if groups is None else list(names)
                )
    if not any(found.values()):
        raise InputError("no score has a value on two clips or more in both files.")
    return found


def comparison_lines(found: Found, files: tuple[Path, Path], *, grouped: bool = False) -> list[str]:
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
    if grouped:
        lines.append("clips of one group are drawn, and flipped, together")
    else:
        lines.append("clips of one script or person are not independent: then both are too sure")
    if few:
        units = "groups" if grouped else "clips"
        lines.append(f"fewer than 20 {units}: intervals are too narrow, only a hint")
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
                "groups": pair.difference.groups,
            }
            for name, pair in scores.items()
        }
        for protocol, scores in found.items()
    }
