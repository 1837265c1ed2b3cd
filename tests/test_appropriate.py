"""AppropriateMap: checks, selections, draws, files; similar speakers equal a slow reference."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import visavis._appropriate_similar as similar
from visavis.appropriate import AppropriateMap
from visavis.errors import InputError

IDS = ("a", "b", "c", "d")


def speakers(count: int, frames: int = 40, *, seed: int = 0, uneven: bool = False) -> list[NDArray]:
    """Made-up attributes [T, 25]: a few characters, each with its own habits."""
    rng = np.random.default_rng(seed)
    habits = rng.normal(size=(4, 25))
    found = []
    for number in range(count):
        length = frames - (number % 5 if uneven else 0)
        walk = np.cumsum(rng.normal(size=(length, 25)), 0) / 8 + habits[number % 4]
        au = (walk[:, :15] > 0.5).astype(float)
        share = np.exp(walk[:, 17:])
        parts = [au, np.tanh(walk[:, 15:17]), share / share.sum(1, keepdims=True)]
        found.append(np.concatenate(parts, 1).astype(np.float32))
    return found


def slow_dtw(a: NDArray, b: NDArray) -> float:
    """The definition, cell by cell."""
    cost = ((a[:, None].astype(float) - b[None].astype(float)) ** 2).sum(-1)
    sums = np.full((len(a) + 1, len(b) + 1), np.inf)
    sums[0, 0] = 0.0
    for i, j in itertools.product(range(len(a)), range(len(b))):
        before = min(sums[i, j], sums[i, j + 1], sums[i + 1, j])
        sums[i + 1, j + 1] = cost[i, j] + before
    return math.sqrt(sums[-1, -1])


def slow_distance(a: NDArray, b: NDArray) -> float:
    groups = ((0, 15, 1 / 15), (15, 17, 1.0), (17, 25, 1 / 8))
    return sum(w * slow_dtw(a[:, low:high], b[:, low:high]) for low, high, w in groups)


def slow_ccc(a: NDArray, b: NDArray) -> float:
    x, y = a.astype(float), b.astype(float)
    cov = ((x - x.mean(0)) * (y - y.mean(0))).mean(0)
    below = x.var(0) + y.var(0) + (x.mean(0) - y.mean(0)) ** 2
    return float((2 * cov / (below + 1e-8)).mean())


def slow_map(values: list[NDArray], quantile: float, *, far: bool) -> tuple[NDArray, float]:
    """Every pair in full; the k nearest (or most alike) are appropriate both ways."""
    compare = slow_distance if far else slow_ccc
    pairs = list(itertools.combinations(range(len(values)), 2))
    found = np.array([compare(values[i], values[j]) for i, j in pairs])
    order = np.sort(found if far else -found)
    cut = order[math.ceil(quantile * len(pairs)) - 1] * (1 if far else -1)
    matrix = np.eye(len(values), dtype=bool)
    for (i, j), value in zip(pairs, found, strict=True):
        close = value <= cut + 1e-9 if far else value >= cut - 1e-9
        matrix[i, j] = matrix[j, i] = matrix[i, j] or close
    return matrix, cut


# ---------------------------------------------------------------------- similar speakers


@pytest.mark.parametrize("quantile", [0.02, 0.2, 1.0])
@pytest.mark.parametrize("uneven", [False, True])
def test_similar_speakers_by_dtw_are_those_of_a_slow_comparison(
    quantile: float, uneven: bool
) -> None:
    values = speakers(16, 24, uneven=uneven)
    wanted, cut = slow_map(values, quantile, far=True)
    made = AppropriateMap.similar([str(i) for i in range(16)], values, quantile=quantile)
    assert np.array_equal(made.matrix(), wanted)
    assert made.recipe["threshold"] == pytest.approx(cut, rel=1e-6)


def test_pruning_changes_nothing_however_the_pairs_are_dealt_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = speakers(60, 50, seed=1)
    ids = [str(i) for i in range(60)]
    whole = similar._plainly
    first, second = np.triu_indices(60, 1)
    wanted = math.ceil(0.05 * len(first))
    close, cut = whole(values, first, second, wanted, None, None)
    monkeypatch.setattr(similar, "WAVE", 64)
    monkeypatch.setattr(similar, "SHARE", 17)
    for threads in (1, 3):
        made = AppropriateMap.similar(ids, values, quantile=0.05, threads=threads)
        assert made.recipe["threshold"] == pytest.approx(cut, rel=1e-7)
        assert made.recipe["pairs"] == close.sum()
        assert np.array_equal(made.matrix()[first, second], close)


def test_most_pairs_are_never_compared_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []
    compare = similar._Bounds._compare

    def counted(self: similar._Bounds, number: int, group: object, at: NDArray) -> None:
        compared.append((number, len(at)))
        compare(self, number, group, at)

    monkeypatch.setattr(similar._Bounds, "_compare", counted)
    AppropriateMap.similar([str(i) for i in range(80)], speakers(80, 60), quantile=0.02)
    in_full = sum(count for number, count in compared if number == 2)
    assert in_full < 0.5 * (80 * 79 / 2)


def test_similar_speakers_by_ccc_are_those_of_a_slow_comparison() -> None:
    values = speakers(20, 30)
    wanted, cut = slow_map(values, 0.1, far=False)
    ids = [str(i) for i in range(20)]
    made = AppropriateMap.similar(ids, values, measure="ccc", quantile=0.1)
    assert np.array_equal(made.matrix(), wanted)
    assert made.recipe["threshold"] == pytest.approx(cut)


def test_a_threshold_of_another_split_gives_the_same_pairs() -> None:
    values, ids = speakers(24, 30), [str(i) for i in range(24)]
    for measure in ("dtw", "ccc"):
        made = AppropriateMap.similar(ids, values, measure=measure, quantile=0.1)
        again = AppropriateMap.similar(
            ids, values, measure=measure, threshold=made.recipe["threshold"]
        )
        assert again.fingerprint == made.fingerprint


def test_without_a_quantile_a_clip_has_thirty_reactions_on_average() -> None:
    made = AppropriateMap.similar([str(i) for i in range(90)], speakers(90, 12))
    assert made.sizes.mean() == pytest.approx(31, abs=0.1)


def test_copies_are_alike_and_a_clip_without_frames_is_like_nobody() -> None:
    one, two, three = speakers(3, 30)
    made = AppropriateMap.similar(IDS, [one, two, one.copy(), three[:0]], threshold=0.0)
    assert made.of("a") == ("a", "c")
    assert made.of("d") == ("d",)
    assert AppropriateMap.similar(("a",), [one]).of("a") == ("a",)


def test_a_stride_compares_every_nth_frame_and_says_so() -> None:
    values, ids = speakers(12, 30), [str(i) for i in range(12)]
    made = AppropriateMap.similar(ids, values, quantile=0.2, stride=3)
    again = AppropriateMap.similar(ids, [value[::3] for value in values], quantile=0.2)
    assert made.fingerprint == again.fingerprint
    assert made.recipe["stride"] == 3


def test_progress_reaches_the_number_of_pairs() -> None:
    seen: list[tuple[int, int | None]] = []
    AppropriateMap.similar(
        IDS, speakers(4, 10), quantile=0.5, progress=lambda done, total: seen.append((done, total))
    )
    assert seen[-1] == (6, 6)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"measure": "dtv"}, "Did you mean 'dtw'"),
        ({"quantile": 0.0}, "quantile of"),
        ({"quantile": 0.1, "threshold": 2.0}, "quantile of"),
        ({"threshold": float("nan")}, "must be a number"),
        ({"stride": 0}, "at least 1"),
        ({"speakers": speakers(3, 10)}, "3 speakers came for 4 ids"),
        ({"speakers": [np.zeros((5, 24))] * 4}, r"the speaker of a is float64 \[5, 24\]"),
        ({"speakers": [np.full((5, 25), np.nan)] * 4}, "the speaker of a has frames that are not"),
        (
            {"speakers": speakers(4, 10, uneven=True), "measure": "ccc"},
            "7 to 10 frames; use the measure 'dtw'",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused(change: dict[str, object], told: str) -> None:
    given: dict[str, object] = {"speakers": speakers(4, 10), **change}
    with pytest.raises(InputError, match=told):
        AppropriateMap.similar(IDS, given.pop("speakers"), **given)  # type: ignore[arg-type]


# ---------------------------------------------------------------------- the map itself


def test_the_same_script_suits_and_an_unknown_script_stands_alone() -> None:
    made = AppropriateMap.same(IDS, ("x", "y", "x", None))
    assert made.of("c") == ("c", "a")
    assert made.of("d") == ("d",)
    assert made.sizes.tolist() == [2, 1, 2, 1]
    assert made.spread == (1, 1.5, 2)
    assert made.recipe["rule"] == "same"


def test_a_personal_map_keeps_the_reactions_of_the_own_listener_alone() -> None:
    made = AppropriateMap.same(IDS, ("x", "x", "x", "y"))
    who = {"a": "Ann", "b": "Bob", "c": "Ann", "d": "Ann"}
    personal = made.same_listener(who)
    assert personal.of("a") == ("a", "c")
    assert personal.of("b") == ("b",)
    assert personal.recipe["same_listener"] is True
    assert made.same_listener(list(who.values())).fingerprint == personal.fingerprint
    with pytest.raises(InputError, match="no listener is given for 'b'"):
        made.same_listener({"a": "Ann"})
    with pytest.raises(InputError, match="1 listeners came for 4"):
        made.same_listener(["Ann"])


def test_a_selection_keeps_its_order_and_drops_reactions_of_others() -> None:
    made = AppropriateMap.same(IDS, ("x", "x", "x", "y")).select(("c", "d", "a"))
    assert made.ids == ("c", "d", "a")
    assert made.of("c") == ("c", "a")
    assert made.rows[2].tolist() == [0, 2]
    with pytest.raises(InputError, match="'z' is none of the 3 dyads"):
        made.select(("z",))


def test_a_draw_is_fixed_by_seed_and_id_whatever_the_order() -> None:
    ids = [f"clip{i}" for i in range(30)]
    made = AppropriateMap.same(ids, [i % 2 for i in range(30)])
    drawn = made.draw(10, seed=7)
    turned = made.select(ids[::-1]).draw(10, seed=7)
    for id in ids:
        assert drawn.targets(id) == turned.targets(id)
        assert drawn.targets(id)[0] == id
        assert len(set(drawn.targets(id))) == 10
        assert set(drawn.targets(id)) <= set(drawn.of(id))
    assert drawn.targets("clip0") != made.draw(10, seed=8).targets("clip0")
    assert drawn.targets("clip0") != drawn.targets("clip2")
    assert drawn.fingerprint != made.fingerprint


def test_a_short_list_is_drawn_with_replacement_and_a_lonely_clip_repeats_itself() -> None:
    drawn = AppropriateMap.same(IDS, ("x", "x", "x", "y")).draw(10, seed=0)
    assert drawn.targets("a")[0] == "a"
    assert set(drawn.targets("a")[1:]) == {"b", "c"}
    assert drawn.targets("d") == ("d",) * 10
    with pytest.raises(InputError, match="select first"):
        drawn.select(("a",))
    with pytest.raises(InputError, match="restrict first"):
        drawn.same_listener(("A",) * 4)
    with pytest.raises(InputError, match="at least 1"):
        drawn.draw(0)


def test_a_file_keeps_rows_draw_recipe_seed_and_corpus(tmp_path: Path) -> None:
    made = AppropriateMap.same(
        IDS, ("x", "y", "x", None), recipe={"scripts": "told"}, corpus="react-12"
    ).draw(3, seed=5)
    read = AppropriateMap.load(made.save(tmp_path / "labels.safetensors"))
    assert read.ids == made.ids
    assert read.fingerprint == made.fingerprint
    assert read.recipe == {"rule": "same", "scripts": "told", "draw": {"n": 3, "seed": 5}}
    assert (read.seed, read.corpus) == (5, "react-12")
    assert all(read.targets(id) == made.targets(id) for id in IDS)
    empty = AppropriateMap((), ())
    assert AppropriateMap.load(empty.save(tmp_path / "none.safetensors")).ids == ()


def test_a_file_that_is_no_map_or_is_damaged_is_named(tmp_path: Path) -> None:
    from visavis._files_tensors import write_tensors

    other = tmp_path / "other.safetensors"
    other.write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"other\.safetensors is not a safetensors file"):
        AppropriateMap.load(other)
    import torch

    tensors = {"starts": torch.tensor([0, 2]), "places": torch.tensor([0])}
    about = {"format": 1, "ids": ["a"], "recipe": {}, "seed": None, "corpus": ""}
    write_tensors(other, tensors, kind="appropriate", about=about)
    with pytest.raises(InputError, match="is damaged"):
        AppropriateMap.load(other)
    with pytest.raises(InputError, match="plain data"):
        AppropriateMap.same(("a",), (1,), recipe={"x": object()}).save(other)


def test_a_matrix_of_zeros_and_ones_becomes_a_map() -> None:
    matrix = np.eye(4)
    matrix[0, 2] = 1
    made = AppropriateMap.from_matrix(IDS, matrix)
    assert made.of("a") == ("a", "c")
    assert np.array_equal(made.matrix(), matrix)
    assert AppropriateMap.from_matrix(IDS, matrix.astype(bool)).fingerprint == made.fingerprint


@pytest.mark.parametrize(
    ("matrix", "told"),
    [
        (np.eye(4)[:3], r"shape \[3, 4\]; wanted \[N, N\]"),
        (np.eye(3), r"the matrix is \[3, 3\] for 4 dyads"),
        (np.eye(4) * 2, "holds 2.0 in row 0, column 0"),
        (np.diag([1, 1, np.nan, 1]), "holds nan in row 2"),
        (np.diag([1, 0, 1, 1]), r"no appropriate reaction at all, the first is row 1 \(b\)"),
        (np.roll(np.eye(4), 1, 1), "4 rows of the matrix have no 1 on the diagonal"),
        (np.array([["x"] * 4] * 4), "wanted 0 and 1"),
    ],
)
def test_a_matrix_that_does_not_fit_is_refused(matrix: NDArray, told: str) -> None:
    with pytest.raises(InputError, match=told):
        AppropriateMap.from_matrix(IDS, matrix)


def test_a_missing_diagonal_is_added_only_when_asked() -> None:
    shifted = np.roll(np.eye(4), 1, 1)
    assert AppropriateMap.from_matrix(IDS, shifted, add_paired=True).of("a") == ("a", "b")
    with pytest.raises(InputError, match="no appropriate reaction at all"):
        AppropriateMap.from_matrix(IDS, np.zeros((4, 4)), add_paired=True)


def test_rows_are_checked_at_birth() -> None:
    one = np.array([0], np.int64)
    with pytest.raises(InputError, match="'a' comes twice"):
        AppropriateMap(("a", "a"), (one, one))
    with pytest.raises(InputError, match="lacks its own"):
        AppropriateMap(("a", "b"), (one, one))
    with pytest.raises(InputError, match="sorted, different places"):
        AppropriateMap(("a", "b"), (np.array([1, 0]), np.array([1])))
    with pytest.raises(InputError, match="sorted, different places"):
        AppropriateMap(("a",), (np.array([0, 1]),))
    with pytest.raises(InputError, match="1 rows came for 2"):
        AppropriateMap(("a", "b"), (one,))
    with pytest.raises(InputError, match="itself first"):
        AppropriateMap(("a",), (one,), drawn=np.array([[1]]))


def test_an_unknown_id_names_the_nearest() -> None:
    made = AppropriateMap.same(("clip-1", "other"), (0, 1))
    with pytest.raises(InputError, match="Did you mean 'clip-1'"):
        made.of("clip-2")
