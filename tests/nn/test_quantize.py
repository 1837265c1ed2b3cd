"""Quantisers by their definitions: sizes, bijections, gradients, and a codebook that follows."""

from __future__ import annotations

import math

import pytest
import torch

from visavis.errors import InputError
from visavis.nn.quantize import FSQ, VQ, perplexity, straight_through

LEVELS = ([8, 5, 5, 5], [2, 3], [7])


@pytest.mark.parametrize("levels", LEVELS)
def test_the_codebook_has_as_many_codes_as_the_levels_product(levels: list[int]) -> None:
    fsq = FSQ(levels)
    points = fsq.grid(torch.arange(fsq.codes))
    assert fsq.codes == math.prod(levels) == len(torch.unique(points, dim=0))
    assert [len(torch.unique(c)) for c in points.unbind(-1)] == levels


def test_the_published_grid_has_the_published_ranges() -> None:
    points = FSQ([8, 5, 5, 5]).grid(torch.arange(1000))
    assert points.amin(0).tolist() == [-1, -1, -1, -1]
    assert points.amax(0).tolist() == [0.75, 1, 1, 1]
    assert all(0.0 in column.tolist() for column in points.unbind(-1))


@pytest.mark.parametrize("levels", LEVELS)
def test_every_code_is_reached_and_comes_back_as_itself(levels: list[int]) -> None:
    fsq = FSQ(levels)
    numbers = torch.arange(fsq.codes)
    wanted = fsq.grid(numbers) * (fsq.levels // 2)
    z = torch.atanh((wanted + fsq.offset) / fsq.reach) - fsq.shift  # where `bound` gives the code
    made = fsq(z)
    assert torch.equal(made.indices, numbers)
    torch.testing.assert_close(made.values, fsq.decode(numbers))
    assert float(made.loss) == 0


def test_the_gradient_is_that_of_the_bound_alone() -> None:
    fsq = FSQ([8, 5])
    z = torch.randn(7, 2, dtype=torch.float32, requires_grad=True)
    weights = torch.randn(7, 2)
    (got,) = torch.autograd.grad((fsq(z).values * weights).sum(), z)
    (wanted,) = torch.autograd.grad((fsq.bound(z) / (fsq.levels // 2) * weights).sum(), z)
    assert torch.equal(got, wanted)


def test_a_width_of_its_own_adds_one_map_in_and_one_out() -> None:
    fsq = FSQ([8, 5, 5, 5], 252)
    assert sum(p.numel() for p in fsq.parameters()) == 252 * 4 + 4 + 4 * 252 + 252
    made = fsq(torch.randn(3, 32, 252))
    assert made.values.shape == (3, 32, 252) and made.indices.shape == (3, 32)
    torch.testing.assert_close(made.values, fsq.decode(made.indices))
    assert fsq.vectors().shape == (1000, 252)


@pytest.mark.parametrize("index", [-1, 10])
def test_an_index_that_is_no_code_is_refused(index: int) -> None:
    for quantiser in (FSQ([2, 5]), VQ(10, 3)):
        with pytest.raises(InputError, match="10 codes"):
            quantiser.decode(torch.tensor([3, index]))


def test_levels_that_cannot_be_are_refused() -> None:
    with pytest.raises(InputError, match="two levels"):
        FSQ([8, 1])
    with pytest.raises(InputError, match="decay"):
        VQ(4, 2, decay=1.0)


def test_straight_through_has_one_value_and_the_other_s_gradient() -> None:
    x = torch.tensor([0.4, 1.6], requires_grad=True)
    y = straight_through(x * 3, x.round())
    assert y.tolist() == [0, 2]
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert gradient.tolist() == [3, 3]


def test_perplexity_counts_the_codes_in_use() -> None:
    assert float(perplexity(torch.zeros(9, dtype=torch.int64), 5)) == pytest.approx(1)
    assert float(perplexity(torch.arange(5).repeat(4), 5)) == pytest.approx(5)
    assert float(perplexity(torch.tensor([0, 0, 1, 1]), 5)) == pytest.approx(2)


# ---------------------------------------------------------------------- VQ


def clusters(count: int, each: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    centres = torch.randn(count, 3) * 10
    rows = centres.repeat_interleave(each, 0) + 0.01 * torch.randn(count * each, 3)
    return centres, rows[torch.randperm(len(rows))]


def test_vq_gives_the_nearest_code() -> None:
    vq, z = VQ(16, 3).eval(), torch.randn(4, 9, 3)
    made = vq(z)
    plain = ((z[..., None, :] - vq.codebook) ** 2).sum(-1).argmin(-1)
    assert torch.equal(made.indices, plain)
    torch.testing.assert_close(made.values, vq.decode(plain))
    expected = ((z - vq.decode(plain)) ** 2).mean()
    torch.testing.assert_close(made.loss, expected)


def test_vq_finds_clusters_and_leaves_no_code_dead() -> None:
    torch.manual_seed(0)
    centres, rows = clusters(3)
    vq = VQ(12, 3).train()
    with torch.no_grad():
        vq.codebook.copy_(100 + torch.randn(12, 3))  # far from everything
        vq.sums.copy_(vq.codebook)
        vq.seeded.fill_(True)
    for _ in range(60):
        vq(rows[torch.randperm(len(rows))])
    indices = vq.eval()(rows).indices
    assert len(indices.unique()) >= 9
    error = (vq.decode(indices) - rows).norm(dim=-1)
    assert float(error.max()) < 0.2
    assert float(torch.cdist(centres, vq.codebook).amin(-1).max()) < 0.1


def test_the_first_batch_seeds_the_codebook() -> None:
    vq, rows = VQ(20, 3).train(), torch.randn(30, 3)
    vq._seed(rows)
    assert torch.cdist(vq.codebook, rows).amin(-1).max() < 5e-3
    assert len(torch.unique(vq.codebook, dim=0)) == 20
    few = VQ(20, 3).train()
    few._seed(rows[:6])
    assert len(torch.unique(few.codebook, dim=0)) == 6


def test_a_code_moves_by_the_average_s_decay() -> None:
    vq = VQ(1, 2, decay=0.8).train()
    with torch.no_grad():
        vq.seeded.fill_(True)
        vq.codebook.zero_(), vq.sums.zero_()
    vq(torch.full((1, 2), 5.0))
    torch.testing.assert_close(vq.codebook, torch.full((1, 2), 1.0))  # 0.8 x 0 + 0.2 x 5


def test_vq_trains_only_what_comes_before_it() -> None:
    vq, z = VQ(4, 3).train(), torch.randn(5, 3, requires_grad=True)
    made = vq(z)
    (gradient,) = torch.autograd.grad(made.values.sum(), z, retain_graph=True)
    assert torch.equal(gradient, torch.ones(5, 3))
    assert not list(vq.parameters())
    before = vq.codebook.clone()
    vq.eval()(z)
    assert torch.equal(before, vq.codebook)
