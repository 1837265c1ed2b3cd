"""Losses of a critic against a generator, over raw scores (no sigmoid): high means real.

Each comes as a pair, `critic` minimised by the critic, `generator` by the generator; scores may
have any shape and are averaged.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import softplus


@dataclass(frozen=True)
class Adversarial:
    """A pair of losses."""

    critic: Callable[[Tensor, Tensor], Tensor]
    """(real scores, made scores)."""
    generator: Callable[[Tensor, Tensor], Tensor]
    """(real scores, made scores); only relativistic pairs read the real ones."""


def _apart(real: Tensor, made: Tensor) -> Tensor:
    return made.flatten()[None, :] - real.flatten()[:, None]


CROSS_ENTROPY = Adversarial(
    critic=lambda real, made: softplus(-real).mean() + softplus(made).mean(),
    generator=lambda real, made: softplus(-made).mean(),
)
"""-log s(real) - log(1 - s(made)); the generator's non-saturating -log s(made) (Goodfellow et al.,
2014, Eq. 1 and its section 3)."""

LEAST_SQUARES = Adversarial(
    critic=lambda real, made: 0.5 * ((real - 1) ** 2).mean() + 0.5 * (made**2).mean(),
    generator=lambda real, made: 0.5 * ((made - 1) ** 2).mean(),
)
"""(Mao et al., LSGAN, 2017, Eq. 9: real 1, made 0, wanted 1.)"""

HINGE = Adversarial(
    critic=lambda real, made: torch.relu(1 - real).mean() + torch.relu(1 + made).mean(),
    generator=lambda real, made: -made.mean(),
)
"""(Lim and Ye, Geometric GAN, 2017; Miyato et al., 2018, Eqs. 16 and 17.)"""

RELATIVISTIC = Adversarial(
    critic=lambda real, made: softplus(_apart(real, made)).mean(),
    generator=lambda real, made: softplus(-_apart(real, made)).mean(),
)
"""Each real score against each made one: log(1 + exp(made - real)), and the reverse
(Jolicoeur-Martineau, 2019, RSGAN, over all pairs of a batch)."""


def gradient_penalty(score: Callable[[Tensor], Tensor], real: Tensor) -> Tensor:
    """R1: half the squared gradient of the critic's score at real data, mean over the first axis
    (Mescheder et al., 2018, Eq. 9). Multiply it by gamma."""
    at = real.detach().requires_grad_(True)
    (slope,) = torch.autograd.grad(score(at).sum(), at, create_graph=True)
    return 0.5 * (slope**2).flatten(1).sum(1).mean()
