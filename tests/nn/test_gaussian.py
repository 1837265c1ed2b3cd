"""The Gaussian against torch.distributions, and the head that predicts it."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributions import Normal, kl_divergence

from visavis.nn.gaussian import Gaussian, TokenGaussian

number = st.floats(-4, 4, width=32)
numbers = st.lists(number, min_size=3, max_size=3)
gaussian = st.tuples(numbers, numbers)


def made(numbers: tuple[list[float], list[float]]) -> Gaussian:
    return Gaussian(*(torch.tensor(x, dtype=torch.float64) for x in numbers))


def stock(g: Gaussian) -> Normal:
    return Normal(g.mean, (0.5 * g.log_variance).exp())


@settings(max_examples=50, deadline=None)
@given(gaussian, gaussian)
def test_kl_is_that_of_torch_distributions_and_never_negative(
    first: tuple[list[float], list[float]], second: tuple[list[float], list[float]]
) -> None:
    p, q = made(first), made(second)
    unit = Normal(torch.zeros(3).double(), torch.ones(3).double())
    for ours, theirs in (
        (p.kl(q), kl_divergence(stock(p), stock(q))),
        (p.kl(), kl_divergence(stock(p), unit)),
    ):
        torch.testing.assert_close(ours, theirs, atol=1e-9, rtol=1e-9)
        assert float(ours.min()) >= -1e-9
    assert float(p.kl(p).abs().max()) < 1e-12


def test_a_sample_is_mean_plus_deviation_times_noise() -> None:
    g = Gaussian(torch.tensor([1.0, -2.0]), torch.tensor([4.0, 0.25]).log())
    assert torch.equal(g.at(torch.zeros(2)), g.mean)
    torch.testing.assert_close(g.at(torch.tensor([1.0, -2.0])), torch.tensor([3.0, -3.0]))


def head(layers: int) -> TokenGaussian:
    return TokenGaussian(16, 4, 24, layers=layers).eval()


def test_masked_frames_are_not_read() -> None:
    for layers in (1, 2):
        model, x = head(layers), torch.randn(2, 9, 16)
        mask = torch.ones(2, 9, dtype=torch.bool)
        mask[0, 6:], mask[1, 3:] = False, False
        dirty = torch.where(mask[..., None], x, 1e3)
        for clean, other in zip(
            (model(x, mask).mean, model(x, mask).log_variance),
            (model(dirty, mask).mean, model(dirty, mask).log_variance),
            strict=True,
        ):
            assert torch.equal(clean, other)
        alone = model(x[1:, :3])
        torch.testing.assert_close(model(x, mask).mean[1:], alone.mean, atol=1e-5, rtol=1e-5)


def test_without_any_frame_to_read_the_tokens_still_answer() -> None:
    out = head(1)(torch.randn(2, 5, 16), torch.zeros(2, 5, dtype=torch.bool))
    assert out.mean.isfinite().all() and out.log_variance.isfinite().all()
    assert torch.equal(out.mean[0], out.mean[1])


def test_the_order_of_frames_does_not_matter_but_their_content_does() -> None:
    model, x = head(2), torch.randn(1, 9, 16)
    shuffled = model(x[:, torch.randperm(9)])
    torch.testing.assert_close(model(x).mean, shuffled.mean, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(model(x).mean, model(x + 1).mean, atol=1e-3)


def test_the_two_tokens_give_different_things() -> None:
    out = head(1)(torch.randn(1, 9, 16))
    assert out.mean.shape == out.log_variance.shape == (1, 16)
    assert not torch.allclose(out.mean, out.log_variance, atol=1e-2)
