"""MReactor: ten reactions to 30 s, and what incremental inference saves online.

There is no code of the paper to stand beside, so the other side is the plain way to write it, with
the same modules, weights and noise: a sample a pass, the speaker encoded anew for each, keys and
values and distances made at every step. Online the plain way computes all of the memory (10 s)
again at every hop; a few such hops are timed. Random weights at the recipes' sizes, one thread.

    python benchmarks/mreactor.py
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks._timing import cpu_seconds, machine
from tests.people import person
from visavis import recipes
from visavis.behaviour import Behaviour
from visavis.channels import Layout
from visavis.features.subjects import default_recovery
from visavis.models._base import Lane, ReactionSession
from visavis.models._mreactor_denoiser import Manner
from visavis.models._mreactor_subjects import chances_of
from visavis.models._steady import steadied
from visavis.models.mreactor import LISTENER, UNITS, Controls, MReactor, Understood

FRAMES, SAMPLES, SHOWN = 750, 10, 5


def main() -> None:
    torch.set_num_threads(1)
    print(machine())
    speaker = person(FRAMES)
    for preset in (None, "laptop"):
        name = preset or "recipe"
        model = recipes.build(recipes.read("mreactor", preset=preset)).eval()
        awaken(model)
        ours, theirs = model.generate(speaker, SAMPLES).pack(), plain(model, speaker)
        difference = float((ours - theirs).abs().max())
        assert difference < 1e-4, f"the two ways differ by {difference}"
        took = min(cpu_seconds(lambda m=model: m.generate(speaker, SAMPLES)) for _ in range(3))
        slow = min(cpu_seconds(lambda m=model: plain(m, speaker)) for _ in range(2))
        print(
            f"{name}, offline, {model.config.sampling_steps} steps: {SAMPLES} reactions to 30 s in "
            f"{took:.2f} CPU s; the plain way {slow:.2f}, {slow / took:.1f} times (largest "
            f"difference {difference:.1g})"
        )

        online = recipes.build(recipes.read("mreactor_online", preset=preset)).eval()
        window = speaker.window(0, online.config.memory)
        for samples in (1, SAMPLES):
            session = online.session(samples)
            lane = session.open(seed=0)
            hops = list(speaker.windows(session.hop))
            for hop in hops[:20]:
                session.step({lane: hop})

            def step(hop: Behaviour, session: ReactionSession = session, lane: Lane = lane) -> None:
                session.step({lane: hop})

            each = sorted(timed(lambda h=hop: step(h)) for hop in hops[20:])
            again = min(
                timed(lambda m=online, w=window, k=samples: m.generate(w, k)) for _ in range(SHOWN)
            )
            median, late = each[len(each) // 2], each[int(0.99 * len(each))]
            print(
                f"{name}, online, {samples} sample(s): a hop of {session.hop} frames takes "
                f"{1000 * median:.1f} ms (p99 {1000 * late:.1f}); computing the memory again "
                f"{1000 * again:.1f} ms, {again / median:.1f} times"
            )
    text, recovery = "we were thrilled and then suddenly shocked", default_recovery()
    recovery(text)
    count = 2000
    took = cpu_seconds(lambda: [recovery.candidates(text) for _ in range(count)])
    print(f"expressive recovery of an utterance: {1000 * took / count:.2f} CPU ms")


def plain(model: MReactor, speaker: Behaviour) -> Tensor:
    """Reactions as `generate` packs them, [samples, T, 83]."""
    seeds, config = torch.tensor([0]), model.config
    made = []
    with model.sampling():
        tokens = -(-speaker.frames // config.patch)
        start = model.start(seeds, SAMPLES, 0, tokens)
        manner = model.manner(seeds, SAMPLES, Controls())
        for k in range(SAMPLES):
            read = model.check_speaker(speaker).unsqueeze()
            understood = model.understand(read)
            elements, chosen = model.subject_sets(understood.slots, chances_of(seeds), SAMPLES)
            mine = Manner(
                None if manner.variation is None else manner.variation[:, k : k + 1],
                None if manner.smoothness is None else manner.smoothness[:, k : k + 1],
            )
            which = None if chosen is None else chosen[:, k : k + 1]

            def denoise(
                x: Tensor,
                t: Tensor,
                given: Understood = understood,
                elements: Tensor | None = elements,
                which: Tensor | None = which,
                mine: Manner = mine,
            ) -> Tensor:
                known = model.denoiser.remember(given.tokens, elements, which, 1)
                out: Tensor = model.denoiser(x[:, None], t[:, None], known, mine)[:, 0]
                return out

            clean = model.sampled(denoise, start[:, k])
            raw = model.frames(clean[:, None], speaker.frames)
            each = zip(raw.split([UNITS, LISTENER - UNITS], -1), config.steadying, strict=True)
            raw = torch.cat([steadied(x, n) for x, n in each], -1)
            channels = {n: x[0, 0] for n, x in model.channels(raw).items()}
            made.append(Behaviour(channels, Layout.of(*model.outputs)).pack())
    return torch.stack(made)


def awaken(model: MReactor) -> None:
    """Gates begin at zero; with any others a layer counts, and the two ways can differ."""
    torch.manual_seed(0)
    for p in model.denoiser.parameters():
        if not bool(p.any()):
            torch.nn.init.normal_(p, std=0.05)


def timed(work: object) -> float:
    began = time.process_time()
    work()  # type: ignore[operator]
    return time.process_time() - began


if __name__ == "__main__":
    main()
