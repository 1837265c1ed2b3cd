"""Emotion from the voice: our head, and other models' classes."""

from __future__ import annotations

import pytest
import torch

from tests.people import person
from visavis.channels import EXPRESSION_LABELS
from visavis.errors import InputError
from visavis.features.speech_emotion import (
    SPEECH_EMOTION,
    distilled,
    from_scores,
    with_speech_emotion,
)


def test_the_shipped_head_is_small_and_speaks_in_ranges() -> None:
    head = distilled()
    assert sum(p.numel() for p in head.parameters()) < 100_000
    assert not any(p.requires_grad for p in head.parameters())
    told, memory = head(5 * torch.randn(2, 30, 78), torch.ones(2, 30, dtype=torch.bool))
    assert told.shape == (2, 30, 10)
    assert float(told[..., :2].abs().max()) <= 1
    torch.testing.assert_close(told[..., 2:].sum(-1), torch.ones(2, 30))
    assert memory.shape[:2] == (2, 2)


def test_a_stream_hears_what_the_whole_clip_does_and_never_what_was_lost() -> None:
    head, sound = distilled(), person(40)["mfcc78"][None]
    there = torch.ones(1, 40, dtype=torch.bool)
    there[:, 10:20] = False
    whole, _ = head(sound, there)
    memory, parts = None, []
    for a, b in ((0, 1), (1, 12), (12, 40)):
        part, memory = head(sound[:, a:b], there[:, a:b], memory)
        parts.append(part)
    torch.testing.assert_close(torch.cat(parts, 1), whole, atol=1e-5, rtol=0.0)
    broken = sound.clone()
    broken[:, 10:20] = torch.nan
    assert torch.equal(head(broken, there)[0], whole)


def test_classes_of_other_models_are_mapped_and_repeated() -> None:
    made = from_scores([0.1, 0.5, 0.2, 0.2], ["neu", "hap", "sad", "exc"], frames=3)
    assert made.shape == (3, 10)
    at = {label: 2 + i for i, label in enumerate(EXPRESSION_LABELS)}
    assert made[0, at["Happy"]] == pytest.approx(0.7)
    assert made[2, at["Neutral"]] == pytest.approx(0.1)
    assert made[1, :2].tolist() == [0.0, 0.0]
    rows = from_scores(torch.eye(2), ["Angry", "calm"], frames=2, affect=[0.5, -1.0])
    assert rows[0, at["Anger"]] == rows[1, at["Neutral"]] == 1.0
    assert rows[0, :2].tolist() == [0.5, -1.0]


def test_a_class_that_does_not_map_is_named_with_what_helps() -> None:
    with pytest.raises(InputError, match=r"'boredom' is none of Neutral.*remap"):
        from_scores([0.5, 0.5], ["boredom", "happy"], frames=2)
    made = from_scores([0.5, 0.5], ["boredom", "happy"], frames=2, remap={"boredom": "Neutral"})
    assert made[0, 2] == 0.5
    with pytest.raises(InputError, match=r"remap says 'hapy' for 'joyful'.*Did you mean 'Happy'"):
        from_scores([1.0], ["joyful"], frames=2, remap={"joyful": "hapy"})


@pytest.mark.parametrize(
    ("scores", "more", "message"),
    [
        ([0.5], {}, "for 2 classes"),
        ([[0.5, 0.5]] * 3, {}, "do not fit 2 frames"),
        ([-1.0, 2.0], {}, "not its logits"),
        ([0.0, 0.0], {}, "no class has a chance"),
        ([0.5, 0.5], {"affect": [2.0, 0.0]}, r"\[-1, 1\]"),
        ([0.5, 0.5], {"affect": [0.0, 0.0, 0.0]}, r"\[-1, 1\]"),
    ],
)
def test_scores_that_do_not_fit_are_refused(
    scores: list[float], more: dict[str, list[float]], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        from_scores(scores, ["happy", "sad"], frames=2, **more)


def test_a_speaker_gets_the_channel_and_loses_it_with_the_voice() -> None:
    seen = torch.tensor([True] * 4 + [False] * 4)
    speaker = with_speech_emotion(person(8), [1.0], ["sad"], observed=seen)
    assert speaker.mask(SPEECH_EMOTION).tolist() == seen.tolist()
    assert not speaker.drop("speech").mask(SPEECH_EMOTION).any()
    with pytest.raises(InputError, match="one clip"):
        with_speech_emotion(person(8, lead=(2,)), [1.0], ["sad"])
