from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests.people import person
from visavis.behaviour import Behaviour, Word
from visavis.corpora import Dropout, SimulatedDyads
from visavis.corpora._dropout import dropped
from visavis.errors import InputError


def speaker(frames: int = 300) -> Behaviour:
    """A face, a voice and a word a second."""
    face = person(frames).select("face")
    voice = {"energy": torch.rand(frames, 1), "pitch": torch.rand(frames, 1)}
    words = tuple(Word("so", float(s), s + 0.5) for s in range(frames // 25))
    return Behaviour.of({**face.channels, **voice}, words=words)


def lost(rates: Dropout, clips: int = 300) -> dict[str, list[torch.Tensor]]:
    """Which frames each clip lost, of face and of speech."""
    whole = speaker()
    found: dict[str, list[torch.Tensor]] = {"va": [], "energy": []}
    for i in range(clips):
        clip = dropped(whole, rates, np.random.default_rng(i))
        for name, masks in found.items():
            masks.append(~clip.mask(name))
    return found


def test_whole_modalities_are_lost_as_often_as_asked_and_never_two() -> None:
    rates = Dropout(face=0.3, speech=0.2)
    found = lost(rates)
    face = torch.stack([mask.all() for mask in found["va"]])
    speech = torch.stack([mask.all() for mask in found["energy"]])
    assert face.float().mean() == pytest.approx(0.3, abs=0.08)
    assert speech.float().mean() == pytest.approx(0.2, abs=0.08)
    assert not (face & speech).any()
    assert all(mask.all() or not mask.any() for masks in found.values() for mask in masks)


def test_bursts_lose_a_fifth_of_the_frames_in_runs_of_a_second() -> None:
    found = lost(Dropout(intermittent=1.0, both=0.0))
    masks = torch.stack([a | b for a, b in zip(*found.values(), strict=True)]).float()
    assert masks.mean() == pytest.approx(0.2, abs=0.03)
    starts = (masks.diff(dim=1) == 1).sum()
    assert masks.sum() / starts == pytest.approx(25, abs=6)


def test_both_modalities_come_and_go_but_seldom_vanish_together() -> None:
    sure = lost(Dropout(intermittent=1.0, both=1.0, keep_one=1.0))
    assert not any((a & b).any() for a, b in zip(*sure.values(), strict=True))
    both = lost(Dropout(intermittent=1.0, both=1.0, keep_one=0.0))
    assert any((a & b).any() for a, b in zip(*both.values(), strict=True))


def test_lost_words_are_gone_and_the_rest_stays() -> None:
    clip = dropped(speaker(), Dropout(words=1.0), np.random.default_rng(0))
    assert clip.words == ()
    assert clip.mask("va").all()
    assert clip.mask("energy").all()


def test_a_corpus_loses_the_same_every_time_and_listeners_lose_nothing() -> None:
    def masks() -> torch.Tensor:
        corpus = SimulatedDyads("test", size=14, frames=100, audio=False, dropout=Dropout.emc())
        assert all(d.listener.mask("va").all() for d in corpus)
        return torch.stack([d.speaker.mask("va") for d in corpus])

    first = masks()
    assert not first.all()
    assert torch.equal(first, masks())
    whole = SimulatedDyads("test", size=14, frames=100, audio=False)[2]
    faulty = SimulatedDyads("test", size=14, frames=100, audio=False, dropout={"face": 1})[2]
    assert not faulty.speaker.mask("blendshapes").any()
    assert torch.equal(whole.listener["va"], faulty.listener["va"])


@pytest.mark.parametrize(
    ("rates", "message"),
    [
        ({"face": 1.1}, "face is a rate in"),
        ({"speech": -0.1}, "speech is a rate in"),
        ({"intermittent": float("nan")}, "intermittent is a rate"),
        ({"face": 0.7, "speech": 0.7}, "at most 1, not 1.4"),
        ({"lost_frames": 0.0}, "at least 1 frame"),
        ({"fase": 0.5}, "Did you mean 'face'"),
        ({"face": "half"}, "face must be a number, not 'half'"),
        ("face", "a mapping of its rates"),
    ],
)
def test_an_impossible_dropout_is_refused(rates: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        SimulatedDyads("test", dropout=rates)
