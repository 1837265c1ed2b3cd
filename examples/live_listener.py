"""A listener who watches and hears you, live: camera and microphone in, an avatar moved out.

Run: python examples/live_listener.py                      your camera and microphone
     python examples/live_listener.py --file talk.mp4      a film, as fast as it can be read

Every reaction goes to an avatar program over VMC (port 39539), and a line a second to the terminal.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import sys
from contextlib import AsyncExitStack

import visavis as vv
from visavis.export import vmc_messages
from visavis.features.live import LivePerception, perceive_live
from visavis.media.live import Device, Full, Live, camera, microphone


async def listen(file: str | None, port: int) -> int:
    session = vv.load("reactface").session(num_samples=1)
    lane = session.open(seed=7)
    shown = 0
    async with AsyncExitStack() as stack:
        devices = [camera(), microphone()] if file is None else [Device(file)]
        full: Full = "drop" if file is None else "wait"
        sources = [await stack.enter_async_context(Live(d, full=full)) for d in devices]
        perception = stack.enter_context(LivePerception())
        out = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        async for seen in perceive_live(*sources, perception=perception):
            ready = session.step({lane: seen})[lane]
            if not ready.frames:
                continue
            listener = ready[0]
            for packet in vmc_messages(listener):
                out.sendto(packet, ("127.0.0.1", port))
            shown += listener.frames
            if shown % 24 == 0:
                valence, arousal = listener["va"].mean(0).tolist()
                print(f"{shown / 25:6.1f} s  valence {valence:+.2f}  arousal {arousal:+.2f}")
    session.close(lane)
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--file", help="a film in place of camera and microphone")
    parser.add_argument("--port", type=int, default=39539, help="of the avatar program")
    options = parser.parse_args()
    try:
        frames = asyncio.run(listen(options.file, options.port))
    except vv.VisavisError as error:
        sys.exit(f"{error}")
    print(f"{frames} frames of reactions")


if __name__ == "__main__":
    main()
