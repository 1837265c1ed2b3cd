"""Work for the tests of engines, in a module that a worker imports quickly."""

from __future__ import annotations

import os
import signal


def double_or_die(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    if number == 5:
        raise ValueError("five is right out\nand more")
    return 2 * number
