"""Bootstrap intervals over clips and groups, and paired comparison."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visavis.errors import InputError
from visavis.metrics import intervals
from visavis.metrics.intervals import bootstrap, bootstrap_statistic, compare, standard_error

seeds = st.integers(0, 2**32 - 1)


def slow_bca(values: np.ndarray, groups: list[str], resamples: int, level: float) -> list[float]:
    """BCa one resample at a time, with lists of clips, from its textbook."""
    from statistics import NormalDist

    names = sorted(set(groups))
    clips = {g: [v for v, h in zip(values, groups, strict=True) if h == g] for g in names}
    rng = np.random.default_rng(0)
    means = []
    for _ in range(resamples):
        drawn = rng.integers(len(names), size=len(names), dtype=np.int64)
        means.append(np.mean(list(itertools.chain.from_iterable(clips[names[i]] for i in drawn))))
    normal, mean = NormalDist(), float(np.mean(values))
    bias = normal.inv_cdf(float(np.mean(np.array(means) < mean)))
    left = [np.mean([v for h in names if h != g for v in clips[h]]) for g in names]
    away = np.mean(left) - np.array(left)
    acceleration = float(np.sum(away**3) / (6 * np.sum(away**2) ** 1.5))
    ends = []
    for tail in ((1 - level) / 2, (1 + level) / 2):
        z = bias + normal.inv_cdf(tail)
        ends.append(np.quantile(means, normal.cdf(bias + z / (1 - acceleration * z))))
    return [float(x) for x in ends]


@pytest.mark.parametrize("level", [0.9, 0.95])
def test_it_equals_a_slow_reference(level: float) -> None:
    rng = np.random.default_rng(1)
    values, groups = rng.exponential(size=60), [f"script {i}" for i in rng.integers(11, size=60)]
    found = bootstrap(values, groups, level=level, resamples=999)
    assert [found.low, found.high] == pytest.approx(slow_bca(values, groups, 999, level))
    assert (found.mean, found.n, found.groups) == (pytest.approx(values.mean()), 60, 11)


def test_scipy_agrees_over_clips() -> None:
    from scipy.stats import bootstrap as theirs

    values = np.random.default_rng(1).exponential(size=80)
    wanted = theirs((values,), np.mean, n_resamples=20_000, rng=np.random.default_rng(0))
    found = bootstrap(values, resamples=20_000)
    ends = wanted.confidence_interval
    assert (found.low, found.high) == pytest.approx((ends.low, ends.high), rel=0.02)


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(300):
        found = bootstrap(rng.exponential(size=60), resamples=500)
        held += found.low <= 1.0 <= found.high
    assert 0.90 < held / 300 < 0.98


def test_groups_widen_the_interval_where_their_clips_agree() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(20), 10)
    values = rng.normal(size=20)[groups] + 0.1 * rng.normal(size=200)
    clips, scripts = bootstrap(values), bootstrap(values, list(groups))
    assert scripts.high - scripts.low > 2 * (clips.high - clips.low)
    assert scripts.groups == 20 and not scripts.few
    assert bootstrap(values, list(groups % 4)).few


@given(seeds, st.floats(0.01, 100), st.floats(-10, 10))
@settings(max_examples=20, deadline=None)
def test_scale_shift_and_sign(seed: int, scale: float, shift: float) -> None:
    values = np.random.default_rng(seed).exponential(size=25)
    plain = bootstrap(values, resamples=300)
    moved = bootstrap(values * scale + shift, resamples=300)
    wanted = [plain.low * scale + shift, plain.high * scale + shift]
    assert [moved.low, moved.high] == pytest.approx(wanted, rel=1e-6, abs=1e-6)
    turned = bootstrap(-values, resamples=300)
    spread = plain.high - plain.low
    assert [-turned.high, -turned.low] == pytest.approx([plain.low, plain.high], abs=spread * 0.05)


def test_names_and_order_of_groups_do_not_matter_and_single_groups_are_clips() -> None:
    values = np.random.default_rng(0).normal(size=30)
    groups = [f"{i % 7}" for i in range(30)]
    order = np.random.default_rng(1).permutation(30)
    plain = bootstrap(values, groups)
    shuffled = bootstrap(values[order], [groups[i] for i in order])
    assert [shuffled.low, shuffled.high] == pytest.approx([plain.low, plain.high], rel=1e-12)
    alone = bootstrap(values, [f"{i:02}" for i in range(30)])
    assert alone == bootstrap(values)


def test_seeds_repeat_and_differ_and_the_size_of_chunks_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = np.random.default_rng(0).normal(size=40)
    plain = bootstrap(values, seed=3)
    assert bootstrap(values, seed=3) == plain != bootstrap(values, seed=4)
    compared = compare(values, values[::-1], seed=3)
    monkeypatch.setattr(intervals, "CHUNK", 1000)
    assert bootstrap(values, seed=3) == plain
    assert compare(values, values[::-1], seed=3) == compared


def test_pairing_sees_a_difference_that_two_intervals_hide() -> None:
    rng = np.random.default_rng(0)
    hard = rng.normal(size=100)
    a, b = hard + 0.05 * rng.normal(size=100) + 0.05, hard + 0.05 * rng.normal(size=100)
    first, second, found = bootstrap(a), bootstrap(b), compare(a, b)
    assert first.low < second.high  # they overlap
    assert found.difference.low > 0
    assert found.p < 0.001
    back = compare(b, a)
    assert back.p == found.p
    assert back.difference.mean == pytest.approx(-found.difference.mean)


def test_the_p_value_of_few_groups_is_exact() -> None:
    a, b = np.array([1.0, 2.0, 3.0, -1.0]), np.zeros(4)
    sums = [abs(np.dot(s, a)) for s in itertools.product((-1, 1), repeat=4)]
    assert compare(a, b).p == sum(s >= 5 for s in sums) / 16
    assert compare(a, a).p == 1.0
    # of many groups: the pattern seen is one of those drawn, so p is never 0
    assert compare(np.arange(1.0, 41.0), np.zeros(40), resamples=999).p == 1 / 1000


def test_p_values_of_equal_systems_are_uniform() -> None:
    rng = np.random.default_rng(0)
    found = [compare(*rng.normal(size=(2, 30)), resamples=200).p for _ in range(300)]
    assert np.mean(np.array(found) < 0.05) == pytest.approx(0.05, abs=0.04)
    assert np.mean(found) == pytest.approx(0.5, abs=0.06)


def test_the_standard_error_of_clips_is_the_textbooks() -> None:
    values = np.random.default_rng(0).normal(size=50)
    assert standard_error(values) == pytest.approx(values.std(ddof=1) / math.sqrt(50))


def test_constant_values_have_an_interval_of_no_width() -> None:
    found = bootstrap([0.1] * 7)
    assert (found.mean, found.low, found.high) == pytest.approx((0.1, 0.1, 0.1))
    assert str(bootstrap([0.5] * 4, ["a", "a", "b", "b"])) == "0.5 [0.5, 0.5] (n = 4 in 2 groups)"


@pytest.mark.parametrize(
    ("arguments", "options", "text"),
    [
        (([1.0, np.nan],), {}, "values holds nan at N=1"),
        (([1.0],), {}, "at most one clip"),
        (([1.0, 2.0], ["a", "a"]), {}, "at most one group"),
        (([1.0, 2.0], ["a"]), {}, "axis N must agree: values has 2, groups has 1"),
        (([1.0, 2.0],), {"level": 95}, "level must lie between 0 and 1, not 95"),
        (([1.0, 2.0],), {"resamples": 10}, "resamples must be at least 100"),
        (([[1.0, 2.0]],), {}, r"wanted \[N\]"),
    ],
)
def test_bad_input_is_refused(arguments: tuple[object, ...], options: dict, text: str) -> None:
    with pytest.raises(InputError, match=text):
        bootstrap(*arguments, **options)


def test_any_statistic_of_the_clips_can_be_resampled() -> None:
    values = np.random.default_rng(0).exponential(size=40)
    groups = [f"{i % 9}" for i in range(40)]
    plain = bootstrap(values, groups, resamples=500)
    found = bootstrap_statistic(lambda i: values[i].mean(), 40, groups, resamples=500)
    assert vars(found) == pytest.approx(vars(plain), rel=1e-9)
    spread = bootstrap_statistic(lambda i: values[i].std(), 40)
    assert spread.low < values.std() < spread.high
    with pytest.raises(InputError, match="drawn clips is nan"):
        bootstrap_statistic(lambda i: math.nan, 40)


def test_systems_on_different_clips_are_refused() -> None:
    with pytest.raises(InputError, match="axis N must agree: a has 3, b has 2"):
        compare([1.0, 2.0, 3.0], [1.0, 2.0])
