from __future__ import annotations

import pytest

from visavis.corpora._cast import Cast
from visavis.corpora.simulated import SIZES


@pytest.mark.parametrize("size", [1, 5, 14, 20, 21, 22, 35, 100, 562, 806, 1594])
def test_every_script_has_8_to_20_dyads_unless_the_split_is_smaller(size: int) -> None:
    cast = Cast(size)
    members = [cast.members(number) for number in range(len(cast.starts))]
    assert [i for row in members for i in row] == list(range(size))
    assert all(cast.script(i) == number for number, row in enumerate(members) for i in row)
    if size >= 8:
        assert min(len(row) for row in members) >= 8
        assert max(len(row) for row in members) <= 20


@pytest.mark.parametrize("size", [28, *SIZES.values()])
def test_everyone_hears_two_speakers_of_a_script_and_other_scripts_too(size: int) -> None:
    cast = Cast(size)
    meetings: dict[int, list[int]] = {}
    for index in range(size):
        meetings.setdefault(cast.listener(index), []).append(index)
    for met in meetings.values():
        scripts = [cast.script(i) for i in met]
        assert len(set(scripts)) >= 2
        assert all(scripts.count(script) >= 2 for script in scripts)
        assert len({cast.speaker(i) for i in met}) >= len(set(scripts))
    for index in range(0, size, 11):
        assert cast.meetings(index) == meetings[cast.listener(index)]


def test_speakers_of_one_script_are_different_people() -> None:
    cast = Cast(806)
    for number in range(len(cast.starts)):
        members = cast.members(number)
        assert len({cast.speaker(i) for i in members}) == len(members)


def test_a_dyad_is_cast_the_same_in_a_larger_split_unless_it_is_at_the_end() -> None:
    small, large = Cast(84), Cast(1594)
    for index in range(84):
        assert small.script(index) == large.script(index)
        assert small.listener(index) == large.listener(index)
        assert small.speaker(index) == large.speaker(index)
