"""Running moments against numpy over everything at once."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from visavis.nn.standardise import RunningMoments, Standardise


@settings(max_examples=50, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 9), min_size=1, max_size=8),
    seed=st.integers(0, 999),
    offset=st.sampled_from([0.0, 1.0, 1e4]),
)
def test_any_chunking_gives_numpy_s_mean_and_deviation(
    sizes: list[int], seed: int, offset: float
) -> None:
    chunks = [
        torch.randn(n, 3, generator=torch.Generator().manual_seed(seed + i)) * 2 + offset
        for i, n in enumerate(sizes)
    ]
    moments = RunningMoments(3)
    for chunk in chunks:
        moments.update(chunk)
    rows = torch.cat(chunks).double().numpy()
    assert moments.count == len(rows)
    if len(rows):
        np.testing.assert_allclose(moments.mean, rows.mean(0), atol=1e-9)
        np.testing.assert_allclose(moments.std, rows.std(0), atol=1e-8)


def test_standardised_rows_have_mean_zero_and_deviation_one() -> None:
    rows = torch.randn(500, 4) * torch.tensor([0.1, 1.0, 5.0, 50.0]) + 3
    moments, scale = RunningMoments(4), Standardise(4)
    assert torch.equal(scale(rows), rows)  # the identity until fitted
    moments.update(rows)
    moments.write_to(scale)
    out = scale(rows)
    np.testing.assert_allclose(out.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(out.std(0, unbiased=False), 1, atol=1e-5)


def test_a_column_that_hardly_varies_is_only_centred() -> None:
    rows = torch.stack([torch.full((50,), 7.0), torch.linspace(0, 1e-4, 50)], -1)
    moments, scale = RunningMoments(2), Standardise(2)
    moments.update(rows)
    moments.write_to(scale)
    assert torch.equal(scale.std, torch.ones(2))
    np.testing.assert_allclose(scale(rows).mean(0), 0, atol=1e-6)


def test_no_rows_leave_the_identity() -> None:
    moments, scale = RunningMoments(2), Standardise(2)
    moments.update(torch.zeros(0, 2))
    moments.write_to(scale)
    assert torch.equal(scale(torch.ones(1, 2)), torch.ones(1, 2))


def test_statistics_travel_with_the_weights() -> None:
    assert set(Standardise(2).state_dict()) == {"mean", "std"}
