from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from visavis import noise

SEEDS = st.integers(0, 2**62)


def test_normal_numbers_have_the_moments_of_a_standard_normal() -> None:
    x = noise.normal(7, 0, "test", 0, (200_000,)).double()
    assert x.mean().abs() < 0.01
    assert (x.std() - 1).abs() < 0.01
    assert ((x**3).mean()).abs() < 0.03
    assert ((x**4).mean() - 3).abs() < 0.1


def test_uniform_numbers_lie_inside_zero_and_one_and_are_flat() -> None:
    x = noise.uniform(3, 1, "test", 0, (200_000,))
    assert 0 < float(x.min())
    assert float(x.max()) <= 1
    counts = torch.histc(x, bins=20, min=0, max=1)
    assert (counts / len(x) - 0.05).abs().max() < 0.003


@given(seed=SEEDS, samples=st.integers(1, 12), index=st.integers(0, 10_000))
def test_more_samples_begin_with_the_same_ones(seed: int, samples: int, index: int) -> None:
    ten = noise.normal(seed, torch.arange(12), "z", index, (5,))
    few = noise.normal(seed, torch.arange(samples), "z", index, (5,))
    assert torch.equal(ten[:samples], few)


@given(seeds=st.lists(SEEDS, min_size=1, max_size=6), shift=st.integers(0, 5))
def test_a_draw_does_not_depend_on_its_neighbours(seeds: list[int], shift: int) -> None:
    batch = noise.normal(torch.tensor(seeds)[:, None], torch.arange(3)[None], "z", 2, (4,))
    i = shift % len(seeds)
    assert torch.equal(batch[i], noise.normal(seeds[i], torch.arange(3), "z", 2, (4,)))


@given(size=st.integers(1, 40))
def test_a_longer_draw_begins_with_the_shorter_one(size: int) -> None:
    assert torch.equal(
        noise.normal(1, 2, "z", 3, (41,))[:size], noise.normal(1, 2, "z", 3, (size,))
    )


@pytest.mark.parametrize(
    "other",
    [
        noise.normal(2, 0, "a", 0, (1000,)),
        noise.normal(1, 1, "a", 0, (1000,)),
        noise.normal(1, 0, "b", 0, (1000,)),
        noise.normal(1, 0, "a", 1, (1000,)),
    ],
    ids=["seed", "sample", "stream", "index"],
)
def test_each_argument_changes_the_draw_and_leaves_it_uncorrelated(other: torch.Tensor) -> None:
    one = noise.normal(1, 0, "a", 0, (1000,))
    correlation = torch.corrcoef(torch.stack([one, other]))[0, 1]
    assert correlation.abs() < 4 / math.sqrt(1000)


def test_neighbouring_seeds_are_uncorrelated() -> None:
    draws = noise.normal(torch.arange(200), 0, "a", 0, (500,))
    correlation = torch.corrcoef(draws) - torch.eye(200)
    assert correlation.abs().max() < 6 / math.sqrt(500)
    assert correlation.abs().mean() < 1 / math.sqrt(500)
