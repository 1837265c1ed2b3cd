"""Statistics of simulated people, to lay beside those of the literature.

python benchmarks/simulated_people.py [--dyads 140]
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from visavis.behaviour import Behaviour, Word
from visavis.channels import AU_LABELS, BLENDSHAPES, EXPRESSION_LABELS, FPS
from visavis.corpora import SimulatedDyads
from visavis.metrics.events import blinks, nods

LOOKS = [i for i, name in enumerate(BLENDSHAPES) if name.startswith("eyeLook")]
EYES = [BLENDSHAPES.index("eyeBlinkLeft"), BLENDSHAPES.index("eyeBlinkRight")]
AWAY = 0.15
"""Eyes turned further than this look away."""


def eyes(clips: Sequence[Behaviour]) -> dict[str, float]:
    shapes = [clip["blendshapes"].numpy() for clip in clips]
    found = [blinks(s[:, EYES]) for s in shapes]
    half = [np.count_nonzero(s[:, EYES].mean(1) > 0.5) for s in shapes]
    minutes = sum(len(s) for s in shapes) / FPS / 60
    looking = np.concatenate([s[:, LOOKS].max(1) < AWAY for s in shapes])
    return {
        "blinks a minute": round(sum(map(len, found)) / minutes, 1),
        "blink at half depth, ms": round(1000 * sum(half) / FPS / sum(map(len, found))),
        "looks at the partner, %": round(100 * float(looking.mean())),
    }


def heads(clips: Sequence[Behaviour]) -> dict[str, float]:
    pitch = [clip["rotation"][:, 0].numpy() for clip in clips]
    found = [nods(p) for p in pitch]
    minutes = sum(map(len, pitch)) / FPS / 60
    spectrum = np.mean([np.abs(np.fft.rfft(p - p.mean())) ** 2 for p in pitch], axis=0)
    hertz = np.fft.rfftfreq(len(pitch[0]), 1 / FPS)
    band = (hertz >= 1) & (hertz <= 6)
    return {
        "nods a minute": round(sum(map(len, found)) / minutes, 1),
        "head pitch above 1 Hz, mean frequency": round(
            float((hertz * spectrum)[band].sum() / spectrum[band].sum()), 1
        ),
    }


def talk(words: Sequence[Sequence[Word]], seconds: float) -> dict[str, float]:
    count = sum(map(len, words))
    gaps = np.array([b.start_s - a.end_s for said in words for a, b in itertools.pairwise(said)])
    pauses = gaps[gaps > 0.3]
    return {
        "words a minute": round(60 * count / (seconds * len(words))),
        "pauses (silence over 0.3 s) a minute": round(60 * len(pauses) / seconds / len(words), 1),
        "pause, s": round(float(pauses.mean()), 2),
    }


def latency(corpus: SimulatedDyads, count: int) -> float:
    """Seconds from an event to half of the mean movement that follows it in listeners."""
    aligned: list[NDArray[np.float64]] = []
    for index in range(count):
        listener = corpus.listener(corpus.ids[index])["blendshapes"].double().numpy()
        level = np.delete(listener, EYES + LOOKS, axis=1).sum(1)
        for time in corpus._world.speech(index).telling.times:
            start = round(time * FPS)
            if start >= 0 and start + 50 <= len(level):
                aligned.append(level[start : start + 50] - level[start])
    mean = np.mean(aligned, axis=0)
    return round(float(np.argmax(mean > mean.max() / 2) / FPS), 2)


def labels(clips: Sequence[Behaviour]) -> dict[str, dict[str, float]]:
    au = torch.cat([clip["au"] for clip in clips])
    strongest = torch.cat([clip["expression"] for clip in clips]).argmax(-1)
    shares = torch.bincount(strongest, minlength=8) / len(strongest)
    edges = au.diff(dim=0).abs().sum(0) / 2
    lasting = (au.sum(0) / edges.clamp(min=1) / FPS).mean()
    return {
        "AU": {n: round(float(x), 3) for n, x in zip(AU_LABELS, au.mean(0), strict=True)},
        "strongest expression": {
            n: round(float(x), 3) for n, x in zip(EXPRESSION_LABELS, shares, strict=True)
        },
        "other": {"an AU label lasts, s": round(float(lasting), 2)},
    }


def voice(count: int) -> dict[str, float]:
    """How the voice carries arousal: correlation with its log pitch and its energy."""
    corpus = SimulatedDyads("val", size=max(count, 14))
    pitch, energy = [], []
    for index in range(count):
        speaker = corpus[index].speaker
        arousal = corpus._world.speech(index).performance.affect[1]
        hertz = speaker["pitch"][:, 0].numpy()
        voiced = hertz > 0
        pitch.append(np.corrcoef(arousal[voiced], np.log(hertz[voiced]))[0, 1])
        talking = speaker["voice"][:, 0].numpy() > 0.5
        energy.append(np.corrcoef(arousal[talking], speaker["energy"][:, 0].numpy()[talking])[0, 1])
    return {
        "arousal and log pitch": round(float(np.mean(pitch)), 2),
        "arousal and energy": round(float(np.mean(energy)), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dyads", type=int, default=140)
    count = parser.parse_args().dyads
    torch.set_num_threads(1)
    corpus = SimulatedDyads("val", size=count, audio=False)
    dyads = list(corpus)
    sides = {
        "listener": [dyad.listener for dyad in dyads],
        "speaker": [dyad.speaker for dyad in dyads],
    }
    words = [[w for w in dyad.speaker.words if isinstance(w, Word)] for dyad in dyads]
    result = {
        **{who: {**eyes(clips), **heads(clips)} for who, clips in sides.items()},
        "talk": talk(words, corpus.frames / FPS),
        "event to half of the reaction, s": latency(corpus, count),
        "voice": voice(8),
        **{f"labels of the {who}": labels(clips) for who, clips in sides.items()},
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
