"""Does a persona help? Reactions as nobody, as the clip's own listener, and as somebody else.

Simulated test dyads, the seven listeners of each script. A persona is made from another clip of the
listener, of another script (one of the clips that a reaction is looked up among may be of that
script too); "another's" is that of the next of the seven. Scores (`corrected`) are
against the listener's own reactions (PMAFRG: two a script) and against all appropriate ones
(MAFRG); retrieval is among the seven, by their other clips, from attributes and coefficients
(people blink and nod in these). Brackets: 95 %, over scripts.

    python benchmarks/personal.py perreactor
    python benchmarks/personal.py perfrdiff --scripts 20 -k 5
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import visavis as vv
from visavis.behaviour import Behaviour
from visavis.channels import GROUPS
from visavis.corpora import SimulatedDyads
from visavis.dyad import Dyad, Persona
from visavis.features.attributes import attributes_from_coefficients
from visavis.metrics import persona_consistency, persona_retrieval, personal_scores
from visavis.metrics.intervals import bootstrap

F64 = NDArray[np.float64]
WAYS = ("nobody", "own", "another's")
TOLD = "own, by Big Five alone"
REFERENCES = 4
"""Clips of each listener, at most, among which a reaction is looked up."""
PEOPLE = 420
"""Validation clips from which it is learned what tells people apart."""


@dataclass(frozen=True)
class Scene:
    """One script: its listeners' dyads, one each, and the clips of these listeners elsewhere."""

    dyads: list[Dyad]
    known: list[list[Behaviour]]


def attributes(person: Behaviour) -> NDArray[np.float32]:
    """[..., T, 25], completed where a model returns coefficients alone."""
    channels: Any = person
    if "au" not in person.layout:
        channels = attributes_from_coefficients(person["blendshapes"], person["rotation"])
    return torch.cat([channels[n] for n in GROUPS["attributes"]], -1).numpy()


def everything(person: Behaviour) -> NDArray[np.float32]:
    """[..., T, 83]: attributes and coefficients."""
    rest = torch.cat([person[n] for n in GROUPS["coefficients"]], -1).numpy()
    return np.concatenate([attributes(person), rest], -1)


def scenes(count: int) -> list[Scene]:
    heard, silent = SimulatedDyads("test"), SimulatedDyads("test", audio=False)
    found = []
    for script in np.linspace(0, len(heard) // 14 - 1, count).astype(int):
        dyads: dict[str, Dyad] = {}
        for place in range(14 * script, 14 * script + 14):
            dyad = silent[place]
            if dyad.listener_id not in dyads:
                dyads[dyad.listener_id] = heard[place]
        known = [[silent.listener(n) for n in d.history[: REFERENCES + 1]] for d in dyads.values()]
        found.append(Scene(list(dyads.values()), known))
    return found


def answered(model: Any, scene: Scene, way: str, samples: int, seed: int) -> list[Any]:
    """Reactions [K, T, 83] to each dyad of a scene."""
    speakers = Behaviour.stack([d.speaker for d in scene.dyads])
    seeds = seed + torch.arange(len(scene.dyads))
    persona = None
    if way != "nobody":
        if way == TOLD:
            people = [model.persona(None, d.traits) for d in scene.dyads]
        else:
            people = [model.persona(clips[0]) for clips in scene.known]
        if way == "another's":
            people = [*people[1:], people[0]]
        persona = Persona(people[0].model, torch.stack([p.embedding for p in people]))
    return list(everything(model.generate(speakers, samples, seeds=seeds, persona=persona)))


def strangers() -> list[NDArray[np.float32]]:
    """Clips of validation listeners, by listener, which say what tells people apart: neither those
    that a model was trained on nor those who are looked for."""
    known: dict[str, list[NDArray[np.float32]]] = {}
    for dyad in SimulatedDyads("val", size=PEOPLE, audio=False):
        known.setdefault(dyad.listener_id, []).append(everything(dyad.listener))
    return [np.stack(x) for x in known.values()]


def scored(
    made: list[list[Any]], at: list[Scene], corpus: Any, people: list[Any]
) -> dict[str, F64]:
    """Per clip: scores against own and all reactions, and how retrieval fares."""
    pred = [x[..., :25] for scene in made for x in scene]
    targets, own, speakers = [], [], []
    for scene in at:
        for dyad in scene.dyads:
            names = [dyad.id, *(n for n in dyad.appropriate if n != dyad.id)]
            targets.append([attributes(corpus.listener(n)) for n in names])
            own.append([n in dyad.personal for n in names])
            speakers.append(attributes(dyad.speaker))
    scores = personal_scores(pred, targets, own, speakers, workers=1)
    found = {
        f"{name} {score}": np.array(scores[name].per_clip[score])
        for name in ("PMAFRG", "MAFRG")
        for score in ("FRCorr", "FRDist")
    }
    clips = [[np.stack([everything(c) for c in k]) for k in scene.known] for scene in at]
    hits, places = [], []
    for reactions, others in zip(made, clips, strict=True):
        samples = len(reactions[0])
        who = np.repeat(np.arange(len(reactions)), samples)
        references = [x[1:] for x in others]  # the first made the persona
        got = persona_retrieval(np.concatenate(reactions), references, who, people=people)
        hits.append(got.hits.reshape(-1, samples).mean(1))
        places.append(got.reciprocals.reshape(-1, samples).mean(1))
    found["retrieved"] = np.concatenate(hits)
    found["1 / place"] = np.concatenate(places)
    return found


def consistency(model: Any, at: list[Scene]) -> float:
    """How often another history of the same listener gives a nearer reaction; 0.5 is chance."""
    found = []
    for scene in at:
        speaker = scene.dyads[0].speaker
        rows = [
            [everything(model.generate(speaker, 1, persona=model.persona(c)))[0] for c in clips[:2]]
            for clips in scene.known
        ]
        found.append(persona_consistency(np.array(rows)))
    return float(np.mean(found))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model")
    parser.add_argument("--scripts", type=int, default=20)
    parser.add_argument("-k", type=int, default=4)
    given = parser.parse_args()
    torch.set_num_threads(1)
    model, at = vv.load(given.model), scenes(given.scripts)
    corpus, people = SimulatedDyads("test", audio=False), strangers()
    groups = [i for i, scene in enumerate(at) for _ in scene.dyads]
    found = {}
    told = getattr(model.config, "traits", False)
    for way in (*WAYS, TOLD) if told else WAYS:
        made = [answered(model, scene, way, given.k, 100 * i) for i, scene in enumerate(at)]
        found[way] = scored(made, at, corpus, people)
    listeners = len(at[0].dyads)
    real = [[everything(d.listener)[None] for d in scene.dyads] for scene in at]
    found["real listener"] = {
        n: x for n, x in scored(real, at, corpus, people).items() if n in ("retrieved", "1 / place")
    }
    guessed = np.mean(1 / np.arange(1, listeners + 1))
    print(f"{len(groups)} clips of {len(at)} scripts, {given.k} reactions each")
    print(f"{listeners} listeners; chance: retrieved {1 / listeners:.3f}, 1 / place {guessed:.3f}")
    for way, rows in found.items():
        for score, values in rows.items():
            line = f"{way}: {score} {bootstrap(values, groups)}"
            if way in ("own", TOLD):
                for other in ("nobody", "another's"):
                    line += f"; less {other} {bootstrap(values - found[other][score], groups)}"
            print(line)
    print(f"consistency of personas: {consistency(model, at):.3f} (chance 0.5)")


if __name__ == "__main__":
    main()
