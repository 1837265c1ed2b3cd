"""The command line in this process: what `tests.cli.test_cli.visavis` does in one of its own, but
without the seconds that a new process needs to import everything."""

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
    """`visavis WORDS`: exit code, standard output and standard error, as of a real process."""
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
