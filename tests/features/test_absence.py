"""What was lost: named by hand, or told by the recording."""

from __future__ import annotations

import math

import pytest
import torch

from tests.people import person
from visavis.behaviour import Behaviour, Word
from visavis.errors import InputError
from visavis.features.absence import (
    dropped,
    found_lost,
    frozen,
    lose,
    muted,
    parsed,
    stretches,
)


def test_stretches_are_read_in_seconds() -> None:
    assert parsed("speech@3.0-7.5") == ("speech", 3.0, 7.5)
    assert parsed("face@20-") == ("face", 20.0, math.inf)
    assert parsed("words") == ("words", 0.0, math.inf)


@pytest.mark.parametrize("text", ["sound@1-2", "speech@", "speech@a-b", "face@3", "", "face@1-2-3"])
def test_what_cannot_be_read_says_what_was_wanted(text: str) -> None:
    with pytest.raises(InputError, match=r"speech@3\.0-7\.5"):
        parsed(text)


def test_a_stretch_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(InputError, match="before it begins"):
        parsed("face@5-2")


def test_every_frame_that_overlaps_is_lost() -> None:
    speaker = dropped(person(50), ["speech@0.5-1.01", "face@1.6-"])
    gone = ~speaker.mask("mfcc78")
    assert stretches(gone) == [(12, 26)]
    assert stretches(~speaker.mask("blendshapes")) == [(40, 50)]
    assert stretches(~speaker.mask("au")) == [(40, 50)]
    with pytest.raises(InputError, match="behind the end"):
        dropped(person(50), ["face@2-3"])


def test_words_go_with_their_stretch() -> None:
    said = (Word("one", 0.0, 0.4), Word("two", 0.9, 1.2))
    speaker = Behaviour.of({"energy": torch.ones(50, 1)}, words=said)
    assert dropped(speaker, ["words@0.8-1.5"]).words == said[:1]


@pytest.mark.parametrize(
    "mask", [torch.zeros(7, dtype=torch.bool), torch.zeros(8), torch.zeros(2, 8).bool()]
)
def test_masks_that_do_not_fit_are_refused(mask: torch.Tensor) -> None:
    with pytest.raises(InputError, match=r"must be bool \[8\]"):
        lose(person(8), "face", mask)


def test_a_modality_that_is_unknown_or_not_there() -> None:
    some = torch.ones(8, dtype=torch.bool)
    with pytest.raises(InputError, match="no modality"):
        lose(person(8), "smell", some)
    heard = person(8, names=("energy",))
    assert lose(heard, "face", some) is heard


def test_a_mute_microphone_is_digital_silence_that_lasts() -> None:
    energy = torch.full((100, 1), 0.3)
    energy[10:20] = 0.0  # a pause of 0.4 s
    energy[40:70] = 0.0
    assert stretches(muted(energy, 25.0)) == [(40, 70)]
    energy[80:] = torch.nan
    assert stretches(muted(energy, 25.0)) == [(40, 70)]


def test_a_picture_that_stands_still_is_lost_from_its_second_frame() -> None:
    values = torch.randn(60, 52)
    values[20:40] = values[20]
    values[50:53] = values[50]
    assert stretches(frozen(values, 25.0)) == [(21, 40)]


def test_what_a_recording_shows_to_be_lost_is_masked() -> None:
    speaker = person(80)
    sure = torch.full((80, 1), 0.9)
    sure[5:12] = 0.1
    energy = speaker["energy"] + 0.1
    energy[30:60] = 0.0
    shapes = speaker["blendshapes"].clone()
    shapes[62:78] = shapes[62]
    told = speaker.with_channels({"confidence": sure, "energy": energy, "blendshapes": shapes})
    found = found_lost(told)
    assert stretches(~found.mask("blendshapes")) == [(5, 12), (63, 78)]
    assert stretches(~found.mask("mfcc78")) == [(30, 60)]
    assert found_lost(found).mask("mfcc78").tolist() == found.mask("mfcc78").tolist()
