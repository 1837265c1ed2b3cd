"""Packets to a socket, at their own pace."""

from __future__ import annotations

import math
import socket
import time
from collections.abc import Callable, Iterable

from visavis.errors import InputError


def send(
    packets: Iterable[bytes],
    *,
    rate: float,
    host: str = "127.0.0.1",
    port: int = 39539,
    progress: Callable[[int, int | None], None] | None = None,
) -> int:
    """Send one packet every 1 / rate seconds over UDP; how many were sent.

    A sender that falls behind does not hurry afterwards to catch up more than one packet.

    Raises:
        InputError: the host cannot be reached, or a rate that is not positive and finite.
    """
    if not 0 < rate < math.inf:
        raise InputError(f"a rate of {rate:g} packets a second; wanted more than none.")
    try:
        family, _, _, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    except (OSError, UnicodeError) as error:  # UnicodeError: no name that a host can have
        raise InputError(f"cannot send to {host}:{port}: {error}.") from error
    done = 0
    with socket.socket(family, socket.SOCK_DGRAM) as out:
        due = time.monotonic()
        for packet in packets:
            time.sleep(max(0.0, due - time.monotonic()))
            try:
                out.sendto(packet, where)
            except OSError as error:
                raise InputError(f"cannot send to {host}:{port}: {error}.") from error
            done += 1
            if progress is not None:
                progress(done, None)
            due = max(due + 1 / rate, time.monotonic() - 1 / rate)
    return done
