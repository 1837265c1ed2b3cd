"""How a training run looks: a bar with losses in a terminal, a line now and then in a log."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Report = Callable[[int, int, Mapping[str, float]], None]


@contextmanager
def training_bar(*, quiet: bool) -> Iterator[Report]:
    """Reports (steps done, in all, last losses); validations are also printed as lines."""
    console = Console(stderr=True, quiet=quiet)
    columns = (
        TextColumn("training"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    began = time.perf_counter()
    first = -1
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal) as progress:
        task = progress.add_task("training", total=None, note="")

        def report(done: int, total: int, row: Mapping[str, float]) -> None:
            nonlocal first
            first = done - 1 if first < 0 else first
            progress.update(task, completed=done, total=total)
            if row:
                progress.update(task, note=f"loss {row.get('loss', float('nan')):.4g}")
            if "validation" in row:
                each = (time.perf_counter() - began) / (done - first)
                left = timedelta(seconds=round(each * (total - done)))
                terms = ", ".join(f"{n} {x:.4g}" for n, x in row.items())
                console.print(f"step {done}/{total}, {left} left: {terms}", highlight=False)

        yield report
