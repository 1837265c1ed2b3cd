"""MReactor: ten reactions to 30 s, and what incremental inference saves online.

There is no code of the paper to stand beside. Online the other way is the plain one: at every hop
all of the memory (10 s) is computed again; a few such hops are timed and scaled. Random weights at
the recipes' sizes, one thread.

    python benchmarks/mreactor.py
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks._timing import cpu_seconds, machine
from tests.people import person
from visavis import recipes
from visavis.behaviour import Behaviour
from visavis.features.subjects import default_recovery
from visavis.models._base import Lane, ReactionSession

FRAMES, SAMPLES, SHOWN = 750, 10, 5


def main() -> None:
    torch.set_num_threads(1)
    print(machine())
    speaker = person(FRAMES)
    for preset in (None, "laptop"):
        name = preset or "recipe"
        model = recipes.build(recipes.read("mreactor", preset=preset)).eval()
        model.generate(speaker, 1)
        took = min(cpu_seconds(lambda m=model: m.generate(speaker, SAMPLES)) for _ in range(3))
        print(f"{name}, offline: {SAMPLES} reactions to 30 s in {took:.2f} CPU s")

        online = recipes.build(recipes.read("mreactor_online", preset=preset)).eval()
        session = online.session(1)
        lane = session.open(seed=0)
        hops = list(speaker.windows(session.hop))
        for hop in hops[:20]:
            session.step({lane: hop})

        def step(hop: Behaviour, session: ReactionSession = session, lane: Lane = lane) -> None:
            session.step({lane: hop})

        each = sorted(timed(lambda h=hop: step(h)) for hop in hops[20:])
        window = speaker.window(0, online.config.memory)
        again = min(timed(lambda m=online, w=window: m.generate(w, 1)) for _ in range(SHOWN))
        median, late = each[len(each) // 2], each[int(0.99 * len(each))]
        print(
            f"{name}, online: a hop of {session.hop} frames takes {1000 * median:.1f} ms "
            f"(p99 {1000 * late:.1f}); computing the memory again {1000 * again:.1f} ms, "
            f"{again / median:.1f} times"
        )
    text, recovery = "we were thrilled and then suddenly shocked", default_recovery()
    recovery(text)
    count = 2000
    took = cpu_seconds(lambda: [recovery.candidates(text) for _ in range(count)])
    print(f"expressive recovery of an utterance: {1000 * took / count:.2f} CPU ms")


def timed(work: object) -> float:
    began = time.process_time()
    work()  # type: ignore[operator]
    return time.process_time() - began


if __name__ == "__main__":
    main()
