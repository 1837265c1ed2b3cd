"""What the base class gives every model: checks of the speaker, the seeds and the persona."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from tests.people import person
from visavis.dyad import Persona
from visavis.errors import InputError
from visavis.models import _base
from visavis.models._base import ReactionModel, model_class
from visavis.models.trans_vae import TransVAE, TransVAEConfig
from visavis.recipes import model_files, new_model
from visavis.streaming.rolling import RollingSession


@pytest.mark.parametrize("name", ["mirror", "random", "trans_vae"])
def test_another_clock_is_refused_offline_and_live(name: str) -> None:
    """Frames of another length would be answered as if they were 40 ms, and labelled so."""
    model = new_model(name, {})
    fast = replace(person(10), fps=30.0)
    with pytest.raises(InputError, match="25 frames a second, but this speaker is at 30"):
        model.generate(fast)
    session = RollingSession(model) if name == "trans_vae" else model.session()
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
        new_model("mirror", {}).session().open(seed=0, persona=persona)


class Known(TransVAE):
    """A model that takes a persona (and has no use for it)."""

    personal = True


def test_another_model_s_persona_is_refused_offline_and_live() -> None:
    model = Known(TransVAEConfig(width=8, heads=2))
    theirs, own = Persona("mirror", torch.zeros(3)), Persona(model.name, torch.zeros(3))
    session = RollingSession(model)
    with pytest.raises(InputError, match=f"made by mirror, not by {model.name}"):
        model.generate(person(5), persona=theirs)
    with pytest.raises(InputError, match=f"made by mirror, not by {model.name}"):
        session.open(seed=0, persona=theirs)
    session.open(seed=0, persona=own)


# ---------------------------------------------------------------------- seeds


@pytest.mark.parametrize(
    "seed",
    [0.5, 1.0, None, True, "7", 2**63, -(2**63) - 1, 2**70, np.float64(1), torch.tensor(0.5)],
)
def test_a_seed_that_is_no_64_bit_whole_number_is_refused(seed: Any) -> None:
    model = new_model("random", {})
    with pytest.raises(InputError, match="whole numbers from -2"):
        model.generate(person(5), seeds=seed)
    with pytest.raises(InputError, match="whole numbers from -2"):
        model.session().open(seed=seed)


@pytest.mark.parametrize(
    "seeds",
    [
        7,
        np.int64(7),
        np.uint8(7),
        torch.tensor(7),
        torch.tensor([7, 7], dtype=torch.int32),
        np.array([7, 7]),
        [7, 7],
    ],
)
def test_whole_numbers_of_any_make_are_one_seed(seeds: Any) -> None:
    model, clips = new_model("random", {}), person(5, lead=(2,))
    expected = model.generate(clips, 2, seeds=7).pack()
    assert torch.equal(model.generate(clips, 2, seeds=seeds).pack(), expected)


@pytest.mark.parametrize("seed", [-(2**63), 2**63 - 1])
def test_the_largest_seeds_are_taken_offline_and_live(seed: int) -> None:
    model, speaker = new_model("random", {}), person(5)
    session = model.session()
    lane = session.open(seed=seed)
    live = session.step({lane: speaker})[lane]
    assert torch.equal(live.pack(), model.generate(speaker, 1, seeds=seed).pack())


@pytest.mark.parametrize("seeds", [[1], [1, 2, 3], [[1, 2]], []])
def test_seeds_are_one_or_one_a_clip(seeds: Any) -> None:
    with pytest.raises(InputError, match=r"one for all clips or one each|2 clips"):
        new_model("random", {}).generate(person(5, lead=(2,)), seeds=seeds)


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
