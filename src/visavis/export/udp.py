"""Packets to a socket, at their own pace."""

from __future__ import annotations

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
        InputError: the host cannot be reached, or a rate that is not positive.
    """
    if rate <= 0:
        raise InputError(f"a rate of {rate:g} packets a second; wanted more than none.")
    done = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        due = time.monotonic()
        for packet in packets:
            time.sleep(max(0.0, due - time.monotonic()))
            try:
                out.sendto(packet, (host, port))
            except OSError as error:
                raise InputError(f"cannot send to {host}:{port}: {error}.") from error
            done += 1
            if progress is not None:
                progress(done, None)
            due = max(due + 1 / rate, time.monotonic() - 1 / rate)
    return done
