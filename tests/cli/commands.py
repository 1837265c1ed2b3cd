"""The command line as a test calls it: in this process, or, where it matters, in one of its own,
which needs seconds to import everything."""

from __future__ import annotations

import io
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from unittest.mock import patch

from visavis.cli import main


def visavis(*words: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """`visavis WORDS` in this process: exit code, standard output and standard error."""
    out, err = io.StringIO(), io.StringIO()
    argv = ["visavis", *map(str, words)]
    with _as_before(), redirect_stdout(out), redirect_stderr(err):
        sys.argv = argv
        os.chdir(cwd or Path.cwd())
        try:
            main()
            code = 0
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return subprocess.CompletedProcess(argv, code, out.getvalue(), err.getvalue())


def process(*words: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The same in a real process."""
    return subprocess.run(
        [sys.executable, "-m", "visavis", *map(str, words)],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=300,
        env={**os.environ, "COLUMNS": "100"},
    )


def refused(done: subprocess.CompletedProcess[str], *parts: str) -> None:
    """A user's mistake: exit code 2, one readable message, no traceback, nothing on stdout."""
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    for part in parts:
        assert part in done.stderr
    assert done.stdout == ""


@contextmanager
def _as_before() -> Iterator[None]:
    """Put back what `main` leaves behind in a process that it expects to end."""
    log, folder, argv = logging.getLogger("visavis"), Path.cwd(), sys.argv
    handlers, level, on_term = list(log.handlers), log.level, signal.getsignal(signal.SIGTERM)
    with patch.dict(os.environ, {"COLUMNS": "100"}):
        try:
            yield
        finally:
            log.handlers[:] = handlers
            log.setLevel(level)
            signal.signal(signal.SIGTERM, on_term)
            os.chdir(folder)
            sys.argv = argv
