"""Side-by-side timing: both sides in turn, the median of each, one line about the machine."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable

import torch


def machine() -> str:
    return (
        f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, "
        f"torch {torch.__version__}, {torch.get_num_threads()} thread(s)"
    )


def cpu_seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def side_by_side(
    theirs: Callable[[], object], ours: Callable[[], object], *, runs: int = 3
) -> tuple[float, float]:
    """Median CPU seconds of each after one warm-up; A B A B, so that drift hits both."""
    theirs(), ours()
    pairs = [(cpu_seconds(theirs), cpu_seconds(ours)) for _ in range(runs)]
    return statistics.median(p[0] for p in pairs), statistics.median(p[1] for p in pairs)


def show(name: str, theirs: float, ours: float) -> None:
    ratio = theirs / ours
    print(
        f"{name}: published layout {theirs:.3f} CPU s, visavis {ours:.3f} CPU s, {ratio:.1f} times"
    )
