"""Round trips, contraction and log-determinants, each against autograd."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from visavis.errors import InputError
from visavis.nn.graph import EdgeAttention, balance
from visavis.nn.invertible import (
    ActNorm,
    LipschitzResidual,
    every_direction,
    log_determinant,
    signs,
)

NODES, WIDTH, CHANNELS = 4, 3, 2


class Scaled(nn.Module):
    """A branch whose certified slope is `slope`."""

    def __init__(self, slope: float) -> None:
        super().__init__()
        self.attention, self.slope = EdgeAttention(WIDTH, CHANNELS), slope
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.7)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        return self.attention(x, condition)

    def scale(self) -> Tensor:
        return self.slope / self.attention.lipschitz(NODES)


def given(*lead: int) -> tuple[Tensor, Tensor]:
    edges = balance(torch.randn(lead[0], CHANNELS, NODES, NODES).softmax(-1))
    return torch.randn(*lead, NODES, WIDTH), edges


def jacobian_of(f: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    size = x.numel()
    return torch.autograd.functional.jacobian(f, x).reshape(size, size)


# ---------------------------------------------------------------------- ActNorm


def test_actnorm_begins_with_mean_zero_and_deviation_one() -> None:
    layer, x = ActNorm(5), torch.randn(200, 5, 3) * torch.arange(1, 6)[:, None] + 7
    flat = x.transpose(0, 1).flatten(1)
    layer.seed(flat.mean(1), flat.std(1))
    y = layer(x)[0].transpose(0, 1).flatten(1)
    torch.testing.assert_close(y.mean(1), torch.zeros(5), atol=1e-4, rtol=0)
    torch.testing.assert_close(y.std(1), torch.ones(5), atol=1e-4, rtol=0)
    torch.testing.assert_close(layer.inverse(layer(x)[0]), x, atol=1e-4, rtol=0)


def test_actnorm_s_log_determinant_is_that_of_its_jacobian() -> None:
    layer, x = ActNorm(NODES), torch.randn(NODES, WIDTH)
    nn.init.normal_(layer.scale), nn.init.normal_(layer.shift)
    wanted = torch.linalg.slogdet(jacobian_of(lambda z: layer(z)[0], x)).logabsdet
    torch.testing.assert_close(layer(x)[1], wanted)
    assert layer(torch.randn(2, 3, NODES, WIDTH))[1].shape == (2, 3)


# ---------------------------------------------------------------------- residual


@pytest.mark.parametrize("slope", [0.05, 0.5, 0.9])
def test_forward_and_back_is_where_it_began(slope: float) -> None:
    layer = LipschitzResidual(Scaled(slope))
    x, edges = given(3, 5)
    with torch.no_grad():
        torch.testing.assert_close(layer.inverse(layer(x, edges)[0], edges), x, atol=1e-4, rtol=0)
        torch.testing.assert_close(layer(layer.inverse(x, edges), edges)[0], x, atol=1e-4, rtol=0)


def test_the_iteration_contracts_no_slower_than_its_bound() -> None:
    slope, (y, edges) = 0.9, given(1, 1)
    branch, x, last = Scaled(slope), y, None
    for _ in range(6):
        new = y - branch.scale() * branch(x, edges)
        moved = float((new - x).detach().norm())
        assert last is None or moved <= slope * last + 1e-6
        x, last = new, moved


def test_a_row_does_not_wait_for_the_others() -> None:
    layer = LipschitzResidual(Scaled(0.9), tolerance=1e-3)
    y, edges = given(2, 4)
    y[1] *= 50  # these take another number of iterations
    together = layer.inverse(y, edges)
    for i in range(2):
        alone = layer.inverse(y[i : i + 1], edges[i : i + 1])
        torch.testing.assert_close(together[i], alone[0], atol=1e-6, rtol=0)


def test_gradients_pass_through_the_inverse() -> None:
    layer = LipschitzResidual(Scaled(0.9), tolerance=1e-9)
    y, edges = given(1, 1)
    backward = jacobian_of(lambda z: layer.inverse(z[None, None], edges)[0, 0], y[0, 0])
    x = layer.inverse(y, edges)[0, 0].detach()
    forward = jacobian_of(lambda z: layer(z[None, None], edges)[0][0, 0], x)
    torch.testing.assert_close(backward @ forward, torch.eye(12), atol=1e-5, rtol=0)


# ---------------------------------------------------------------------- log-determinant


def exact(layer: LipschitzResidual, x: Tensor, edges: Tensor) -> Tensor:
    rows = []
    for clip, condition in zip(x, edges, strict=True):
        for row in clip:
            full = jacobian_of(lambda z, c=condition: layer(z[None, None], c[None])[0][0, 0], row)
            rows.append(torch.linalg.slogdet(full).logabsdet)
    return torch.stack(rows).view(x.shape[:2])


def test_exact_traces_give_the_jacobian_s_log_determinant() -> None:
    layer = LipschitzResidual(Scaled(0.9), terms=6)
    x, edges = given(2, 3)
    y, logdet = layer(x, edges, probes=every_direction(x))
    wanted = exact(layer, x, edges)
    assert float(wanted.abs().min()) > 1e-3  # there is something to find
    torch.testing.assert_close(logdet, wanted, atol=1e-3, rtol=0)
    torch.testing.assert_close(y, layer(x, edges)[0])


def test_random_probes_are_right_on_average() -> None:
    torch.manual_seed(3)
    layer = LipschitzResidual(Scaled(0.9), terms=6)
    x, edges = given(1, 1)
    with torch.no_grad():
        each = torch.stack([layer(x, edges, probes=p[None])[1][0, 0] for p in signs(x, 500)])
    error = float(each.mean() - exact(layer, x, edges)[0, 0])
    assert abs(error) < 3 * float(each.std()) / 500**0.5


def test_the_log_determinant_can_be_trained() -> None:
    layer = LipschitzResidual(Scaled(0.9))
    x, edges = given(2, 2)
    _, logdet = layer(x, edges, probes=signs(x, 1))
    logdet.sum().backward()
    weight = layer.branch.attention.query_key.weight
    assert weight.grad is not None and float(weight.grad.abs().sum()) > 0


def test_without_gradients_nothing_hangs_on_to_the_graph() -> None:
    x = torch.randn(2, 3, 4)
    with torch.no_grad():
        y, logdet = log_determinant(lambda z: 0.3 * z, x, every_direction(x), terms=9)
    assert not y.requires_grad and not logdet.requires_grad
    torch.testing.assert_close(
        logdet, torch.full((2,), 12 * torch.tensor(1.3).log()), atol=1e-4, rtol=0
    )


def test_settings_that_cannot_work_are_refused() -> None:
    with pytest.raises(InputError, match="positive"):
        LipschitzResidual(Scaled(0.5), limit=0)
