"""Fréchet distance of two Gaussians, exact and stable, also where covariances lack rank.

d² = |m_a - m_b|² + tr A + tr B - 2 tr (A B)^½      (Dowson and Landau 1982)

For any factors A = Fᵀ F and B = Gᵀ G the last trace is the nuclear norm of F Gᵀ. Singular values
of a product of factors carry an error of 1e-16, where the usual square root of the eigenvalues of
A B carries 1e-8 for each direction in which a covariance is empty, and may turn complex.
Like every published FID, the numbers here are d², not d.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.linalg
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import Metric

from visavis.errors import InputError
from visavis.metrics._inputs import agree, numbers

Array = NDArray[np.float64]
SUMS_KEEP = 1e-12
"""A variance below this share of the squared mean is lost in sums of squares."""
log = logging.getLogger("visavis")


@dataclass(frozen=True)
class Frechet:
    """A distance and what it rests on."""

    distance: float
    """Squared Fréchet distance, >= 0; the sum of the next two."""
    of_means: float
    """|m_a - m_b|²."""
    of_covariances: float
    """tr A + tr B - 2 tr (A B)^½."""
    dimension: int
    ranks: tuple[int, int]
    """Ranks of the two covariances; below `dimension` some direction is empty.

    The distance is exact all the same. Where too few features are the cause, it is biased upwards
    as an estimate for the distributions they came from.
    """


def frechet_distance(mean_a: Any, covariance_a: Any, mean_b: Any, covariance_b: Any) -> Frechet:
    """Squared Fréchet distance between N(mean_a, covariance_a) and N(mean_b, covariance_b).

    Args:
        mean_a, mean_b: [F].
        covariance_a, covariance_b: [F, F], symmetric, positive semi-definite up to rounding.

    Raises:
        InputError: shapes that do not fit, NaN, a covariance that is not symmetric or has an
            eigenvalue clearly below zero.
    """
    means = numbers("mean_a", mean_a, "F"), numbers("mean_b", mean_b, "F")
    agree("F", mean_a=len(means[0]), mean_b=len(means[1]))
    covariances = [
        _covariance(name, numbers(name, values, "F F"), len(means[0]))
        for name, values in (("covariance_a", covariance_a), ("covariance_b", covariance_b))
    ]
    return between_moments((means[0], covariances[0]), (means[1], covariances[1]))


def between_moments(a: tuple[Array, Array], b: tuple[Array, Array]) -> Frechet:
    """`frechet_distance` of means and covariances that are our own: eigenvalues below 0 are 0."""
    return _between(a[0], _root(a[1]), b[0], _root(b[1]))


def frechet(features_a: Any, features_b: Any) -> Frechet:
    """Squared Fréchet distance between Gaussians fitted to two sets of features.

    Means and unbiased covariances (n - 1), as every FID. No covariance is formed.

    Args:
        features_a: [n, F].
        features_b: [m, F]; n and m at least 2.

    Raises:
        InputError: shapes that do not fit, NaN, fewer than two rows.
    """
    a, b = numbers("features_a", features_a, "n F"), numbers("features_b", features_b, "m F")
    agree("F", features_a=a.shape[1], features_b=b.shape[1])
    for name, rows in (("features_a", a), ("features_b", b)):
        if len(rows) < 2:
            raise InputError(f"{name} has one row; a covariance needs at least two.")
    found = _between(a.mean(0), _spread(a), b.mean(0), _spread(b))
    # rounding of the means may look like one more dimension
    ranks = min(found.ranks[0], len(a) - 1), min(found.ranks[1], len(b) - 1)
    return replace(found, ranks=ranks)


def _spread(rows: Array) -> Array:
    """A factor of the covariance of `rows` [n, F]: [min(n, F), F]."""
    centred = np.asarray((rows - rows.mean(0)) / np.sqrt(len(rows) - 1))
    if len(rows) <= rows.shape[1]:
        return centred
    return np.asarray(scipy.linalg.qr(centred, mode="r", check_finite=False)[0][: rows.shape[1]])


def _covariance(name: str, covariance: Array, dimension: int) -> Array:
    """The user's `covariance` [F, F], or an error that says why it is none."""
    if covariance.shape != (dimension, dimension):
        raise InputError(
            f"{name} has shape {list(covariance.shape)}; its mean has {dimension} entries, "
            f"so [{dimension}, {dimension}] was wanted."
        )
    size = float(np.abs(covariance).max())
    if not np.allclose(covariance, covariance.T, rtol=0.0, atol=1e-8 * size):
        raise InputError(f"{name} is not symmetric, so it is no covariance.")
    values = scipy.linalg.eigvalsh((covariance + covariance.T) / 2)
    if values[0] < -1e-6 * size:
        raise InputError(
            f"{name} has an eigenvalue of {values[0]:.3g} (largest {values[-1]:.3g}), "
            "so it is no covariance."
        )
    return covariance


def _root(covariance: Array) -> Array:
    """A factor of `covariance` [F, F]: [rank, F]; eigenvalues within rounding of 0 are 0."""
    values, vectors = scipy.linalg.eigh((covariance + covariance.T) / 2)
    kept = values > max(float(values[-1]), 0.0) * len(values) * np.finfo(np.float64).eps
    return np.asarray(np.sqrt(values[kept])[:, None] * vectors[:, kept].T)


def _between(mean_a: Array, factor_a: Array, mean_b: Array, factor_b: Array) -> Frechet:
    common = factor_a @ factor_b.T
    shared = float(scipy.linalg.svdvals(common).sum()) if common.size else 0.0
    of_means = float(np.sum((mean_a - mean_b) ** 2))
    of_covariances = max(float(np.sum(factor_a**2) + np.sum(factor_b**2)) - 2 * shared, 0.0)
    return Frechet(
        distance=of_means + of_covariances,
        of_means=of_means,
        of_covariances=of_covariances,
        dimension=len(mean_a),
        ranks=(_rank(factor_a), _rank(factor_b)),
    )


def _rank(factor: Array) -> int:
    if not factor.size:
        return 0
    # the diagonal of a pivoted QR falls as the singular values do, at a fraction of their cost
    upper = scipy.linalg.qr(factor, mode="r", pivoting=True, check_finite=False)[0]
    sizes = np.abs(np.diag(upper))
    return int(np.sum(sizes > sizes[0] * max(factor.shape) * np.finfo(np.float64).eps))


class GaussianPair(Metric):
    """Streaming sums (n, sum of x, sum of x xᵀ) of two sets of features, generated and real.

    float64 on any device, reduced by addition; so features should be of moderate size (the sums
    lose (mean / sd)² of 16 digits).
    """

    full_state_update = False
    higher_is_better = False
    pred_n: Tensor
    pred_sum: Tensor
    pred_outer: Tensor
    real_n: Tensor
    real_sum: Tensor
    real_outer: Tensor

    def __init__(self, dimension: int, **options: Any) -> None:
        super().__init__(**options)
        if dimension < 1:
            raise InputError(f"dimension must be at least 1, not {dimension}.")
        self.dimension = dimension
        for side in ("pred", "real"):
            for name, shape in (("n", ()), ("sum", (dimension,)), ("outer", (dimension,) * 2)):
                zeros = torch.zeros(shape, dtype=torch.float64)
                self.add_state(f"{side}_{name}", zeros, dist_reduce_fx="sum")

    def add(self, features: Tensor, *, real: bool) -> None:
        """Count `features` [n, F] for one of the sets."""
        if features.ndim != 2 or features.shape[1] != self.dimension:
            raise InputError(
                f"features have shape {list(features.shape)}; wanted [n, {self.dimension}]."
            )
        if not bool(torch.isfinite(features).all()):
            raise InputError("features hold NaN or infinity; look at the clip or the network.")
        rows = features.detach().to(self.pred_sum.device, torch.float64)
        side = "real" if real else "pred"
        setattr(self, f"{side}_n", getattr(self, f"{side}_n") + len(rows))
        setattr(self, f"{side}_sum", getattr(self, f"{side}_sum") + rows.sum(0))
        setattr(self, f"{side}_outer", getattr(self, f"{side}_outer") + rows.T @ rows)

    def moments(self, side: str) -> tuple[Array, Array]:
        """Mean [F] and unbiased covariance [F, F] of "pred" or "real".

        Raises:
            InputError: fewer than two features came in.
        """
        n = float(getattr(self, f"{side}_n"))
        if n < 2:
            raise InputError(f"{side}: {n:.0f} features came in; a covariance needs two.")
        mean = (getattr(self, f"{side}_sum") / n).cpu().numpy()
        outer = getattr(self, f"{side}_outer").cpu().numpy()
        covariance = (outer - n * np.outer(mean, mean)) / (n - 1)
        # what is constant leaves rounding of its square behind, of either sign
        constant = np.diag(covariance) <= SUMS_KEEP * mean**2
        covariance[constant, :] = covariance[:, constant] = 0.0
        return mean, covariance


def say_if_few(what: str, counts: tuple[int, int], dimension: int) -> None:
    """One warning where a set has no more features than dimensions."""
    if min(counts) <= dimension:
        log.warning(
            "%s: %d generated and %d real features in %d dimensions, so a covariance lacks rank "
            "and the score is biased upwards; compare it only at equal counts.",
            what,
            *counts,
            dimension,
        )
