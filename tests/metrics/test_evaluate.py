"""The whole suite: what holds for any data, and what is refused."""

from __future__ import annotations

import pickle
import warnings
from typing import Any

import numpy as np
import pytest
import torch

from tests.metrics import golden
from visavis.behaviour import Behaviour
from visavis.errors import InputError
from visavis.metrics import (
    PROTOCOLS,
    ProtocolWarning,
    evaluate_arrays,
    evaluate_behaviours,
    evaluate_lists,
)

quiet = pytest.mark.filterwarnings("ignore::visavis.metrics.ProtocolWarning")


def dataset(
    clips: int = 5, samples: int = 3, frames: int = 70, width: int = 25, seed: int = 0
) -> dict[str, np.ndarray]:
    """Noise with 1 to 3 appropriate reactions a clip; no constant channel."""
    rng = np.random.default_rng(seed)
    near = np.eye(clips, dtype=int) | (rng.uniform(size=(clips, clips)) < 0.3)
    return {
        "pred": rng.uniform(size=(clips, samples, frames, width)).astype(np.float32),
        "gt": rng.uniform(size=(clips, frames, width)).astype(np.float32),
        "speaker": rng.uniform(size=(clips, frames, width)).astype(np.float32),
        "neighbour": near,
    }


def rearranged(data: dict[str, np.ndarray], order: Any) -> dict[str, np.ndarray]:
    moved = {name: data[name][order] for name in ("pred", "gt", "speaker")}
    return moved | {"neighbour": data["neighbour"][order][:, order]}


# ---------------------------------------------------------------------- rows of published tables


@quiet
def test_b_random_has_its_published_row() -> None:
    data = dataset(clips=20, samples=10, frames=300)
    found = evaluate_arrays(**data, metrics=("FRDiv", "FRVar", "FRDvs"))
    assert [round(v, 2) for v in found.values()] == [0.17, 0.08, 0.17]
    assert list(found.values()) == pytest.approx([1 / 6, 1 / 12, 1 / 6], rel=3e-3)


@quiet
def test_b_mean_frame_has_its_published_row() -> None:
    data = dataset(samples=10)
    data["pred"][:] = data["gt"].mean(axis=(0, 1))
    found = evaluate_arrays(**data)
    assert found["FRCorr"] == found["FRDiv"] == found["FRVar"] == found["FRDvs"] == 0
    assert found["FRSyn"] == 49


@quiet
def test_the_row_of_the_ground_truth() -> None:
    data = dataset(samples=10)
    data["gt"][2, :, 4] = 1.0
    data["pred"][:] = data["gt"][:, None]
    found = evaluate_arrays(**data)
    assert found["FRDist"] == 0
    assert found["FRDiv"] == 0
    assert found["FRCorr"] == pytest.approx(10 * (4 + 24 / 25) / 5, rel=1e-5)
    better = evaluate_arrays(**data, protocol="corrected")
    assert better["FRCorr"] == better["FRCorr/groups"] == pytest.approx(1, rel=1e-9)
    assert better["FRDist"] == 0


# ---------------------------------------------------------------------- laws


@quiet
@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
def test_the_order_of_clips_does_not_matter(protocol: str) -> None:
    data = dataset()
    found = evaluate_arrays(**data, protocol=protocol)
    moved = evaluate_arrays(**rearranged(data, [4, 2, 0, 1, 3]), protocol=protocol)
    assert moved == pytest.approx(dict(found), rel=1e-12)


@quiet
@pytest.mark.parametrize("protocol", ["corrected", "react2024_serial", "reactface_serial"])
def test_the_order_of_samples_does_not_matter(protocol: str) -> None:
    data = dataset()
    found = evaluate_arrays(**data, protocol=protocol)
    data["pred"] = data["pred"][:, ::-1]
    assert evaluate_arrays(**data, protocol=protocol) == pytest.approx(dict(found), rel=1e-12)


@quiet
def test_repeating_every_sample_doubles_published_sums_and_leaves_corrected_means() -> None:
    data = dataset()
    doubled = data | {"pred": np.repeat(data["pred"], 2, axis=1)}
    names = ("FRCorr", "FRDist")
    once, twice = (evaluate_arrays(**d, metrics=names) for d in (data, doubled))
    assert dict(twice) == pytest.approx({n: 2 * v for n, v in once.items()}, rel=1e-12)
    names = ("FRCorr", "FRDist", "FRVar", "FRDvs", "FRSyn")
    once, twice = (
        evaluate_arrays(**d, protocol="corrected", metrics=names) for d in (data, doubled)
    )
    assert dict(twice) == pytest.approx(dict(once), rel=1e-12)


@quiet
def test_corrected_is_the_published_score_over_the_number_of_samples() -> None:
    data = dataset()
    published, better = (evaluate_arrays(**data, protocol=p) for p in ("react2024", "corrected"))
    for name in ("FRCorr", "FRDist"):
        assert better[name] == pytest.approx(published[name] / 3, rel=1e-6)
    for name in ("FRDiv", "FRVar", "FRDvs"):
        assert better[name] == pytest.approx(published[name], rel=1e-12)
    assert better["dead_channels"] == 0


@quiet
def test_time_reversal_of_all_leaves_everything_but_the_sign_of_lags() -> None:
    data = dataset()
    found = evaluate_arrays(**data, protocol="corrected")
    for name in ("pred", "gt", "speaker"):
        data[name] = np.flip(data[name], axis=-2)
    assert evaluate_arrays(**data, protocol="corrected") == pytest.approx(dict(found), rel=1e-9)


@quiet
@pytest.mark.parametrize("protocol", ["react2024", "reactface", "corrected"])
def test_float64_copies_tensors_and_strided_views_give_the_same_numbers(protocol: str) -> None:
    data = dataset()
    wanted = evaluate_arrays(**data, protocol=protocol)
    copies = {n: v.astype(np.float64) for n, v in data.items()}
    assert dict(evaluate_arrays(**copies, protocol=protocol)) == pytest.approx(
        dict(wanted), rel=1e-12
    )
    tensors: Any = {n: torch.from_numpy(v) for n, v in data.items()}
    assert evaluate_arrays(**tensors, protocol=protocol) == wanted
    half: Any = {n: v.bfloat16() if v.is_floating_point() else v for n, v in tensors.items()}
    assert evaluate_arrays(**half, protocol=protocol)["FRVar"] == pytest.approx(1 / 12, rel=0.02)
    views = {n: np.asfortranarray(v) for n, v in data.items()}
    assert evaluate_arrays(**views, protocol=protocol) == wanted


@quiet
@pytest.mark.parametrize("protocol", ["react2024", "corrected"])
def test_the_number_of_threads_does_not_change_a_bit(protocol: str) -> None:
    data = dataset(clips=37, frames=60)
    one, two = (evaluate_arrays(**data, protocol=protocol, workers=w) for w in (1, 2))
    assert one == two
    assert list(one.per_clip["FRCorr"]) == list(two.per_clip["FRCorr"])


@quiet
def test_per_clip_values_average_to_the_scores() -> None:
    for protocol in ("react2024", "corrected"):
        found = evaluate_arrays(**dataset(), protocol=protocol, per_clip=True)
        for name in ("FRCorr", "FRDist", "FRDiv", "FRVar", "FRDvs", "FRSyn"):
            assert found.per_clip[name].mean() == pytest.approx(found[name], rel=1e-6)


@quiet
def test_groups_have_their_plain_mean() -> None:
    found = evaluate_arrays(**dataset(), protocol="corrected")
    for name in ("FRCorr", "FRDist", "FRDiv", "FRVar", "FRDvs", "FRSyn"):
        groups = [found[f"{name}/{g}"] for g in ("au", "va", "expression")]
        assert found[f"{name}/groups"] == pytest.approx(np.mean(groups))


@quiet
def test_a_clip_s_corrected_score_does_not_depend_on_its_company() -> None:
    data = dataset() | {"neighbour": np.eye(5, dtype=int)}
    together = evaluate_arrays(**data, protocol="corrected").per_clip
    some = evaluate_arrays(**rearranged(data, [3, 1]), protocol="corrected").per_clip
    for name in ("FRCorr", "FRDist", "FRSyn", "FRVar", "FRDiv"):
        assert some[name] == pytest.approx(together[name][[3, 1]], rel=1e-13)


@quiet
@pytest.mark.parametrize("protocol", ["mars", "corrected"])
def test_lists_of_different_length_weigh_each_clip_the_same(protocol: str) -> None:
    parts = [dataset(clips=1, frames=frames, seed=frames) for frames in (60, 75, 110)]
    found = evaluate_lists(
        [p["pred"][0] for p in parts],
        [[p["gt"][0], p["gt"][0][::-1]] for p in parts],
        [p["speaker"][0] for p in parts],
        protocol,
    )
    assert "FRDvs" not in found
    alone = [
        evaluate_lists(
            p["pred"],
            [[p["gt"][0], p["gt"][0][::-1]]],
            p["speaker"],
            protocol,
            metrics=("FRCorr", "FRVar", "FRSyn"),
        )
        for p in parts
    ]
    for name in ("FRCorr", "FRVar", "FRSyn"):
        assert found[name] == pytest.approx(np.mean([a[name] for a in alone]), rel=1e-6)


@quiet
def test_behaviours_give_what_their_arrays_give() -> None:
    data = dataset()

    def behaviour(values: np.ndarray) -> Behaviour:
        split = {"expression": values[..., 17:], "au": values[..., :15], "va": values[..., 15:17]}
        return Behaviour.of({n: torch.from_numpy(v.copy()) for n, v in split.items()})

    targets = [data["gt"][row == 1] for row in data["neighbour"]]
    found = evaluate_behaviours(
        behaviour(data["pred"]),
        [behaviour(t) for t in targets],
        [behaviour(s) for s in data["speaker"]],
        "react2024",
    )
    assert found == evaluate_arrays(**data)


@quiet
def test_mae_is_over_the_last_ten_channels_and_all_pairs() -> None:
    data = dataset()
    found = evaluate_arrays(**data, protocol="mars", metrics=("MAE",))
    wanted = [
        np.mean([np.abs(p - g)[:, 15:].mean() for p in pred for g in data["gt"][row == 1]])
        for pred, row in zip(data["pred"].astype(float), data["neighbour"], strict=True)
    ]
    assert found["MAE"] == pytest.approx(np.mean(wanted), rel=1e-9)


def test_scores_know_their_protocol_and_survive_pickling() -> None:
    found = evaluate_arrays(**dataset(), protocol="reactface_serial")
    again = pickle.loads(pickle.dumps(found))
    assert again == found and again.protocol == "reactface_serial"
    assert again.counts == found.counts and set(again.per_clip) == set(found.per_clip)
    assert "reactface_serial: FRCorr" in repr(found)


# ---------------------------------------------------------------------- quirks are told


def test_one_warning_counts_what_the_published_protocols_meet() -> None:
    data = dataset(frames=45)
    data["pred"][0, 1, 3, 2] = np.nan
    data["pred"][1, :, :, 7] = 0.5
    data["gt"][2, :, 0] = 1
    with pytest.warns(ProtocolWarning) as told:
        evaluate_arrays(**data)
    assert len(told) == 1
    text = str(told[0].message)
    dead = int(data["neighbour"][:, 2].sum())
    for part in (
        "react2024: 1 clips of 5 hold values that are not finite",
        "5 clips of 5 are too short",
        "3 of 375 predicted channels are constant",
        f"{dead} of {25 * data['neighbour'].sum()} target channels are constant",
    ):
        assert part in text


def test_clean_data_warn_of_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        evaluate_arrays(**dataset())
        evaluate_arrays(**dataset(), protocol="corrected")


def test_frdist_of_other_widths_is_nan_under_react2024_and_a_number_elsewhere() -> None:
    data = dataset(width=7)
    with pytest.warns(ProtocolWarning, match="groups are 25 channels, and the clips have 7"):
        assert np.isnan(evaluate_arrays(**data)["FRDist"])
    assert evaluate_arrays(**data, protocol="reactface")["FRDist"] > 0
    assert evaluate_arrays(**data, protocol="corrected")["FRDist/all"] > 0


# ---------------------------------------------------------------------- bad input


def without(name: str, axis: int) -> dict[str, np.ndarray]:
    """A data set whose array `name` has lost its last entry along `axis`."""
    data = dataset()
    data[name] = np.delete(data[name], -1, axis=axis)
    return data


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("gt", 0), "axis N must agree: pred has 5 .*, gt has 4"),
        (without("gt", 1), "axis T must agree: pred has 70 .*, gt has 69"),
        (without("speaker", 1), "axis T must agree: pred has 70 .*, speaker has 69"),
        (without("speaker", 2), "axis D must agree: pred has 25 .*, speaker has 24"),
        (without("neighbour", 0), "square matrix"),
        ({"neighbour": np.eye(4)}, "axis N must agree: pred has 5 clips, neighbour is"),
        ({"neighbour": np.eye(5) * 0.5}, "holds 0.5 in row 0, column 0; wanted 0 or 1"),
        ({"neighbour": np.full((5, 5), np.nan)}, "wanted 0 or 1"),
        ({"neighbour": np.eye(5)[[0, 1, 2, 3, 3]] * [[1], [1], [0], [1], [1]]}, "row 2"),
        ({"pred": dataset()["pred"][:, 0]}, r"One sample a clip is pred\[:, None\]"),
        ({"pred": dataset()["pred"][:, :, :0]}, "its axis T is empty"),
        ({"pred": np.full((5, 3, 70, 25), "a")}, "wanted numbers"),
        ({"pred": np.full((5, 3, 70, 25), None)}, "wanted numbers"),
        ({"protocol": "reac2024"}, "unknown protocol 'reac2024'. Did you mean 'react2024'?"),
        ({"metrics": ("FRCor",)}, "unknown score 'FRCor'. Did you mean 'FRCorr'?"),
        ({"protocol": "mars", "metrics": ("FRDvs",)}, "'mars' does not define FRDvs"),
    ],
)
def test_bad_input_is_explained(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        evaluate_arrays(**{**dataset(), **change})


def test_corrected_names_the_place_of_a_nan() -> None:
    data = dataset()
    data["pred"][3, 1, 20, 7] = np.nan
    with pytest.raises(
        InputError, match=r"pred of clip 3 holds nan at sample 1, frame 20, channel 7 \(AU12\)"
    ):
        evaluate_arrays(**data, protocol="corrected")
    data = dataset()
    data["speaker"][1, 2, 16] = np.inf
    with pytest.raises(InputError, match=r"speaker of clip 1 .* channel 16 \(arousal\)"):
        evaluate_arrays(**data, protocol="corrected")
    with pytest.raises(InputError, match=r"clip 1: pred holds nan at sample 0, frame 4, channel 2"):
        pred = dataset()["pred"]
        pred[1, 0, 4, 2] = np.nan
        evaluate_lists(pred, dataset()["gt"][:, None], dataset()["speaker"], "corrected")


@pytest.mark.parametrize(
    ("shape", "name", "message"),
    [
        ({"samples": 1}, "FRDiv", "a clip has 1 .axis K."),
        ({"clips": 1}, "FRDvs", "there is 1 clip .axis N."),
        ({"frames": 50}, "FRSyn", "at least 51 frames, but a clip has 50"),
    ],
)
def test_corrected_refuses_undefined_scores_and_gives_the_others(
    shape: dict[str, int], name: str, message: str
) -> None:
    data = dataset(**shape)
    with pytest.raises(InputError, match=message):
        evaluate_arrays(**data, protocol="corrected")
    others = tuple(m for m in PROTOCOLS["corrected"].metrics if m != name)
    found = evaluate_arrays(**data, protocol="corrected", metrics=others)
    assert not np.isnan(list(found.values())).any()


def test_one_sample_is_fine_where_it_was_published() -> None:
    assert evaluate_arrays(**dataset(samples=1))["FRDiv"] == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"targets": []}, "axis N must agree: pred has 5 clips, targets 0"),
        ({"pred": [], "targets": [], "speaker": []}, "no clip was given"),
        ({"targets": [[]] * 5}, "clip 0: no appropriate reaction was given"),
        ({"targets": 3}, "targets must be a sequence"),
        ({"targets": [[np.zeros((69, 25))]] * 5}, "clip 0: axis T must agree: .* target 0 has 69"),
        ({"targets": [[np.zeros((70, 24))]] * 5}, "clip 0: axis D must agree"),
        ({"speaker": [np.zeros((70, 24))] * 5}, "clip 0: axis D must agree: pred has 25, speaker"),
        ({"speaker": [np.zeros(70)] * 5}, r"clip 0: speaker has shape \[70\]; wanted \[T, D\]"),
    ],
)
def test_bad_lists_are_explained(change: dict[str, Any], message: str) -> None:
    data = dataset()
    given = {"pred": data["pred"], "targets": data["gt"][:, None], "speaker": data["speaker"]}
    with pytest.raises(InputError, match=message):
        evaluate_lists(**{**given, **change})


def test_lists_of_unequal_samples_are_refused() -> None:
    data = dataset()
    pred = [data["pred"][0], *(p[:2] for p in data["pred"][1:])]
    with pytest.raises(InputError, match="axis K must agree between clips: clip 0 has 3, clip 1"):
        evaluate_lists(pred, data["gt"][:, None], data["speaker"])


@quiet
def test_frdist_alone_takes_targets_of_any_length() -> None:
    data = dataset()
    targets = [[gt[:60], gt[:33]] for gt in data["gt"]]
    found = evaluate_lists(data["pred"], targets, data["speaker"], metrics=("FRDist",))
    assert found["FRDist"] > 0


@quiet
def test_the_golden_speaker_scored_against_itself_is_synchronous() -> None:
    held = golden.arrays("main_n12_m10_t750")
    mirror = held | {"pred": np.repeat(held["speaker"][:, None], 2, axis=1)}
    assert evaluate_arrays(**mirror, metrics=("FRSyn",))["FRSyn"] == 0


def test_a_sequence_without_a_value_costs_its_own_clip_alone() -> None:
    rng = np.random.default_rng(0)
    pred, gt = rng.random((20, 2, 60, 25)), rng.random((20, 60, 25))
    pred[18, 0] = np.nan
    with pytest.warns(ProtocolWarning):
        scores = evaluate_arrays(pred, gt, gt, np.eye(20), per_clip=True)
    lost = np.isnan(scores.per_clip["FRDist"])
    assert np.flatnonzero(lost).tolist() == [18]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pred": [np.zeros((2, 9, 25)), np.zeros((1, 9, 25))]}, "pred must be numbers"),
        ({"neighbour": [[1], [0, 1]]}, "neighbour must be numbers"),
        ({"protocol": None}, "a protocol is a name"),
        ({"protocol": ["react2024"]}, "a protocol is a name"),
        ({"workers": 0}, "workers must be at least 1"),
    ],
)
def test_arguments_of_another_kind_are_named(change: dict[str, Any], message: str) -> None:
    rng = np.random.default_rng(0)
    given = {
        "pred": rng.random((2, 2, 60, 25)),
        "gt": rng.random((2, 60, 25)),
        "speaker": rng.random((2, 60, 25)),
        "neighbour": np.eye(2),
    }
    with pytest.raises(InputError, match=message):
        evaluate_arrays(**{**given, **change})


def test_one_score_may_be_asked_for_by_its_name_alone() -> None:
    rng = np.random.default_rng(0)
    pred, gt = rng.random((2, 2, 60, 25)), rng.random((2, 60, 25))
    scores = evaluate_arrays(pred, gt, gt, np.eye(2), metrics="FRVar")
    assert "FRVar" in scores
    assert "FRCorr" not in scores


# ---------------------------------------------------------------------- scale


@pytest.mark.parametrize("scale", [1e-300, 1e-170, 1e-80, 1e-20, 1e20, 1e69])
def test_corrected_of_any_unit_is_the_same_but_for_the_unit(scale: float) -> None:
    data = {n: v.astype(np.float64) for n, v in dataset().items()}
    wanted = evaluate_arrays(**data, protocol="corrected")
    moved = {n: v if n == "neighbour" else v * scale for n, v in data.items()}
    found = evaluate_arrays(**moved, protocol="corrected")
    power = {"FRCorr": 0, "FRSyn": 0, "FRDist": 1, "FRDiv": 2, "FRVar": 2, "FRDvs": 2}
    for name, value in found.items():
        head = name.partition("/")[0]
        if head in power:
            unit = 1.0 if power[head] == 0 else scale ** power[head]
            assert value == pytest.approx(wanted[name] * unit, rel=1e-9, abs=0), name
        else:
            assert value == wanted[name]


def test_corrected_keeps_the_lags_of_one_tiny_channel() -> None:
    data = {n: v.astype(np.float64) for n, v in dataset().items()}
    wanted = evaluate_arrays(**data, protocol="corrected")
    for name in ("pred", "gt", "speaker"):
        data[name][..., 3] *= 1e-200
    found = evaluate_arrays(**data, protocol="corrected")
    assert found.per_clip["FRSyn"].tolist() == wanted.per_clip["FRSyn"].tolist()
    assert found["FRCorr"] == pytest.approx(wanted["FRCorr"], rel=1e-9)


@pytest.mark.parametrize("name", ["pred", "gt", "speaker"])
def test_corrected_refuses_values_whose_squares_leave_float64(name: str) -> None:
    data = {n: v.astype(np.float64) for n, v in dataset().items()}
    data[name][1] *= 1e160
    with pytest.raises(InputError, match=rf"{name} of clip 1 holds .*e\+1\d\d .* up to 1e\+70"):
        evaluate_arrays(**data, protocol="corrected")
