"""What EMC costs beside its base: ten reactions to 30 s, and a conversation of 8 frames a step.

The base is the bundled one, EMC's weights are initial ones (gates that are zero cost the same as
others). "Lossy" has a second of speech lost in every four: samples are then told different things
of the speaker, so that the base reads it once a sample. One thread.

    python benchmarks/emc.py [--bases faceais_causal reactface]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks._timing import machine, side_by_side
from tests.people import batch, person
from visavis import recipes
from visavis.behaviour import Behaviour
from visavis.models._base import ReactionModel

FRAMES, SAMPLES, STEP = 750, 10, 8
BASES = ["trans_vae", "regnn", "faceais_causal", "reactface"]
STREAM = ("faceais_causal", "reactface")


def lossy(speaker: Behaviour) -> Behaviour:
    for start in range(50, FRAMES - 25, 100):
        speaker = speaker.drop("speech", start=start, stop=start + 25)
    return speaker


def talk(model: ReactionModel[object], speaker: Behaviour, samples: int) -> None:
    session = model.session(samples)
    lane = session.open(seed=0)
    for piece in speaker.windows(STEP):
        session.step({lane: piece})


def show(what: str, base: float, emc: float) -> None:
    print(f"{what}: base {base:.3f} CPU s, with EMC {emc:.3f}, {emc / base:.2f} times")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bases", nargs="+", default=BASES)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(machine())
    whole = person(FRAMES)
    for name in options.bases:
        model = recipes.build(recipes.read("emc", changes=[f"model.base={name}"]))
        model.fit([batch(2, 100)])
        model.eval()
        for kind, speaker in (("whole", whole), ("lossy", lossy(whole))):
            base, emc = side_by_side(
                lambda s=speaker, m=model: m.base.generate(s, SAMPLES),
                lambda s=speaker, m=model: m.generate(s, SAMPLES),
                runs=options.runs,
            )
            show(f"{name}, {kind}, 10 x 30 s", base, emc)
        if name not in STREAM:
            continue
        for samples in (1, SAMPLES):
            base, emc = side_by_side(
                lambda m=model, k=samples: talk(m.base, whole, k),
                lambda m=model, k=samples: talk(m, whole, k),
                runs=options.runs,
            )
            show(f"{name}, streamed, {samples} x 30 s", base, emc)


if __name__ == "__main__":
    main()
