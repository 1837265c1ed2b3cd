"""Edges by their sums and counts, and the attention against a plain loop and its bound."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from visavis.nn.graph import EdgeAttention, balance, keep_strongest


def edges(*lead: int, nodes: int = 6, channels: int = 3) -> Tensor:
    return torch.randn(*lead, channels, nodes, nodes).softmax(-1)


def drawn(width: int, channels: int, scale: float = 0.5) -> EdgeAttention:
    layer = EdgeAttention(width, channels)
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=scale)
    return layer


@pytest.mark.parametrize("neighbours", [0, 2, 4])
def test_each_node_keeps_its_strongest_neighbours_and_itself(neighbours: int) -> None:
    whole = edges(7)
    kept = keep_strongest(whole, neighbours)
    assert kept.ne(0).sum(-1).eq(neighbours + 1).all()
    assert kept.diagonal(dim1=-2, dim2=-1).gt(0).all()
    assert torch.equal(kept[kept > 0], whole[kept > 0])
    strength = whole.sum(-3)
    for clip, row in ((0, 0), (3, 5)):
        others = [j for j in range(6) if j != row]
        best = sorted(others, key=lambda j: -float(strength[clip, row, j]))[:neighbours]
        found = {j for j in others if kept[clip, 0, row, j] > 0}
        assert found == set(best)


def test_as_many_neighbours_as_there_are_nodes_change_nothing() -> None:
    whole = edges(2)
    assert torch.equal(keep_strongest(whole, 5), whole)
    assert torch.equal(keep_strongest(whole, 50), whole)


def test_balanced_edges_have_rows_that_sum_to_one() -> None:
    made = balance(keep_strongest(edges(5), 2))
    torch.testing.assert_close(made.sum(-1), torch.ones(5, 3, 6), atol=1e-6, rtol=0)
    assert made.ge(0).all()
    # there and back: what two nodes share makes them neighbours of each other
    assert torch.equal(made > 0, (made > 0).transpose(-1, -2))


def plain(layer: EdgeAttention, x: Tensor, e: Tensor) -> Tensor:
    """One row at a time, node by node, as the definition says."""
    h = torch.sigmoid(torch.nn.functional.elu(x))
    width = x.shape[-1]
    query, key = layer.query_key(h).split(width, -1)
    shares = layer.mixture.softmax(0)
    out = torch.zeros_like(x)
    for i in range(len(x)):
        scores = torch.stack([query[i] @ key[j] for j in range(len(x))]) / math.sqrt(width)
        weights = scores.softmax(0)
        for p in range(len(e)):
            row = weights * e[p, i]
            out[i] += shares[p] * (row / row.sum()) @ h
    return out


def test_the_attention_is_its_definition() -> None:
    layer, x, e = drawn(5, 3), torch.randn(2, 4, 6, 5), balance(edges(2))
    made = layer(x, e)
    for clip in range(2):
        for k in range(4):
            torch.testing.assert_close(made[clip, k], plain(layer, x[clip, k], e[clip]))


def test_what_comes_out_is_an_average_of_squashed_numbers() -> None:
    made = drawn(5, 3)(100 * torch.randn(2, 1, 6, 5), edges(2)).detach()
    assert float(made.min()) > 1 / (1 + math.e) - 1e-6 and float(made.max()) <= 1


def test_renaming_the_nodes_renames_the_output() -> None:
    layer, x, e = drawn(5, 3), torch.randn(1, 2, 6, 5), edges(1)
    order = torch.randperm(6)
    turned = layer(x[:, :, order], e[..., order, :][..., order])
    torch.testing.assert_close(turned, layer(x, e)[:, :, order])


@pytest.mark.parametrize("scale", [0.1, 0.5, 2.0])
def test_the_bound_is_above_the_slope_everywhere(scale: float) -> None:
    """The largest singular value of the Jacobian, at random places and at steep ones."""
    for _ in range(34):
        layer, e = drawn(4, 2, scale), balance(edges(nodes=5, channels=2))
        x = torch.randn(5, 4) * 3 * torch.rand(())
        jacobian = torch.autograd.functional.jacobian(lambda z, f=layer, e=e: f(z[None], e)[0], x)
        slope = torch.linalg.matrix_norm(jacobian.reshape(20, 20), ord=2)
        assert float(slope) <= float(layer.lipschitz(5))
