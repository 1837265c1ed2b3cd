"""Behaviours on another clock."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.people import person
from visavis.behaviour import Behaviour, Source, Word
from visavis.channels import Channel, Layout
from visavis.corpora._disk_clock import resample, stretch
from visavis.errors import InputError


def ramp(frames: int, fps: float) -> Behaviour:
    """`va` says the time of the frame's middle, in tens of seconds."""
    seconds = (torch.arange(frames) + 0.5) / fps
    return Behaviour.of({"va": seconds[:, None].expand(-1, 2) / 10}, fps=fps)


@pytest.mark.parametrize("fps", [30.0, 29.97, 24.0, 12.5, 60.0])
def test_a_new_frame_says_what_the_old_clock_said_at_its_middle(fps: float) -> None:
    old = ramp(round(8 * fps), fps)
    new = resample(old)
    assert new.fps == 25.0
    assert new.frames == round(old.frames * 25 / fps)
    middle = (torch.arange(new.frames) + 0.5) / 25
    inside = (middle > 0.5 / fps) & (middle < (old.frames - 0.5) / fps)
    assert torch.allclose(new["va"][inside, 0] * 10, middle[inside], atol=1e-5)


def test_the_own_clock_changes_nothing() -> None:
    clip = person(40)
    assert resample(clip, 25.0) is clip
    assert stretch(clip, 40) is clip


def test_labels_stay_labels_and_probabilities_stay_probabilities() -> None:
    new = stretch(person(90, seed=3), 77)
    assert set(new["au"].unique().tolist()) <= {0.0, 1.0}
    assert torch.allclose(new["expression"].sum(-1), torch.ones(77), atol=1e-5)


def test_a_lone_observed_neighbour_stands_and_nothing_is_made_of_none() -> None:
    values = torch.arange(12.0)[:, None].expand(-1, 2) / 12
    mask = torch.ones(12, dtype=torch.bool)
    mask[4:8] = False
    new = resample(Behaviour.of({"va": values}, fps=30.0, observed={"va": mask}))
    seen = new.mask("va")
    at = np.clip((np.arange(10) + 0.5) * 1.2 - 0.5, 0, 11)
    expected = [bool(mask[int(np.floor(x))] or mask[min(int(np.floor(x)) + 1, 11)]) for x in at]
    assert seen.tolist() == expected
    assert not seen.all()
    there = new.filled("va")[seen]
    assert torch.isfinite(there).all()
    assert float(there.max()) <= 11 / 12


def test_reactions_of_many_samples_are_brought_along() -> None:
    many = person(50, lead=(3,), seed=1)
    new = stretch(many, 60)
    assert new.lead == (3,)
    one = stretch(many[1], 60)
    assert torch.equal(new[1]["blendshapes"], one["blendshapes"])


def test_faster_channels_keep_their_ticks() -> None:
    layout = Layout((Channel("twice", ("x",), rate=2),))
    old = Behaviour.of({"twice": torch.arange(60.0)[:, None]}, layout=layout, fps=30.0)
    new = resample(old)
    assert new["twice"].shape == (50, 1)
    assert torch.allclose(new["twice"][1:-1].diff(dim=0), torch.tensor(1.2), atol=1e-4)


def test_words_keep_their_seconds_on_another_clock_and_move_when_stretched() -> None:
    clip = Behaviour.of(
        {"va": torch.zeros(60, 2)}, fps=30.0, words=(Word("so", 0.5, 1.0),), source=Source("a.mp4")
    )
    assert resample(clip).words == clip.words
    assert resample(clip).source == clip.source
    assert stretch(clip, 120).words == (Word("so", 1.0, 2.0),)


@pytest.mark.parametrize("fps", [0.0, -25.0, float("nan"), float("inf")])
def test_an_impossible_clock_is_refused(fps: float) -> None:
    with pytest.raises(InputError, match="positive number of frames"):
        resample(person(5), fps)


def test_a_padded_batch_is_refused() -> None:
    batch = Behaviour.stack([person(5), person(7)])
    with pytest.raises(InputError, match="padded batch"):
        stretch(batch, 9)
    with pytest.raises(InputError, match="1 or more"):
        stretch(person(5), 0)
