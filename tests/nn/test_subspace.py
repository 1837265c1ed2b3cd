"""Subspaces of training data."""

import pytest
import torch

from visavis.nn.subspace import RunningCovariance, Subspace


def _rows(count: int = 4000) -> torch.Tensor:
    """Two columns that are always equal, one of their own, one that hardly moves."""
    made = torch.Generator().manual_seed(0)
    x, y, still = torch.randn(3, count, generator=made)
    return torch.stack([x, x, y, 1e-5 * still], dim=-1)


def _fitted(share: float) -> Subspace:
    rows, seen, space = _rows(), RunningCovariance(4), Subspace(4)
    for piece in rows.split(1000):
        seen.update(piece)
    seen.write_to(space, share=share, std=torch.tensor([1.0, 1.0, 1.0, 1.0]))
    return space


def test_before_it_is_fitted_a_subspace_is_everything() -> None:
    x = torch.randn(5, 4)
    assert torch.equal(Subspace(4)(x), x)


def test_columns_that_move_together_in_the_data_come_out_equal() -> None:
    out = _fitted(0.99)(torch.tensor([[1.0, -1.0, 2.0, 3.0], [1.0, 0.0, 0.0, 0.0]]))
    torch.testing.assert_close(out[0], torch.tensor([0.0, 0.0, 2.0, 0.0]), atol=0.05, rtol=0)
    torch.testing.assert_close(out[1], torch.tensor([0.5, 0.5, 0.0, 0.0]), atol=0.05, rtol=0)


def test_what_the_data_does_is_kept() -> None:
    rows = _rows()
    torch.testing.assert_close(_fitted(0.999)(rows), rows, atol=1e-3, rtol=0)


def test_projecting_twice_is_projecting_once() -> None:
    space, x = _fitted(0.99), torch.randn(7, 4)
    torch.testing.assert_close(space(space(x)), space(x))


def test_the_covariance_of_pieces_is_that_of_all_rows() -> None:
    rows, seen = _rows().double(), RunningCovariance(4)
    for piece in rows.split([1, 500, 3499]):
        seen.update(piece)
    whole = RunningCovariance(4)
    whole.update(rows)
    torch.testing.assert_close(seen._products, whole._products)
    torch.testing.assert_close(seen._products / len(rows), torch.cov(rows.T, correction=0))


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_at_least_one_component_is_kept_and_at_most_all(share: float) -> None:
    rank = torch.linalg.matrix_rank(_fitted(share).projection, atol=1e-4)
    assert 1 <= rank <= 4
