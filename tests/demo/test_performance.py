"""The script: deterministic, in range, and mouth and voice of one mind."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from visavis.channels import BLENDSHAPES
from visavis.demo.performance import perform
from visavis.errors import InputError


def shape(name: str, seconds: float = 20.0, seed: int = 0) -> np.ndarray:
    values = perform(seconds, seed=seed).behaviour["blendshapes"]
    return values[:, BLENDSHAPES.index(name)].numpy()


def test_the_same_seed_gives_the_same_performance_and_another_another() -> None:
    first, again, other = perform(5.0), perform(5.0), perform(5.0, seed=1)
    assert torch.equal(first.behaviour["blendshapes"], again.behaviour["blendshapes"])
    np.testing.assert_array_equal(first.pitch_hz, again.pitch_hz)
    assert not torch.equal(first.behaviour["rotation"], other.behaviour["rotation"])


@pytest.mark.parametrize("seconds", [0.04, 1.0, 9.99])
def test_it_is_as_long_as_asked_and_in_range(seconds: float) -> None:
    script = perform(seconds)
    frames = round(seconds * 25)
    assert script.behaviour.frames == frames
    values = script.behaviour["blendshapes"]
    assert values.min() >= 0 and values.max() <= 1
    for track in (script.pitch_hz, script.loudness, script.openness):
        assert track.shape == (frames,)
    assert all(0 <= w.start_s < w.end_s <= seconds + 0.5 for w in script.behaviour.words)


def test_no_frames_is_refused() -> None:
    with pytest.raises(InputError, match="at least one frame"):
        perform(0.0)


def test_the_mouth_opens_while_the_voice_sounds() -> None:
    script = perform(30.0)
    jaw = shape("jawOpen", 30.0)
    silent = script.pitch_hz == 0
    assert 0.1 < silent.mean() < 0.6
    assert jaw[silent].mean() < 0.02 < 0.15 < jaw[~silent].mean()
    assert np.corrcoef(jaw, script.openness)[0, 1] > 0.7
    assert not script.loudness[silent].any()


def test_words_lie_where_the_voice_is() -> None:
    script = perform(30.0)
    assert len(script.behaviour.words) > 20
    for word in script.behaviour.words:
        middle = int((word.start_s + word.end_s) / 2 * 25)
        assert script.pitch_hz[min(middle, 749)] > 0


def test_something_of_everything_happens_in_twenty_seconds() -> None:
    for seed in range(3):
        for name in ("mouthSmileLeft", "browInnerUp", "eyeBlinkLeft", "jawOpen"):
            assert shape(name, seed=seed).max() > 0.5, (seed, name)
        blinks = np.diff((shape("eyeBlinkLeft", seed=seed) > 0.5).astype(int)) == 1
        assert 4 <= blinks.sum() <= 12


def test_the_eyes_stay_on_the_listener_when_the_head_turns() -> None:
    behaviour = perform(20.0).behaviour
    yaw = behaviour["rotation"][:, 1].numpy()
    to_the_right = shape("eyeLookOutRight") - shape("eyeLookInRight")
    assert np.corrcoef(yaw, to_the_right)[0, 1] > 0.99
