"""A listener in the loop of your own program: sound in pieces of any size, faces as they come.

Run: python examples/online_chunks.py                      a simulated speaker, as fast as it goes
     python examples/online_chunks.py --model trans_vae_online --listeners 3

What stands in for a microphone gives pieces whose sizes fit no frame (a real one does the same);
what stands in for a face tracker gives 25 frames a second. A frame goes to the session as soon as
its 40 ms of sound are whole, and what the session has ready comes back at once. With a camera and a
microphone use `visavis.features.live.LivePerception` in their place (examples/live_listener.py).
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

import visavis as vv
from visavis.corpora import SimulatedDyads
from visavis.features.speech_stream import AcousticStream

PIECES = (441, 1024, 333, 1, 4800, 640)
"""Samples a piece, in turn."""


def microphone(sound: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    """The sound in pieces that fit no frame."""
    start = 0
    for size in itertools.cycle(PIECES):
        if start >= len(sound):
            return
        yield sound[start : start + size]
        start += size


def answer(
    model: Any, speaker: vv.Behaviour, sound: NDArray[np.float32], rate: int, num: int
) -> tuple[vv.Behaviour, vv.Behaviour]:
    """Reactions [num, T, ...] made piece by piece, and the speaker as the model was shown them."""
    ear = AcousticStream(rate, names=("mfcc78",))
    face = speaker.select("coefficients")
    session = model.session(num_samples=num)
    lane = session.open(seed=7)
    shown, reactions, frames, slowest = [], [], 0, 0.0
    for piece in microphone(sound):
        heard = ear.push(piece)["mfcc78"]
        count = min(len(heard), face.frames - frames)
        if not count:  # no frame became whole
            continue
        seen = face.window(frames, frames + count)
        news = vv.Behaviour.of({**seen.channels, "mfcc78": heard[:count]})
        began = time.perf_counter()
        ready = session.step({lane: news})[lane]
        slowest = max(slowest, time.perf_counter() - began)
        shown.append(news)
        reactions.append(ready)
        frames += count
        if ready.frames and frames % 50 < count:
            smile = ready["blendshapes"][0, -1, ready.layout["blendshapes"].index("mouthSmileLeft")]
            print(f"{frames / 25:5.1f} s  first listener's smile {float(smile):.2f}")
    reactions.append(session.flush(lane))
    session.close(lane)
    print(f"hop {session.hop}, latency {session.latency}; slowest step {1000 * slowest:.0f} ms")
    return vv.Behaviour.cat(reactions), vv.Behaviour.cat(shown)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="reactface", help="a model that streams")
    parser.add_argument("--listeners", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    try:
        corpus = SimulatedDyads("test", size=14, frames=round(25 * options.seconds))
        dyad = corpus[0]
        sound, rate = corpus.sound(dyad)
        model = vv.load(options.model)
        reactions, _ = answer(model, dyad.speaker, sound, rate, options.listeners)
    except vv.VisavisError as error:
        sys.exit(f"{error}")
    print(f"{reactions.frames} frames of {options.listeners} listener(s)")


if __name__ == "__main__":
    main()
