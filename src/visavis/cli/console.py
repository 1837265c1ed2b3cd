"""Progress bars and messages on standard error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Report = Callable[[int, int | None], None]
"""(done, total or None)"""


@contextmanager
def bar(label: str, *, quiet: bool) -> Iterator[Report]:
    """A progress bar for one piece of work; a terminal sees it move, a log sees nothing."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield lambda done, total: None
        return
    columns = (
        TextColumn("{task.description:<22}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(label, total=None, note="")

        def report(done: int, total: int | None) -> None:
            progress.update(task, completed=done, total=total)

        yield report
