"""SIGINT and SIGTERM ask a run to stop at the end of its step."""

from __future__ import annotations

import logging
import signal
import threading
from types import FrameType, TracebackType
from typing import Any

logger = logging.getLogger("visavis")


class StopRequest:
    """Inside the `with`, the first signal is noted and a second SIGINT interrupts at once.

    Outside the main thread, where Python gives no signals, nothing is noted.
    """

    def __init__(self) -> None:
        self.signal = 0
        """Number of the signal that came, or 0."""
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signal and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = number
        logger.info("stopping at the end of this step; a second Ctrl-C stops at once")
