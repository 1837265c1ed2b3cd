"""FaceVerse coefficients and ours: the angles' algebra, the way back, and no mixing."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from tests.people import person
from visavis.behaviour import Behaviour
from visavis.errors import InputError
from visavis.features.faceverse import (
    UNIT_M,
    angles_from_faceverse,
    angles_to_faceverse,
    from_faceverse,
    split,
    to_faceverse,
)

REST = (0.01, -0.02, 1.8)


def rotation(axis: int, angle: float) -> Tensor:
    """Right-handed, about x, y or z."""
    c, s = math.cos(angle), math.sin(angle)
    tables = (
        [[1, 0, 0], [0, c, -s], [0, s, c]],
        [[c, 0, s], [0, 1, 0], [-s, 0, c]],
        [[c, -s, 0], [s, c, 0], [0, 0, 1]],
    )
    return torch.tensor(tables[axis], dtype=torch.float64)


def test_the_two_sets_of_angles_turn_the_head_alike() -> None:
    theirs = torch.tensor([3.3, 0.4, -0.2], dtype=torch.float64)
    pitch, yaw, roll = angles_from_faceverse(theirs).tolist()
    upright = rotation(0, math.pi)  # their model hangs upside down and looks away
    their_head = rotation(2, -0.2) @ rotation(1, 0.4) @ rotation(0, 3.3) @ upright
    our_head = rotation(1, yaw) @ rotation(0, pitch) @ rotation(2, roll)
    torch.testing.assert_close(their_head, our_head)


def test_an_upright_face_has_angles_of_pi_and_zeros() -> None:
    rest = torch.tensor([math.pi, 0.0, 0.0], dtype=torch.float64)
    torch.testing.assert_close(angles_from_faceverse(rest), torch.zeros(3, dtype=torch.float64))
    torch.testing.assert_close(angles_to_faceverse(torch.zeros(3, dtype=torch.float64)), rest)


def test_one_turn_at_a_time_means_the_same_in_both() -> None:
    nod = torch.tensor([math.pi + 0.3, 0.0, 0.0])
    torch.testing.assert_close(angles_from_faceverse(nod), torch.tensor([0.3, 0.0, 0.0]))
    shake = torch.tensor([math.pi, -0.4, 0.0])
    torch.testing.assert_close(angles_from_faceverse(shake), torch.tensor([0.0, -0.4, 0.0]))
    tilt = torch.tensor([math.pi, 0.0, 0.2])
    torch.testing.assert_close(angles_from_faceverse(tilt), torch.tensor([0.0, 0.0, 0.2]))


def test_angles_come_back_for_every_head_that_looks_forward() -> None:
    generator = torch.Generator().manual_seed(0)
    ours = (torch.rand(500, 3, generator=generator, dtype=torch.float64) - 0.5) * 3.0
    back = angles_from_faceverse(angles_to_faceverse(ours))
    torch.testing.assert_close(back, ours)
    theirs = angles_to_faceverse(ours)
    torch.testing.assert_close(angles_to_faceverse(angles_from_faceverse(theirs)), theirs)


def test_a_behaviour_goes_there_and_back() -> None:
    ours = person(20, names=("au", "blendshapes", "rotation", "translation"))
    theirs = to_faceverse(ours, rest=REST)
    assert theirs.layout.convention == "faceverse"
    assert abs(float(theirs["rotation"][:, 0].mean()) - math.pi) < 0.2
    assert abs(float(theirs["translation"][:, 2].mean()) - 1.8) < 0.5
    back = from_faceverse(theirs, rest=REST)
    assert back.layout == ours.layout
    for name in ours.layout.names:
        torch.testing.assert_close(back[name], ours[name], atol=1e-6, rtol=1e-6)


def test_a_unit_of_theirs_is_some_centimetres() -> None:
    theirs = Behaviour.of(
        {"translation": torch.tensor([[1.01, -0.02, 1.8]])}, convention="faceverse"
    )
    moved = from_faceverse(theirs, rest=REST)["translation"]
    torch.testing.assert_close(moved, torch.tensor([[UNIT_M, 0.0, 0.0]]))


def test_blendshapes_are_held_in_their_range_and_unobserved_frames_stay_so() -> None:
    values = torch.full((3, 52), 1.2)
    values[1] = -0.1
    theirs = Behaviour.of(
        {"blendshapes": values, "rotation": torch.full((3, 3), 3.0)},
        convention="faceverse",
        observed={"rotation": torch.tensor([True, False, True])},
    )
    ours = from_faceverse(theirs, rest=REST)
    assert ours["blendshapes"].unique().tolist() == [0.0, 1.0]
    assert ours.mask("rotation").tolist() == [True, False, True]


def test_nothing_is_converted_twice_or_mixed() -> None:
    ours = person(4, names=("rotation",))
    theirs = to_faceverse(ours, rest=REST)
    with pytest.raises(InputError, match="converted twice"):
        to_faceverse(theirs, rest=REST)
    with pytest.raises(InputError, match="converted twice"):
        from_faceverse(ours, rest=REST)
    with pytest.raises(InputError):
        Behaviour.stack([ours, theirs])
    with pytest.raises(InputError, match="three finite numbers"):
        to_faceverse(ours, rest=(0.0, 1.0))


def test_frames_of_another_width_are_refused() -> None:
    assert {n: x.shape[-1] for n, x in split(torch.zeros(2, 58)).items()} == {
        "blendshapes": 52,
        "rotation": 3,
        "translation": 3,
    }
    with pytest.raises(InputError, match=r"\[\.\.\., 58\]"):
        split(torch.zeros(2, 57))
