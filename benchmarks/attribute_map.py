"""Train the second map from coefficients to attributes, and report both maps' errors.

Run: python benchmarks/attribute_map.py [--write]     (about two minutes; --write replaces the file)

Valence and arousal: the latent affect of simulated speakers, which drives face and voice together;
train on the corpus's training speakers, report on its test speakers. Expressions: faces made after
the EMFACS prototypes (Friesen and Ekman 1983) at random strength, over the mouths, blinks and gaze
of simulated speakers; other speakers and strengths for the report.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from visavis.channels import BLENDSHAPES, EXPRESSION_LABELS
from visavis.corpora import SimulatedDyads
from visavis.features import attribute_maps
from visavis.metrics.ccc import ccc_matrix

PROTOTYPES: dict[str, tuple[dict[str, float], ...]] = {
    # a set of shapes a variant; AUs after EMFACS, shapes after docs/attributes.md
    "Happy": ({"mouthSmile": 0.9, "cheekSquint": 0.7},),
    "Sad": (
        {"browInnerUp": 0.8, "mouthFrown": 0.8},
        {"browInnerUp": 0.6, "mouthFrown": 0.7, "browDown": 0.3, "mouthShrugLower": 0.4},
    ),
    "Surprise": (
        {"browInnerUp": 0.8, "browOuterUp": 0.9, "eyeWide": 0.6, "jawOpen": 0.4},
        {"browInnerUp": 0.7, "browOuterUp": 0.8, "eyeWide": 0.5},
    ),
    "Fear": (
        {
            "browInnerUp": 0.7,
            "browOuterUp": 0.5,
            "browDown": 0.4,
            "eyeWide": 0.8,
            "mouthStretch": 0.8,
        },
        {"browInnerUp": 0.6, "eyeWide": 0.6, "mouthStretch": 0.7},
    ),
    "Disgust": (
        {"noseSneer": 0.9, "mouthUpperUp": 0.6},
        {"noseSneer": 0.7, "mouthFrown": 0.3, "mouthShrugLower": 0.4},
    ),
    "Anger": (
        {
            "browDown": 0.9,
            "eyeWide": 0.3,
            "eyeSquint": 0.5,
            "mouthPress": 0.6,
            "mouthRollLower": 0.3,
        },
        {"browDown": 0.8, "eyeSquint": 0.4, "mouthPress": 0.5},
    ),
    "Contempt": ({"mouthDimpleLeft": 0.9}, {"mouthDimpleRight": 0.9}, {"mouthDimple": 0.8}),
}
CIRCUMPLEX = {
    "Neutral": (0.0, 0.0),
    "Happy": (0.8, 0.4),
    "Sad": (-0.7, -0.4),
    "Surprise": (0.2, 0.8),
    "Fear": (-0.6, 0.7),
    "Disgust": (-0.7, 0.2),
    "Anger": (-0.6, 0.6),
    "Contempt": (-0.5, 0.0),
}
"""Valence and arousal of a full expression: signs and order after Russell (1980), sizes chosen."""


def people(split: str, clips: int) -> tuple[Tensor, Tensor, Tensor]:
    """Speakers' shapes [N, 52], rotations [N, 3] and latent affect [N, 2], every 5th frame."""
    corpus = SimulatedDyads(split, size=clips, audio=False)
    shapes, turns, affects = [], [], []
    for i in range(clips):
        speaker = corpus[i].speaker
        shapes.append(speaker["blendshapes"][::5])
        turns.append(speaker["rotation"][::5])
        affects.append(corpus.latent_affect(corpus.ids[i])[::5])
    return torch.cat(shapes), torch.cat(turns), torch.cat(affects)


def posed(shapes: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """A prototype laid over the mouths, lids and gaze of `shapes` [N, 52].

    Returns:
        shapes [N, 52], number of the expression [N], strength [N] in [0, 1].
    """
    at = {name: place for place, name in enumerate(BLENDSHAPES)}
    kept = [
        at[n] for n in BLENDSHAPES if n.startswith(("eyeLook", "eyeBlink", "jaw", "mouthClose"))
    ]
    kept += [at[n] for n in ("mouthFunnel", "mouthPucker")]
    out = torch.zeros_like(shapes)
    out[:, kept] = shapes[:, kept] * torch.rand(len(shapes), 1, generator=generator)
    which = torch.randint(len(EXPRESSION_LABELS), (len(shapes),), generator=generator)
    strength = 0.35 + 0.65 * torch.rand(len(shapes), generator=generator)
    for row, (label, size) in enumerate(zip(which.tolist(), strength.tolist(), strict=True)):
        name = EXPRESSION_LABELS[label]
        if name == "Neutral":
            continue
        variants = PROTOTYPES[name]
        pick = int(torch.randint(len(variants), (1,), generator=generator))
        for stem, weight in variants[pick].items():
            for side in (stem,) if stem in at else (f"{stem}Left", f"{stem}Right"):
                out[row, at[side]] = (out[row, at[side]] + size * weight).clamp(max=1.0)
    noise = 0.05 * torch.randn(out.shape, generator=generator)
    strength = torch.where(which == 0, 0.0, strength)
    return (out + noise).clamp(0.0, 1.0), which, strength


def train(seed: int = 0) -> torch.nn.Sequential:
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    shapes, turns, affect = people("train", 280)
    model = attribute_maps.network()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=1e-3)
    steps = 3000
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 6e-3, steps)
    anchors = torch.tensor([CIRCUMPLEX[n] for n in EXPRESSION_LABELS])
    for _ in range(steps):
        rows = torch.randint(len(shapes), (512,), generator=generator)
        felt = model(attribute_maps.features(shapes[rows], turns[rows]))
        loss = ((felt[:, :2].tanh() - affect[rows]) ** 2).mean()
        faces, which, strength = posed(shapes[rows[:256]], generator)
        seen = model(attribute_maps.features(faces, turns[rows[:256]]))
        target = torch.zeros(len(which), len(EXPRESSION_LABELS))
        target[torch.arange(len(which)), which] = strength
        target[:, 0] += 1.0 - target.sum(1)
        loss = loss - 0.2 * (target * seen[:, 2:].log_softmax(-1)).sum(1).mean()
        wanted = strength[:, None] * anchors[which]
        loss = loss + ((seen[:, :2].tanh() - wanted) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return model


def agreement(got: Tensor, truth: Tensor, clips: int) -> list[float]:
    """Mean CCC over clips of valence and of arousal."""
    rows = [
        ccc_matrix(a.numpy()[None], b.numpy()[None])[0, 0]
        for a, b in zip(got.chunk(clips), truth.chunk(clips), strict=True)
    ]
    return [float(x) for x in np.mean(rows, axis=0)]


def report(clips: int = 140) -> None:
    shapes, turns, affect = people("test", clips)
    generator = torch.Generator().manual_seed(1)
    faces, which, strength = posed(shapes[::3], generator)
    strong = (strength >= 0.5) | (which == 0)
    print(f"{clips} simulated test speakers; {int(strong.sum())} faces after the prototypes")
    print("map      CCC valence  arousal   MAE valence  arousal   expression right")
    for name in attribute_maps.MAPS:
        got = attribute_maps.shown(shapes, turns, map=name)["va"]
        error = (got - affect).abs().mean(0).tolist()
        agree = agreement(got, affect, clips)
        seen = attribute_maps.shown(faces, turns[::3], map=name)["expression"].argmax(-1)
        right = (seen == which)[strong].float().mean().item()
        print(
            f"{name:8} {agree[0]:11.3f} {agree[1]:8.3f} {error[0]:13.3f} {error[1]:8.3f} "
            f"{right:16.3f}"
        )
    seen = attribute_maps.shown(faces, turns[::3], map="learned")["expression"].argmax(-1)
    for number, label in enumerate(EXPRESSION_LABELS):
        mine = strong & (which == number)
        print(f"  {label:9} {float((seen[mine] == number).float().mean()):.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="train, and replace the stored map")
    if parser.parse_args().write:
        from safetensors.torch import save_file

        home = Path(attribute_maps.__file__).with_name(attribute_maps.FILE)
        model = train()
        save_file({n: x.contiguous() for n, x in model.state_dict().items()}, home)
        attribute_maps._trained.cache_clear()
        print(f"{home}: {home.stat().st_size} bytes")
    report()


if __name__ == "__main__":
    main()
