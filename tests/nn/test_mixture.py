"""The mixture against torch.distributions."""

from __future__ import annotations

import torch
from torch import Tensor
from torch import distributions as D

from visavis.nn.mixture import Mixture


def drawn(*lead: int, components: int = 3) -> Mixture:
    return Mixture(
        torch.randn(*lead, components, 4, 5),
        0.3 * torch.randn(components, 4, 1),
        torch.randn(*lead, components),
    )


def theirs(mixture: Mixture) -> D.Distribution:
    std = mixture.log_std.exp().expand_as(mixture.means)
    return D.MixtureSameFamily(
        D.Categorical(logits=mixture.logits), D.Independent(D.Normal(mixture.means, std), 2)
    )


def test_density_and_mean_are_those_of_torch() -> None:
    mixture, x = drawn(2, 7), torch.randn(2, 7, 4, 5)
    torch.testing.assert_close(mixture.log_prob(x), theirs(mixture).log_prob(x))
    torch.testing.assert_close(mixture.mean, theirs(mixture).mean)


def test_masked_entries_do_not_count() -> None:
    mixture, x = drawn(2), torch.randn(2, 4, 5)
    mask = torch.rand(2, 4, 5) > 0.5
    worse = torch.where(mask, x, float("nan"))
    got = mixture.log_prob(worse, mask)
    torch.testing.assert_close(got, mixture.log_prob(x, mask))
    everything = torch.ones_like(mask)
    torch.testing.assert_close(mixture.log_prob(x, everything), mixture.log_prob(x))


def test_draws_have_the_mixture_s_mean_and_shares() -> None:
    torch.manual_seed(0)
    mixture = Mixture(
        torch.tensor([-3.0, 5.0])[:, None, None], torch.zeros(2, 1, 1), torch.tensor([0.0, 1.0])
    )
    draws = mixture.at(torch.randn(20000, 1, 1), torch.rand(20000))
    share = float(torch.tensor([0.0, 1.0]).softmax(0)[1])
    assert abs(float((draws > 1).float().mean()) - share) < 0.02
    torch.testing.assert_close(draws.mean(0), mixture.mean, atol=0.1, rtol=0)


def test_a_draw_is_its_component_s_mean_and_noise() -> None:
    mixture, noise = drawn(6), torch.randn(2, 6, 4, 5)
    low = mixture.at(noise, torch.full((2, 6), 1e-9))
    std = mixture.log_std.exp().expand_as(mixture.means)
    torch.testing.assert_close(low, mixture.means[:, 0] + noise * std[:, 0])
    high = mixture.at(noise, torch.full((2, 6), 1 - 1e-9))
    torch.testing.assert_close(high, mixture.means[:, 2] + noise * std[:, 2])


def bound(one: Mixture, other: Mixture | None) -> Tensor:
    return one.kl(other).sum((-1, -2))


def test_the_divergence_is_exact_for_one_component_and_a_bound_for_more() -> None:
    torch.manual_seed(0)
    one, other = drawn(components=1), drawn(components=1)
    exact = D.kl_divergence(
        D.Normal(one.means, one.log_std.exp().expand_as(one.means)),
        D.Normal(other.means, other.log_std.exp().expand_as(one.means)),
    ).sum()
    torch.testing.assert_close(bound(one, other), exact)
    standard = Mixture(torch.zeros(1, 4, 5), torch.zeros(1, 4, 1), torch.zeros(1))
    torch.testing.assert_close(bound(one, None), bound(one, standard))
    many, others = drawn(), drawn()
    x = theirs(many).sample((4000,))
    sampled = (many.log_prob(x) - others.log_prob(x)).mean()
    assert float(bound(many, others)) > float(sampled)
    assert float(bound(many, many).abs()) < 1e-5
