"""The objective over all appropriate listeners: whom it takes, what its options change."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.people import COEFFICIENTS, batch
from visavis.channels import GROUPS
from visavis.dyad import Batch
from visavis.models._appropriate_loss import appropriate_terms, variety


def those(data: Batch, *numbers: int) -> dict[str, Tensor]:
    """Draws [B, K, T, ...] that are the real reactions with these numbers."""

    def picked(*names: str) -> Tensor:
        real = torch.cat([data.targets[n] for n in names], -1)
        return torch.stack([real[:, i] for i in numbers], dim=1)

    return {"coefficients": picked(*COEFFICIENTS), "attributes": picked(*GROUPS["attributes"])}


def terms(draws: dict[str, Tensor], data: Batch, **more: float | bool) -> dict[str, float]:
    made = appropriate_terms(draws, data, pose_weight=10.0, **more)  # type: ignore[arg-type]
    return {n: float(x) for n, x in made.items()}


def test_a_real_reaction_costs_nothing_but_variety() -> None:
    data = batch(2, 30, targets=3)
    got = terms(those(data, 1, 1), data)
    assert {n for n, x in got.items() if x > 1e-4} == {"variety"}
    assert terms(those(data, 1, 2), data)["variety"] < got["variety"]


def test_without_coefficients_attributes_are_judged_as_with_them() -> None:
    data = batch(2, 30, targets=3)
    draws = those(data, 0, 1)
    both, alone = terms(draws, data), terms({"attributes": draws["attributes"].clone()}, data)
    assert set(both) - set(alone) == {"blendshapes", "pose"}
    assert alone["attributes"] == both["attributes"]
    alike = {"attributes": those(data, 0, 0)["attributes"]}
    assert terms(alike, data)["variety"] > alone["variety"]


def test_coverage_asks_for_a_draw_near_each_real_reaction() -> None:
    data = batch(2, 30, targets=3)
    alike, apart = (terms(those(data, *who), data, coverage=True) for who in ((0, 0, 0), (0, 1, 2)))
    assert alike["attributes"] == pytest.approx(0, abs=1e-4)  # each draw is right by itself
    assert alike["coverage"] > 0.5
    assert apart["coverage"] == pytest.approx(0, abs=1e-4)
    assert "coverage" not in terms(those(data, 0, 0), data)


def test_coverage_does_not_ask_for_reactions_that_are_not_there() -> None:
    data = batch(2, 30, targets=3)
    data.target_mask[:, 1:] = False
    got = terms(those(data, 0, 0), data, coverage=True)
    assert got["coverage"] == pytest.approx(0, abs=1e-4)


def test_draws_may_be_compared_with_some_and_vary_as_all() -> None:
    data = batch(2, 30, targets=3)
    draws = those(data, 1, 1)
    paired = torch.tensor([[True, False, False]] * 2)
    free = appropriate_terms(draws, data, pose_weight=1.0)
    bound = appropriate_terms(draws, data, pose_weight=1.0, only=paired)
    assert float(free["attributes"]) == pytest.approx(0, abs=1e-4)
    assert float(bound["attributes"]) > 0.5
    assert torch.equal(free["variety"], bound["variety"])


def test_a_smaller_share_asks_for_less_variety() -> None:
    data = batch(2, 30, targets=3)
    asked = [terms(those(data, 0, 0), data, share=s)["variety"] for s in (0.0, 0.35, 0.7)]
    assert asked[0] == 0.0
    assert asked[1] == pytest.approx(asked[2])  # of draws that are alike all of it is missing
    some = [terms(those(data, 0, 1), data, share=s)["variety"] for s in (0.35, 0.7)]
    assert some[0] < some[1]


def test_by_group_an_error_in_valence_counts_as_much_as_one_in_all_aus() -> None:
    data = batch(2, 30, targets=1)

    def rise(channels: slice, **more: bool) -> float:
        draws = those(data, 0, 0)
        before = terms(draws, data, **more)["attributes"]
        centre = draws["attributes"][..., channels].mean(-2, keepdim=True)
        draws["attributes"][..., channels] = centre + 0.5  # the mean is off, nothing moves
        return terms(draws, data, **more)["attributes"] - before

    au, va = slice(0, 15), slice(15, 17)
    flat = rise(va) / rise(au)
    grouped = rise(va, by_group=True) / rise(au, by_group=True)
    assert grouped > 1.5 * flat


def test_the_variety_of_listeners_is_the_mean_squared_difference_of_two() -> None:
    reals = torch.randn(2, 4, 20, 3, generator=torch.Generator().manual_seed(0))
    there = torch.tensor([[True] * 4, [True] * 3 + [False]])
    wanted = []
    for clip, count in ((0, 4), (1, 3)):
        pairs = [(i, j) for i in range(count) for j in range(i)]
        apart = [((reals[clip, i] - reals[clip, j]) ** 2).mean(0) for i, j in pairs]
        wanted.append(torch.stack(apart).mean(0))
    torch.testing.assert_close(variety(reals, there), torch.stack(wanted).mean(0))
