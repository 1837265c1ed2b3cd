"""Batches check their shapes at birth; a persona is a value to save and pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.people import batch, person
from visavis.behaviour import Behaviour
from visavis.dyad import Dyad, Persona
from visavis.errors import InputError


def test_a_batch_is_as_long_as_its_clips_are_many() -> None:
    assert len(batch(3, 10)) == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"speaker": person(10)}, "one leading axis"),
        ({"speaker": person(10, lead=(2, 2))}, "one leading axis"),
        ({"listener": person(10, lead=(2,))}, r"listeners \[2\]"),
        ({"listener": person(10)}, r"listeners \[\]"),
        ({"targets": person(10, lead=(2, 2))}, r"targets \[2, 2\]"),
        ({"target_mask": torch.ones(3, 4, dtype=torch.bool)}, r"target_mask is \[3, 4\]"),
        (
            {"targets": person(10, lead=(3,)), "target_mask": torch.ones(3, dtype=torch.bool)},
            r"wanted \[B\] and \[B, N\]",
        ),
    ],
)
def test_a_batch_that_does_not_fit_together_is_refused(
    changes: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        replace(batch(3, 10), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"personal_mask": torch.ones(3, 3, dtype=torch.bool)}, r"bool \[3, 2\]"),
        ({"personal_mask": torch.ones(3, 2)}, r"came as torch.float32"),
        ({"history": person(5, lead=(2,))}, "one clip a listener"),
        ({"traits": torch.ones(3, 4)}, r"wanted \[3, 5\]"),
    ],
)
def test_what_tells_of_the_listeners_must_fit_the_clips(
    changes: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        replace(batch(3, 10), **changes)  # type: ignore[arg-type]


def test_a_dyad_has_five_traits_or_none() -> None:
    people = {"speaker": person(5), "listener": person(5), "speaker_id": "s", "listener_id": "l"}
    assert Dyad(id="d", split="test", **people).traits is None  # type: ignore[arg-type]
    with pytest.raises(InputError, match="openness, conscientiousness"):
        Dyad(id="d", split="test", traits=torch.ones(4), **people)  # type: ignore[arg-type]


def test_a_batch_moves_as_a_whole() -> None:
    moved = replace(
        batch(2, 10),
        history=person(5, lead=(2,)),
        personal_mask=torch.ones(2, 2, dtype=torch.bool),
        traits=torch.rand(2, 5),
    ).to("meta")
    assert moved.personal_mask is not None and moved.personal_mask.device.type == "meta"
    assert moved.traits is not None and moved.traits.device.type == "meta"
    parts = [moved.speaker, moved.listener, moved.targets, moved.history]
    assert {b.device.type for b in parts if isinstance(b, Behaviour)} == {"meta"}
    assert moved.target_mask.device.type == "meta"
    assert moved.lengths is not None and moved.lengths.device.type == "meta"
    assert moved.ids == ("clip0", "clip1")


@pytest.mark.parametrize("traits", [None, torch.rand(5)])
def test_a_persona_comes_back_from_its_file(tmp_path: Path, traits: torch.Tensor | None) -> None:
    saved = Persona("someone", torch.randn(7), traits)
    back = Persona.load(saved.save(tmp_path / "p.safetensors"))
    assert back.model == "someone"
    assert torch.equal(back.embedding, saved.embedding)
    assert (back.traits is None) == (traits is None)
    if traits is not None and back.traits is not None:
        assert torch.equal(back.traits, traits)


def test_what_is_not_a_persona_is_named(tmp_path: Path) -> None:
    behaviour = person(5).save(tmp_path / "b.safetensors")
    with pytest.raises(InputError, match="holds no persona"):
        Persona.load(behaviour)
    with pytest.raises(InputError, match="does not exist"):
        Persona.load(tmp_path / "none.safetensors")
    (tmp_path / "x.safetensors").write_bytes(b"nothing")
    with pytest.raises(InputError, match="not a safetensors file"):
        Persona.load(tmp_path / "x.safetensors")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"negatives": person(10, lead=(2, 2))}, r"negatives are \[2, 2\] of 10 frames"),
        ({"negatives": person(9, lead=(3, 2))}, r"of 9 frames"),
        ({"negatives": person(10, lead=(3, 2))}, "negative_mask must be bool .* nothing"),
        (
            {
                "negatives": person(10, lead=(3, 2)),
                "negative_mask": torch.ones(3, 2, dtype=torch.bool),
                "negative_personal": torch.ones(3, 2),
            },
            "negative_personal must be bool .*float32",
        ),
    ],
)
def test_negatives_must_fit_the_clips(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(batch(3, 10), **changes)  # type: ignore[arg-type]


def who(value: float, **more: object) -> Persona:
    return Persona("perreactor", torch.full((3,), value), **more)  # type: ignore[arg-type]


def test_personas_are_mixed_in_a_straight_line() -> None:
    a = who(0.0, traits=torch.zeros(5), expressiveness=1.0, source="a.mp4")
    b = who(4.0, traits=torch.ones(5), expressiveness=2.0)
    mixed = a.between(b, 0.25)
    assert mixed.embedding.tolist() == [1.0] * 3
    assert mixed.traits is not None
    assert mixed.traits.tolist() == [0.25] * 5
    assert (mixed.expressiveness, mixed.source) == (1.25, "")
    assert a.between(who(4.0)).traits is None
    assert a.expressive(3.0).expressiveness == 3.0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: who(0.0).between(Persona("perfrdiff", torch.zeros(3))), "cannot be mixed"),
        (lambda: who(0.0).between(Persona("perreactor", torch.zeros(4))), "cannot be mixed"),
        (lambda: who(0.0).between(who(1.0), 1.5), "share lies in 0 to 1"),
        (lambda: who(0.0).expressive(5.0), "expressiveness lies in 0 to 4"),
        (lambda: who(float("nan")), "not finite"),
        (lambda: Persona("perreactor", torch.zeros(())), "finite numbers"),
    ],
)
def test_impossible_personas_are_refused(make: Callable[[], Persona], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()
