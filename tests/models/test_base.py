"""What the base class gives every model: checks of the speaker, the seeds and the persona."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tests.people import person
from visavis.dyad import Persona
from visavis.errors import InputError
from visavis.models import _base
from visavis.models._base import ReactionModel, model_class
from visavis.recipes import model_files, new_model
from visavis.streaming.rolling import RollingSession


@pytest.mark.parametrize("name", ["mirror", "random", "trans_vae"])
def test_another_clock_is_refused_offline_and_live(name: str) -> None:
    """Frames of another length would be answered as if they were 40 ms, and labelled so."""
    model = new_model(name, {})
    fast = replace(person(10), fps=30.0)
    with pytest.raises(InputError, match="25 frames a second, but this speaker is at 30"):
        model.generate(fast)
    session = RollingSession(model, context=5, hop=5)
    lane = session.open(seed=0)
    with pytest.raises(InputError, match="at 30"):
        session.step({lane: fast})


def test_two_leading_axes_are_refused() -> None:
    with pytest.raises(InputError, match=r"leading axes \[2, 3\]"):
        new_model("mirror", {}).generate(person(5, lead=(2, 3)))


def test_a_seed_a_clip_is_a_seed_a_clip() -> None:
    model, clips = new_model("random", {}), person(5, lead=(2,))
    both = model.generate(clips, 2, seeds=torch.tensor([7, 8])).pack()
    assert torch.equal(both[0], model.generate(clips, 2, seeds=7).pack()[0])
    assert torch.equal(both[1], model.generate(clips, 2, seeds=8).pack()[1])


def test_a_generic_model_takes_no_persona() -> None:
    persona = Persona("mirror", torch.zeros(3))
    with pytest.raises(InputError, match="not personal"):
        new_model("mirror", {}).generate(person(5), persona=persona)
    with pytest.raises(InputError, match="not personal"):
        RollingSession(new_model("mirror", {})).open(seed=0, persona=persona)


def test_a_model_without_a_loss_says_so() -> None:
    with pytest.raises(InputError, match="mirror has no loss"):
        new_model("mirror", {}).loss(None)


def test_a_model_tells_what_it_is_when_printed() -> None:
    assert "coefficients, mfcc78 -> attributes, coefficients" in repr(new_model("trans_vae", {}))
    assert "random: nothing -> attributes, 0 parameters" in repr(new_model("random", {}))


@pytest.mark.parametrize("name", model_files())
def test_a_file_defines_one_model_and_the_base_none(name: str) -> None:
    assert issubclass(type(new_model(name, {})), ReactionModel)
    with pytest.raises(AssertionError, match="must define one model, not 0"):
        model_class(_base)
